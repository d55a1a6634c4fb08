//! Names that are taken: tables, columns, indexes, paths, and the fields and messages of derived requests.

use std::collections::{HashMap, HashSet};

use super::Draft;
use super::context::Context;
use crate::derive::Collision;
use crate::names::{lower_camel, plural_snake};

pub(crate) fn check(ctx: &mut Context<'_>, drafts: &[Draft]) {
    check_columns(ctx, drafts);
    check_tables(ctx, drafts);
    check_indexes(ctx, drafts);
    check_paths(ctx, drafts);
    check_plurals(ctx, drafts);
    for draft in drafts {
        check_requests(ctx, draft);
    }
}

/// Databases compare names without case.
fn key(name: &str) -> String {
    name.to_ascii_lowercase()
}

fn check_columns(ctx: &mut Context<'_>, drafts: &[Draft]) {
    for draft in drafts {
        let mut seen: HashMap<String, &str> = HashMap::new();
        for (column, field) in draft.entity.columns.iter().zip(&draft.fields) {
            if let Some(other) = seen.insert(key(&column.name), &column.field) {
                let text = format!("fields `{other}` and `{}` have the same column `{}`", column.field, column.name);
                ctx.column_error(field, ("name", &column.name), text, "set another `(rowkeep.v1.column).name`");
            }
        }
    }
}

fn check_tables(ctx: &mut Context<'_>, drafts: &[Draft]) {
    let mut seen: HashMap<String, &Draft> = HashMap::new();
    for draft in drafts {
        let entity = &draft.entity;
        if let Some(other) = seen.insert(key(&entity.table), draft) {
            let names = format!("entities `{}` and `{}`", other.entity.full_name, entity.full_name);
            let text = format!("{names} have the same table `{}`", entity.table);
            let help = if same_path(other, draft) {
                "set another `plural`, which names both the table and the path"
            } else {
                "set another `table`"
            };
            ctx.entity_error(&draft.message, ("table", &entity.table), text, help);
        }
    }
}

fn same_path(a: &Draft, b: &Draft) -> bool {
    a.entity.rest_collection == b.entity.rest_collection
}

/// Names of indexes are a table's own; a database where they are not says so when tables are planned.
fn check_indexes(ctx: &mut Context<'_>, drafts: &[Draft]) {
    for draft in drafts {
        let mut seen: HashSet<String> = HashSet::new();
        for index in &draft.entity.indexes {
            if !seen.insert(key(&index.name)) {
                let text = format!("two indexes of `{}` have the name `{}`", draft.entity.name, index.name);
                ctx.entity_error(&draft.message, ("index.name", &index.name), text, "set another `name`");
            }
        }
    }
}

fn check_paths(ctx: &mut Context<'_>, drafts: &[Draft]) {
    let mut seen: HashMap<&str, &Draft> = HashMap::new();
    for draft in drafts {
        let entity = &draft.entity;
        let Some(other) = seen.insert(&entity.rest_collection, draft) else { continue };
        // One mistake, one message: the same table has been reported with the same remedy.
        if key(&other.entity.table) != key(&entity.table) {
            let names = format!("entities `{}` and `{}`", other.entity.full_name, entity.full_name);
            let text = format!("{names} have the same path `{}`", entity.rest_collection);
            ctx.entity_error(&draft.message, ("plural", &entity.plural), text, "set another `plural`");
        }
    }
}

fn check_plurals(ctx: &mut Context<'_>, drafts: &[Draft]) {
    for draft in drafts {
        let entity = &draft.entity;
        let taken = drafts.iter().find(|other| {
            let other = &other.entity;
            other.id < entity.id
                && other.package == entity.package
                && other.rest_collection != entity.rest_collection
                && key(&other.plural) == key(&entity.plural)
        });
        if let Some(other) = taken {
            let text = format!(
                "entities `{}` and `{}` have the same plural `{}`",
                other.entity.name, entity.name, entity.plural
            );
            ctx.entity_error(&draft.message, ("plural", &entity.plural), text, "set another `plural`");
        }
    }
}

/// Fields that requests have besides those of the key, the index or the row.
fn check_requests(ctx: &mut Context<'_>, draft: &Draft) {
    let entity = &draft.entity;
    const KEYED: [&str; 5] = ["read_mask", "etag", "allow_missing", "request_id", "validate_only"];
    for id in &entity.primary_key {
        check_field(ctx, draft, id.index(), &KEYED, "the key");
    }
    for index in entity.indexes.iter().filter(|index| index.lookup.is_some()) {
        for (id, _) in &index.columns {
            check_field(ctx, draft, id.index(), &["read_mask"], "a unique index");
        }
    }
    if let [single] = entity.primary_key.as_slice() {
        let name = plural_snake(&entity.column(*single).field);
        if ["allow_missing", "read_mask"].contains(&name.as_str()) {
            check_field(ctx, draft, single.index(), &[&entity.column(*single).field], "the key");
        }
    }
    const ROW: [&str; 7] =
        ["update_mask", "etag", "allow_missing", "request_id", "validate_only", "transforms", "requests"];
    const LIST: [&str; 4] = ["next_page_token", "total_size", "missing_ids", "missing_keys"];
    for (name, taken, what) in
        [(&entity.singular, ROW.as_slice(), "requests"), (&entity.plural_snake, LIST.as_slice(), "responses")]
    {
        if taken.iter().any(|taken| lower_camel(taken) == lower_camel(name)) {
            let text = format!(
                "entity `{}` would be the field `{name}` of derived {what}, which have one already",
                entity.name
            );
            let place = ctx.message_place(&draft.message);
            ctx.out.error(place, text, "rename the message");
        }
    }
}

fn check_field(ctx: &mut Context<'_>, draft: &Draft, column: usize, taken: &[&str], what: &str) {
    let field = &draft.fields[column];
    if taken.iter().any(|taken| lower_camel(taken) == lower_camel(field.name())) {
        let text = format!("`{}` is in {what}, and derived requests have a field of that name", field.name());
        let place = ctx.field_place(field);
        ctx.out.error(place, text, "rename the field");
    }
}

/// A derived message or service whose name is taken.
pub(crate) fn report_derived(ctx: &mut Context<'_>, drafts: &[Draft], collision: &Collision) {
    let draft = &drafts[collision.entity.index()];
    let (entity, name) = (&draft.entity, &collision.name);
    let user = ctx.pool.get_message_by_name(name);
    let service = ctx.pool.services().find(|service| service.full_name() == name);
    let text = match &collision.file {
        Some(_) => format!("`{name}` is the name of what `{}` derives", entity.name),
        None => format!("entity `{}` derives `{name}`, and another entity does too", entity.name),
    };
    let place = match (&user, service) {
        (Some(message), _) => ctx.message_place(message),
        (None, Some(service)) => ctx.locator.service(&service),
        (None, None) => ctx.message_place(&draft.message),
    };
    ctx.out.error(place, text, format!("rename it, or the entity `{}`", entity.name));
}
