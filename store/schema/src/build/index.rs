//! Secondary indexes: those of `index`, and one for each unique column.

use super::Draft;
use super::column::{MAX_IDENTIFIER, describe, identifier_problem, indexable, some};
use super::context::Context;
use super::entity::list;
use crate::model::{Auto, ColumnId, Index};
use crate::names::{did_you_mean, upper_camel};
use crate::options::IndexOptions;

/// Columns of an index at most: MySQL takes 16, lookups number them 1 to 15.
const MAX_INDEX_COLUMNS: usize = 15;

pub(crate) fn set_indexes(ctx: &mut Context<'_>, drafts: &mut [Draft]) {
    for draft in drafts {
        for column in draft.entity.columns.clone() {
            let key = draft.entity.primary_key.as_slice() == [column.id];
            if column.unique && key {
                let field = draft.fields[column.id.index()].clone();
                let text = format!("`{}` is the primary key and unique already", column.field);
                let place = ctx.column_place(&field, "unique", "");
                ctx.out.warning(place, text, "drop `unique`");
            } else if column.unique {
                push(
                    draft,
                    Index {
                        name: index_name(&draft.entity.table, &[&column.name]),
                        renamed_from: None,
                        columns: vec![(column.id, false)],
                        unique: true,
                        lookup: Some(upper_camel(&column.field)),
                    },
                );
            }
        }
        for options in draft.options.index.clone() {
            if let Some(index) = index(ctx, draft, &options) {
                check_new(ctx, draft, &index, &options);
                push(draft, index);
            }
        }
    }
}

fn push(draft: &mut Draft, index: Index) {
    draft.entity.indexes.push(index);
}

fn index(ctx: &mut Context<'_>, draft: &Draft, options: &IndexOptions) -> Option<Index> {
    let mut columns: Vec<(ColumnId, bool)> = Vec::new();
    let items = list(&options.fields);
    if items.is_empty() {
        let help = "write `index: [{ fields: \"city, created_at desc\" }]`";
        ctx.entity_error(&draft.message, ("index", ""), "an index names no fields", help);
        return None;
    }
    let mut complete = true;
    for item in &items {
        match index_column(ctx, draft, item, &columns) {
            Some(column) => columns.push(column),
            None => complete = false,
        }
    }
    if columns.len() > MAX_INDEX_COLUMNS {
        let text = format!("the index has {} columns, at most {MAX_INDEX_COLUMNS} are allowed", columns.len());
        ctx.entity_error(&draft.message, ("index.fields", &items[0]), text, "leave out the last ones");
    }
    if !complete {
        return None;
    }
    let names: Vec<&str> = columns.iter().map(|(id, _)| draft.entity.column(*id).name.as_str()).collect();
    let name = some(&options.name).unwrap_or_else(|| index_name(&draft.entity.table, &names));
    if let Some(problem) = identifier_problem(&name) {
        let text = format!("index name `{name}` {}", problem.what);
        ctx.entity_error(&draft.message, ("index.name", &name), text, problem.help);
    }
    let fields: Vec<String> = columns.iter().map(|(id, _)| upper_camel(&draft.entity.column(*id).field)).collect();
    Some(Index {
        name,
        renamed_from: some(&options.renamed_from),
        lookup: options.unique.then(|| fields.join("And")),
        columns,
        unique: options.unique,
    })
}

/// `city`, or `created_at desc`.
fn index_column(
    ctx: &mut Context<'_>,
    draft: &Draft,
    item: &str,
    before: &[(ColumnId, bool)],
) -> Option<(ColumnId, bool)> {
    let mut words = item.split_whitespace();
    let name = words.next()?;
    let at = ("index.fields", name);
    let descending = match (words.next().map(str::to_ascii_lowercase).as_deref(), words.next()) {
        (None | Some("asc"), None) => false,
        (Some("desc"), None) => true,
        _ => {
            let help = format!("write `{name}` or `{name} desc`, with commas between fields");
            ctx.entity_error(&draft.message, at, format!("`{item}` is not an index column"), help);
            return None;
        }
    };
    let Some(column) = draft.entity.column_by_field(name) else {
        let fields = draft.entity.columns.iter().map(|column| column.field.as_str());
        let text = format!("entity `{}` has no field `{name}`", draft.entity.name);
        ctx.entity_error(&draft.message, at, text, did_you_mean(name, fields));
        return None;
    };
    let problem = if before.iter().any(|(id, _)| *id == column.id) {
        Some((format!("`{name}` is in the index twice"), "name each field once"))
    } else if !indexable(column.storage) {
        let text = format!("`{name}` holds {} and cannot be indexed", describe(column.storage));
        Some((text, "move the part to search by into a field of its own"))
    } else if column.secret {
        Some((format!("`{name}` is secret and cannot be indexed"), "drop `secret`, or leave it out of the index"))
    } else if column.auto == Some(Auto::Etag) {
        Some((format!("`{name}` is the etag, which is not stored"), "leave it out of the index"))
    } else {
        None
    };
    match problem {
        Some((text, help)) => {
            ctx.entity_error(&draft.message, at, text, help);
            None
        }
        None => Some((column.id, descending)),
    }
}

/// An index that another one of the entity makes useless, or that has its name.
fn check_new(ctx: &mut Context<'_>, draft: &Draft, index: &Index, options: &IndexOptions) {
    let first = list(&options.fields).into_iter().next().unwrap_or_default();
    let at = ("index.fields", first.split_whitespace().next().unwrap_or_default());
    if let Some(other) = draft.entity.indexes.iter().find(|other| other.columns == index.columns) {
        let help = if other.unique { "drop this one: `unique` has its own index" } else { "drop one of them" };
        ctx.entity_error(&draft.message, at, "two indexes have the same columns", help);
    }
    let ids: Vec<ColumnId> = index.columns.iter().map(|(id, _)| *id).collect();
    if ids == draft.entity.primary_key && !ids.is_empty() && index.unique {
        let text = "the index has the columns of the primary key, which is unique already";
        ctx.entity_error(&draft.message, at, text, "drop it");
    }
}

/// `idx_users_city_created_at`; a longer name than databases take ends with a hash of the whole.
fn index_name(table: &str, columns: &[&str]) -> String {
    let name = format!("idx_{table}_{}", columns.join("_"));
    if name.chars().count() <= MAX_IDENTIFIER {
        return name;
    }
    let hash = crate::fingerprint::hash(name.as_bytes());
    let head: String = name.chars().take(MAX_IDENTIFIER - 17).collect();
    format!("{head}_{hash:016x}")
}
