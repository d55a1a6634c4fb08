//! The log's table.

use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OptionalExtension as _, Result, Row};

use crate::sqlite::meta;

/// One row per transaction: its number, when it was made (microseconds since 1970), the bytes of the log up to and with
/// it, and what it changed.
pub(in crate::sqlite) const TABLE: &str = "
    CREATE TABLE IF NOT EXISTS rowkeep_changes (
        number INTEGER PRIMARY KEY, at INTEGER NOT NULL, behind INTEGER NOT NULL, changes BLOB NOT NULL
    );
";

/// What a row takes beside its changes.
pub(super) const ROW_BYTES: u64 = 24;

/// A row without its changes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Edge {
    pub(super) number: u64,
    pub(super) at: i64,
    pub(super) behind: u64,
}

/// Microseconds since 1970.
pub(super) fn now_micros() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// Runs work in a transaction of its own.
pub(super) fn in_transaction<T>(connection: &Connection, work: impl FnOnce() -> Result<T>) -> Result<T> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let done = work().and_then(|value| connection.execute_batch("COMMIT").map(|()| value));
    if done.is_err() && !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK")?;
    }
    done
}

/// The name of the file's log and the last commit it has not kept. Begins a new one if there is none, or none of this
/// schema; without `is_kept`, whatever is there is not gone on with.
pub(super) fn log_of(connection: &Connection, schema: u64, is_kept: bool, start: u64) -> Result<(Vec<u8>, u64)> {
    connection.execute_batch(TABLE)?;
    let of_schema = meta::number(connection, meta::CHANGES_SCHEMA)? == Some(schema);
    let forgotten = meta::number(connection, meta::CHANGES_FORGOTTEN)?;
    if let (true, true, Some(id), Some(forgotten)) =
        (is_kept, of_schema, meta::get(connection, meta::CHANGES_LOG)?, forgotten)
    {
        return Ok((id, forgotten));
    }
    connection.execute_batch("DELETE FROM rowkeep_changes")?;
    let id = rand::random::<[u8; 16]>().to_vec();
    meta::set(connection, meta::CHANGES_LOG, &id)?;
    meta::set_number(connection, meta::CHANGES_SCHEMA, schema)?;
    meta::set_number(connection, meta::CHANGES_FORGOTTEN, start)?;
    if !is_kept {
        forget_log(connection)?;
    }
    Ok((id, start))
}

/// Whoever followed the log cannot go on: something happened to the rows that it does not tell.
pub(in crate::sqlite) fn forget_log(connection: &Connection) -> Result<()> {
    meta::remove(connection, meta::CHANGES_LOG)
}

pub(super) fn insert(connection: &Connection, number: u64, at: i64, behind: u64, changes: &[u8]) -> Result<()> {
    let mut statement = connection.prepare_cached("INSERT INTO rowkeep_changes VALUES (?, ?, ?, ?)")?;
    statement.execute((signed(number), at, signed(behind), changes)).map(drop)
}

pub(super) fn first(connection: &Connection) -> Result<Option<Edge>> {
    edge(connection, "SELECT number, at, behind FROM rowkeep_changes ORDER BY number LIMIT 1")
}

pub(super) fn last(connection: &Connection) -> Result<Option<Edge>> {
    edge(connection, "SELECT number, at, behind FROM rowkeep_changes ORDER BY number DESC LIMIT 1")
}

fn edge(connection: &Connection, sql: &str) -> Result<Option<Edge>> {
    connection.prepare_cached(sql)?.query_row([], read_edge).optional()
}

/// The last of the first rows, `limit` of them at most, that this is true of.
pub(super) fn last_where(connection: &Connection, limit: u32, is_past: impl Fn(&Edge) -> bool) -> Result<Option<Edge>> {
    let mut statement =
        connection.prepare_cached("SELECT number, at, behind FROM rowkeep_changes ORDER BY number LIMIT ?")?;
    let mut last = None;
    for edge in statement.query_map([limit], read_edge)? {
        match edge? {
            edge if is_past(&edge) => last = Some(edge),
            _ => break,
        }
    }
    Ok(last)
}

pub(super) fn remove_until(connection: &Connection, number: u64) -> Result<()> {
    let mut statement = connection.prepare_cached("DELETE FROM rowkeep_changes WHERE number <= ?")?;
    statement.execute([signed(number)]).map(drop)
}

/// Calls `take` with number, time and changes of the rows behind `after`, up to `until`, as long as it says that it takes
/// more.
pub(super) fn walk<E: From<rusqlite::Error>>(
    connection: &Connection,
    after: u64,
    until: u64,
    mut take: impl FnMut(u64, i64, &[u8]) -> std::result::Result<bool, E>,
) -> std::result::Result<(), E> {
    let mut statement = connection.prepare_cached(
        "SELECT number, at, changes FROM rowkeep_changes WHERE number > ? AND number <= ? ORDER BY number",
    )?;
    let mut rows = statement.query((signed(after), signed(until)))?;
    while let Some(row) = rows.next()? {
        let number: i64 = row.get(0)?;
        let changes = row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?;
        if !take(number.unsigned_abs(), row.get(1)?, changes)? {
            break;
        }
    }
    Ok(())
}

fn read_edge(row: &Row<'_>) -> Result<Edge> {
    let (number, at, behind): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
    Ok(Edge { number: number.unsigned_abs(), at, behind: behind.unsigned_abs() })
}

/// Commits and bytes are far from what SQLite cannot count.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
