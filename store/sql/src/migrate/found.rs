//! The catalogue as it was found in a database.

use serde::{Deserialize, Serialize};

/// A table that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FoundTable {
    pub(crate) name: String,
    pub(crate) columns: Vec<FoundColumn>,
    pub(crate) primary_key: Vec<String>,
    pub(crate) key: FoundKey,
    pub(crate) indexes: Vec<FoundIndex>,
}

/// How a found table keeps its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum FoundKey {
    Integer,
    Counted,
    Plain,
}

/// A column that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FoundColumn {
    pub(crate) name: String,
    pub(crate) sql_type: String,
    pub(crate) not_null: bool,
    pub(crate) has_default: bool,
    /// Computed from others; never written.
    pub(crate) generated: bool,
}

/// An index that was found, other than a primary key's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FoundIndex {
    pub(crate) name: String,
    pub(crate) columns: Vec<(String, bool)>,
    pub(crate) unique: bool,
    /// It has a condition, an expression in place of a column, or a collation of its own.
    pub(crate) special: bool,
}

impl FoundTable {
    /// Whether the table has no primary key, and these columns tell its rows apart all the same.
    pub(crate) fn is_keyed_by(&self, columns: &[String]) -> bool {
        let set = |name: &str| self.column(name).is_some_and(|column| column.not_null);
        let of = |index: &FoundIndex| index.columns.iter().map(|(name, _)| name.as_str()).eq(columns);
        self.primary_key.is_empty()
            && columns.iter().all(|name| set(name))
            && self.indexes.iter().any(|index| index.unique && !index.special && of(index))
    }

    pub(crate) fn column(&self, name: &str) -> Option<&FoundColumn> {
        self.columns.iter().find(|column| column.name == name)
    }

    pub(crate) fn index(&self, name: &str) -> Option<&FoundIndex> {
        self.indexes.iter().find(|index| index.name == name)
    }
}
