//! The primary key.

use super::Draft;
use super::column::describe;
use super::context::Context;
use super::entity::list;
use crate::model::{Auto, ColumnId, Generated, Storage};
use crate::names::did_you_mean;

/// Numbers 1 to 15 of a request are the key's, its options start at 16.
const MAX_KEY_COLUMNS: usize = 15;

pub(crate) fn set_keys(ctx: &mut Context<'_>, drafts: &mut [Draft]) {
    for draft in drafts {
        let names = key_names(ctx, draft);
        for name in names {
            let Some(index) = draft.entity.columns.iter().position(|column| column.field == name) else {
                unknown(ctx, draft, &name);
                continue;
            };
            let id = draft.entity.columns[index].id;
            if draft.entity.primary_key.contains(&id) {
                let text = format!("`{name}` is in the primary key twice");
                ctx.entity_error(&draft.message, ("primary_key", &name), text, "name each field once");
                continue;
            }
            if check_column(ctx, draft, index) {
                draft.entity.primary_key.push(id);
                let column = &mut draft.entity.columns[index];
                column.immutable = true;
                column.nullable = false;
                // An empty segment of a path names nothing.
                column.rules.required |=
                    matches!(column.storage, Storage::Text | Storage::Blob) && column.generated.is_none();
            }
        }
        check_size(ctx, draft);
        check_generated(ctx, draft);
    }
}

fn key_names(ctx: &mut Context<'_>, draft: &Draft) -> Vec<String> {
    if !draft.options.primary_key.trim().is_empty() {
        return list(&draft.options.primary_key);
    }
    if draft.entity.columns.iter().any(|column| column.field == "id") {
        return vec!["id".to_owned()];
    }
    let first = draft.entity.columns.iter().find(|column| is_key_type(column.storage)).map(|column| &column.field);
    let help = match first {
        Some(first) => format!("add a field `id`, or write `primary_key: \"{first}\"`"),
        None => "add `int64 id = 1 [(rowkeep.v1.column).generated = AUTO_INCREMENT];`".to_owned(),
    };
    let place = ctx.message_place(&draft.message);
    ctx.out.error(place, format!("entity `{}` has no primary key", draft.entity.name), help);
    Vec::new()
}

fn unknown(ctx: &mut Context<'_>, draft: &Draft, name: &str) {
    let text = format!("entity `{}` has no field `{name}`", draft.entity.name);
    let fields = draft.entity.columns.iter().map(|column| column.field.as_str());
    ctx.entity_error(&draft.message, ("primary_key", name), text, did_you_mean(name, fields));
}

const fn is_key_type(storage: Storage) -> bool {
    matches!(
        storage,
        Storage::Bool
            | Storage::Int32
            | Storage::Int64
            | Storage::Uint32
            | Storage::Uint64
            | Storage::Text
            | Storage::Blob
            | Storage::Enum(_)
            | Storage::Timestamp
    )
}

fn check_column(ctx: &mut Context<'_>, draft: &Draft, index: usize) -> bool {
    let (column, field) = (&draft.entity.columns[index], &draft.fields[index]);
    let name = &column.field;
    // A timestamp has one text form, which a path can hold; wrappers and other messages have none.
    let is_message = column.storage != Storage::Timestamp && field.kind().as_message().is_some();
    let problem = if !is_key_type(column.storage) || is_message {
        let held = if is_message && is_key_type(column.storage) { "a message" } else { describe(column.storage) };
        Some((
            format!("`{name}` holds {held} and cannot be a key"),
            "use an integer, a string, bytes, an enum or a timestamp",
        ))
    } else if field.containing_oneof().is_some_and(|oneof| !oneof.is_synthetic()) {
        Some((format!("`{name}` is a member of a oneof and cannot be a key"), "declare it outside the oneof"))
    } else if column.nullable
        && column.storage != Storage::Timestamp
        && field.parent_file().syntax() == prost_reflect::Syntax::Proto3
    {
        Some((format!("`{name}` is optional and cannot be a key"), "drop `optional`: a key always has a value"))
    } else if column.secret {
        Some((format!("`{name}` is secret and cannot be a key"), "drop `secret`, or use another field as key"))
    } else if column.generated == Some(Generated::Computed) {
        Some((format!("`{name}` is computed and cannot be a key"), "use another field as key"))
    } else if column.auto == Some(Auto::Etag) {
        Some((format!("`{name}` is the etag and cannot be a key"), "use another field as key"))
    } else {
        None
    };
    let fits = problem.is_none();
    if let Some((text, help)) = problem {
        let named = !draft.options.primary_key.trim().is_empty();
        let place = if named { ctx.entity_place(&draft.message, "primary_key", name) } else { ctx.field_place(field) };
        ctx.out.error(place, text, help);
    }
    fits
}

fn check_size(ctx: &mut Context<'_>, draft: &Draft) {
    let count = draft.entity.primary_key.len();
    if count > MAX_KEY_COLUMNS {
        let text = format!("the primary key has {count} columns, at most {MAX_KEY_COLUMNS} are allowed");
        ctx.entity_error(&draft.message, ("primary_key", ""), text, "use a generated `id` and a unique index instead");
    }
}

/// A generated value is only asked for where it is the key.
fn check_generated(ctx: &mut Context<'_>, draft: &Draft) {
    let key = &draft.entity.primary_key;
    let is_whole_key = |id: ColumnId| key.as_slice() == [id];
    let mut counted = 0;
    for (column, field) in draft.entity.columns.iter().zip(&draft.fields) {
        if column.generated != Some(Generated::AutoIncrement) {
            continue;
        }
        counted += 1;
        if counted > 1 {
            let text = format!("`{}` is the second AUTO_INCREMENT field of `{}`", column.field, draft.entity.name);
            ctx.column_error(field, ("generated", ""), text, "a table counts one column; use SNOWFLAKE for the other");
        } else if !key.is_empty() && !is_whole_key(column.id) {
            let text = format!("`{}` is AUTO_INCREMENT and not the whole primary key", column.field);
            ctx.column_error(field, ("generated", ""), text, "make it the only key field, or use SNOWFLAKE");
        }
    }
}
