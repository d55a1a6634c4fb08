//! One column before and after.

use super::{ChangeKind, Report, Verdict, rules};
use crate::model::{Auto, Cardinality, Column, Entity, Field, Generated, Kind, Schema, Storage};

fn field<'a>(schema: &'a Schema, entity: &Entity, column: &Column) -> &'a Field {
    &schema.message(entity.message).fields[column.id.index()]
}

/// An etag is computed and has no place in the table.
fn is_stored(column: &Column) -> bool {
    column.auto != Some(Auto::Etag)
}

pub(super) fn added(report: &mut Report<'_>, old: (&Schema, &Entity), new: (&Schema, &Entity), column: &Column) {
    let number = field(new.0, new.1, column).number;
    let reused = old.1.columns.iter().find(|was| field(old.0, old.1, was).number == number);
    if let Some(was) = reused {
        let kept = new.1.column_by_field(&was.field).is_some();
        let same_type = was.storage == column.storage;
        let reason = if same_type && !kept {
            format!(
                "number {number} was `{}`; write `renamed_from: \"{}\"` if this is the same column",
                was.field, was.name
            )
        } else {
            format!("number {number} was `{}`; give the new field a number never used", was.field)
        };
        report.add(ChangeKind::FieldNumber, &column.field, Verdict::Refused, reason);
        return;
    }
    if !is_stored(column) {
        report.add(ChangeKind::ColumnAdded, &column.field, Verdict::Compatible, "the etag is shown in the message");
        return;
    }
    let value = match (&column.default, column.nullable) {
        (Some(default), _) => format!("rows that exist get `{default}`"),
        (None, true) => "rows that exist have no value".to_owned(),
        (None, false) => "rows that exist get the zero value".to_owned(),
    };
    let warning = if column.rules.required { ", which an update must then replace: the field is required" } else { "" };
    let reason = format!("column `{}` is added; {value}{warning}", column.name);
    report.add(ChangeKind::ColumnAdded, &column.field, Verdict::NeedsMigration, reason);
}

pub(super) fn dropped(report: &mut Report<'_>, column: &Column) {
    if !is_stored(column) {
        report.add(ChangeKind::ColumnDropped, &column.field, Verdict::Compatible, "the etag leaves the message");
        return;
    }
    let reason = format!(
        "column `{}` is dropped with its values; reserve its number, or write `renamed_from` at its successor",
        column.name
    );
    report.add(ChangeKind::ColumnDropped, &column.field, Verdict::LosesData, reason);
}

pub(super) fn compare(
    report: &mut Report<'_>,
    (old, before, was): (&Schema, &Entity, &Column),
    (new, after, now): (&Schema, &Entity, &Column),
) {
    let (was_field, now_field) = (field(old, before, was), field(new, after, now));
    if was_field.number != now_field.number {
        let reason = format!(
            "its number changes from {} to {}; clients of the old file would misread it",
            was_field.number, now_field.number
        );
        report.add(ChangeKind::FieldNumber, &now.field, Verdict::Refused, reason);
    }
    names(report, was, now);
    if wire_type(report, (old, was_field), (new, now_field)) {
        storage(report, was, now);
    }
    nullability(report, was, now);
    origin(report, was, now);
    reference(report, (old, was), (new, now));
    secret(report, was, now);
    rules::compare(report, was, now);
}

fn names(report: &mut Report<'_>, was: &Column, now: &Column) {
    if was.field != now.field {
        let reason = format!("field `{}` is now `{}`; JSON clients use the new name", was.field, now.field);
        report.add(ChangeKind::FieldRenamed, &now.field, Verdict::Compatible, reason);
    }
    if was.name == now.name || !is_stored(now) {
        return;
    }
    let change = format!("column `{}` becomes `{}`", was.name, now.name);
    if now.renamed_from.as_deref().is_some_and(|from| from == was.name || from == was.field) {
        report.add(ChangeKind::ColumnRenamed, &now.field, Verdict::NeedsMigration, change);
    } else {
        let reason = format!("{change}; write `renamed_from: \"{}\"` to keep its values", was.name);
        report.add(ChangeKind::ColumnRenamed, &now.field, Verdict::Refused, reason);
    }
}

/// Whether old bytes still mean the same.
fn wire_type(report: &mut Report<'_>, (old, was): (&Schema, &Field), (new, now): (&Schema, &Field)) -> bool {
    let reason = if is_many(was.cardinality) != is_many(now.cardinality) || is_map(was) != is_map(now) {
        "one value and several values have different forms; add a new field".to_owned()
    } else if same_wire((old, was.kind), (new, now.kind)) && map_key(was) == map_key(now) {
        return true;
    } else {
        "the types have different forms on the wire; add a new field".to_owned()
    };
    report.add(ChangeKind::ColumnType, &now.name, Verdict::Refused, reason);
    false
}

fn is_many(cardinality: Cardinality) -> bool {
    matches!(cardinality, Cardinality::Repeated | Cardinality::Map(_))
}

fn is_map(field: &Field) -> bool {
    map_key(field).is_some()
}

fn map_key(field: &Field) -> Option<crate::model::MapKey> {
    match field.cardinality {
        Cardinality::Map(key) => Some(key),
        _ => None,
    }
}

/// Whether a reader of one kind understands what a writer of the other wrote.
pub(super) fn same_wire((old, was): (&Schema, Kind), (new, now): (&Schema, Kind)) -> bool {
    match (was, now) {
        (Kind::Message(was), Kind::Message(now)) => old.message(was).full_name == new.message(now).full_name,
        _ => wire_group(was) == wire_group(now),
    }
}

fn wire_group(kind: Kind) -> u8 {
    match kind {
        Kind::Bool | Kind::Int32 | Kind::Int64 | Kind::Uint32 | Kind::Uint64 | Kind::Enum(_) => 0,
        Kind::Sint32 | Kind::Sint64 => 1,
        Kind::Fixed32 | Kind::Sfixed32 => 2,
        Kind::Fixed64 | Kind::Sfixed64 => 3,
        Kind::Float => 4,
        Kind::Double => 5,
        Kind::String | Kind::Bytes => 6,
        Kind::Message(_) => 7,
    }
}

fn storage(report: &mut Report<'_>, was: &Column, now: &Column) {
    if was.sql_type != now.sql_type {
        let text = |t: &Option<String>| t.clone().unwrap_or_else(|| "the default".to_owned());
        let reason = format!("SQL type changes from {} to {}", text(&was.sql_type), text(&now.sql_type));
        report.add(ChangeKind::SqlType, &now.field, Verdict::NeedsMigration, reason);
    }
    if let Some((verdict, reason)) = storage_change(was.storage, now.storage) {
        report.add(ChangeKind::ColumnType, &now.field, verdict, reason);
    }
}

/// What a change of storage does to the values.
fn storage_change(was: Storage, now: Storage) -> Option<(Verdict, String)> {
    use Storage::{Blob, Decimal, Enum, Text};
    let change = match (was, now) {
        // Ids of enums differ between schemas; their values are compared with the types.
        (Enum(_), Enum(_)) => return None,
        (was, now) if was == now => return None,
        (Decimal { precision: p, scale: s }, Decimal { precision: q, scale: t }) => {
            let whole = |precision: u8, scale: u8| precision.saturating_sub(scale);
            if t < s {
                (Verdict::LosesData, format!("digits behind the point are cut from {s} to {t}"))
            } else if whole(q, t) < whole(p, s) {
                (Verdict::LosesData, "numbers that need more digits before the point do not fit".to_owned())
            } else {
                (Verdict::NeedsMigration, format!("numbers are rewritten with {q} digits, {t} behind the point"))
            }
        }
        (Text, Decimal { .. }) => (Verdict::LosesData, "text that is not such a number cannot be kept".to_owned()),
        (Decimal { .. }, Text) => (Verdict::NeedsMigration, "numbers become text".to_owned()),
        (Text, Blob) => (Verdict::NeedsMigration, "text becomes its UTF-8 bytes".to_owned()),
        (Blob, Text) => (Verdict::LosesData, "bytes that are not UTF-8 cannot be kept".to_owned()),
        (was, now) => match (range(was), range(now)) {
            (Some(old), Some(new)) if new.0 <= old.0 && new.1 >= old.1 => {
                (Verdict::NeedsMigration, "the type is widened; all values fit".to_owned())
            }
            (Some(_), Some(_)) => (Verdict::LosesData, "values out of the new type's range do not fit".to_owned()),
            _ => (Verdict::Refused, "values of the old type have no form in the new one".to_owned()),
        },
    };
    Some(change)
}

/// Smallest and largest whole number.
fn range(storage: Storage) -> Option<(i128, i128)> {
    Some(match storage {
        Storage::Bool => (0, 1),
        Storage::Int32 | Storage::Enum(_) => (i32::MIN.into(), i32::MAX.into()),
        Storage::Int64 => (i64::MIN.into(), i64::MAX.into()),
        Storage::Uint32 => (0, u32::MAX.into()),
        Storage::Uint64 => (0, u64::MAX.into()),
        _ => return None,
    })
}

fn nullability(report: &mut Report<'_>, was: &Column, now: &Column) {
    match (was.nullable, now.nullable) {
        (true, false) => {
            let reason = "rows without a value get the zero value, and cannot be told from rows that had it";
            report.add(ChangeKind::Nullability, &now.field, Verdict::LosesData, reason);
        }
        (false, true) => {
            report.add(
                ChangeKind::Nullability,
                &now.field,
                Verdict::NeedsMigration,
                "the column takes NULL from now on",
            );
        }
        _ => {}
    }
}

fn origin(report: &mut Report<'_>, was: &Column, now: &Column) {
    if was.generated != now.generated {
        let counted = [was.generated, now.generated].contains(&Some(Generated::AutoIncrement));
        let verdict = if counted { Verdict::NeedsMigration } else { Verdict::Compatible };
        report.add(ChangeKind::Generated, &now.field, verdict, "new rows get their value in another way");
    }
    if was.auto != now.auto {
        let etag = [was.auto, now.auto].contains(&Some(Auto::Etag));
        let (verdict, reason) = if etag {
            (Verdict::Refused, "an etag is computed and a column is stored; add a new field")
        } else {
            (Verdict::Compatible, "writes fill it in another way from now on; rows that exist keep their value")
        };
        report.add(ChangeKind::Auto, &now.field, verdict, reason);
    }
    if was.default != now.default {
        report.add(ChangeKind::Default, &now.field, Verdict::Compatible, "only new rows get the new default");
    }
}

fn reference(report: &mut Report<'_>, (old, was): (&Schema, &Column), (new, now): (&Schema, &Column)) {
    let target = |schema: &Schema, column: &Column| {
        let reference = column.references?;
        let entity = schema.entity(reference.entity);
        Some((entity.full_name.clone(), entity.column(reference.column).field.clone(), reference.on_delete))
    };
    let reason = match (target(old, was), target(new, now)) {
        (was, now) if was == now => return,
        (None, Some((entity, ..))) => format!("refers to `{entity}`; rows that refer to nothing must be repaired"),
        (Some((entity, ..)), None) => format!("no longer refers to `{entity}`"),
        (Some((a, b, _)), Some((c, d, on_delete))) if (&a, &b) == (&c, &d) => {
            format!("a delete of `{c}` does something else from now on ({on_delete:?})")
        }
        (_, Some((entity, ..))) => format!("refers to `{entity}` instead; rows that refer to nothing must be repaired"),
        (None, None) => return,
    };
    report.add(ChangeKind::Reference, &now.field, Verdict::NeedsMigration, reason);
}

fn secret(report: &mut Report<'_>, was: &Column, now: &Column) {
    let reason = match (was.secret, now.secret) {
        (false, true) => "its values are no longer returned",
        (true, false) => "its values, secret so far, are returned from now on",
        _ => return,
    };
    report.add(ChangeKind::Secret, &now.field, Verdict::Compatible, reason);
}
