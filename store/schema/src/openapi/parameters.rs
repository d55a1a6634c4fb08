//! Path, query and header parameters.

use serde_json::{Map, Value, json};

use super::OpenApiOptions;
use super::components::Components;
use crate::{Cardinality, Column, Entity, Field, Kind, Method, MethodKind, Schema, Storage};

/// Header parameters that many operations share, for `components.parameters`.
pub(super) fn shared() -> Value {
    json!({
        "Consistency": {
            "name": "rowkeep-consistency", "in": "header",
            "description": "How fresh the answer must be.",
            "schema": {"type": "string", "pattern": "^(strong|session|eventual|max-staleness=([0-9]{1,9}(ms|s)|[0-9]{1,8}m|[0-9]{1,6}h))$"},
            "example": "strong",
        },
        "Session": {
            "name": "rowkeep-session", "in": "header",
            "description": "The token of an earlier answer: what was read or written with it is seen.",
            "schema": {"type": "string"},
        },
        "IdempotencyKey": {
            "name": "Idempotency-Key", "in": "header",
            "description": "Repeating a write with the same key and content returns the first answer; with other content it is refused. Same as `request_id`.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^(?!\"\"$)[!-~]+$"},
            "example": "0b7d3a52-2f3c-4d3e-9a54-0d5a3a1c6f11",
        },
        "LastEventId": {
            "name": "Last-Event-ID", "in": "header",
            "description": "The `id` of the last event that was received; what an EventSource sends by itself. Same as `resume_token`.",
            "schema": {"type": "string"},
        },
        "IfMatch": {
            "name": "If-Match", "in": "header",
            "description": "Refuses with 412 unless the row has this etag; `*` for any row that exists.",
            "schema": {"type": "string", "minLength": 1, "pattern": r#"^(\*|"[A-Za-z0-9_-]*")$"#},
        },
        "IfNoneMatch": {
            "name": "If-None-Match", "in": "header",
            "description": "Answers 304 if the row still has this etag.",
            "schema": {"type": "string", "minLength": 1, "pattern": ETAGS},
        },
    })
}

const ETAGS: &str = r#"^(\*|(W/)?"[A-Za-z0-9_-]*"(, *(W/)?"[A-Za-z0-9_-]*")*)$"#;

/// A request id, as a parameter or in a body; empty: none.
pub(super) fn request_id() -> Value {
    json!({"type": "string", "maxLength": 128, "pattern": "^[!-~]*$"})
}

/// The parameters of a method.
pub(super) fn of(
    schema: &Schema,
    options: &OpenApiOptions,
    method: &Method,
    components: &mut Components<'_>,
) -> Vec<Value> {
    let entity = method.entity.map(|id| schema.entity(id));
    let mut parameters = path(schema, method, entity, components);
    if method.http.body.as_deref() != Some("*") {
        parameters.extend(query(schema, options, method, entity, components));
    }
    parameters
        .extend(headers(method.kind).iter().map(|name| json!({"$ref": format!("#/components/parameters/{name}")})));
    parameters
}

/// A path with its variables named as in OpenAPI: `{user.id}` is `{id}`, so that one path has all its methods.
pub(super) fn template(path: &str) -> String {
    let mut parts = path.split('{');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (variable, rest) = part.split_once('}').unwrap_or((part, ""));
        out.push_str(&format!("{{{}}}{rest}", last_segment(variable)));
    }
    out
}

fn last_segment(variable: &str) -> &str {
    variable.rsplit('.').next().unwrap_or(variable)
}

fn variables(path: &str) -> impl Iterator<Item = &str> {
    path.split('{').skip(1).filter_map(|part| part.split_once('}')).map(|(variable, _)| variable)
}

fn path(schema: &Schema, method: &Method, entity: Option<&Entity>, components: &mut Components<'_>) -> Vec<Value> {
    let Some(entity) = entity else { return Vec::new() };
    let row = schema.message(entity.message);
    let mut parameters = Vec::new();
    for name in variables(&method.http.path).map(last_segment) {
        let Some(field) = row.fields.iter().find(|field| field.name == name) else { continue };
        let column = entity.column_by_field(name);
        let mut parameter = Map::from_iter([
            ("name".to_owned(), json!(name)),
            ("in".to_owned(), json!("path")),
            ("required".to_owned(), json!(true)),
            ("schema".to_owned(), key_schema(field, components)),
        ]);
        if !field.comment.trim().is_empty() {
            parameter.insert("description".to_owned(), json!(field.comment.trim()));
        }
        if let Some(example) = column.and_then(|_| super::examples::parameter(schema, entity, name)) {
            parameter.insert("example".to_owned(), example);
        }
        parameters.push(Value::Object(parameter));
    }
    parameters
}

/// A key in a path cannot be empty.
fn key_schema(field: &Field, components: &mut Components<'_>) -> Value {
    let mut schema = components.parameter(field);
    if let (Kind::String | Kind::Bytes, Value::Object(map)) = (field.kind, &mut schema) {
        map.insert("minLength".to_owned(), json!(1));
    }
    schema
}

fn query(
    schema: &Schema,
    options: &OpenApiOptions,
    method: &Method,
    entity: Option<&Entity>,
    components: &mut Components<'_>,
) -> Vec<Value> {
    let request = schema.message(method.input);
    let in_path: Vec<&str> =
        variables(&method.http.path).map(|variable| variable.split('.').next().unwrap_or(variable)).collect();
    let mut parameters = Vec::new();
    for field in &request.fields {
        let is_body = method.http.body.as_deref() == Some(field.name.as_str());
        if is_body || in_path.contains(&field.name.as_str()) || field.name == "transforms" {
            continue;
        }
        parameters.push(query_parameter(schema, options, method, entity, field, components));
    }
    parameters
}

fn query_parameter(
    schema: &Schema,
    options: &OpenApiOptions,
    method: &Method,
    entity: Option<&Entity>,
    field: &Field,
    components: &mut Components<'_>,
) -> Value {
    let mut parameter = Map::new();
    let mut set = |key: &str, value: Value| {
        parameter.insert(key.to_owned(), value);
    };
    set("in", json!("query"));
    set("name", json!(field.name));
    set("schema", components.parameter(field));
    let mut description = field.comment.trim().to_owned();
    let row = entity.map(|entity| (entity, schema.message(entity.message)));
    // Numbers from 16 and the fixed fields of a list are options; before them come keys.
    match (method.kind, field.name.as_str()) {
        (_, "read_mask") => {
            set("name", json!("fields"));
            description = "Comma list of fields to return; all if absent. Same as `read_mask`.".to_owned();
            if let Some((_, row)) = row {
                set("schema", json!({"type": "string", "pattern": mask_pattern(schema, &row.fields, Mask::Read)}));
            }
        }
        (MethodKind::List, "page_size") => {
            set(
                "schema",
                json!({"type": "integer", "format": "int32", "minimum": 0, "maximum": i32::MAX, "default": options.default_page_size}),
            );
            description = format!(
                "Rows at most: {} if absent or 0, {} if more is asked for.",
                options.default_page_size, options.max_page_size
            );
        }
        (MethodKind::List | MethodKind::Watch, "filter") => {
            if let Some(example) = entity.and_then(|entity| super::examples::filter(schema, entity)) {
                set("example", json!(example));
            }
            description.push_str(" A filter that no index serves is refused, naming the index to add.");
        }
        (MethodKind::List, "order_by") => {
            if let Some((entity, _)) = row {
                set("schema", json!({"type": "string", "pattern": order_pattern(entity)}));
                if let Some(example) = super::examples::order_by(entity) {
                    set("example", json!(example));
                }
            }
        }
        (MethodKind::Update, "update_mask") => {
            if let Some((_, row)) = row {
                set("schema", json!({"type": "string", "pattern": mask_pattern(schema, &row.fields, Mask::Update)}));
            }
            description = "Comma list of the fields to write. Absent: those that the body names. `*`: all.".to_owned();
        }
        (MethodKind::Lookup(_), _) => {
            set("required", json!(true));
            if let Some(example) = entity.and_then(|entity| super::examples::parameter(schema, entity, &field.name)) {
                set("example", example);
            }
        }
        (MethodKind::BatchGet, _) if field.number == 1 => {
            set("required", json!(true));
            set("style", json!("form"));
            set("explode", json!(true));
            description = format!("Repeat it for every key, at most {} times.", options.max_batch);
        }
        (_, "request_id") => set("schema", request_id()),
        (_, "etag") => set("schema", json!({"type": "string", "pattern": r#"^(\*|"?[A-Za-z0-9_-]*"?)$"#})),
        _ => {}
    }
    if !description.is_empty() {
        parameter.insert("description".to_owned(), json!(description));
    }
    Value::Object(parameter)
}

/// Which paths a mask may have below a field.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mask {
    Read,
    /// A list and a map are written whole.
    Update,
}

/// Messages within messages are followed this far; deeper paths are told by the description alone.
const MASK_DEPTH: usize = 3;

/// A comma list of the message's fields, in both styles of names, with paths below them.
fn mask_pattern(schema: &Schema, fields: &[Field], mask: Mask) -> String {
    let path = mask_path(schema, fields, mask, MASK_DEPTH);
    format!(r"^(\*|{path}(,{path})*)?$")
}

fn mask_path(schema: &Schema, fields: &[Field], mask: Mask, depth: usize) -> String {
    let paths = fields.iter().filter(|field| !field.secret).map(|field| {
        let name = if field.json_name == field.name {
            field.name.clone()
        } else {
            format!("({}|{})", field.name, field.json_name)
        };
        let parts = match field.kind {
            Kind::Message(id) if schema.message(id).well_known.is_none() && depth > 1 => {
                Some(mask_path(schema, &schema.message(id).fields, mask, depth - 1))
            }
            _ => None,
        };
        let below = match (field.cardinality, parts) {
            (Cardinality::Implicit | Cardinality::Explicit, Some(parts)) => format!(r"(\.{parts})?"),
            (Cardinality::Repeated, Some(parts)) if mask == Mask::Read => format!(r"(\.\*)?(\.{parts})?"),
            (Cardinality::Map(_), Some(parts)) if mask == Mask::Read => format!(r"(\.\*(\.{parts})?)?"),
            (Cardinality::Repeated | Cardinality::Map(_), None) if mask == Mask::Read => r"(\.\*)?".to_owned(),
            _ => String::new(),
        };
        format!("{name}{below}")
    });
    format!("({})", paths.collect::<Vec<_>>().join("|"))
}

/// A comma list of columns that have an order.
fn order_pattern(entity: &Entity) -> String {
    let sortable = |column: &&Column| !column.secret && column.storage != Storage::Json;
    let names: Vec<&str> = entity.columns.iter().filter(sortable).map(|column| column.field.as_str()).collect();
    let item = format!("({})( (asc|desc))?", names.join("|"));
    format!("^({item}(, ?{item})*)?$")
}

fn headers(kind: MethodKind) -> &'static [&'static str] {
    match kind {
        MethodKind::Get | MethodKind::Lookup(_) => &["Consistency", "Session", "IfNoneMatch"],
        MethodKind::BatchGet | MethodKind::List => &["Consistency", "Session"],
        MethodKind::Watch => &["LastEventId"],
        MethodKind::Create
        | MethodKind::BatchCreate
        | MethodKind::BatchUpdate
        | MethodKind::BatchDelete
        | MethodKind::Commit => &["Session", "IdempotencyKey"],
        MethodKind::Update | MethodKind::Delete | MethodKind::Undelete => &["Session", "IdempotencyKey", "IfMatch"],
    }
}
