//! The catalogue a schema asks for, without a dialect's spelling.
//!
//! Beside the declared columns and indexes a table has hidden ones: the row's version, the time of a soft delete that
//! no declared column shows, an index on the expiry column (what expired is found without reading the table), and an
//! index on each reference that no other index begins with (deleting a row looks for rows that refer to it).

use rowkeep_record::{Codecs, Value};
use rowkeep_schema::{Auto, Column, ColumnId, Entity, Generated, Schema, Storage};

use super::{DELETED_COLUMN, VERSION_COLUMN};

/// A table as it should be.
#[derive(Debug, Clone)]
pub(crate) struct TableDef {
    pub(crate) name: String,
    pub(crate) renamed_from: Option<String>,
    pub(crate) columns: Vec<ColumnDef>,
    pub(crate) primary_key: Vec<String>,
    pub(crate) key: KeyKind,
    /// The column whose NULL is replaced by the next number.
    pub(crate) counted: Option<String>,
    pub(crate) indexes: Vec<IndexDef>,
    /// Somebody else's: looked at, never made or changed.
    pub(crate) read_only: bool,
}

/// How the primary key is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyKind {
    /// One integer, which is the row's address.
    Integer,
    /// The same, counted by the database; a number is never given twice.
    Counted,
    /// Anything else.
    Plain,
}

/// A column as it should be.
#[derive(Debug, Clone)]
pub(crate) struct ColumnDef {
    pub(crate) name: String,
    pub(crate) renamed_from: Option<String>,
    pub(crate) storage: Storage,
    pub(crate) sql_type: Option<String>,
    /// Characters of a text, bytes of a blob, at most.
    pub(crate) max_length: Option<u32>,
    pub(crate) not_null: bool,
    /// Every write sets a value, so that it does no harm if NULL is not taken.
    pub(crate) always_set: bool,
    /// The database computes it.
    pub(crate) computed: bool,
    /// What rows get that exist when the column is added.
    pub(crate) fill: Value,
}

/// An index as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IndexDef {
    pub(crate) name: String,
    pub(crate) renamed_from: Option<String>,
    pub(crate) columns: Vec<(String, bool)>,
    pub(crate) unique: bool,
}

/// Whether the column is in the table. Etags are made from the version.
pub(crate) fn is_stored(column: &Column) -> bool {
    column.auto != Some(Auto::Etag)
}

/// Whether statements set the column.
pub(crate) fn is_written(column: &Column) -> bool {
    is_stored(column) && column.generated != Some(Generated::Computed)
}

impl TableDef {
    /// Why the table, or a column that it lacks, cannot be made.
    pub(crate) fn unmakeable(&self, column: &ColumnDef) -> Option<String> {
        let (table, name) = (&self.name, &column.name);
        column
            .computed
            .then(|| format!("{table}.{name} is computed, and only its owner knows from what: add it yourself"))
    }
}

/// The tables of a schema, in its order.
pub(crate) fn tables(schema: &Schema) -> Vec<TableDef> {
    let codecs = Codecs::new(schema);
    schema.entities.iter().map(|entity| table(entity, &codecs)).collect()
}

fn table(entity: &Entity, codecs: &Codecs) -> TableDef {
    let stored = entity.columns.iter().filter(|column| is_stored(column));
    let empty = codecs.row(entity.id).empty();
    let mut columns: Vec<ColumnDef> = stored
        .map(|column| {
            let default =
                column.default.as_deref().and_then(|text| codecs.row(entity.id).parse_text(column.id, text).ok());
            let not_null = !column.nullable || entity.is_key(column.id);
            ColumnDef {
                name: column.name.clone(),
                renamed_from: column.renamed_from.clone(),
                storage: column.storage,
                sql_type: column.sql_type.clone(),
                max_length: column.rules.max_length,
                not_null,
                always_set: column.rules.required || matches!(column.auto, Some(Auto::CreateTime | Auto::UpdateTime)),
                computed: column.generated == Some(Generated::Computed),
                fill: fill(default, not_null, &empty[column.id.index()]),
            }
        })
        .collect();
    columns.extend(hidden_columns(entity));
    TableDef {
        name: entity.table.clone(),
        renamed_from: entity.renamed_from.clone(),
        columns,
        primary_key: names(entity, &entity.primary_key),
        key: key_kind(entity),
        counted: counted(entity).map(|column| entity.column(column).name.clone()),
        indexes: indexes(entity),
        read_only: entity.read_only,
    }
}

fn fill(default: Option<Value>, not_null: bool, empty: &Value) -> Value {
    match default {
        Some(value) if !value.is_null() => value,
        _ if not_null => empty.clone(),
        _ => Value::Null,
    }
}

fn hidden_columns(entity: &Entity) -> Vec<ColumnDef> {
    let hidden = |name: &str, not_null| ColumnDef {
        name: name.to_owned(),
        renamed_from: None,
        storage: Storage::Int64,
        sql_type: None,
        max_length: None,
        not_null,
        always_set: false,
        computed: false,
        fill: if not_null { Value::Int(0) } else { Value::Null },
    };
    let mut columns = Vec::new();
    if entity.versioned {
        columns.push(hidden(VERSION_COLUMN, true));
    }
    if entity.soft_delete.is_some_and(|soft| soft.column.is_none()) {
        columns.push(hidden(DELETED_COLUMN, false));
    }
    columns
}

/// A single signed or small number is the row's own address. `uint64` is kept with its sign bit flipped (see
/// `sqlite::values`), which a counter could not count, so its tables are ordinary ones.
pub(crate) fn key_kind(entity: &Entity) -> KeyKind {
    let [key] = entity.primary_key.as_slice() else { return KeyKind::Plain };
    let column = entity.column(*key);
    match column.storage {
        Storage::Int32 | Storage::Int64 | Storage::Uint32 if column.generated == Some(Generated::AutoIncrement) => {
            KeyKind::Counted
        }
        Storage::Int32 | Storage::Int64 | Storage::Uint32 => KeyKind::Integer,
        _ => KeyKind::Plain,
    }
}

/// The column whose NULL is replaced by the next number.
pub(crate) fn counted(entity: &Entity) -> Option<ColumnId> {
    let counted = entity.columns.iter().find(|column| column.generated == Some(Generated::AutoIncrement));
    counted.map(|column| column.id)
}

fn names(entity: &Entity, columns: &[ColumnId]) -> Vec<String> {
    columns.iter().map(|id| entity.column(*id).name.clone()).collect()
}

fn indexes(entity: &Entity) -> Vec<IndexDef> {
    let declared = entity.indexes.iter().map(|index| IndexDef {
        name: index.name.clone(),
        renamed_from: index.renamed_from.clone(),
        columns: index.columns.iter().map(|(id, descending)| (entity.column(*id).name.clone(), *descending)).collect(),
        unique: index.unique,
    });
    let mut indexes: Vec<IndexDef> = declared.collect();
    let references = entity.columns.iter().filter(|column| column.references.is_some()).map(|column| column.id);
    for column in references.chain(entity.expire) {
        let name = &entity.column(column).name;
        let first_of_key = entity.primary_key.first() == Some(&column);
        let first_of_index = indexes.iter().any(|index| index.columns.first().is_some_and(|(first, _)| first == name));
        if !first_of_key && !first_of_index {
            indexes.push(IndexDef {
                name: format!("rowkeep_{}_{name}", entity.table),
                renamed_from: None,
                columns: vec![(name.clone(), false)],
                unique: false,
            });
        }
    }
    indexes
}
