//! What a statement that was logged as text may have changed.
//!
//! No grammar is understood here. What changes the schema of a table names it, and its database unless that is the default
//! one; so tables that are not named are left alone, and any other word of the statement only makes more of them be held for
//! changed. What changes data is another matter: a trigger or a function may reach any table, so that all are.

use rowkeep_binlog::{Statement, StatementKind};
use rowkeep_changes::Touched;
use rowkeep_schema::{Entity, EntityId};

/// Names as they are looked for.
#[derive(Debug)]
pub(super) struct Names {
    database: String,
    /// Names of tables in lower case; `None` if the client may have written it in bytes of another character set.
    tables: Vec<(EntityId, Option<String>)>,
}

impl Names {
    pub(super) fn new<'a>(database: &str, entities: impl Iterator<Item = &'a Entity>) -> Self {
        let name = |entity: &Entity| {
            let name = entity.table.is_ascii().then(|| entity.table.to_ascii_lowercase());
            // Between quotes, a quote is written twice.
            (entity.id, name.filter(|name| !name.contains(['`', '"'])))
        };
        Self { database: database.to_ascii_lowercase(), tables: entities.map(name).collect() }
    }

    /// Which entities' tables the statement may have changed.
    pub(super) fn touched(&self, statement: &Statement<'_>) -> Touched<EntityId> {
        match statement.kind {
            StatementKind::Other => Touched::default(),
            StatementKind::Data => Touched::All,
            StatementKind::Schema => self.of_schema(statement),
        }
    }

    fn of_schema(&self, statement: &Statement<'_>) -> Touched<EntityId> {
        let text = statement.text.to_ascii_lowercase();
        let has = |word: &str| contains(&text, word.as_bytes());
        let is_here = statement.database.eq_ignore_ascii_case(self.database.as_bytes());
        let names_here = has(&self.database) || !self.database.is_ascii() || self.database.contains(['`', '"']);
        if !is_here && !names_here {
            return Touched::default();
        }
        if names_here && (has("database") || has("schema")) {
            return Touched::All;
        }
        let named = self.tables.iter().filter(|(_, name)| name.as_deref().is_none_or(has));
        Touched::Some(named.map(|(id, _)| *id).collect())
    }
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    word.is_empty() || text.windows(word.len()).any(|part| part == word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{schema, table};
    use rowkeep_schema::Storage;

    fn touched(database: &str, text: &str) -> Touched<EntityId> {
        let tables = ["users", "orders"].map(|name| table(name).column("id", Storage::Int64));
        let schema = schema(&tables);
        let names = Names::new("shop", schema.entities.iter());
        names.touched(&Statement {
            kind: StatementKind::Schema,
            database: database.as_bytes(),
            text: text.as_bytes(),
            error: 0,
        })
    }

    fn some(entities: &[u16]) -> Touched<EntityId> {
        Touched::Some(entities.iter().copied().map(EntityId).collect())
    }

    #[test]
    fn tables_that_a_statement_names_are_touched() {
        assert_eq!(touched("shop", "TRUNCATE users"), some(&[0]));
        assert_eq!(touched("", "DROP TABLE `SHOP`.`Users`, shop.orders"), some(&[0, 1]));
        assert_eq!(touched("shop", "ALTER TABLE orders ADD x INT /* users */"), some(&[0, 1]));
        assert_eq!(touched("shop", "CREATE TABLE other (id INT)"), some(&[]));
    }

    #[test]
    fn other_databases_are_left_alone_and_the_own_one_is_all() {
        assert_eq!(touched("other", "TRUNCATE users"), some(&[]));
        assert_eq!(touched("other", "TRUNCATE shop.users"), some(&[0]));
        assert_eq!(touched("other", "DROP DATABASE shop"), Touched::All);
        assert_eq!(touched("shop", "DROP DATABASE shop"), Touched::All);
        assert_eq!(touched("", "CREATE DATABASE new"), some(&[]));
    }

    #[test]
    fn changes_of_data_may_reach_anything() {
        let names = Names::new("shop", std::iter::empty());
        let of = |kind| names.touched(&Statement { kind, database: b"other", text: b"CALL p()", error: 0 });
        assert_eq!(of(StatementKind::Data), Touched::All);
        assert!(of(StatementKind::Other).is_none());
    }
}
