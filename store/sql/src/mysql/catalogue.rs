//! The tables, columns and indexes that are really there.

use std::collections::{BTreeMap, BTreeSet};

use kit_core::Error;
use rowkeep_mysql::{Connection, TextRow};

use super::errors::classify;
use crate::dialect::Dialect;
use crate::migrate::{FoundColumn, FoundIndex, FoundKey, FoundTable};

/// Tables with what the server estimates of them.
pub(super) struct Catalogue {
    /// Views are among them.
    pub(super) tables: Vec<FoundTable>,
    views: BTreeSet<String>,
    /// Rows, estimated.
    pub(super) rows: BTreeMap<String, u64>,
}

impl Catalogue {
    /// Leaves out the views that nobody reads: no table is made of one.
    pub(super) fn keep_views(&mut self, is_read: impl Fn(&str) -> bool) {
        self.tables.retain(|table| !self.views.contains(&table.name) || is_read(&table.name));
    }

    pub(super) fn rows(&self, table: &str) -> u64 {
        self.rows.get(table).copied().unwrap_or_default()
    }
}

/// Every table except the store's own, and the views.
pub(super) async fn read(connection: &mut Connection, dialect: Dialect) -> Result<Catalogue, Error> {
    let mut tables: Vec<FoundTable> = Vec::new();
    let mut estimates = BTreeMap::new();
    let mut views = BTreeSet::new();
    let names = format!(
        "SELECT TABLE_NAME, TABLE_ROWS, TABLE_TYPE FROM information_schema.TABLES WHERE {OURS} \
         AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED', 'VIEW') ORDER BY TABLE_NAME"
    );
    for row in connection.query(&names).await.map_err(classify)? {
        let name = text(&row, 0);
        if text(&row, 2) == "VIEW" {
            views.insert(name.clone());
        }
        estimates.insert(name.clone(), text(&row, 1).parse().unwrap_or_default());
        tables.push(FoundTable {
            name,
            columns: Vec::new(),
            primary_key: Vec::new(),
            key: FoundKey::Plain,
            indexes: Vec::new(),
        });
    }
    let mut by_name: BTreeMap<String, FoundTable> =
        tables.into_iter().map(|table| (table.name.clone(), table)).collect();
    let columns = format!(
        "SELECT TABLE_NAME, COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE, COLUMN_DEFAULT, EXTRA \
         FROM information_schema.COLUMNS WHERE {OURS} ORDER BY TABLE_NAME, ORDINAL_POSITION"
    );
    for row in connection.query(&columns).await.map_err(classify)? {
        if let Some(table) = by_name.get_mut(&text(&row, 0)) {
            add_column(table, &row);
        }
    }
    for (name, keys) in keys(connection, dialect).await? {
        if let Some(table) = by_name.get_mut(&name) {
            (table.primary_key, table.indexes) = (keys.primary, keys.indexes);
        }
    }
    Ok(Catalogue { tables: by_name.into_values().collect(), views, rows: estimates })
}

/// The primary key and the other indexes of a table.
#[derive(Default)]
pub(super) struct Keys {
    pub(super) primary: Vec<String>,
    pub(super) indexes: Vec<FoundIndex>,
}

/// The same of every table, by name.
pub(super) async fn keys(connection: &mut Connection, dialect: Dialect) -> Result<BTreeMap<String, Keys>, Error> {
    // Only MySQL has indexes on expressions.
    let expression = if dialect.is_mysql() { "EXPRESSION" } else { "NULL" };
    let sql = format!(
        "SELECT TABLE_NAME, INDEX_NAME, NON_UNIQUE, COLUMN_NAME, COLLATION, SUB_PART, INDEX_TYPE, {expression} \
         FROM information_schema.STATISTICS WHERE {OURS} ORDER BY TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX"
    );
    let mut tables: BTreeMap<String, Keys> = BTreeMap::new();
    for row in connection.query(&sql).await.map_err(classify)? {
        tables.entry(text(&row, 0)).or_default().add_column(&row);
    }
    Ok(tables)
}

pub(super) const OURS: &str = r"TABLE_SCHEMA = DATABASE() AND TABLE_NAME NOT LIKE 'rowkeep\_%'";

pub(super) fn text(row: &TextRow, at: usize) -> String {
    row.get(at).cloned().flatten().unwrap_or_default()
}

fn add_column(table: &mut FoundTable, row: &TextRow) {
    let extra = text(row, 5).to_ascii_lowercase();
    if extra.contains("auto_increment") {
        table.key = FoundKey::Counted;
    }
    table.columns.push(FoundColumn {
        name: text(row, 1),
        sql_type: text(row, 2),
        not_null: text(row, 3) == "NO",
        has_default: row.get(4).is_some_and(Option::is_some),
        generated: extra.contains("virtual generated") || extra.contains("stored generated"),
    });
}

impl Keys {
    fn add_column(&mut self, row: &TextRow) {
        let (name, column) = (text(row, 1), text(row, 3));
        if name == "PRIMARY" {
            self.primary.push(column);
            return;
        }
        if self.indexes.last().is_none_or(|index| index.name != name) {
            let unique = text(row, 2) == "0";
            self.indexes.push(FoundIndex { name, columns: Vec::new(), unique, special: false });
        }
        let Some(index) = self.indexes.last_mut() else { return };
        let is_whole = row.get(5).is_none_or(Option::is_none) && row.get(7).is_none_or(Option::is_none);
        index.special |= !is_whole || text(row, 6) != "BTREE";
        index.columns.push((column, text(row, 4) == "D"));
    }
}
