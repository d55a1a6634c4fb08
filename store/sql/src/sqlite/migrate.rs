//! Plans and applies on SQLite. Its DDL is transactional, so a migration that is killed has not happened.

use std::collections::HashSet;
use std::path::Path;

use kit_core::{Code, Error};
use rowkeep_schema::Schema;
use rusqlite::Connection;

use super::catalogue::catalogue;
use super::changes::forget_log;
use super::connect::{Role, check_header, connect, file};
use super::database::{Database, name_file};
use super::errors::{During, classify, failed};
use super::steps::Steps;
use super::{left_out, meta};
use crate::ddl::{ColumnDef, KeyKind, TableDef, sqlite_affinity, tables};
use crate::migrate::{Allow, Applied, Change, FoundKey, Plan, Preview, Spelling, diff, drift};

/// Plans without taking the directory: a server may be running on it, and what is missing is not made.
///
/// # Errors
/// `FAILED_PRECONDITION` if the file is somebody else's; what the disk says.
pub fn preview(directory: &Path, schema: &Schema) -> Result<Preview, Error> {
    let path = file(directory);
    check_header(&path)?;
    look(&path, schema).map_err(|error| name_file(error, &path))
}

fn look(path: &Path, schema: &Schema) -> Result<Preview, Error> {
    let is_new = std::fs::metadata(path).map_or(true, |metadata| metadata.len() == 0);
    let connection = if is_new {
        let connection = Connection::open_in_memory().map_err(failed)?;
        meta::create(&connection).map_err(failed)?;
        connection
    } else {
        connect(path, Role::Reader)?
    };
    // One snapshot: a load may be running, and move indexes between the catalogue and what it left out.
    connection.execute_batch("BEGIN").map_err(failed)?;
    let applied_schema = meta::get(&connection, meta::SCHEMA).map_err(failed)?;
    Ok(Preview { plan: plan(&connection, schema)?, applied_schema })
}

impl Database {
    /// What has to change for the tables to fit the schema. Changes nothing.
    ///
    /// # Errors
    /// What the disk says.
    pub fn plan(&self, schema: &Schema) -> Result<Plan, Error> {
        plan(self.connection(), schema)
    }

    /// Makes the changes of a plan, all or none, and remembers `snapshot` as the schema they are for.
    ///
    /// # Errors
    /// `FAILED_PRECONDITION` naming every obstacle; the database is then as it was.
    pub fn apply(&self, plan: &Plan, schema: &Schema, snapshot: &[u8], allow: &Allow) -> Result<(), Error> {
        let obstacles = plan.obstacles(allow);
        if !obstacles.is_empty() {
            return Err(Error::new(Code::FailedPrecondition, "MIGRATION_NEEDS_CONSENT", obstacles.join("\n")));
        }
        let connection = self.connection();
        if !plan.is_empty() {
            // The steps take every index that the catalogue shows to be there.
            left_out::make_each(connection)?;
        }
        connection.execute_batch("BEGIN IMMEDIATE").map_err(failed)?;
        let applied = run(connection, plan, schema, snapshot)
            .and_then(|()| connection.execute_batch("COMMIT").map_err(|error| classify(error, During::Commit)));
        if applied.is_err() && !connection.is_autocommit() {
            connection.execute_batch("ROLLBACK").map_err(failed)?;
        }
        applied
    }

    /// The snapshot given to the last [`apply`](Self::apply).
    ///
    /// # Errors
    /// What the disk says.
    pub fn applied_schema(&self) -> Result<Option<Vec<u8>>, Error> {
        meta::get(self.connection(), meta::SCHEMA).map_err(failed)
    }
}

fn plan(connection: &Connection, schema: &Schema) -> Result<Plan, Error> {
    let found = catalogue(connection)?;
    let applied = applied(connection)?;
    let desired = tables(schema);
    check_names(&desired)?;
    let drift = drift(&applied, &found);
    let mut steps = Steps::new(connection, &drift);
    for change in diff(&desired, &found, &applied, &SqliteSpelling) {
        match change {
            Change::Create(table) => steps.create(table),
            Change::Alter(alter) => steps.alter(&alter)?,
            Change::Unfit(table, why) => steps.unfit(table, why),
            Change::Drop(table) => steps.drop(table)?,
        }
    }
    Ok(Plan { steps: steps.done, drift })
}

/// Tables and indexes share one space of names here.
fn check_names(tables: &[TableDef]) -> Result<(), Error> {
    let mut seen: HashSet<String> = tables.iter().map(|table| table.name.to_ascii_lowercase()).collect();
    for table in tables {
        for index in &table.indexes {
            if !seen.insert(index.name.to_ascii_lowercase()) {
                let message = format!(
                    "the name of index {} of {} is taken by another table or index, and SQLite has one space for all; \
                     set another `name`",
                    index.name, table.name
                );
                return Err(Error::new(Code::FailedPrecondition, "INDEX_NAME_TAKEN", message));
            }
        }
    }
    Ok(())
}

struct SqliteSpelling;

impl Spelling for SqliteSpelling {
    /// Types of one affinity hold the same values.
    fn same_type(&self, _: &TableDef, column: &ColumnDef, found: &str) -> bool {
        let wanted = crate::ddl::sqlite_type(column);
        wanted == found || sqlite_affinity(wanted) == sqlite_affinity(found)
    }

    fn same_key(&self, table: &TableDef, found: FoundKey) -> bool {
        let wanted = match table.key {
            KeyKind::Integer => FoundKey::Integer,
            KeyKind::Counted => FoundKey::Counted,
            KeyKind::Plain => FoundKey::Plain,
        };
        wanted == found
    }
}

fn applied(connection: &Connection) -> Result<Applied, Error> {
    match meta::get(connection, meta::CATALOGUE).map_err(failed)? {
        None => Ok(Applied::default()),
        Some(bytes) => serde_json::from_slice(&bytes).map_err(Error::internal),
    }
}

fn run(connection: &Connection, plan: &Plan, schema: &Schema, snapshot: &[u8]) -> Result<(), Error> {
    for step in &plan.steps {
        for sql in &step.sql {
            connection.execute_batch(sql).map_err(|error| {
                let message = format!("{} failed, nothing was changed: {error}", step.what);
                let known = classify(error, During::Statement);
                match known.code() {
                    Code::Internal => {
                        Error::new(Code::FailedPrecondition, "MIGRATION_FAILED", message).with_source(known)
                    }
                    _ => known,
                }
            })?;
        }
    }
    let found = catalogue(connection)?;
    let applied = Applied::new(&tables(schema), &found);
    let bytes = serde_json::to_vec(&applied).map_err(Error::internal)?;
    meta::set(connection, meta::CATALOGUE, &bytes).map_err(failed)?;
    if !plan.is_empty() {
        // Steps may change rows, which nobody tells.
        forget_log(connection).map_err(failed)?;
    }
    meta::set(connection, meta::SCHEMA, snapshot).map_err(failed)
}
