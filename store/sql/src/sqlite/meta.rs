//! The store's own tables: `rowkeep_meta`, `rowkeep_requests`, `rowkeep_sequences`; `rowkeep_changes` is that of
//! [`changes`](super::changes).

use rowkeep_engine::Remembered;
use rusqlite::{Connection, OptionalExtension as _, Result};

use super::changes::TABLE as CHANGES;

/// In the header of the file, so that tools and a second program can tell whose it is: `ROWK`.
pub(crate) const APPLICATION_ID: i32 = 0x524F_574B;
/// Format of the file: how values, hidden columns and the store's own tables are laid out.
pub(crate) const FORMAT: i32 = 1;

/// Bytes of the last applied schema.
pub(crate) const SCHEMA: &str = "schema";
/// Tables, columns and indexes as they were after the last apply.
pub(crate) const CATALOGUE: &str = "catalogue";
/// No version above this one was ever given.
pub(crate) const FLOOR: &str = "version_floor";
/// Indexes that a load left out for now.
pub(crate) const LEFT_OUT: &str = "left_out";
/// Present while the store runs; found at start after a crash.
pub(crate) const RUNNING: &str = "running";

/// Where the last run began to count commits.
pub(crate) const POSITION: &str = "position";
/// The name of the log of changes.
pub(crate) const CHANGES_LOG: &str = "changes_log";
/// Fingerprint of the schema whose rows it tells.
pub(crate) const CHANGES_SCHEMA: &str = "changes_schema";
/// The last commit that it does not keep any more.
pub(crate) const CHANGES_FORGOTTEN: &str = "changes_forgotten";

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS rowkeep_meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS rowkeep_requests (
        request_id TEXT PRIMARY KEY, fingerprint BLOB NOT NULL, outcome BLOB NOT NULL, forget_at INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS rowkeep_requests_forget_at ON rowkeep_requests (forget_at);
    CREATE TABLE IF NOT EXISTS rowkeep_sequences (name TEXT PRIMARY KEY, last INTEGER NOT NULL) WITHOUT ROWID;
";

pub(crate) fn create(connection: &Connection) -> Result<()> {
    connection.execute_batch(&format!(
        "BEGIN IMMEDIATE; {TABLES} {CHANGES} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {FORMAT}; COMMIT;"
    ))
}

pub(crate) fn get(connection: &Connection, key: &str) -> Result<Option<Vec<u8>>> {
    let mut statement = connection.prepare_cached("SELECT value FROM rowkeep_meta WHERE key = ?")?;
    statement.query_row([key], |row| row.get(0)).optional()
}

pub(crate) fn set(connection: &Connection, key: &str, value: &[u8]) -> Result<()> {
    let mut statement = connection.prepare_cached("INSERT OR REPLACE INTO rowkeep_meta (key, value) VALUES (?, ?)")?;
    statement.execute((key, value)).map(drop)
}

pub(crate) fn remove(connection: &Connection, key: &str) -> Result<()> {
    connection.execute("DELETE FROM rowkeep_meta WHERE key = ?", [key]).map(drop)
}

pub(crate) fn floor(connection: &Connection) -> Result<u64> {
    number(connection, FLOOR).map(Option::unwrap_or_default)
}

pub(crate) fn set_floor(connection: &Connection, floor: u64) -> Result<()> {
    set_number(connection, FLOOR, floor)
}

pub(crate) fn number(connection: &Connection, key: &str) -> Result<Option<u64>> {
    let bytes = get(connection, key)?;
    Ok(bytes.and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes))
}

pub(crate) fn set_number(connection: &Connection, key: &str, number: u64) -> Result<()> {
    set(connection, key, &number.to_be_bytes())
}

pub(crate) fn recall(connection: &Connection, id: &str) -> Result<Option<Remembered>> {
    let mut statement = connection
        .prepare_cached("SELECT fingerprint, outcome, forget_at FROM rowkeep_requests WHERE request_id = ?")?;
    let remembered = |row: &rusqlite::Row<'_>| {
        Ok(Remembered { fingerprint: row.get(0)?, outcome: row.get(1)?, forget_at: row.get(2)? })
    };
    statement.query_row([id], remembered).optional()
}

pub(crate) fn remember(connection: &Connection, id: &str, remembered: &Remembered) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT OR REPLACE INTO rowkeep_requests (request_id, fingerprint, outcome, forget_at) VALUES (?, ?, ?, ?)",
    )?;
    let Remembered { fingerprint, outcome, forget_at } = remembered;
    statement.execute((id, fingerprint, outcome, forget_at)).map(drop)
}
