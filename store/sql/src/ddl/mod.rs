//! The tables a schema asks for, and the statements that make them.

pub(crate) mod mysql;
mod render;
mod tables;

pub(crate) use render::{add_column, create_index, create_table, literal, sqlite_affinity, sqlite_type};
pub(crate) use tables::{ColumnDef, IndexDef, KeyKind, TableDef, counted, is_stored, is_written, key_kind, tables};

/// Version of a row, in every versioned table.
pub(crate) const VERSION_COLUMN: &str = "rowkeep_version";
/// Time of the soft delete where no declared column shows it.
pub(crate) const DELETED_COLUMN: &str = "rowkeep_deleted_at";
