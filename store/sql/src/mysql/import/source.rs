//! What the catalogue says of a database that somebody else made.

use std::collections::{BTreeMap, BTreeSet};

use kit_core::Error;
use rowkeep_mysql::{Connection, TextRow};

use super::super::catalogue::{self, OURS, text};
use super::super::errors::classify;
use super::defaults::{Default, default};
use crate::dialect::Dialect;
use crate::migrate::FoundIndex;

/// A table or a view.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) comment: String,
    pub(super) kind: TableKind,
    /// What keeps it, if that knows no transactions.
    pub(super) untransacted: Option<String>,
    pub(super) columns: Vec<Column>,
    pub(super) primary_key: Vec<String>,
    /// Unique ones first.
    pub(super) indexes: Vec<FoundIndex>,
    pub(super) foreign_keys: Vec<ForeignKey>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TableKind {
    Table,
    View,
    /// A sequence, or what a later version brings.
    Other,
}

#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: String,
    /// As the catalogue spells it: `int(10) unsigned`.
    pub(super) column_type: String,
    /// The type's name alone: `int`.
    pub(super) data_type: String,
    pub(super) nullable: bool,
    pub(super) default: Default,
    pub(super) comment: String,
    /// Characters of a text, bytes of a binary string, at most.
    pub(super) length: Option<u64>,
    pub(super) precision: Option<u8>,
    pub(super) scale: Option<u8>,
    /// Computed from others.
    pub(super) computed: bool,
    pub(super) counted: bool,
    /// Set to the time of each update.
    pub(super) on_update: bool,
    /// MariaDB's `JSON` is a text with a check.
    pub(super) is_json: bool,
}

#[derive(Debug)]
pub(super) struct ForeignKey {
    name: String,
    pub(super) columns: Vec<String>,
    pub(super) table: String,
    pub(super) referenced: Vec<String>,
    /// `CASCADE`, `SET NULL`, `RESTRICT`, `NO ACTION`.
    pub(super) on_delete: String,
}

impl Table {
    pub(super) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}

/// Everything except the store's own tables, by name.
pub(super) async fn read(connection: &mut Connection, dialect: Dialect) -> Result<Vec<Table>, Error> {
    let mut tables = tables(connection).await?;
    let jsons = if dialect == Dialect::MariaDb { json_columns(connection).await? } else { BTreeSet::new() };
    columns(connection, dialect, &jsons, &mut tables).await?;
    indexes(connection, dialect, &mut tables).await?;
    foreign_keys(connection, &mut tables).await?;
    for table in tables.values_mut() {
        table.indexes.sort_by_key(|index| !index.unique);
    }
    Ok(tables.into_values().collect())
}

type Tables = BTreeMap<String, Table>;

async fn ask(connection: &mut Connection, sql: &str) -> Result<Vec<TextRow>, Error> {
    connection.query(sql).await.map_err(classify)
}

async fn tables(connection: &mut Connection) -> Result<Tables, Error> {
    let sql = format!(
        "SELECT TABLE_NAME, TABLE_TYPE, TABLE_COMMENT, IF(TRANSACTIONS = 'NO', t.ENGINE, NULL) \
         FROM information_schema.TABLES t LEFT JOIN information_schema.ENGINES e ON e.ENGINE = t.ENGINE WHERE {OURS}"
    );
    Ok(ask(connection, &sql).await?.iter().map(table).map(|table| (table.name.clone(), table)).collect())
}

fn table(row: &TextRow) -> Table {
    let kind = match text(row, 1).as_str() {
        "BASE TABLE" | "SYSTEM VERSIONED" => TableKind::Table,
        "VIEW" => TableKind::View,
        _ => TableKind::Other,
    };
    Table {
        name: text(row, 0),
        // The comment of a view is what it is.
        comment: if kind == TableKind::Table { text(row, 2) } else { String::new() },
        kind,
        untransacted: row.get(3).cloned().flatten(),
        columns: Vec::new(),
        primary_key: Vec::new(),
        indexes: Vec::new(),
        foreign_keys: Vec::new(),
    }
}

/// Table and column of each `JSON` of MariaDB.
async fn json_columns(connection: &mut Connection) -> Result<BTreeSet<(String, String)>, Error> {
    let sql = "SELECT TABLE_NAME, CONSTRAINT_NAME FROM information_schema.CHECK_CONSTRAINTS \
               WHERE CONSTRAINT_SCHEMA = DATABASE() \
               AND CHECK_CLAUSE = CONCAT('json_valid(`', REPLACE(CONSTRAINT_NAME, '`', '``'), '`)')";
    Ok(ask(connection, sql).await?.iter().map(|row| (text(row, 0), text(row, 1))).collect())
}

async fn columns(
    connection: &mut Connection,
    dialect: Dialect,
    jsons: &BTreeSet<(String, String)>,
    tables: &mut Tables,
) -> Result<(), Error> {
    let sql = format!(
        "SELECT TABLE_NAME, COLUMN_NAME, COLUMN_TYPE, DATA_TYPE, IS_NULLABLE, COLUMN_DEFAULT, EXTRA, COLUMN_COMMENT, \
         CHARACTER_MAXIMUM_LENGTH, NUMERIC_PRECISION, NUMERIC_SCALE FROM information_schema.COLUMNS WHERE {OURS} \
         ORDER BY TABLE_NAME, ORDINAL_POSITION"
    );
    for row in ask(connection, &sql).await? {
        let Some(table) = tables.get_mut(&text(&row, 0)) else { continue };
        let is_json = jsons.contains(&(table.name.clone(), text(&row, 1)));
        table.columns.push(column(dialect, &row, is_json));
    }
    Ok(())
}

fn column(dialect: Dialect, row: &TextRow, is_json: bool) -> Column {
    let extra = text(row, 6).to_ascii_lowercase();
    let data_type = text(row, 3).to_ascii_lowercase();
    Column {
        name: text(row, 1),
        column_type: text(row, 2),
        is_json: is_json || data_type == "json",
        data_type,
        nullable: text(row, 4) == "YES",
        default: default(dialect, row.get(5).and_then(Option::as_deref), extra.contains("default_generated")),
        comment: text(row, 7),
        length: text(row, 8).parse().ok(),
        precision: text(row, 9).parse().ok(),
        scale: text(row, 10).parse().ok(),
        computed: extra.contains("virtual generated") || extra.contains("stored generated"),
        counted: extra.contains("auto_increment"),
        on_update: extra.contains("on update"),
    }
}

async fn indexes(connection: &mut Connection, dialect: Dialect, tables: &mut Tables) -> Result<(), Error> {
    for (name, keys) in catalogue::keys(connection, dialect).await? {
        let Some(table) = tables.get_mut(&name) else { continue };
        (table.primary_key, table.indexes) = (keys.primary, keys.indexes);
    }
    Ok(())
}

async fn foreign_keys(connection: &mut Connection, tables: &mut Tables) -> Result<(), Error> {
    let sql = "SELECT k.TABLE_NAME, k.CONSTRAINT_NAME, k.COLUMN_NAME, k.REFERENCED_TABLE_NAME, k.REFERENCED_COLUMN_NAME, \
               r.DELETE_RULE FROM information_schema.KEY_COLUMN_USAGE k \
               JOIN information_schema.REFERENTIAL_CONSTRAINTS r ON r.CONSTRAINT_SCHEMA = k.CONSTRAINT_SCHEMA \
               AND r.TABLE_NAME = k.TABLE_NAME AND r.CONSTRAINT_NAME = k.CONSTRAINT_NAME \
               WHERE k.TABLE_SCHEMA = DATABASE() AND k.REFERENCED_TABLE_SCHEMA = DATABASE() \
               ORDER BY k.TABLE_NAME, k.CONSTRAINT_NAME, k.ORDINAL_POSITION";
    for row in ask(connection, sql).await? {
        let Some(table) = tables.get_mut(&text(&row, 0)) else { continue };
        let name = text(&row, 1);
        if table.foreign_keys.last().is_none_or(|key| key.name != name) {
            let (columns, referenced) = (Vec::new(), Vec::new());
            let (target, on_delete) = (text(&row, 3), text(&row, 5));
            table.foreign_keys.push(ForeignKey { name, columns, table: target, referenced, on_delete });
        }
        let Some(key) = table.foreign_keys.last_mut() else { continue };
        key.columns.push(text(&row, 2));
        key.referenced.push(text(&row, 4));
    }
    Ok(())
}
