//! `paths`: one operation for each method.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::components::{Components, Form};
use super::{COMMIT_TAG, OpenApiOptions, entity_tag, examples, parameters, responses};
use crate::{Entity, Kind, Method, MethodKind, Schema};

pub(super) fn paths(schema: &Schema, options: &OpenApiOptions, components: &mut Components<'_>) -> Value {
    let ids = operation_ids(schema);
    let mut paths: Map<String, Value> = Map::new();
    for (method, id) in schema.methods.iter().zip(&ids) {
        let path = parameters::template(&method.http.path);
        let item = paths.entry(path).or_insert_with(|| json!({}));
        if let Value::Object(item) = item {
            let operation = operation(schema, options, method, id, &ids, components);
            item.insert(method.http.verb.to_ascii_lowercase(), operation);
        }
    }
    Value::Object(paths)
}

/// `getUser`; with the package in front where an earlier method has that name.
fn operation_ids(schema: &Schema) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let id = |method: &Method| {
        let short = lower_first(&method.name);
        if seen.insert(short.clone()) {
            return short;
        }
        let service = method.service.replace('.', "_");
        let long = format!("{service}_{}", method.name);
        seen.insert(long.clone());
        long
    };
    schema.methods.iter().map(id).collect()
}

fn lower_first(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map_or_else(String::new, |first| format!("{}{}", first.to_ascii_lowercase(), chars.as_str()))
}

fn operation(
    schema: &Schema,
    options: &OpenApiOptions,
    method: &Method,
    id: &str,
    ids: &[String],
    components: &mut Components<'_>,
) -> Value {
    let tag = method.entity.map_or(COMMIT_TAG, |id| entity_tag(schema, schema.entity(id)));
    let mut operation = Map::from_iter([
        ("operationId".to_owned(), json!(id)),
        ("tags".to_owned(), json!([tag])),
        ("summary".to_owned(), json!(method.comment.trim().trim_end_matches('.'))),
    ]);
    let parameters = parameters::of(schema, options, method, components);
    if !parameters.is_empty() {
        operation.insert("parameters".to_owned(), json!(parameters));
    }
    if let Some(body) = request_body(schema, method, components) {
        operation.insert("requestBody".to_owned(), body);
    }
    let links = links(schema, method, ids);
    operation.insert("responses".to_owned(), responses::of(schema, method, components, links));
    Value::Object(operation)
}

fn request_body(schema: &Schema, method: &Method, components: &mut Components<'_>) -> Option<Value> {
    method.http.body.as_ref()?;
    let entity = method.entity.map(|id| schema.entity(id));
    let reference = match (method.kind, entity) {
        (MethodKind::Create, Some(entity)) => components.reference(entity.message, Form::Create),
        (MethodKind::Update, Some(entity)) => components.reference(entity.message, Form::Patch),
        (MethodKind::Undelete, Some(_)) => undelete_body(schema, method, components),
        _ => components.reference(method.input, Form::Accepted),
    };
    let mut content = Map::from_iter([("schema".to_owned(), reference)]);
    if let Some(example) = body_example(schema, method, entity) {
        content.insert("example".to_owned(), example);
    }
    let required = method.kind != MethodKind::Undelete;
    Some(json!({"required": required, "content": {"application/json": content}}))
}

/// The request without the key, which is in the path.
fn undelete_body(schema: &Schema, method: &Method, components: &mut Components<'_>) -> Value {
    let request = schema.message(method.input);
    let options = request.fields.iter().filter(|field| field.number >= 16);
    let properties: Map<String, Value> = options
        .map(|field| {
            let mut property = super::scalars::nullable(components.parameter(field));
            if let (Value::Object(map), false) = (&mut property, field.comment.trim().is_empty()) {
                map.insert("description".to_owned(), json!(field.comment.trim()));
            }
            (field.json_name.clone(), property)
        })
        .collect();
    json!({"type": "object", "properties": properties, "additionalProperties": false})
}

fn body_example(schema: &Schema, method: &Method, entity: Option<&Entity>) -> Option<Value> {
    let Some(entity) = entity else { return commit_example(schema) };
    let row = |form| examples::row(schema, entity, form);
    let single = &entity.singular;
    match method.kind {
        MethodKind::Create => row(Form::Create),
        MethodKind::Update => row(Form::Patch),
        MethodKind::BatchCreate => Some(json!({"requests": [{json_name(schema, method, single): row(Form::Create)?}]})),
        MethodKind::BatchUpdate => Some(json!({"requests": [{json_name(schema, method, single): row(Form::Update)?}]})),
        MethodKind::BatchDelete => Some(json!({"requests": [examples::key(schema, entity)?]})),
        MethodKind::BatchGet => Some(json!({"keys": [examples::key(schema, entity)?]})),
        MethodKind::Undelete => Some(json!({})),
        MethodKind::Get
        | MethodKind::List
        | MethodKind::Watch
        | MethodKind::Delete
        | MethodKind::Lookup(_)
        | MethodKind::Commit => None,
    }
}

/// JSON name of the row's field in the single requests of a batch.
fn json_name(schema: &Schema, method: &Method, proto: &str) -> String {
    let requests = schema.message(method.input).fields.first();
    let single =
        requests.and_then(|field| if let Kind::Message(id) = field.kind { Some(schema.message(id)) } else { None });
    let field = single.and_then(|message| message.fields.iter().find(|field| field.name == proto));
    field.map_or_else(|| proto.to_owned(), |field| field.json_name.clone())
}

fn commit_example(schema: &Schema) -> Option<Value> {
    let entity = schema.entities.first()?;
    Some(json!({"writes": [{"create": examples::row(schema, entity, Form::Packed)?}]}))
}

/// Where a client can go from a created row.
fn links(schema: &Schema, method: &Method, ids: &[String]) -> Value {
    let (MethodKind::Create, Some(entity)) = (method.kind, method.entity) else { return json!({}) };
    let row = schema.message(schema.entity(entity).message);
    let key: Map<String, Value> = schema
        .entity(entity)
        .primary_key
        .iter()
        .filter_map(|id| row.fields.get(id.index()))
        .map(|field| (field.name.clone(), json!(format!("$response.body#/{}", field.json_name))))
        .collect();
    let followed = [MethodKind::Get, MethodKind::Update, MethodKind::Delete];
    let links = schema
        .methods
        .iter()
        .zip(ids)
        .filter(|(other, _)| other.entity == Some(entity) && followed.contains(&other.kind));
    Value::Object(
        links.map(|(other, id)| (other.name.clone(), json!({"operationId": id, "parameters": key}))).collect(),
    )
}
