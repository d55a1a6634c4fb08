//! What the last apply left behind, kept in the database: how tables looked, and what their columns meant.

use std::collections::{BTreeMap, BTreeSet};

use rowkeep_schema::Storage;
use serde::{Deserialize, Serialize};

use super::found::FoundTable;
use crate::ddl::TableDef;

/// The state after an apply.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Applied {
    pub(crate) tables: BTreeMap<String, AppliedTable>,
}

/// A managed table.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AppliedTable {
    /// As the catalogue showed it.
    pub(crate) found: FoundTable,
    /// How values of the managed columns are stored; the catalogue knows only their SQL types.
    pub(crate) storages: BTreeMap<String, String>,
    /// Names of the managed indexes: others are not rowkeep's to drop.
    pub(crate) indexes: BTreeSet<String>,
}

impl Applied {
    pub(crate) fn new(desired: &[TableDef], found: &[FoundTable]) -> Self {
        let table = |def: &TableDef| {
            let found = found.iter().find(|table| table.name == def.name)?.clone();
            let storages = def.columns.iter().map(|column| (column.name.clone(), storage_text(column.storage)));
            let indexes = def.indexes.iter().map(|index| index.name.clone());
            Some((def.name.clone(), AppliedTable { found, storages: storages.collect(), indexes: indexes.collect() }))
        };
        // What is only read is not rowkeep's to change or to drop.
        Self { tables: desired.iter().filter(|def| !def.read_only).filter_map(table).collect() }
    }
}

/// A storage as text. Enums are alike whatever their type: the number is what is stored.
pub(crate) fn storage_text(storage: Storage) -> String {
    match storage {
        Storage::Enum(_) => "Enum".to_owned(),
        Storage::Decimal { precision, scale } => format!("Decimal({precision},{scale})"),
        other => format!("{other:?}"),
    }
}
