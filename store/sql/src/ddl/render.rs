//! The statements that make tables, columns and indexes.

use rowkeep_record::Value;
use rowkeep_schema::Storage;

use super::{ColumnDef, IndexDef, KeyKind, TableDef};
use crate::dialect::{Dialect, push_names};

/// `CREATE TABLE` under a name that may differ from the table's own (rebuilds).
pub(crate) fn create_table(dialect: Dialect, table: &TableDef, name: &str) -> String {
    let mut sql = format!("CREATE TABLE {} (\n", dialect.name(name));
    for column in &table.columns {
        sql.push_str("  ");
        push_column(dialect, &mut sql, column);
        match table.key {
            KeyKind::Integer if table.primary_key[0] == column.name => sql.push_str(" PRIMARY KEY"),
            KeyKind::Counted if table.primary_key[0] == column.name => sql.push_str(" PRIMARY KEY AUTOINCREMENT"),
            _ => {}
        }
        sql.push_str(",\n");
    }
    if table.key == KeyKind::Plain {
        sql.push_str("  PRIMARY KEY (");
        push_names(dialect, &mut sql, table.primary_key.iter().map(String::as_str));
        sql.push_str(")\n) WITHOUT ROWID");
    } else {
        sql.truncate(sql.len() - 2);
        sql.push_str("\n)");
    }
    sql
}

/// `ALTER TABLE ... ADD COLUMN`; rows that exist get the column's fill.
pub(crate) fn add_column(dialect: Dialect, table: &str, column: &ColumnDef) -> String {
    let mut sql = format!("ALTER TABLE {} ADD COLUMN ", dialect.name(table));
    push_column(dialect, &mut sql, column);
    if !column.fill.is_null() {
        sql.push_str(" DEFAULT ");
        sql.push_str(&literal(dialect, &column.fill, column.storage));
    }
    sql
}

/// `CREATE INDEX`.
pub(crate) fn create_index(dialect: Dialect, table: &str, index: &IndexDef) -> String {
    let unique = if index.unique { "UNIQUE " } else { "" };
    let mut sql = format!("CREATE {unique}INDEX {} ON {} (", dialect.name(&index.name), dialect.name(table));
    for (at, (column, descending)) in index.columns.iter().enumerate() {
        if at > 0 {
            sql.push_str(", ");
        }
        dialect.push_name(&mut sql, column);
        if *descending {
            sql.push_str(" DESC");
        }
    }
    sql.push(')');
    sql
}

fn push_column(dialect: Dialect, sql: &mut String, column: &ColumnDef) {
    dialect.push_name(sql, &column.name);
    sql.push(' ');
    sql.push_str(sqlite_type(column));
    if column.not_null {
        sql.push_str(" NOT NULL");
    }
}

/// SQLite's types by storage. A verbatim type is used where it has the same affinity: another affinity would change
/// values on their way in.
pub(crate) fn sqlite_type(column: &ColumnDef) -> &str {
    let own = match column.storage {
        Storage::Float | Storage::Double => "REAL",
        Storage::Text | Storage::Json => "TEXT",
        Storage::Blob => "BLOB",
        Storage::Decimal { precision, .. } if precision > 18 => "BLOB",
        _ => "INTEGER",
    };
    match &column.sql_type {
        // A key column must be spelled INTEGER to be the row's address.
        Some(verbatim) if own != "INTEGER" && sqlite_affinity(verbatim) == own => verbatim,
        _ => own,
    }
}

/// Section 3.1 of SQLite's datatype page.
pub(crate) fn sqlite_affinity(sql_type: &str) -> &'static str {
    let sql_type = sql_type.to_ascii_uppercase();
    let has = |part: &str| sql_type.contains(part);
    if has("INT") {
        "INTEGER"
    } else if has("CHAR") || has("CLOB") || has("TEXT") {
        "TEXT"
    } else if has("BLOB") || sql_type.is_empty() {
        "BLOB"
    } else if has("REAL") || has("FLOA") || has("DOUB") {
        "REAL"
    } else {
        "NUMERIC"
    }
}

/// A value as a literal, for DDL and zeros only: data is always bound.
pub(crate) fn literal(dialect: Dialect, value: &Value, storage: Storage) -> String {
    match dialect {
        Dialect::Sqlite => sqlite_literal(value),
        Dialect::MySql | Dialect::MariaDb | Dialect::Vitess => super::mysql::literal(value, storage),
    }
}

fn sqlite_literal(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Int(number) => number.to_string(),
        Value::Uint(number) => crate::sqlite::flip(*number).to_string(),
        Value::Real(number) => format!("{number:?}"),
        Value::Text(text) if text.contains('\0') => {
            format!("CAST({} AS TEXT)", hex(text.as_bytes()))
        }
        Value::Text(text) => format!("'{}'", text.replace('\'', "''")),
        Value::Blob(bytes) => hex(bytes),
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut sql = String::from("x'");
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(sql, "{byte:02x}");
    }
    sql.push('\'');
    sql
}
