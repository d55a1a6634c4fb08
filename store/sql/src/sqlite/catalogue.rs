//! The tables, columns and indexes that are really there.

use kit_core::Error;
use rusqlite::{Connection, Result};

use super::errors::failed;
use super::left_out;
use crate::migrate::{FoundColumn, FoundIndex, FoundKey, FoundTable};

/// Every table except SQLite's and the store's own. An index that a load left out for now counts as there.
pub(super) fn catalogue(connection: &Connection) -> std::result::Result<Vec<FoundTable>, Error> {
    let mut tables = found_tables(connection).map_err(failed)?;
    for left_out in left_out::list(connection)? {
        let table = tables.iter_mut().find(|table| table.name == left_out.table);
        if let Some(table) = table.filter(|table| table.index(&left_out.index.name).is_none()) {
            table.indexes.push(left_out.index);
            table.indexes.sort_by(|one, other| one.name.cmp(&other.name));
        }
    }
    Ok(tables)
}

fn found_tables(connection: &Connection) -> Result<Vec<FoundTable>> {
    let mut statement = connection.prepare(
        r"SELECT name, sql FROM sqlite_schema
          WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\' AND name NOT LIKE 'rowkeep\_%' ESCAPE '\'
          ORDER BY name",
    )?;
    let tables = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    tables.map(|table| table.and_then(|(name, sql)| found_table(connection, name, sql))).collect()
}

fn found_table(connection: &Connection, name: String, sql: String) -> Result<FoundTable> {
    let mut statement = connection.prepare(
        "SELECT name, type, \"notnull\", pk, hidden, dflt_value IS NOT NULL FROM pragma_table_xinfo(?) ORDER BY cid",
    )?;
    let mut columns = Vec::new();
    let mut key = Vec::new();
    let mut rows = statement.query([&name])?;
    while let Some(row) = rows.next()? {
        let (column, place): (String, i64) = (row.get(0)?, row.get(3)?);
        if place > 0 {
            key.push((place, column.clone()));
        }
        columns.push(FoundColumn {
            name: column,
            sql_type: row.get(1)?,
            not_null: row.get(2)?,
            generated: row.get::<_, i64>(4)? > 1,
            has_default: row.get(5)?,
        });
    }
    key.sort();
    let primary_key: Vec<String> = key.into_iter().map(|(_, column)| column).collect();
    let indexes = found_indexes(connection, &name)?;
    let key = found_key(connection, &name, &sql, &columns, &primary_key)?;
    Ok(FoundTable { name, columns, primary_key, key, indexes })
}

/// A single column spelled INTEGER in a table that is not WITHOUT ROWID is the row's address.
fn found_key(
    connection: &Connection,
    table: &str,
    sql: &str,
    columns: &[FoundColumn],
    key: &[String],
) -> Result<FoundKey> {
    let [key] = key else { return Ok(FoundKey::Plain) };
    let integer = columns.iter().any(|column| column.name == *key && column.sql_type.eq_ignore_ascii_case("INTEGER"));
    let mut list = connection.prepare("SELECT wr FROM pragma_table_list(?) WHERE schema = 'main'")?;
    let without_rowid: bool = list.query_row([table], |row| row.get(0))?;
    Ok(match integer && !without_rowid {
        // Only such a table can have the word outside of a name or a default; ours have neither.
        true if sql.to_ascii_uppercase().contains("AUTOINCREMENT") => FoundKey::Counted,
        true => FoundKey::Integer,
        false => FoundKey::Plain,
    })
}

pub(super) fn found_indexes(connection: &Connection, table: &str) -> Result<Vec<FoundIndex>> {
    let mut list = connection
        .prepare("SELECT name, \"unique\", partial FROM pragma_index_list(?) WHERE origin <> 'pk' ORDER BY name")?;
    let found = list.query_map([table], |row| {
        let (name, unique, partial): (String, bool, bool) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok((name, unique, partial))
    })?;
    found
        .map(|index| index.and_then(|(name, unique, partial)| found_index(connection, name, unique, partial)))
        .collect()
}

fn found_index(connection: &Connection, name: String, unique: bool, partial: bool) -> Result<FoundIndex> {
    let mut info =
        connection.prepare("SELECT name, \"desc\", coll FROM pragma_index_xinfo(?) WHERE key = 1 ORDER BY seqno")?;
    let mut columns = Vec::new();
    let mut special = partial;
    let mut rows = info.query([&name])?;
    while let Some(row) = rows.next()? {
        let column: Option<String> = row.get(0)?;
        let collation: String = row.get(2)?;
        special |= column.is_none() || collation != "BINARY";
        columns.push((column.unwrap_or_default(), row.get(1)?));
    }
    Ok(FoundIndex { name, columns, unique, special })
}
