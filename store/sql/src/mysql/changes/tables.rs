//! Takes rows of entities out of the log.
//!
//! A table is looked up once for each description that the log has of it. Rows of one that no entity has are not looked at.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

use rowkeep_binlog::{Change, Error, Hidden, Rows, Statement, Table};
use rowkeep_changes::{Take, Taken, Touched};
use rowkeep_engine::RowChange;
use rowkeep_mysql::{Connection, Product};
use rowkeep_schema::{EntityId, Schema};

use super::charset::Charset;
use super::mapping::Mapping;
use super::statements::Names;
use super::unseen::Unseen;

/// Descriptions that are kept. A server numbers them anew when it opens a table again.
const KEPT: usize = 4096;
/// Databases of the servers' own.
const SYSTEM: [&str; 4] = ["mysql", "sys", "information_schema", "performance_schema"];

/// What is known of the tables of a database.
#[derive(Debug)]
pub(super) struct Tables {
    schema: Arc<Schema>,
    database: String,
    names: Names,
    by_name: HashMap<String, EntityId>,
    /// Names are the same in upper and lower case.
    folds: bool,
    charsets: HashMap<u16, Charset>,
    unseen: Unseen,
    /// Entities that are views.
    views: Vec<EntityId>,
    known: HashMap<u64, Known>,
    /// The schema changed: what is unseen is to be asked anew.
    asks: bool,
}

/// A table as it was described last, and what its rows are.
#[derive(Debug)]
struct Known {
    table: Table,
    whose: Whose,
    /// Entities that may change with its rows.
    followers: Vec<EntityId>,
    /// Whether it was said that a row of it cannot be told: MariaDB 11.8 leaves what it computes out of every update.
    warned: Cell<bool>,
}

#[derive(Debug)]
enum Whose {
    Nobodys,
    Entitys(Mapping),
    /// An entity's, in a form that cannot be told.
    Unclear(EntityId),
}

impl Tables {
    pub(super) fn new(schema: &Arc<Schema>, database: &str) -> Self {
        Self {
            schema: Arc::clone(schema),
            database: database.to_owned(),
            names: Names::new(database, schema.entities.iter()),
            by_name: HashMap::new(),
            folds: false,
            charsets: HashMap::new(),
            unseen: Unseen::default(),
            views: Vec::new(),
            known: HashMap::new(),
            asks: false,
        }
    }

    /// A name as names are compared.
    fn folded(&self, name: &str) -> String {
        if self.folds { name.to_lowercase() } else { name.to_owned() }
    }

    fn entity(&self, database: &str, table: &str) -> Option<EntityId> {
        (self.folded(database) == self.folded(&self.database))
            .then(|| self.by_name.get(&self.folded(table)).copied())
            .flatten()
    }

    /// What is known of a table, looked up if it was not described like this before.
    fn known(&mut self, table: &Table) -> &Known {
        if self.known.get(&table.number).is_none_or(|known| known.table != *table) {
            if self.known.len() >= KEPT {
                self.known.clear();
            }
            let known = self.look_up(table);
            self.known.insert(table.number, known);
        }
        &self.known[&table.number]
    }

    fn look_up(&self, table: &Table) -> Known {
        let followers = self.unseen.followers(&table.database, &table.name);
        let followers = followers.filter_map(|(database, name)| self.entity(database, name)).collect();
        Known { table: table.clone(), whose: self.whose(table), followers, warned: Cell::new(false) }
    }

    fn whose(&self, table: &Table) -> Whose {
        let Some(id) = self.entity(&table.database, &table.name) else { return Whose::Nobodys };
        if self.unseen.versioned.contains(&table.name) {
            return Whose::Unclear(id);
        }
        let charset = |collation: Option<u16>| {
            let named = collation.and_then(|collation| self.charsets.get(&collation).copied());
            named.unwrap_or(Charset::AboveAscii)
        };
        match Mapping::new(self.schema.entity(id), table, charset) {
            Ok(mapping) => Whose::Entitys(mapping),
            Err(why) => {
                tracing::warn!(table = table.name, why, "changes of this table cannot be told one by one");
                Whose::Unclear(id)
            }
        }
    }

    async fn ask_names(&mut self, server: &mut Connection) -> Result<(), Error> {
        let rows = server.query("SELECT @@lower_case_table_names").await?;
        self.folds = rows.first().and_then(|row| row.first()?.as_deref()).is_some_and(|kept| kept != "0");
        let names = self.schema.entities.iter().map(|entity| (self.folded(&entity.table), entity.id));
        self.by_name = names.collect();
        Ok(())
    }

    async fn ask_charsets(&mut self, server: &mut Connection) -> Result<(), Error> {
        let table = match server.server().product {
            Product::MariaDb => "COLLATION_CHARACTER_SET_APPLICABILITY",
            Product::MySql | Product::Vitess => "COLLATIONS",
        };
        let sql = format!("SELECT ID, CHARACTER_SET_NAME FROM information_schema.{table} WHERE ID IS NOT NULL");
        let charset = |row: Vec<Option<String>>| {
            let mut values = row.into_iter().flatten();
            Some((values.next()?.parse().ok()?, Charset::named(&values.next()?)))
        };
        self.charsets = server.query(&sql).await?.into_iter().filter_map(charset).collect();
        Ok(())
    }
}

impl Take for Tables {
    type Table = EntityId;
    type Row = RowChange;

    async fn ask(&mut self, server: &mut Connection, hidden: &[Hidden]) -> Result<(), Error> {
        self.ask_names(server).await?;
        self.ask_charsets(server).await?;
        self.unseen = Unseen::ask(server, hidden).await?;
        let views = self.unseen.views.iter().filter_map(|view| self.by_name.get(&self.folded(view)).copied());
        self.views = views.collect();
        self.known.clear();
        self.asks = false;
        Ok(())
    }

    fn asks(&self) -> bool {
        self.asks
    }

    fn rows(&mut self, mut rows: Rows<'_>, into: &mut Taken<EntityId, RowChange>) -> Result<(), Error> {
        let table = rows.table();
        if !self.views.is_empty() && !SYSTEM.contains(&table.database.as_str()) {
            self.views.iter().for_each(|view| into.touch(*view));
        }
        let known = self.known(table);
        if rows.change() != Change::Insert {
            known.followers.iter().for_each(|follower| into.touch(*follower));
        }
        let mapping = match &known.whose {
            Whose::Nobodys => return Ok(()),
            Whose::Unclear(entity) => {
                into.touch(*entity);
                return Ok(());
            }
            Whose::Entitys(mapping) => mapping,
        };
        while let Some(row) = rows.next()? {
            match mapping.change(&row) {
                Ok((change, bytes)) => into.push(mapping.entity, change, bytes),
                Err(error) => {
                    if !known.warned.replace(true) {
                        let error: &dyn std::error::Error = &error;
                        tracing::warn!(error, table = table.name, "a change of this table cannot be told by its row");
                    }
                    into.touch(mapping.entity);
                }
            }
        }
        Ok(())
    }

    fn statement(&mut self, statement: &Statement<'_>) -> Touched<EntityId> {
        let touched = self.names.touched(statement);
        self.asks |= statement.kind == rowkeep_binlog::StatementKind::Schema;
        touched
    }
}
