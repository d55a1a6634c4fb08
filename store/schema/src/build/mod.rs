//! From linked descriptors to the checked model.
//!
//! Each step reports what is wrong and goes on with what is left, so that one run finds every mistake. The order:
//! messages with the entity option, their names, their columns with rules, keys and indexes, references, and last
//! what only the whole schema can show (names that collide).

mod collisions;
mod column;
mod context;
mod entity;
mod index;
mod key;
mod lifecycle;
mod reference;
mod rules;
mod types;
mod validate;

use prost_reflect::{DescriptorPool, FieldDescriptor, MessageDescriptor};

use crate::builtin;
use crate::derive::{self, DeriveError, Derived};
use crate::diagnostics::Diagnostics;
use crate::fingerprint::fingerprint;
use crate::link::Linked;
use crate::locate::{self, Locator};
use crate::model::{DerivedFile, Entity, EntityId, Method, Schema, SourceFile};
use crate::options::{self, ColumnOptions, EntityOptions};
use context::Context;
use types::Types;

/// An entity in the making, with what it is made from.
pub(crate) struct Draft {
    pub(crate) entity: Entity,
    pub(crate) message: MessageDescriptor,
    pub(crate) options: EntityOptions,
    /// Parallel to the columns.
    pub(crate) fields: Vec<FieldDescriptor>,
    pub(crate) column_options: Vec<ColumnOptions>,
}

/// The schema and its warnings, or what is wrong.
pub(crate) fn build(linked: Linked) -> Result<(Schema, Diagnostics), Diagnostics> {
    let locator = Locator::new(&linked.sources, &linked.pool);
    let mut ctx = Context { pool: &linked.pool, locator: &locator, out: Diagnostics::default() };
    let mut types = Types::new(&locator);
    let drafts = assemble(&mut ctx, &mut types);
    collisions::check(&mut ctx, &drafts);
    check_types(&mut ctx, &types);
    if ctx.out.has_errors() {
        return Err(sorted(ctx.out));
    }
    let entities: Vec<Entity> = drafts.iter().map(|draft| draft.entity.clone()).collect();
    match derive::derive(&linked.pool, &entities) {
        Ok(derived) => {
            let (mut schema, warnings) = finish(entities, types, derived, ctx.out);
            schema.sources = source_files(&linked);
            Ok((schema, warnings))
        }
        Err(DeriveError::Link(error)) => {
            ctx.out.error(None, error.to_string(), "");
            Err(ctx.out)
        }
        Err(DeriveError::Collisions(collisions)) => {
            for collision in collisions {
                collisions::report_derived(&mut ctx, &drafts, &collision);
            }
            Err(sorted(ctx.out))
        }
    }
}

/// A schema that was checked before: only its entities and types, and whatever they say.
pub(crate) fn build_stored(linked: Linked) -> Result<Schema, Diagnostics> {
    let locator = Locator::new(&linked.sources, &linked.pool);
    let mut ctx = Context { pool: &linked.pool, locator: &locator, out: Diagnostics::default() };
    let mut types = Types::new(&locator);
    let drafts = assemble(&mut ctx, &mut types);
    if drafts.is_empty() {
        return Err(ctx.out);
    }
    let entities = drafts.into_iter().map(|draft| draft.entity).collect();
    let nothing = Derived { pool: linked.pool.clone(), texts: Vec::new(), methods: Vec::new() };
    Ok(finish(entities, types, nothing, Diagnostics::default()).0)
}

fn assemble(ctx: &mut Context<'_>, types: &mut Types<'_>) -> Vec<Draft> {
    let mut drafts = drafts(ctx, types);
    key::set_keys(ctx, &mut drafts);
    index::set_indexes(ctx, &mut drafts);
    reference::resolve(ctx, &mut drafts);
    lifecycle::set_lifecycles(ctx, &mut drafts);
    drafts
}

fn drafts(ctx: &mut Context<'_>, types: &mut Types<'_>) -> Vec<Draft> {
    let mut drafts = Vec::new();
    let user_files = ctx.pool.files().filter(|file| !builtin::is_builtin(file.name()));
    for file in user_files {
        for message in file.messages() {
            refuse_nested(ctx, &message);
            let Some(entity_options) = options::decode(&message.options(), options::ENTITY) else { continue };
            let Ok(id) = u16::try_from(drafts.len()) else { continue };
            drafts.push(entity::draft(ctx, types, EntityId(id), message, entity_options));
        }
    }
    if drafts.is_empty() {
        let place = ctx.pool.files().find_map(|file| ctx.locator.package(file.name()));
        let help = "import \"rowkeep/v1/options.proto\" and write `option (rowkeep.v1.entity) = {};` in a message";
        ctx.out.error(place, "no message is an entity", help);
    }
    drafts
}

/// Services and paths are named after top-level messages only.
fn refuse_nested(ctx: &mut Context<'_>, message: &MessageDescriptor) {
    for child in message.child_messages() {
        if options::decode::<EntityOptions>(&child.options(), options::ENTITY).is_some() {
            let text = format!("entity `{}` is declared inside another message", child.name());
            ctx.entity_error(&child, ("", ""), text, "declare it at the top level of the file");
        }
        refuse_nested(ctx, &child);
    }
}

fn check_types(ctx: &mut Context<'_>, types: &Types<'_>) {
    for field in &types.groups {
        let place = ctx.field_place(field);
        let message = format!("`{}` is a group, which is not supported", field.name());
        ctx.out.error(place, message, "declare a message and a field of its type");
    }
    if types.overflow {
        ctx.out.error(None, "the schema reaches more than 65,535 message or enum types", "split it");
    }
}

fn finish(
    mut entities: Vec<Entity>,
    mut types: Types<'_>,
    derived: Derived,
    warnings: Diagnostics,
) -> (Schema, Diagnostics) {
    let mut methods = Vec::with_capacity(derived.methods.len());
    for spec in derived.methods {
        let (Some(input), Some(output)) =
            (derived.pool.get_message_by_name(&spec.input), derived.pool.get_message_by_name(&spec.output))
        else {
            continue;
        };
        methods.push(Method {
            kind: spec.kind,
            entity: spec.entity,
            name: spec.name,
            service: spec.service,
            input: types.message(&input),
            output: types.message(&output),
            http: spec.http,
            comment: spec.comment,
        });
    }
    comment_derived(&mut types, &derived.pool, &derived.texts);
    for entity in &mut entities {
        types.messages[entity.message.index()].entity = Some(entity.id);
    }
    let mut schema = Schema {
        entities,
        messages: types.messages,
        enums: types.enums,
        methods,
        descriptors: derived.pool,
        derived: derived.texts,
        sources: Vec::new(),
        fingerprint: 0,
    };
    schema.fingerprint = fingerprint(&schema);
    (schema, sorted(warnings))
}

/// Derived messages have no text of the user's; their comments are in their descriptors.
fn comment_derived(types: &mut Types<'_>, pool: &DescriptorPool, texts: &[DerivedFile]) {
    for file in texts.iter().filter_map(|text| pool.get_file_by_name(&text.path)) {
        let mut comments = locate::comments(&file);
        let mut comment = |path: &[i32]| comments.remove(path).unwrap_or_default();
        for message in file.messages() {
            let id = types.message(&message);
            let entry = &mut types.messages[id.index()];
            entry.comment = comment(message.path());
            for field in message.fields() {
                if let Some(entry) = entry.fields.iter_mut().find(|entry| entry.number == field.number()) {
                    entry.comment = comment(field.path());
                }
            }
        }
    }
}

fn source_files(linked: &Linked) -> Vec<SourceFile> {
    let paths: Vec<_> = linked.pool.files().map(|file| file.name().to_owned()).collect();
    let wanted = paths.into_iter().filter(|path| !path.starts_with("google/protobuf/"));
    let text =
        |path: &str| linked.sources.text(path).or_else(|| builtin::own(path)).or_else(|| builtin::third_party(path));
    wanted.filter_map(|path| Some(SourceFile { text: text(&path)?.to_owned(), path })).collect()
}

fn sorted(mut diagnostics: Diagnostics) -> Diagnostics {
    diagnostics.sort();
    diagnostics
}
