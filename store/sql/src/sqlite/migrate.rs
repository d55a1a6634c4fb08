//! Plans and applies on SQLite. Its DDL is transactional, so a migration that is killed has not happened.

use kit_core::{Code, Error};
use rowkeep_schema::Schema;
use rusqlite::Connection;

use super::catalogue::catalogue;
use super::database::Database;
use super::errors::{During, classify, failed};
use super::meta;
use super::steps::Steps;
use crate::ddl::{ColumnDef, sqlite_affinity, tables};
use crate::migrate::{Allow, Applied, Change, Plan, diff, drift};

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
    let found = catalogue(connection).map_err(failed)?;
    let applied = applied(connection)?;
    let desired = tables(schema);
    let drift = drift(&applied, &found);
    let mut steps = Steps::new(connection, &drift);
    for change in diff(&desired, &found, &applied, &same_type) {
        match change {
            Change::Create(table) => steps.create(table),
            Change::Alter(alter) => steps.alter(&alter)?,
            Change::Drop(table) => steps.drop(table)?,
        }
    }
    Ok(Plan { steps: steps.done, drift })
}

/// Types of one affinity hold the same values.
fn same_type(column: &ColumnDef, found: &str) -> bool {
    crate::ddl::sqlite_type(column) == found
        || sqlite_affinity(crate::ddl::sqlite_type(column)) == sqlite_affinity(found)
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
    let found = catalogue(connection).map_err(failed)?;
    let applied = Applied::new(&tables(schema), &found);
    let bytes = serde_json::to_vec(&applied).map_err(Error::internal)?;
    meta::set(connection, meta::CATALOGUE, &bytes).map_err(failed)?;
    meta::set(connection, meta::SCHEMA, snapshot).map_err(failed)
}
