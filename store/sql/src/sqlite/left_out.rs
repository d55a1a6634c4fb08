//! Indexes that wait for the end of a load.
//!
//! An index that is there takes every row of a load at a place of its own; one that is made over a full table is sorted
//! and written once. So a load that finds its table empty drops the table's indexes, and its last batch makes them. What
//! is left out is written down in the transaction that drops it, and struck out in the one that makes it: whatever
//! happens in between, either the index is there or its statement is.
//!
//! ## Who makes them
//! The last batch, in its transaction: if that fails, the load is not done and can go on. Else the store when it stops,
//! for loads that end early. Else, after a crash, the next one to open the file, before it does anything with it, unless
//! it is about to load: then the broken-off load may go on as it was ([`OpenOptions`](super::OpenOptions)).
//!
//! ## In between
//! Every read is right, since no statement names an index; some are slow. For the catalogue they are there, so that
//! neither a plan nor drift tells of them.
//!
//! ## What stays
//! Unique indexes, because they decide what a conflict is. Indexes that the load itself reads by: those that begin with
//! the expiry, or with a counted number. Indexes with conditions, expressions or collations are somebody else's.

use kit_core::Error;
use rowkeep_schema::Entity;
use rusqlite::{Connection, OptionalExtension as _};
use serde::{Deserialize, Serialize};

use super::catalogue::found_indexes;
use super::connect::{UNMAPPED, memory};
use super::errors::{During, classify, failed};
use super::meta;
use crate::migrate::FoundIndex;

/// KiB of pages, and of rows to be sorted, while an index is made.
const CACHE_KIB: i64 = 16 * 1024;

/// An index that is not there now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LeftOut {
    pub(super) table: String,
    pub(super) index: FoundIndex,
    /// The statement that makes it.
    sql: String,
}

/// What is left out now.
pub(super) fn list(connection: &Connection) -> Result<Vec<LeftOut>, Error> {
    match meta::get(connection, meta::LEFT_OUT).map_err(failed)? {
        None => Ok(Vec::new()),
        Some(bytes) => serde_json::from_slice(&bytes).map_err(Error::internal),
    }
}

/// Drops what can wait of an empty table's indexes, in the transaction that is open.
pub(super) fn begin(connection: &Connection, entity: &Entity) -> Result<(), Error> {
    if !is_empty(connection, entity)? {
        return Ok(());
    }
    let mut left_out = list(connection)?;
    let before = left_out.len();
    for index in found_indexes(connection, &entity.table).map_err(failed)? {
        if can_wait(entity, &index) {
            left_out.push(drop_index(connection, entity, index)?);
        }
    }
    if left_out.len() > before { write(connection, &left_out) } else { Ok(()) }
}

/// Makes everything that is left out, in the transaction that is open.
pub(super) fn make(connection: &Connection) -> Result<(), Error> {
    little_memory(connection)?;
    while_more(|| make_next(connection))
}

/// Makes everything that is left out, each index in a transaction of its own: what is done stays done.
pub(super) fn make_each(connection: &Connection) -> Result<(), Error> {
    if list(connection)?.is_empty() {
        return Ok(());
    }
    little_memory(connection)?;
    while_more(|| alone(connection))
}

fn while_more(mut next: impl FnMut() -> Result<bool, Error>) -> Result<(), Error> {
    while next()? {}
    Ok(())
}

fn alone(connection: &Connection) -> Result<bool, Error> {
    connection.execute_batch("BEGIN IMMEDIATE").map_err(failed)?;
    let made = make_next(connection).and_then(|made| {
        connection.execute_batch("COMMIT").map_err(|error| classify(error, During::Commit))?;
        Ok(made)
    });
    if made.is_err() && !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK").map_err(failed)?;
    }
    made
}

/// Makes one index; whether there was one to make.
fn make_next(connection: &Connection) -> Result<bool, Error> {
    let mut left_out = list(connection)?;
    let Some(next) = left_out.pop() else { return Ok(false) };
    // A version that knows nothing of this list makes what it misses.
    let exists = |name: &str| {
        let text = "SELECT 1 FROM sqlite_schema WHERE name = ?";
        connection.query_row(text, [name], |_| Ok(())).optional().map_err(failed)
    };
    if exists(&next.table)?.is_some() && exists(&next.index.name)?.is_none() {
        connection.execute_batch(&next.sql).map_err(failed)?;
    }
    write(connection, &left_out)?;
    Ok(true)
}

/// What is sorted at once is bound by the cache. The connection stays so: only what opens the file to serve maps it again.
fn little_memory(connection: &Connection) -> Result<(), Error> {
    memory(connection, UNMAPPED, CACHE_KIB).map_err(failed)
}

fn write(connection: &Connection, left_out: &[LeftOut]) -> Result<(), Error> {
    if left_out.is_empty() {
        return meta::remove(connection, meta::LEFT_OUT).map_err(failed);
    }
    let bytes = serde_json::to_vec(left_out).map_err(Error::internal)?;
    meta::set(connection, meta::LEFT_OUT, &bytes).map_err(failed)
}

fn is_empty(connection: &Connection, entity: &Entity) -> Result<bool, Error> {
    let text = format!("SELECT 1 FROM {} LIMIT 1", crate::dialect::Dialect::Sqlite.name(&entity.table));
    let mut statement = connection.prepare_cached(&text).map_err(failed)?;
    statement.exists([]).map(|found| !found).map_err(failed)
}

fn can_wait(entity: &Entity, index: &FoundIndex) -> bool {
    let is_read_by = entity.expire.into_iter().chain(crate::ddl::counted(entity)).any(|column| {
        let first = index.columns.first();
        first.is_some_and(|(name, _)| *name == entity.column(column).name)
    });
    !index.unique && !index.special && !is_read_by
}

fn drop_index(connection: &Connection, entity: &Entity, index: FoundIndex) -> Result<LeftOut, Error> {
    let text = "SELECT sql FROM sqlite_schema WHERE type = 'index' AND name = ?";
    let sql = connection.query_row(text, [&index.name], |row| row.get(0)).map_err(failed)?;
    let name = crate::dialect::Dialect::Sqlite.name(&index.name);
    connection.execute_batch(&format!("DROP INDEX {name}")).map_err(failed)?;
    Ok(LeftOut { table: entity.table.clone(), index, sql })
}
