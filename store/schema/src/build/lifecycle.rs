//! Soft delete, expiry, times and the etag.

use super::Draft;
use super::column::{describe, some};
use super::context::Context;
use crate::model::{Auto, SoftDelete, Storage};
use crate::names::did_you_mean;

pub(crate) fn set_lifecycles(ctx: &mut Context<'_>, drafts: &mut [Draft]) {
    for draft in drafts {
        check_autos(ctx, draft);
        set_soft_delete(ctx, draft);
        set_expire(ctx, draft);
        check_read_only(ctx, draft);
    }
}

/// Each of the values that the store keeps has one field.
fn check_autos(ctx: &mut Context<'_>, draft: &Draft) {
    let mut seen: Vec<Auto> = Vec::new();
    for (column, field) in draft.entity.columns.iter().zip(&draft.fields) {
        let Some(auto) = column.auto else { continue };
        if seen.contains(&auto) {
            let text = format!("`{}` is the second {} field of `{}`", column.field, name(auto), draft.entity.name);
            ctx.column_error(field, ("auto", ""), text, "keep one of them");
        }
        seen.push(auto);
    }
}

const fn name(auto: Auto) -> &'static str {
    match auto {
        Auto::CreateTime => "CREATE_TIME",
        Auto::UpdateTime => "UPDATE_TIME",
        Auto::DeleteTime => "DELETE_TIME",
        Auto::Etag => "ETAG",
    }
}

fn set_soft_delete(ctx: &mut Context<'_>, draft: &mut Draft) {
    let column = draft.entity.columns.iter().find(|column| column.auto == Some(Auto::DeleteTime)).map(|c| c.id);
    if draft.options.soft_delete {
        draft.entity.soft_delete = Some(SoftDelete { column });
        return;
    }
    if let Some(id) = column {
        let field = draft.fields[id.index()].clone();
        let text =
            format!("`{}` shows the time of a soft delete, which `{}` does not have", field.name(), draft.entity.name);
        ctx.column_error(&field, ("auto", "DELETE_TIME"), text, "write `soft_delete: true` in the entity option");
    }
}

fn set_expire(ctx: &mut Context<'_>, draft: &mut Draft) {
    let Some(name) = some(&draft.options.expire) else { return };
    let Some(column) = draft.entity.column_by_field(&name) else {
        let fields = draft.entity.columns.iter().filter(|column| column.storage == Storage::Timestamp);
        let text = format!("entity `{}` has no field `{name}`", draft.entity.name);
        let help = did_you_mean(&name, fields.map(|column| column.field.as_str()));
        ctx.entity_error(&draft.message, ("expire", &name), text, help);
        return;
    };
    if column.storage != Storage::Timestamp {
        let text = format!("`{name}` holds {} and cannot be the time of expiry", describe(column.storage));
        ctx.entity_error(&draft.message, ("expire", &name), text, "declare the field as `google.protobuf.Timestamp`");
        return;
    }
    draft.entity.expire = Some(column.id);
}

/// What would write to an entity that is only read, or ask for a column of the store's own.
fn check_read_only(ctx: &mut Context<'_>, draft: &Draft) {
    if !draft.entity.read_only {
        return;
    }
    let options = &draft.options;
    let asked = [
        (options.version == Some(true), "version"),
        (options.soft_delete, "soft_delete"),
        (!options.expire.is_empty(), "expire"),
        (options.require_etag, "require_etag"),
    ];
    for (_, option) in asked.into_iter().filter(|(is_set, _)| *is_set) {
        let text = format!("`{}` is read-only and has `{option}`, which is about writes", draft.entity.name);
        ctx.entity_error(&draft.message, (option, ""), text, format!("drop `{option}` or `read_only`"));
    }
    for (column, field) in draft.entity.columns.iter().zip(&draft.fields) {
        if column.references.is_some() {
            let text =
                format!("`{}` is read-only, and what `{}` refers to is not checked", draft.entity.name, column.field);
            ctx.column_error(field, ("references", ""), text, "drop `references`");
        }
    }
}
