//! Transforms with their operands parsed for the column they change.

use rowkeep_record::{ColumnSet, RowCodec, Value};
use rowkeep_schema::{Column, ColumnId, Entity, Storage};
use serde_json::value::RawValue;

use super::{Preparation, beside};
use crate::number::{from_value, is_number};
use crate::{Change, Transform};

/// A change of one column.
pub(crate) struct PreparedTransform {
    pub(crate) column: ColumnId,
    pub(crate) change: PreparedChange,
    /// Field path, for errors.
    pub(crate) path: String,
}

/// See [`Change`].
pub(crate) enum PreparedChange {
    /// To integers, and to decimals and durations by their unit.
    AddWhole(i128),
    AddReal(f64),
    Maximum(Value),
    Minimum(Value),
    CommitTime,
    /// Items in canonical JSON.
    AppendMissing(Vec<Box<str>>),
    RemoveAll(Vec<Box<str>>),
}

impl Preparation<'_> {
    pub(super) fn transforms(
        &mut self,
        entity: &Entity,
        codec: &RowCodec,
        transforms: Vec<Transform>,
        path: &str,
    ) -> Vec<PreparedTransform> {
        let mut changed = ColumnSet::new();
        let mut prepared = Vec::with_capacity(transforms.len());
        for (at, transform) in transforms.into_iter().enumerate() {
            let path = beside(path, &format!("transforms[{at}]"));
            let Some(column) = entity.column_by_field(&transform.field) else {
                let why = format!("{} has no field `{}`", entity.name, transform.field);
                self.violation(format!("{path}.field"), "UNKNOWN_FIELD", why);
                continue;
            };
            if let Some(why) = refusal(entity, column) {
                self.violation(format!("{path}.field"), "IMMUTABLE", format!("`{}` {why}", column.field));
                continue;
            }
            if !changed.insert(column.id) {
                let why = format!("`{}` is changed by an earlier transform", column.field);
                self.violation(format!("{path}.field"), "DUPLICATE_WRITE", why);
                continue;
            }
            let name = change_name(&transform.change);
            match prepare(codec, column, transform.change) {
                Ok(change) => prepared.push(PreparedTransform { column: column.id, change, path }),
                Err(why) => self.violation(format!("{path}.{name}"), "INVALID_TRANSFORM", why),
            }
        }
        prepared
    }
}

fn refusal(entity: &Entity, column: &Column) -> Option<&'static str> {
    match () {
        () if entity.is_key(column.id) => Some("is part of the key and never changes"),
        () if column.immutable => Some("is set on create and never changes"),
        () if column.output_only || column.auto.is_some() => Some("is kept by the store"),
        () => None,
    }
}

fn change_name(change: &Change) -> &'static str {
    match change {
        Change::Increment(_) => "increment",
        Change::Maximum(_) => "maximum",
        Change::Minimum(_) => "minimum",
        Change::CommitTime => "set_to_commit_time",
        Change::AppendMissing(_) => "append_missing",
        Change::RemoveAll(_) => "remove_all",
    }
}

fn prepare(codec: &RowCodec, column: &Column, change: Change) -> Result<PreparedChange, String> {
    match change {
        Change::Increment(text) => increment(codec, column, &text),
        Change::Maximum(text) => ordered(codec, column, &text).map(PreparedChange::Maximum),
        Change::Minimum(text) => ordered(codec, column, &text).map(PreparedChange::Minimum),
        Change::CommitTime if column.storage == Storage::Timestamp => Ok(PreparedChange::CommitTime),
        Change::CommitTime => Err(format!("`{}` is not a timestamp", column.field)),
        Change::AppendMissing(text) => items(codec, column, &text).map(PreparedChange::AppendMissing),
        Change::RemoveAll(text) => items(codec, column, &text).map(PreparedChange::RemoveAll),
    }
}

fn increment(codec: &RowCodec, column: &Column, text: &str) -> Result<PreparedChange, String> {
    match column.storage {
        Storage::Int32 | Storage::Int64 | Storage::Uint32 | Storage::Uint64 => text
            .parse()
            .map(PreparedChange::AddWhole)
            .map_err(|_| format!("`{text}` is not a whole number, as in \"-3\"")),
        Storage::Float | Storage::Double => match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(PreparedChange::AddReal(number)),
            _ => Err(format!("`{text}` is not a finite number")),
        },
        Storage::Decimal { .. } | Storage::Duration => {
            let value = codec.parse_text(column.id, text)?;
            from_value(&value).map(PreparedChange::AddWhole).ok_or_else(|| format!("`{text}` is not a number"))
        }
        _ => Err(format!("`{}` is not a number", column.field)),
    }
}

fn ordered(codec: &RowCodec, column: &Column, text: &str) -> Result<Value, String> {
    if is_number(column.storage) || matches!(column.storage, Storage::Timestamp | Storage::Date) {
        return codec.parse_text(column.id, text);
    }
    Err(format!("`{}` is neither a number nor a time", column.field))
}

fn items(codec: &RowCodec, column: &Column, text: &str) -> Result<Vec<Box<str>>, String> {
    if column.storage != Storage::Json || !text.trim_start().starts_with('[') {
        return Err(format!("`{}` must be a repeated field and the value a JSON array", column.field));
    }
    let Value::Text(canonical) = codec.parse_text(column.id, text)? else { return Ok(Vec::new()) };
    split_items(&canonical).ok_or_else(|| format!("`{}` is not a repeated field", column.field))
}

/// The items of a JSON array as they are written.
pub(crate) fn split_items(array: &str) -> Option<Vec<Box<str>>> {
    if array.is_empty() {
        return Some(Vec::new());
    }
    let items: Vec<&RawValue> = serde_json::from_str(array).ok()?;
    Some(items.into_iter().map(|item| item.get().into()).collect())
}
