//! Responses: representations, headers, and the one error schema.

use serde_json::{Map, Value, json};

use super::components::{Components, Form};
use super::examples;
use crate::{Cardinality, Entity, Kind, Method, MethodKind, Schema};

/// Statuses of errors with what each means here; `components.responses` has them by the name beside.
const ERRORS: [(u16, &str, &str); 17] = [
    (
        400,
        "BadRequest",
        "The request is wrong, or the state of the store does not allow it: the reason and the details say what.",
    ),
    (404, "NotFound", "There is no such row."),
    (405, "MethodNotAllowed", "The path has no such method; `Allow` has those it has."),
    (406, "NotAcceptable", "None of the representations in `Accept` is available."),
    (408, "RequestTimeout", "The request did not arrive in time."),
    (409, "Conflict", "The row exists already, was changed by somebody else, or other rows refer to it."),
    (410, "Gone", "The changes behind the resume token are not kept any more: watch again with a snapshot."),
    (412, "PreconditionFailed", "The row does not have the etag of `If-Match`."),
    (413, "ContentTooLarge", "The body is too large."),
    (414, "UriTooLong", "The path or the query is too long."),
    (415, "UnsupportedMediaType", "The body is not JSON."),
    (429, "TooManyRequests", "A limit is used up; `Retry-After` says when to come back."),
    (431, "HeadersTooLarge", "The headers are too large."),
    (500, "InternalError", "A defect in the server."),
    (501, "NotImplemented", "Not available on this server."),
    (503, "Unavailable", "The server cannot answer now; `Retry-After` says when to come back."),
    (
        504,
        "DeadlineExceeded",
        "The deadline passed first. A write may have happened: repeat it with the same `Idempotency-Key`.",
    ),
];

/// `components.headers`.
pub(super) fn headers() -> Value {
    json!({
        "ETag": {"description": "The row's version.", "schema": {"type": "string"}},
        "Location": {"description": "Path of the new row.", "schema": {"type": "string", "format": "uri-reference"}},
        "Session": {
            "description": "Sent back as `rowkeep-session`, later requests see what this one saw or wrote.",
            "schema": {"type": "string"},
        },
        "RetryAfter": {"description": "Seconds to wait.", "schema": {"type": "string"}},
        "Allow": {"description": "The methods of the path.", "schema": {"type": "string"}},
    })
}

/// `components.responses`: the errors.
pub(super) fn errors() -> Value {
    let responses = ERRORS.iter().map(|(status, name, description)| {
        let mut response = Map::from_iter([("description".to_owned(), json!(description))]);
        // A head that is not read to its end is answered by the connection, which knows no representations.
        if !matches!(status, 414 | 431) {
            response.insert("content".to_owned(), error_content(*status));
        }
        let header = match status {
            405 => Some(("Allow", "Allow")),
            429 | 503 => Some(("Retry-After", "RetryAfter")),
            _ => None,
        };
        if let Some((name, component)) = header {
            response.insert("headers".to_owned(), json!({name: header_reference(component)}));
        }
        ((*name).to_owned(), Value::Object(response))
    });
    Value::Object(responses.collect())
}

fn error_content(status: u16) -> Value {
    let text = json!({"schema": {"type": "string"}});
    let mut json_type = json!({"schema": {"$ref": "#/components/schemas/Error"}});
    if let (404, Value::Object(map)) = (status, &mut json_type) {
        map.insert("example".to_owned(), error_example());
    }
    json!({"application/json": json_type, "application/xml": text, "text/html": text, "text/markdown": text})
}

fn error_example() -> Value {
    json!({"error": {
        "code": 404, "status": "NOT_FOUND", "message": "shop.v1.User/42 not found",
        "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "NOT_FOUND", "domain": "rowkeep.dev"}],
    }})
}

/// The error body.
pub(super) fn error_schema() -> Value {
    let codes: Vec<&str> = kit_core::Code::ALL.iter().map(|code| code.name()).collect();
    json!({
        "type": "object",
        "description": "Why a request failed (`google.rpc.Status`).",
        "required": ["error"],
        "properties": {"error": {
            "type": "object",
            "required": ["code", "message", "status"],
            "properties": {
                "code": {"type": "integer", "description": "The HTTP status."},
                "message": {"type": "string", "description": "For people."},
                "status": {"type": "string", "enum": codes, "description": "The gRPC code."},
                "details": {
                    "type": "array",
                    "description": "At least an `ErrorInfo` with the machine-readable `reason`; `BadRequest` lists every wrong field.",
                    "items": {"type": "object", "required": ["@type"], "properties": {"@type": {"type": "string"}}},
                },
            },
        }},
    })
}

fn header_reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/headers/{name}")})
}

/// All responses of a method.
pub(super) fn of(schema: &Schema, method: &Method, components: &mut Components<'_>, links: Value) -> Value {
    let mut responses = Map::new();
    for status in successes(method) {
        responses.insert(status.to_string(), success(schema, method, *status, components, &links));
    }
    for (status, name, _) in ERRORS {
        if fails_with(method, status) {
            responses.insert(status.to_string(), json!({"$ref": format!("#/components/responses/{name}")}));
        }
    }
    Value::Object(responses)
}

fn is_empty(schema: &Schema, method: &Method) -> bool {
    schema.message(method.output).full_name == "google.protobuf.Empty"
}

fn successes(method: &Method) -> &'static [u16] {
    match method.kind {
        MethodKind::Get | MethodKind::Lookup(_) => &[200, 304],
        // A validated row is not a created one.
        MethodKind::Create => &[200, 201],
        MethodKind::Update => &[200, 201],
        _ => &[200],
    }
}

fn fails_with(method: &Method, status: u16) -> bool {
    let has_body = method.http.body.is_some();
    match status {
        404 => !matches!(method.kind, MethodKind::List | MethodKind::Watch | MethodKind::BatchCreate),
        409 => method.kind.writes(),
        410 => method.kind == MethodKind::Watch,
        412 => matches!(method.kind, MethodKind::Update | MethodKind::Delete | MethodKind::Undelete),
        415 => has_body,
        _ => true,
    }
}

fn success(schema: &Schema, method: &Method, status: u16, components: &mut Components<'_>, links: &Value) -> Value {
    let mut response = Map::new();
    response.insert("description".to_owned(), json!(description(schema, method, status)));
    let mut headers = Map::from_iter([("rowkeep-session".to_owned(), header_reference("Session"))]);
    if returns_row(schema, method) {
        headers.insert("ETag".to_owned(), header_reference("ETag"));
    }
    if status == 201 {
        headers.insert("Location".to_owned(), header_reference("Location"));
    }
    response.insert("headers".to_owned(), Value::Object(headers));
    if status != 304 {
        response.insert("content".to_owned(), content(schema, method, components));
        if returns_row(schema, method) && links.as_object().is_some_and(|links| !links.is_empty()) {
            response.insert("links".to_owned(), links.clone());
        }
    }
    Value::Object(response)
}

fn description(schema: &Schema, method: &Method, status: u16) -> &'static str {
    match (method.kind, status) {
        (_, 304) => "The row still has the etag of `If-None-Match`.",
        (MethodKind::Create, 200) => "With `validate_only`: the row as it would be.",
        (MethodKind::Create, _) => "The new row.",
        (MethodKind::Update, 201) => "With `allow_missing`: the new row.",
        (MethodKind::Get | MethodKind::Lookup(_) | MethodKind::Update | MethodKind::Undelete, _) => "The row.",
        (MethodKind::Delete | MethodKind::BatchDelete, _) if is_empty(schema, method) => "Deleted.",
        (MethodKind::Delete, _) => "The deleted row.",
        (MethodKind::List, _) => "A page.",
        (MethodKind::Watch, _) => EVENTS,
        (MethodKind::Commit, _) => "One result for each write, in order.",
        _ => "The rows.",
    }
}

fn returns_row(schema: &Schema, method: &Method) -> bool {
    schema.message(method.output).entity.is_some()
}

const EVENTS: &str = "Server-sent events as long as the connection lasts: `changed`, `deleted` and `snapshot_complete`, each with \
                      the message as its `data` and the resume token as its `id`; comments in between say that nothing \
                      happened. An `error` is the last one.";

fn content(schema: &Schema, method: &Method, components: &mut Components<'_>) -> Value {
    if method.kind == MethodKind::Watch {
        let data = components.reference(method.output, Form::Rendered);
        let events = json!({"type": "string", "contentMediaType": "application/json", "contentSchema": data});
        return json!({"text/event-stream": {"schema": events}});
    }
    let mut json_type = Map::from_iter([("schema".to_owned(), components.reference(method.output, Form::Rendered))]);
    if let Some(example) = example(schema, method) {
        json_type.insert("example".to_owned(), example);
    }
    let text = json!({"schema": {"type": "string"}});
    let mut content = Map::from_iter([("application/json".to_owned(), Value::Object(json_type))]);
    for representation in ["application/xml", "text/html", "text/markdown"] {
        content.insert(representation.to_owned(), text.clone());
    }
    if method.kind == MethodKind::List {
        content.insert("text/csv".to_owned(), text.clone());
        content.insert("application/x-ndjson".to_owned(), text);
    }
    Value::Object(content)
}

fn example(schema: &Schema, method: &Method) -> Option<Value> {
    let entity = schema.entity(method.entity?);
    let row = examples::row(schema, entity, Form::Rendered)?;
    if returns_row(schema, method) {
        return Some(row);
    }
    let rows = rows_field(schema, entity, method)?;
    Some(json!({rows: [row]}))
}

fn rows_field<'a>(schema: &'a Schema, entity: &Entity, method: &Method) -> Option<&'a str> {
    let fields = &schema.message(method.output).fields;
    let rows = fields
        .iter()
        .find(|field| field.kind == Kind::Message(entity.message) && field.cardinality == Cardinality::Repeated);
    rows.map(|field| field.json_name.as_str())
}
