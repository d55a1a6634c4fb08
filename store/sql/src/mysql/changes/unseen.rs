//! Changes that a server's log does not show, or not as reads do, found out by asking it.
//!
//! - MariaDB, and MySQL before 9.6, log no rows that a foreign key changes in another table. Whoever changes the table that is
//!   referred to may have changed those that refer to it, and those that refer to them.
//! - A view has no rows of its own. Any table may be behind it.
//! - Rows of a table with its history in it (`SYSTEM VERSIONED`) are logged with those of the past.

use std::collections::{BTreeMap, BTreeSet};

use rowkeep_binlog::{Error, Hidden};
use rowkeep_mysql::{Connection, Product};

/// A table: database and name.
pub(super) type Name = (String, String);

/// What is not seen.
#[derive(Debug, Default)]
pub(super) struct Unseen {
    /// Tables that may change when rows of this one do.
    followers: BTreeMap<Name, BTreeSet<Name>>,
    /// Of the store's database.
    pub(super) views: BTreeSet<String>,
    /// Of the store's database.
    pub(super) versioned: BTreeSet<String>,
}

/// MySQL logs what foreign keys do since then.
const CASCADES_LOGGED: (u16, u16, u16) = (9, 6, 0);

const KEYS: &str = "SELECT UNIQUE_CONSTRAINT_SCHEMA, REFERENCED_TABLE_NAME, CONSTRAINT_SCHEMA, TABLE_NAME \
     FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = DATABASE() \
     AND (UPDATE_RULE NOT IN ('RESTRICT', 'NO ACTION') OR DELETE_RULE NOT IN ('RESTRICT', 'NO ACTION'))";
const KINDS: &str = "SELECT TABLE_NAME, TABLE_TYPE FROM information_schema.TABLES \
     WHERE TABLE_SCHEMA = DATABASE() AND TABLE_TYPE IN ('VIEW', 'SYSTEM VERSIONED')";

impl Unseen {
    /// Asks. `hidden`: what the reader of the log has found, which may see more tables than those of the store.
    pub(super) async fn ask(server: &mut Connection, hidden: &[Hidden]) -> Result<Self, Error> {
        let is_mysql = server.server().product == Product::MySql;
        let mut keys: Vec<(Name, Name)> = Vec::new();
        if !is_mysql || server.server().numbers() < CASCADES_LOGGED {
            for row in server.query(KEYS).await? {
                if let [Some(parent_of), Some(parent), Some(child_of), Some(child)] = row.as_slice() {
                    keys.push(((parent_of.clone(), parent.clone()), (child_of.clone(), child.clone())));
                }
            }
        }
        keys.extend(hidden.iter().filter_map(|hidden| match hidden {
            Hidden::Cascade { table, parent, .. } => Some((parent.clone(), table.clone())),
            Hidden::NotKnown | Hidden::OldTemporal { .. } => None,
        }));
        let mut unseen = Self { followers: followers(&keys), ..Self::default() };
        for row in server.query(KINDS).await? {
            let mut values = row.into_iter().flatten();
            let (Some(name), Some(kind)) = (values.next(), values.next()) else { continue };
            if kind == "VIEW" {
                unseen.views.insert(name)
            } else {
                unseen.versioned.insert(name)
            };
        }
        Ok(unseen)
    }

    /// Which tables may have changed when rows of this one were changed or removed.
    pub(super) fn followers(&self, database: &str, table: &str) -> impl Iterator<Item = &Name> {
        let found =
            if self.followers.is_empty() { None } else { self.followers.get(&(database.to_owned(), table.to_owned())) };
        found.into_iter().flatten()
    }
}

/// From each table to all that follow it, directly or not.
fn followers(keys: &[(Name, Name)]) -> BTreeMap<Name, BTreeSet<Name>> {
    let mut all: BTreeMap<Name, BTreeSet<Name>> = BTreeMap::new();
    for (parent, _) in keys {
        let (mut found, mut ahead) = (BTreeSet::new(), vec![parent]);
        while let Some(next) = ahead.pop() {
            for (_, child) in keys.iter().filter(|(parent, _)| parent == next) {
                if found.insert(child.clone()) {
                    ahead.push(child);
                }
            }
        }
        all.insert(parent.clone(), found);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(table: &str) -> Name {
        ("shop".to_owned(), table.to_owned())
    }

    #[test]
    fn tables_follow_over_others_and_round_in_circles() {
        let key = |parent, child| (name(parent), name(child));
        let keys = [key("a", "b"), key("b", "c"), key("c", "b"), key("x", "x")];
        let unseen = Unseen { followers: followers(&keys), ..Unseen::default() };
        let of = |table| unseen.followers("shop", table).map(|(_, table)| table.as_str()).collect::<Vec<_>>();
        assert_eq!((of("a"), of("b")), (vec!["b", "c"], vec!["b", "c"]));
        assert_eq!((of("x"), of("none")), (vec!["x"], vec![]));
    }
}
