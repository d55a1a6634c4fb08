//! The store's own tables: `rowkeep_meta`, `rowkeep_requests`.

use kit_core::Error;
use rowkeep_engine::Remembered;
use rowkeep_mysql::{Connection, Param, Raw, Row};

use super::errors::{Failed, classify};
use super::values::number;

/// Bytes of the last applied schema.
pub(super) const SCHEMA: &str = "schema";
/// Tables, columns and indexes as they were after the last apply.
pub(super) const CATALOGUE: &str = "catalogue";
/// No version above this one was ever given: 8 bytes, big-endian.
pub(super) const FLOOR: &str = "version_floor";
/// What page tokens are authenticated with.
pub(super) const SECRET: &str = "secret";
/// Present while a migration runs; found by the next one after a crash.
pub(super) const MIGRATING: &str = "migrating";

/// By name.
pub(super) const TABLES: [(&str, &str); 2] = [
    (
        "rowkeep_meta",
        "CREATE TABLE IF NOT EXISTS rowkeep_meta (name VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin PRIMARY KEY, \
     value LONGBLOB NOT NULL) ENGINE=InnoDB",
    ),
    (
        "rowkeep_requests",
        "CREATE TABLE IF NOT EXISTS rowkeep_requests (request_id VARBINARY(1024) PRIMARY KEY, \
     fingerprint BINARY(32) NOT NULL, outcome LONGBLOB NOT NULL, forget_at BIGINT NOT NULL, KEY (forget_at)) \
     ENGINE=InnoDB",
    ),
];

/// The remark is for gateways, as in [`Dialect::select`](crate::dialect::Dialect::select).
pub(super) const RECALL: &str = "SELECT /*vt+ CONSOLIDATOR=disabled */ fingerprint, outcome, forget_at \
     FROM rowkeep_requests WHERE request_id = ?";
/// The same, waiting for whoever is about to remember it.
pub(super) const RECALL_SETTLED: &str =
    "SELECT fingerprint, outcome, forget_at FROM rowkeep_requests WHERE request_id = ? FOR UPDATE";
pub(super) const REMEMBER: &str =
    "INSERT INTO rowkeep_requests (request_id, fingerprint, outcome, forget_at) VALUES (?, ?, ?, ?)";
/// For an id that was remembered long enough.
pub(super) const REMEMBER_AGAIN: &str =
    "UPDATE rowkeep_requests SET fingerprint = ?, outcome = ?, forget_at = ? WHERE request_id = ? AND forget_at = ?";
/// Whatever was remembered.
pub(super) const REMEMBER_OVER: &str = "INSERT INTO rowkeep_requests (request_id, fingerprint, outcome, forget_at) VALUES (?, ?, ?, ?) \
     ON DUPLICATE KEY UPDATE fingerprint = VALUES(fingerprint), outcome = VALUES(outcome), forget_at = VALUES(forget_at)";
pub(super) const FORGET: &str = "DELETE FROM rowkeep_requests WHERE forget_at <= ? LIMIT ?";
/// Raises the floor; one instance does not lower what another raised.
pub(super) const RAISE_FLOOR: &str = "INSERT INTO rowkeep_meta (name, value) VALUES ('version_floor', ?) \
     ON DUPLICATE KEY UPDATE value = GREATEST(value, VALUES(value))";

/// A row of [`RECALL`].
pub(super) fn remembered(row: &mut Row<'_>) -> Result<Remembered, Failed> {
    let Raw::Bytes(fingerprint) = row.value()? else { return Err(damaged().into()) };
    let fingerprint = fingerprint.try_into().map_err(|_| damaged())?;
    let Raw::Bytes(outcome) = row.value()? else { return Err(damaged().into()) };
    let outcome = outcome.to_vec();
    let forget_at = number(row.value()?)?.unwrap_or_default();
    Ok(Remembered { fingerprint, outcome, forget_at })
}

fn damaged() -> Error {
    Error::internal("a remembered request cannot be read")
}

/// Whether the store's own tables are there.
pub(super) async fn is_prepared(connection: &mut Connection) -> Result<bool, Error> {
    let names = TABLES.map(|(name, _)| format!("'{name}'")).join(", ");
    let sql = format!(
        "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME IN ({names})"
    );
    Ok(connection.query(&sql).await.map_err(classify)?.len() == TABLES.len())
}

/// Runs a statement of which no rows are expected.
pub(super) async fn run(connection: &mut Connection, sql: &str, params: &[Param<'_>]) -> Result<u64, Failed> {
    let statement = connection.prepare(sql).await?;
    connection.send_execute(statement, params)?;
    connection.flush().await?;
    let done = connection.receive(|_| Ok::<(), Failed>(())).await?;
    Ok(done.affected)
}

/// A value of `rowkeep_meta`.
pub(super) async fn get(connection: &mut Connection, name: &str) -> Result<Option<Vec<u8>>, Failed> {
    let statement = connection.prepare("SELECT value FROM rowkeep_meta WHERE name = ?").await?;
    connection.send_execute(statement, &[Param::Text(name)])?;
    connection.flush().await?;
    let mut found = None;
    connection
        .receive(|row| {
            if let Raw::Bytes(bytes) = row.value()? {
                found = Some(bytes.to_vec());
            }
            Ok::<(), Failed>(())
        })
        .await?;
    Ok(found)
}

pub(super) async fn set(connection: &mut Connection, name: &str, value: &[u8]) -> Result<(), Failed> {
    let sql = "INSERT INTO rowkeep_meta (name, value) VALUES (?, ?) ON DUPLICATE KEY UPDATE value = VALUES(value)";
    run(connection, sql, &[Param::Text(name), Param::Bytes(value)]).await.map(drop)
}

pub(super) async fn remove(connection: &mut Connection, name: &str) -> Result<(), Failed> {
    run(connection, "DELETE FROM rowkeep_meta WHERE name = ?", &[Param::Text(name)]).await.map(drop)
}

/// The first value wins: of instances that start together, all get the same.
pub(super) async fn get_or_set(connection: &mut Connection, name: &str, value: &[u8]) -> Result<Vec<u8>, Failed> {
    let sql = "INSERT IGNORE INTO rowkeep_meta (name, value) VALUES (?, ?)";
    run(connection, sql, &[Param::Text(name), Param::Bytes(value)]).await?;
    get(connection, name).await?.ok_or_else(|| Error::internal("a value that was just stored is gone").into())
}

/// The highest version that may have been given.
pub(super) async fn floor(connection: &mut Connection) -> Result<u64, Failed> {
    let bytes = get(connection, FLOOR).await?;
    Ok(bytes.and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_be_bytes))
}
