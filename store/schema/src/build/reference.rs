//! References between entities.

use super::Draft;
use super::context::Context;
use crate::model::{Column, ColumnId, EntityId, OnDelete, Reference, Storage};
use crate::names::did_you_mean;
use crate::options::{OnDeleteOption, ReferenceOptions};

pub(crate) fn resolve(ctx: &mut Context<'_>, drafts: &mut [Draft]) {
    for from in 0..drafts.len() {
        for column in 0..drafts[from].entity.columns.len() {
            let Some(options) = drafts[from].column_options[column].references.clone() else { continue };
            if let Some(reference) = reference(ctx, drafts, (from, column), &options) {
                let here = (drafts[from].entity.id, drafts[from].entity.columns[column].id);
                drafts[from].entity.columns[column].references = Some(reference);
                drafts[reference.entity.index()].entity.referenced_by.push(here);
            }
        }
    }
}

fn reference(
    ctx: &mut Context<'_>,
    drafts: &[Draft],
    (from, column): (usize, usize),
    options: &ReferenceOptions,
) -> Option<Reference> {
    let (draft, field) = (&drafts[from], &drafts[from].fields[column]);
    let Some(entity) = find(drafts, draft, &options.entity) else {
        let names = drafts.iter().map(|draft| draft.entity.name.as_str());
        let near = did_you_mean(options.entity.rsplit('.').next().unwrap_or_default(), names);
        let help = if near.is_empty() { "name a message with `option (rowkeep.v1.entity)`".to_owned() } else { near };
        let text = format!("no entity is called `{}`", options.entity);
        ctx.column_error(field, ("references.entity", &options.entity), text, help);
        return None;
    };
    let target = &drafts[entity.index()];
    let target_column = target_column(ctx, draft, column, target, options)?;
    let (here, there) = (&draft.entity.columns[column], &target.entity.columns[target_column.index()]);
    if !same_type(here.storage, there.storage) {
        let type_name = type_name(target, target_column);
        let text = format!("`{}` and `{}.{}` have different types", here.field, target.entity.name, there.field);
        let help = format!("declare `{}` as `{type_name}`", here.field);
        ctx.column_error(field, ("references.entity", &options.entity), text, help);
    }
    let on_delete = on_delete(options);
    check_set_null(ctx, draft, column, here, on_delete);
    Some(Reference { entity, column: target_column, on_delete })
}

/// Scopes are searched from the inside out, as protoc does.
fn find(drafts: &[Draft], from: &Draft, name: &str) -> Option<EntityId> {
    let by_full_name = |full: &str| drafts.iter().find(|draft| draft.entity.full_name == full);
    if let Some(absolute) = name.strip_prefix('.') {
        return by_full_name(absolute).map(|draft| draft.entity.id);
    }
    let mut scope = from.entity.package.as_str();
    loop {
        let full = if scope.is_empty() { name.to_owned() } else { format!("{scope}.{name}") };
        if let Some(draft) = by_full_name(&full) {
            return Some(draft.entity.id);
        }
        if scope.is_empty() {
            return None;
        }
        scope = scope.rsplit_once('.').map_or("", |(outer, _)| outer);
    }
}

fn target_column(
    ctx: &mut Context<'_>,
    draft: &Draft,
    column: usize,
    target: &Draft,
    options: &ReferenceOptions,
) -> Option<ColumnId> {
    let field = &draft.fields[column];
    let (entity, name) = (&target.entity, &options.field);
    if name.is_empty() {
        return match entity.primary_key.as_slice() {
            [single] => Some(*single),
            // A missing key has been reported.
            [] => None,
            _ => {
                let text = format!("the primary key of `{}` has several columns", entity.name);
                let help = "write `field` with the name of a unique column of it, or refer by other means";
                ctx.column_error(field, ("references.entity", &options.entity), text, help);
                None
            }
        };
    }
    let at = ("references.field", name.as_str());
    let Some(found) = entity.column_by_field(name) else {
        let fields = entity.columns.iter().map(|column| column.field.as_str());
        ctx.column_error(
            field,
            at,
            format!("entity `{}` has no field `{name}`", entity.name),
            did_you_mean(name, fields),
        );
        return None;
    };
    let unique = found.unique
        || entity.primary_key.as_slice() == [found.id]
        || entity
            .indexes
            .iter()
            .any(|index| index.unique && index.columns.len() == 1 && index.columns[0].0 == found.id);
    if !unique {
        let text = format!("`{}.{name}` is not unique", entity.name);
        ctx.column_error(field, at, text, "give it `unique: true`, or refer to the primary key");
        return None;
    }
    Some(found.id)
}

fn same_type(a: Storage, b: Storage) -> bool {
    a == b
}

/// The proto type of the target, as one would write it.
fn type_name(target: &Draft, column: ColumnId) -> String {
    match target.fields[column.index()].kind() {
        prost_reflect::Kind::Message(message) => message.full_name().to_owned(),
        prost_reflect::Kind::Enum(enumeration) => enumeration.full_name().to_owned(),
        scalar => format!("{scalar:?}").to_lowercase(),
    }
}

fn on_delete(options: &ReferenceOptions) -> OnDelete {
    match OnDeleteOption::try_from(options.on_delete) {
        Ok(OnDeleteOption::Cascade) => OnDelete::Cascade,
        Ok(OnDeleteOption::SetNull) => OnDelete::SetNull,
        Ok(OnDeleteOption::Unspecified | OnDeleteOption::Restrict) | Err(_) => OnDelete::Restrict,
    }
}

fn check_set_null(ctx: &mut Context<'_>, draft: &Draft, index: usize, column: &Column, on_delete: OnDelete) {
    if on_delete != OnDelete::SetNull {
        return;
    }
    let field = &draft.fields[index];
    let name = &column.field;
    let problem = if draft.entity.is_key(column.id) {
        Some((format!("`{name}` is part of the primary key and cannot become null"), "use CASCADE or RESTRICT"))
    } else if !column.nullable {
        Some((format!("`{name}` cannot become null"), "declare the field `optional`, or use CASCADE or RESTRICT"))
    } else if column.rules.required {
        Some((format!("`{name}` is required and cannot become null"), "drop `required`, or use CASCADE or RESTRICT"))
    } else if column.immutable {
        Some((format!("`{name}` is immutable and cannot become null"), "drop `immutable`, or use CASCADE or RESTRICT"))
    } else {
        None
    };
    if let Some((text, help)) = problem {
        ctx.column_error(field, ("references.on_delete", ""), text, help);
    }
}
