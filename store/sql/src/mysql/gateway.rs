//! What Vitess's gateway is asked before it is used, and what is done otherwise because of it.

use kit_core::{Code, Error};
use rowkeep_mysql::{Address, Connection, Error as DriverError};

use super::errors::classify;
use crate::ddl::mysql::natural_type;
use crate::ddl::{ColumnDef, TableDef};
use crate::dialect::Dialect;

/// A database behind a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keyspace {
    /// In one database.
    Whole,
    /// Spread over as many shards as it has now, by a column of each table.
    Sharded(u32),
}

/// What the keyspace is that an address names.
///
/// # Errors
/// `FAILED_PRECONDITION` with what to do.
pub(super) async fn keyspace(connection: &mut Connection, address: &Address) -> Result<Keyspace, Error> {
    // `keyspace@replica` and `keyspace:-80` are ways to look at a keyspace.
    let wanted = address.database.as_deref().unwrap_or_default();
    let name = wanted.split(['@', ':']).next().unwrap_or_default();
    if name != wanted {
        let message = format!(
            "{address} names a part of the keyspace {name}, which is not written to as a whole: name the keyspace alone"
        );
        return Err(Error::new(Code::FailedPrecondition, "KEYSPACE_PART", message));
    }
    let keyspaces = connection.query("SHOW VSCHEMA KEYSPACES").await.map_err(classify)?;
    let is_sharded = keyspaces.iter().any(|row| {
        let column = |at: usize| row.get(at).and_then(Option::as_deref).unwrap_or_default();
        column(0) == name && column(1) == "true"
    });
    if !is_sharded {
        return Ok(Keyspace::Whole);
    }
    let count = shards(connection, name).await?.len();
    Ok(Keyspace::Sharded(u32::try_from(count).unwrap_or(u32::MAX)))
}

/// The shards that serve a keyspace, in the order of their names.
///
/// # Errors
/// What the gateway says.
pub(super) async fn shards(connection: &mut Connection, keyspace: &str) -> Result<Vec<String>, Error> {
    shards_of(connection, keyspace).await.map_err(classify)
}

/// The same, with the gateway's own errors.
pub(super) async fn shards_of(connection: &mut Connection, keyspace: &str) -> Result<Vec<String>, DriverError> {
    let rows = connection.query("SHOW VITESS_SHARDS").await?;
    let names = rows.iter().filter_map(|row| row.first()?.as_deref()?.split_once('/'));
    let mut shards: Vec<String> = names.filter(|(of, _)| *of == keyspace).map(|(_, shard)| shard.to_owned()).collect();
    shards.sort_unstable();
    Ok(shards)
}

/// Refuses a gateway that takes the settings of a session and does not pass them on: values that do not fit would be stored.
///
/// # Errors
/// `FAILED_PRECONDITION` with what to do.
pub(super) async fn check_settings(connection: &mut Connection, address: &Address) -> Result<(), Error> {
    let rows = connection.query("SELECT @@sql_mode, @@time_zone FROM dual").await.map_err(classify)?;
    let set = |at: usize| rows.first().and_then(|row| row.get(at)?.as_deref()).unwrap_or_default();
    if set(0).contains("STRICT_ALL_TABLES") && set(1) == "+00:00" {
        return Ok(());
    }
    let message = format!("{address} ignores what sessions set: start the gateway with --enable-system-settings");
    Err(Error::new(Code::FailedPrecondition, "SETTINGS_IGNORED", message))
}

/// A database without replicas of its own that was named with some.
pub(super) fn not_alone(address: &Address) -> Error {
    let message = format!(
        "{address} is a gateway, which sends everything to the primary behind it: name it alone, without replicas"
    );
    Error::new(Code::FailedPrecondition, "DATABASE_REFUSED", message)
}

/// A statement that changes a table has two seconds behind a gateway, so that nothing queues behind it for longer. What is
/// not instant is done in that time for so many rows.
const LARGE: u64 = 10_000;

/// Why a change is refused, with what can make it.
pub(super) fn too_long(way: &str, rows: u64, table: &str, clause: &str) -> Option<String> {
    let refused = !way.is_empty() && way != "INSTANT" && rows > LARGE;
    refused.then(|| {
        format!(
            "the table has about {rows} rows and the change is not instant; make it with Vitess's own migration\n     \
             SET @@ddl_strategy = 'vitess'; ALTER TABLE {table} {clause};\n     \
             wait until SHOW VITESS_MIGRATIONS says `complete`, and plan again"
        )
    })
}

/// Refuses an order that the servers behind a gateway would not keep: they sort texts by their first bytes, and how many
/// is not to be set through it.
///
/// # Errors
/// `FAILED_PRECONDITION` with what to do.
pub(super) async fn check_order(connection: &mut Connection, tables: &[TableDef]) -> Result<(), Error> {
    let rows = connection.query("SELECT @@max_sort_length").await.map_err(classify)?;
    let sorted = rows.first().and_then(|row| row.first()?.as_deref()?.parse().ok()).unwrap_or(u32::MAX);
    let longest = tables.iter().flat_map(indexed).map(|(table, column)| (length(column), table, column));
    let Some((needed, table, column)) = longest.filter(|(needed, ..)| *needed > sorted).max_by_key(|found| found.0)
    else {
        return Ok(());
    };
    let message = format!(
        "{}.{} may have {needed} bytes, and the servers sort by the first {sorted}: set max_sort_length = {needed} in the \
         configuration of the MySQL servers behind the gateway, or a smaller max_length",
        table.name, column.name
    );
    Err(Error::new(Code::FailedPrecondition, "SORTED_TOO_SHORT", message))
}

fn indexed(table: &TableDef) -> impl Iterator<Item = (&TableDef, &ColumnDef)> {
    let in_index =
        |name: &String| table.indexes.iter().any(|index| index.columns.iter().any(|(other, _)| other == name));
    let columns = table.columns.iter();
    columns
        .filter(move |column| table.primary_key.contains(&column.name) || in_index(&column.name))
        .map(move |c| (table, c))
}

/// Bytes of an indexed value.
fn length(column: &ColumnDef) -> u32 {
    let sql_type = natural_type(Dialect::Vitess, column.storage, column.max_length, true);
    let count = |kind: &str| sql_type.strip_prefix(kind)?.strip_suffix(')')?.parse::<u32>().ok();
    count("varchar(").map(|characters| characters.saturating_mul(4)).or_else(|| count("varbinary(")).unwrap_or(0)
}

/// What the server behind a gateway said, without the statement and its values, which the gateway repeats.
pub(super) fn said(message: &str) -> &str {
    let Some((said, _)) = message.split_once(" (errno ") else { return message };
    said.split_once(" desc = ").map_or(said, |(_, said)| said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_are_told_what_the_server_said_and_no_statement() {
        let long = "target: a.0.primary: vttablet: rpc error: code = FailedPrecondition desc = Out of range value for \
                    column 'x' at row 1 (errno 1264) (sqlstate 22003) (CallerID: u): Sql: \"insert into a\", BindVars: {}";
        assert_eq!(said(long), "Out of range value for column 'x' at row 1");
        assert_eq!(said("Data too long"), "Data too long");
    }
}
