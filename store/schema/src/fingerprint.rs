//! A number that changes whenever anything changes that a stored row, a page token or a cache entry depends on.

use std::fmt::Write as _;

use crate::model::{Entity, Schema, Storage};

/// FNV-1a, 64 bits: the same on every machine and in every version.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

pub(crate) fn fingerprint(schema: &Schema) -> u64 {
    let mut entities: Vec<&Entity> = schema.entities.iter().collect();
    // Moving a message to another place of the file changes nothing.
    entities.sort_by(|a, b| a.full_name.cmp(&b.full_name));
    let mut text = String::new();
    for entity in entities {
        describe(schema, entity, &mut text);
    }
    hash(text.as_bytes())
}

fn describe(schema: &Schema, entity: &Entity, text: &mut String) {
    let column = |id: &crate::model::ColumnId| entity.column(*id).name.as_str();
    let key: Vec<&str> = entity.primary_key.iter().map(column).collect();
    let soft = entity.soft_delete.map(|soft| soft.column.map(|id| column(&id).to_owned()));
    let expire = entity.expire.as_ref().map(column);
    line(text, format_args!("{} {} {key:?} {} {soft:?} {expire:?}", entity.full_name, entity.table, entity.versioned));
    if entity.read_only {
        line(text, format_args!("read-only"));
    }
    let message = schema.message(entity.message);
    for (column, field) in entity.columns.iter().zip(&message.fields) {
        let storage = storage(schema, column.storage);
        line(
            text,
            format_args!(
                "{} {} {} {storage} {} {}",
                column.field, field.number, column.name, column.nullable, column.secret
            ),
        );
    }
    for index in &entity.indexes {
        let columns: Vec<(&str, bool)> =
            index.columns.iter().map(|(id, descending)| (column(id), *descending)).collect();
        line(text, format_args!("{columns:?} {}", index.unique));
    }
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{arguments}");
}

/// Without ids, which depend on order.
fn storage(schema: &Schema, storage: Storage) -> String {
    match storage {
        Storage::Enum(id) => format!("enum {}", schema.enumeration(id).full_name),
        other => format!("{other:?}"),
    }
}
