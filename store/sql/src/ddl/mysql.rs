//! Tables of MySQL and MariaDB.
//!
//! | storage | type |
//! |---|---|
//! | bool, int32, int64, uint32, uint64 | `TINYINT(1)`, `INT`, `BIGINT`, `INT UNSIGNED`, `BIGINT UNSIGNED` |
//! | float, double, enum | `FLOAT` (`DOUBLE` behind a gateway that rounds it), `DOUBLE`, `INT` |
//! | text | `VARCHAR(n)` where it is indexed or short, else `LONGTEXT`; compared by code point, blanks at the end count |
//! | bytes | `VARBINARY(n)` where they are indexed, else `LONGBLOB` |
//! | timestamp, date, duration | `DATETIME(6)` in UTC, `DATE` (parts may be 0), `BIGINT` of microseconds |
//! | decimal | `DECIMAL(p,s)` |
//! | nested messages, lists, maps | `JSON` in MySQL, `LONGTEXT` in MariaDB, whose `JSON` takes 32 levels only |
//!
//! Key parts have a limit of 3072 bytes together, of which a character takes 4. So a text that is part of a key or an
//! index holds 255 characters, unless `max_length` says otherwise.

use rowkeep_record::{Civil, Value, decimal_unscaled};
use rowkeep_schema::Storage;

use super::render::hex;
use super::{ColumnDef, IndexDef, TableDef};
use crate::dialect::{Dialect, push_names};

/// Characters or bytes of an indexed value of which nothing else is said.
const INDEXED_LENGTH: u32 = 255;
/// Texts up to this length lie in the row.
const SHORT: u32 = 255;

/// The collation that compares by code point and counts blanks at the end.
pub(crate) const fn collation(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::MySql | Dialect::Vitess => "utf8mb4_0900_bin",
        Dialect::Sqlite | Dialect::MariaDb => "utf8mb4_nopad_bin",
    }
}

/// `CREATE TABLE` with its indexes: a counted column must be indexed from the start.
pub(crate) fn create_table(dialect: Dialect, table: &TableDef) -> String {
    let mut sql = format!("CREATE TABLE {} (\n", dialect.name(&table.name));
    for column in &table.columns {
        sql.push_str("  ");
        push_column(dialect, &mut sql, table, column);
        sql.push_str(",\n");
    }
    sql.push_str("  PRIMARY KEY (");
    push_names(dialect, &mut sql, table.primary_key.iter().map(String::as_str));
    sql.push(')');
    for index in indexes(table) {
        sql.push_str(",\n  ");
        push_index(dialect, &mut sql, &index);
    }
    sql.push_str("\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=");
    sql.push_str(collation(dialect));
    sql
}

/// The indexes of a table, with one for the counted column if no other begins with it.
pub(crate) fn indexes(table: &TableDef) -> Vec<IndexDef> {
    let mut indexes = table.indexes.clone();
    let Some(counted) = &table.counted else { return indexes };
    let first = |index: &IndexDef| index.columns.first().is_some_and(|(column, _)| column == counted);
    if table.primary_key.first() != Some(counted) && !indexes.iter().any(first) {
        indexes.push(IndexDef {
            name: format!("rowkeep_{}_{counted}", table.name),
            renamed_from: None,
            columns: vec![(counted.clone(), false)],
            unique: false,
        });
    }
    indexes
}

/// Changes of a table, one after the other, without `ALTER TABLE`.
///
/// The default stays, for instances that do not know the column yet. MySQL takes a long value's default only as an
/// expression, and copies the table to fill rows with what an expression yields. By itself it fills them with an empty
/// text, and JSON with null, which is read as an empty list or map: so where that is wanted, the default is set afterwards.
pub(crate) fn add_column(dialect: Dialect, table: &TableDef, column: &ColumnDef) -> Vec<String> {
    let is_long = is_long(&column_type(dialect, table, column));
    let takes_expression = dialect.is_mysql() && is_long;
    let default = match literal(&column.fill, column.storage) {
        _ if column.fill.is_null() => String::new(),
        literal if takes_expression => format!(" DEFAULT ({literal})"),
        literal => format!(" DEFAULT {literal}"),
    };
    let add = clause("ADD", dialect, table, column);
    if takes_expression && is_empty(&column.fill, column.storage) {
        return vec![add, clause("MODIFY", dialect, table, column) + &default];
    }
    vec![add + &default]
}

fn clause(verb: &str, dialect: Dialect, table: &TableDef, column: &ColumnDef) -> String {
    let mut sql = format!("{verb} COLUMN ");
    push_column(dialect, &mut sql, table, column);
    sql
}

/// Whether values of the type lie outside of the row.
fn is_long(sql_type: &str) -> bool {
    let sql_type = normal_type(sql_type);
    sql_type.ends_with("text") || sql_type.ends_with("blob") || sql_type == "json"
}

fn is_empty(value: &Value, storage: Storage) -> bool {
    match value {
        Value::Text(text) if storage == Storage::Json => matches!(&**text, "[]" | "{}"),
        Value::Text(text) => text.is_empty(),
        Value::Blob(bytes) => bytes.is_empty(),
        _ => false,
    }
}

/// The same, for a column that is there.
pub(crate) fn modify_column(dialect: Dialect, table: &TableDef, column: &ColumnDef) -> String {
    clause("MODIFY", dialect, table, column)
}

/// The same, for an index.
pub(crate) fn add_index(dialect: Dialect, index: &IndexDef) -> String {
    let mut sql = String::from("ADD ");
    push_index(dialect, &mut sql, index);
    sql
}

fn push_index(dialect: Dialect, sql: &mut String, index: &IndexDef) {
    sql.push_str(if index.unique { "UNIQUE KEY " } else { "KEY " });
    dialect.push_name(sql, &index.name);
    sql.push_str(" (");
    for (at, (column, descending)) in index.columns.iter().enumerate() {
        sql.push_str(if at == 0 { "" } else { ", " });
        dialect.push_name(sql, column);
        sql.push_str(if *descending { " DESC" } else { "" });
    }
    sql.push(')');
}

fn push_column(dialect: Dialect, sql: &mut String, table: &TableDef, column: &ColumnDef) {
    dialect.push_name(sql, &column.name);
    sql.push(' ');
    sql.push_str(&column_type(dialect, table, column));
    sql.push_str(if column.not_null { " NOT NULL" } else { " NULL" });
    if table.counted.as_ref() == Some(&column.name) {
        sql.push_str(" AUTO_INCREMENT");
    }
}

/// The type of a column, as the catalogue spells it.
pub(crate) fn column_type(dialect: Dialect, table: &TableDef, column: &ColumnDef) -> String {
    if let Some(verbatim) = &column.sql_type {
        return verbatim.clone();
    }
    let indexed = table.primary_key.contains(&column.name)
        || table.indexes.iter().any(|index| index.columns.iter().any(|(name, _)| *name == column.name));
    natural_type(dialect, column.storage, column.max_length, indexed)
}

/// The type of a column of which nothing else is said.
pub(crate) fn natural_type(dialect: Dialect, storage: Storage, max_length: Option<u32>, indexed: bool) -> String {
    let length = match max_length {
        Some(length) if indexed || length <= SHORT => Some(length.max(1)),
        _ if indexed => Some(INDEXED_LENGTH),
        _ => None,
    };
    match storage {
        Storage::Bool => "tinyint(1)".to_owned(),
        Storage::Int32 | Storage::Enum(_) => "int".to_owned(),
        Storage::Int64 | Storage::Duration => "bigint".to_owned(),
        Storage::Uint32 => "int unsigned".to_owned(),
        Storage::Uint64 => "bigint unsigned".to_owned(),
        Storage::Float if dialect.keeps_floats() => "float".to_owned(),
        Storage::Float | Storage::Double => "double".to_owned(),
        Storage::Timestamp => "datetime(6)".to_owned(),
        Storage::Date => "date".to_owned(),
        Storage::Decimal { precision, scale } => format!("decimal({precision},{scale})"),
        Storage::Text => length.map_or("longtext".to_owned(), |length| format!("varchar({length})")),
        Storage::Blob => length.map_or("longblob".to_owned(), |length| format!("varbinary({length})")),
        Storage::Json if dialect.is_mysql() => "json".to_owned(),
        Storage::Json => "longtext".to_owned(),
    }
}

/// A type as both products and all their versions spell it: without the width that numbers are shown with.
pub(crate) fn normal_type(sql_type: &str) -> String {
    let sql_type = sql_type.to_ascii_lowercase();
    let Some((name, rest)) = sql_type.split_once('(') else { return sql_type };
    let Some((width, rest)) = rest.split_once(')') else { return sql_type };
    match name {
        "tinyint" if width == "1" => sql_type,
        "tinyint" | "smallint" | "mediumint" | "int" | "bigint" => format!("{name}{rest}"),
        _ => sql_type,
    }
}

/// A value as a literal.
pub(crate) fn literal(value: &Value, storage: Storage) -> String {
    match (value, storage) {
        (Value::Null, _) => "NULL".to_owned(),
        (Value::Int(time), Storage::Timestamp) => {
            let Civil { year, month, day, hour, minute, second, micros } = Civil::from_micros(*time);
            format!("'{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{micros:06}'")
        }
        (Value::Int(date), Storage::Date) => {
            format!("'{:04}-{:02}-{:02}'", date / 10_000, date / 100 % 100, date % 100)
        }
        (Value::Int(_) | Value::Blob(_), Storage::Decimal { scale, .. }) => {
            decimal_text(decimal_unscaled(value.as_ref()).unwrap_or_default(), usize::from(scale))
        }
        (Value::Int(number), _) => number.to_string(),
        (Value::Uint(number), _) => number.to_string(),
        (Value::Real(number), _) => format!("{number:?}"),
        (Value::Text(text), _) => format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''").replace('\0', "\\0")),
        (Value::Blob(bytes), _) => hex(bytes),
    }
}

/// Written out: with an exponent it would be a floating point number.
fn decimal_text(unscaled: i128, scale: usize) -> String {
    let mut text = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale + 1);
    if scale > 0 {
        text.insert(text.len() - scale, '.');
    }
    if unscaled < 0 { format!("-{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_of_numbers_do_not_count() {
        let same = [("int(11)", "int"), ("bigint(20) unsigned", "bigint unsigned"), ("BIGINT", "bigint")];
        for (found, normal) in same {
            assert_eq!(normal_type(found), normal);
        }
        for kept in ["tinyint(1)", "varchar(20)", "decimal(10,2)", "datetime(6)"] {
            assert_eq!(normal_type(kept), kept);
        }
    }

    #[test]
    fn literals_say_what_the_value_is() {
        let at = |value: Value, storage| literal(&value, storage);
        assert_eq!(at(Value::Int(0), Storage::Timestamp), "'1970-01-01 00:00:00.000000'");
        assert_eq!(at(Value::Int(20_240_500), Storage::Date), "'2024-05-00'");
        assert_eq!(at(Value::Int(-5), Storage::Decimal { precision: 6, scale: 2 }), "-0.05");
        assert_eq!(at(Value::Text("a'\\b".into()), Storage::Text), "'a''\\\\b'");
    }
}
