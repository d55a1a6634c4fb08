//! A message with the entity option: its names, its policies and its columns.

use prost_reflect::MessageDescriptor;

use super::Draft;
use super::column::{self, identifier_problem, some};
use super::context::Context;
use super::types::{Types, declared_fields};
use crate::literal;
use crate::locate::Element;
use crate::model::{AccessRule, CachePolicy, ColumnId, Entity, EntityId, SearchPolicy};
use crate::names::{self, did_you_mean};
use crate::options::EntityOptions;

/// Fields of an entity at most; a table of SQLite takes 2,000 columns, one of MySQL 1,017.
const MAX_COLUMNS: usize = 1000;
const CONSISTENCY: [&str; 4] = ["strong", "session", "eventual", "max-staleness="];
const ACCESS_METHODS: [&str; 5] = ["read", "create", "update", "delete", "all"];

pub(crate) fn draft(
    ctx: &mut Context<'_>,
    types: &mut Types<'_>,
    id: EntityId,
    message: MessageDescriptor,
    options: EntityOptions,
) -> Draft {
    let message_id = types.message(&message);
    let mut entity = named(ctx, &message, &options);
    entity.id = id;
    entity.message = message_id;
    entity.cache = cache(ctx, &message, &options);
    entity.access = access(ctx, &message, &options);
    entity.default_consistency = consistency(ctx, &message, &options);
    let mut fields = declared_fields(&message);
    if fields.len() > MAX_COLUMNS {
        let text = format!("entity `{}` has {} fields, at most {MAX_COLUMNS} are stored", entity.name, fields.len());
        let place = ctx.message_place(&message);
        ctx.out.error(place, text, "move some of them into a message of their own");
        fields.truncate(MAX_COLUMNS);
    }
    let mut column_options = Vec::with_capacity(fields.len());
    for (descriptor, index) in fields.iter().zip(0u16..) {
        let field = types.messages[message_id.index()].fields[usize::from(index)].clone();
        let (column, chosen) = column::column(ctx, ColumnId(index), descriptor, &field, types);
        entity.columns.push(column);
        column_options.push(chosen);
    }
    Draft { entity, message, options, fields, column_options }
}

/// The entity with its names, and nothing in it yet.
fn named(ctx: &mut Context<'_>, message: &MessageDescriptor, options: &EntityOptions) -> Entity {
    let name = message.name().to_owned();
    let singular = names::snake(&name);
    let plural = plural(ctx, message, options);
    // The plural of an acronym (`URLs`) splits into words only before it is made.
    let plural_snake = if options.plural.is_empty() { names::plural_snake(&singular) } else { names::snake(&plural) };
    let package = message.package_name().to_owned();
    let version = names::version_segment(&package);
    Entity {
        id: EntityId(0),
        full_name: message.full_name().to_owned(),
        rest_collection: format!("/{version}/{}", names::lower_camel(&plural_snake)),
        table: table(ctx, message, options, &plural_snake),
        renamed_from: some(&options.renamed_from),
        message: crate::model::MessageId(0),
        columns: Vec::new(),
        primary_key: Vec::new(),
        indexes: Vec::new(),
        versioned: options.version.unwrap_or(!options.read_only),
        soft_delete: None,
        expire: None,
        allow_scan: options.allow_scan,
        read_only: options.read_only,
        require_etag: options.require_etag,
        default_consistency: None,
        cache: CachePolicy::default(),
        search: options
            .search
            .as_ref()
            .map(|search| SearchPolicy { index: some(&search.index), analyzer: some(&search.analyzer) }),
        access: Vec::new(),
        referenced_by: Vec::new(),
        comment: ctx.locator.comment(&Element::from(message)),
        location: ctx.locator.location(&Element::from(message)),
        name,
        package,
        singular,
        plural,
        plural_snake,
    }
}

fn plural(ctx: &mut Context<'_>, message: &MessageDescriptor, options: &EntityOptions) -> String {
    let chosen = &options.plural;
    if chosen.is_empty() {
        return names::plural_camel(message.name());
    }
    let is_camel =
        chosen.starts_with(|c: char| c.is_ascii_uppercase()) && chosen.chars().all(|c| c.is_ascii_alphanumeric());
    if !is_camel {
        let text = format!("plural `{chosen}` is not in UpperCamelCase");
        let help = format!("write `plural: \"{}\"`", names::plural_camel(message.name()));
        ctx.entity_error(message, ("plural", chosen), text, help);
    }
    chosen.clone()
}

fn table(ctx: &mut Context<'_>, message: &MessageDescriptor, options: &EntityOptions, default: &str) -> String {
    let name = if options.table.is_empty() { default } else { &options.table };
    if let Some(problem) = identifier_problem(name) {
        let text = format!("table name `{name}` {}", problem.what);
        let help = if options.table.is_empty() { "set `table`" } else { problem.help };
        ctx.entity_error(message, ("table", name), text, help);
    }
    name.to_owned()
}

fn cache(ctx: &mut Context<'_>, message: &MessageDescriptor, options: &EntityOptions) -> CachePolicy {
    let Some(cache) = &options.cache else { return CachePolicy::default() };
    let ttl = some(&cache.ttl).and_then(|text| {
        let ttl = literal::time_span(&text);
        if ttl.is_none() {
            let message_text = format!("cache ttl `{text}` is not a time span");
            ctx.entity_error(message, ("cache.ttl", &text), message_text, "write `30s`, `5m`, `1h` or `7d`");
        }
        ttl
    });
    CachePolicy { disabled: cache.disabled, ttl }
}

fn consistency(ctx: &mut Context<'_>, message: &MessageDescriptor, options: &EntityOptions) -> Option<String> {
    let text = some(&options.default_consistency)?;
    let known = match text.strip_prefix("max-staleness=") {
        Some(span) => literal::time_span(span).is_some(),
        None => CONSISTENCY[..3].contains(&text.as_str()),
    };
    if !known {
        let near = did_you_mean(&text, CONSISTENCY[..3].iter().copied());
        let help = if near.is_empty() {
            "write `strong`, `session`, `eventual` or `max-staleness=500ms`".to_owned()
        } else {
            near
        };
        ctx.entity_error(message, ("default_consistency", &text), format!("no consistency is called `{text}`"), help);
    }
    Some(text)
}

fn access(ctx: &mut Context<'_>, message: &MessageDescriptor, options: &EntityOptions) -> Vec<AccessRule> {
    let mut rules = Vec::new();
    if !options.access.is_empty() {
        let text = format!("the access rules of `{}` are checked but not enforced yet", message.name());
        let help = "keep the server where only those who may do everything reach it";
        ctx.out.warning(ctx.entity_place(message, "access", ""), text, help);
    }
    for rule in &options.access {
        let methods = list(&rule.methods);
        for method in methods.iter().filter(|method| !ACCESS_METHODS.contains(&method.as_str())) {
            let near = did_you_mean(method, ACCESS_METHODS);
            let help =
                if near.is_empty() { "write `read`, `create`, `update`, `delete` or `all`".to_owned() } else { near };
            ctx.entity_error(message, ("access.methods", method), format!("no method is called `{method}`"), help);
        }
        if rule.roles.trim().is_empty() {
            let help = "write `roles: \"*\"` for anyone who is authenticated";
            ctx.entity_error(message, ("access", ""), "an access rule names no roles", help);
        }
        rules.push(AccessRule { roles: list(&rule.roles), methods, filter: some(&rule.r#where) });
    }
    rules
}

/// Items of a comma list.
pub(crate) fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}
