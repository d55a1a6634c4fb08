//! What the API's requests ask of the engine.

use kit_core::Error;
use prost_reflect::prost::Message as _;
use prost_reflect::{DynamicMessage, ReflectMessage as _, Value};
use rowkeep_record::Key;
use rowkeep_schema::{ColumnId, Entity, MethodKind};

use super::fields::{Fields, descriptor};
use crate::{Change, Engine, Isolation, Operation, Precondition, Transform, Write};

/// Values of columns that lie in the fields of the same name.
pub(super) fn key_of(engine: &Engine, entity: &Entity, columns: &[ColumnId], message: &Fields) -> Key {
    let mut row = DynamicMessage::new(descriptor(engine.schema(), &entity.full_name));
    for column in columns {
        let field = &entity.column(*column).field;
        let is_message = message.0.descriptor().get_field_by_name(field).unwrap().kind().as_message().is_some();
        if !is_message || message.0.has_field_by_name(field) {
            row.set_field_by_name(field, message.get(field).unwrap());
        }
    }
    let decoded = engine.codecs().row(entity.id).decode(&row.encode_to_vec()).unwrap();
    columns.iter().map(|column| decoded.values[column.index()].clone()).collect()
}

pub(super) fn single_key(engine: &Engine, entity: &Entity, value: &Value) -> Key {
    let mut row = DynamicMessage::new(descriptor(engine.schema(), &entity.full_name));
    row.set_field_by_name(&entity.column(entity.primary_key[0]).field, value.clone());
    key_of(engine, entity, &entity.primary_key, &Fields(row))
}

/// The write of `CreateNoteRequest` and its kin.
pub(super) fn write(
    engine: &Engine,
    entity: &Entity,
    kind: MethodKind,
    message: &Fields,
    prefix: &str,
) -> Result<Write, Error> {
    let row = || {
        let missing = || Error::invalid_field(format!("{prefix}{}", entity.singular), "REQUIRED", "must be set");
        message.message(&entity.singular).map(|row| row.bytes()).ok_or_else(missing)
    };
    let key = || key_of(engine, entity, &entity.primary_key, message);
    let row_path = format!("{prefix}{}.", entity.singular);
    let (operation, path) = match kind {
        MethodKind::Create => (Operation::Create { row: row()? }, row_path),
        MethodKind::Update => (update(message, row()?), row_path),
        MethodKind::Undelete => (Operation::Undelete { key: key() }, prefix.to_owned()),
        _ => (Operation::Delete { key: key(), allow_missing: message.flag("allow_missing") }, prefix.to_owned()),
    };
    let precondition = Precondition { etag: message.text("etag"), ..Precondition::default() };
    Ok(Write { entity: entity.id, operation, precondition, path })
}

fn update(message: &Fields, row: bytes::Bytes) -> Operation {
    Operation::Update {
        row,
        mask: message.paths("update_mask"),
        allow_missing: message.flag("allow_missing"),
        transforms: message.messages("transforms").iter().map(transform).collect(),
    }
}

fn transform(message: &Fields) -> Transform {
    let oneof = message.0.descriptor().oneofs().next().unwrap();
    let set = oneof.fields().find(|field| message.0.has_field(field)).expect("a transform says what it does");
    let text = || message.text(set.name()).unwrap_or_default();
    let change = match set.name() {
        "increment" => Change::Increment(text()),
        "maximum" => Change::Maximum(text()),
        "minimum" => Change::Minimum(text()),
        "set_to_commit_time" => Change::CommitTime,
        "append_missing" => Change::AppendMissing(text()),
        _ => Change::RemoveAll(text()),
    };
    Transform { field: message.text("field").unwrap_or_default(), change }
}

pub(super) fn isolation(message: &Fields) -> Result<Isolation, Error> {
    match message.get("isolation").and_then(|number| number.as_enum_number()).unwrap_or_default() {
        0 | 1 => Ok(Isolation::ReadCommitted),
        2 => Ok(Isolation::Serializable),
        _ => Err(Error::invalid_field("isolation", "UNKNOWN_ENUM_VALUE", "must be one of the declared")),
    }
}

pub(super) fn commit_writes(engine: &Engine, message: &Fields) -> Result<Vec<Write>, Error> {
    let writes = message.messages("writes");
    writes.iter().enumerate().map(|(at, write)| commit_write(engine, write, &format!("writes[{at}]."))).collect()
}

fn commit_write(engine: &Engine, write: &Fields, prefix: &str) -> Result<Write, Error> {
    let precondition = write.message("precondition").map_or_else(Precondition::default, |asked| Precondition {
        exists: asked.0.has_field_by_name("exists").then(|| asked.flag("exists")),
        etag: asked.text("etag"),
        condition: asked.text("condition"),
    });
    let oneof = write.0.descriptor().oneofs().next().unwrap();
    let set = oneof.fields().find(|field| write.0.has_field(field)).expect("a write says what it does");
    let inner = write.message(set.name()).unwrap();
    let is_bare = matches!(set.name(), "create" | "check");
    let any = if is_bare { Fields(inner.0.clone()) } else { inner.message("row").expect("a row") };
    let path = format!("{prefix}{}.{}", set.name(), if is_bare { "" } else { "row." });
    let type_url = any.text("type_url").unwrap_or_default();
    let entity = engine.schema().entity_by_name(type_url.rsplit('/').next().unwrap_or_default()).ok_or_else(|| {
        Error::invalid_field(path.trim_end_matches('.'), "UNKNOWN_ENTITY", "must pack a row of an entity")
    })?;
    let value = any.get("value").unwrap();
    let row = bytes::Bytes::copy_from_slice(value.as_bytes().unwrap());
    let codec = engine.codecs().row(entity.id);
    let key = || codec.decode(&row).map(|decoded| codec.key_of(&decoded.values));
    let operation = match set.name() {
        "create" => Operation::Create { row },
        "update" => update(&inner, row),
        "delete" => Operation::Delete { key: key()?, allow_missing: inner.flag("allow_missing") },
        "undelete" => Operation::Undelete { key: key()? },
        _ => Operation::Check { key: key()? },
    };
    Ok(Write { entity: entity.id, operation, precondition, path })
}
