//! From an HTTP request to the wire form of the method's request message.
//!
//! Path variables and query parameters are fields of that message, in proto or JSON names; the body is the message or
//! one field of it (`google.api.http`). Protobuf merges what is written twice, so the key in the path is written
//! behind the body and wins.

use std::collections::HashMap;

use kit_core::{Code, Error, nearest};
use kit_web::Captures;
use rowkeep_record::json::{JsonCodec, ReadOptions};
use rowkeep_schema::{Cardinality, Field, Kind, MessageId, Method, MethodKind, Schema, WellKnown};

use super::scalar::put_text;
use crate::wire::put_bytes;

/// How requests of one method are bound.
#[derive(Debug)]
pub(crate) struct Binding {
    input: MessageId,
    /// Targets of the path's variables, in order.
    path: Vec<Target>,
    /// Number of the field whose message the path's variables are fields of, if they are not the request's own.
    row: Option<u32>,
    pub(crate) body: BodyRule,
    /// In front of the body's fields in errors, as gRPC names them: `user.`.
    body_path: String,
    query: HashMap<String, Target>,
    /// Names to suggest.
    names: Vec<String>,
    /// Number of `etag`, for `If-Match`.
    pub(crate) etag: Option<u32>,
    /// Number of `request_id`, for `Idempotency-Key`.
    pub(crate) request_id: Option<u32>,
    /// Number of `update_mask` where it is derived from the body.
    update_mask: Option<u32>,
    /// Fields of the row that make its key.
    key_fields: Vec<String>,
}

/// What the body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyRule {
    None,
    /// The whole request.
    Whole,
    /// One field of it.
    Field {
        number: u32,
        message: MessageId,
    },
}

/// Where a text goes.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Name in errors: `user.id`.
    pub(crate) name: String,
    pub(crate) number: u32,
    pub(crate) kind: Kind,
    pub(crate) well_known: Option<WellKnown>,
    pub(crate) repeated: bool,
    /// Names of an enum's values.
    pub(crate) names: Vec<(String, i32)>,
}

impl Target {
    fn new(schema: &Schema, field: &Field, name: String) -> Self {
        let well_known = match field.kind {
            Kind::Message(id) => schema.message(id).well_known,
            _ => None,
        };
        let repeated = field.cardinality == Cardinality::Repeated;
        let names = match field.kind {
            Kind::Enum(id) => schema.enumeration(id).values.clone(),
            _ => Vec::new(),
        };
        Self { name, number: field.number, kind: field.kind, well_known, repeated, names }
    }
}

impl Binding {
    /// # Errors
    /// A defect: the method's HTTP rule names a field that its request lacks.
    pub(crate) fn new(schema: &Schema, method: &Method) -> Result<Self, Error> {
        let input = schema.message(method.input);
        let number = |name: &str| input.fields.iter().find(|field| field.name == name).map(|field| field.number);
        let body = body_rule(schema, method)?;
        let variables: Vec<&str> = variables(&method.http.path).collect();
        let path = variables.iter().map(|path| target(schema, method, path)).collect::<Result<_, _>>()?;
        let mut query = HashMap::new();
        let mut names = Vec::new();
        if body != BodyRule::Whole {
            for field in &input.fields {
                let bound = matches!(body, BodyRule::Field { number, .. } if number == field.number);
                if bound || variables.contains(&field.name.as_str()) {
                    continue;
                }
                let target = Target::new(schema, field, field.name.clone());
                query.insert(field.json_name.clone(), target.clone());
                if field.name == "read_mask" {
                    query.insert("fields".to_owned(), target.clone());
                    names.push("fields".to_owned());
                }
                query.insert(field.name.clone(), target);
                names.push(field.name.clone());
            }
        }
        let updates = method.kind == MethodKind::Update;
        Ok(Self {
            input: method.input,
            row: variables.first().filter(|path| path.contains('.')).and(match body {
                BodyRule::Field { number, .. } => Some(number),
                _ => None,
            }),
            path,
            body,
            body_path: method.http.body.iter().filter(|name| *name != "*").map(|name| format!("{name}.")).collect(),
            query,
            names,
            etag: number("etag"),
            request_id: number("request_id"),
            update_mask: if updates { number("update_mask") } else { None },
            key_fields: variables.iter().map(|path| path.rsplit('.').next().unwrap_or(path).to_owned()).collect(),
        })
    }

    /// Appends the query's parameters. Answers whether `update_mask` was among them.
    pub(crate) fn put_query(&self, json: &JsonCodec, query: Option<&str>, out: &mut Vec<u8>) -> Result<bool, Error> {
        let mut seen: Vec<u32> = Vec::new();
        let Some(query) = query else { return Ok(false) };
        for (name, value) in kit_web::parse_query(query)? {
            let target = self.query.get(name.as_ref()).ok_or_else(|| self.unknown(&name))?;
            if !target.repeated && seen.contains(&target.number) {
                return Err(Error::invalid_field(&target.name, "GIVEN_TWICE", "must be given once"));
            }
            seen.push(target.number);
            put_text(json, target, &value, out)?;
        }
        Ok(self.update_mask.is_some_and(|number| seen.contains(&number)))
    }

    /// Appends the body; the update mask is what it names, unless the query has one.
    pub(crate) fn put_body(&self, json: &JsonCodec, text: &[u8], masked: bool, out: &mut Vec<u8>) -> Result<(), Error> {
        match self.body {
            BodyRule::None => {}
            BodyRule::Whole => {
                out.extend(json.from_json(self.input, text, ReadOptions::default())?.wire);
            }
            BodyRule::Field { number, message } => {
                let derive = self.update_mask.filter(|_| !masked);
                let options = ReadOptions { paths: derive.is_some(), ..ReadOptions::default() };
                let parsed = json.from_json(message, text, options).map_err(|error| error.under(&self.body_path))?;
                put_bytes(out, number, &parsed.wire);
                if let Some(mask) = derive {
                    put_bytes(out, mask, &self.mask_of(&parsed.paths));
                }
            }
        }
        Ok(())
    }

    /// The key names the row and is never written, so it is no part of the mask.
    fn mask_of(&self, paths: &[String]) -> Vec<u8> {
        let mut mask = Vec::new();
        for path in paths.iter().filter(|path| !self.key_fields.contains(path)) {
            put_bytes(&mut mask, 1, path.as_bytes());
        }
        mask
    }

    /// Appends the path's variables.
    pub(crate) fn put_path(&self, json: &JsonCodec, captures: &Captures<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        let mut row = Vec::new();
        let into = if self.row.is_some() { &mut row } else { &mut *out };
        for (index, target) in self.path.iter().enumerate() {
            put_text(json, target, &captures.value(index)?, into)?;
        }
        if let Some(number) = self.row {
            put_bytes(out, number, &row);
        }
        Ok(())
    }

    fn unknown(&self, name: &str) -> Error {
        let mut description = "is not a parameter of this method".to_owned();
        if let Some(close) = nearest(name, self.names.iter().map(String::as_str)) {
            description.push_str(&format!("; did you mean `{close}`?"));
        } else if !self.names.is_empty() {
            description.push_str(&format!("; it has {}", self.names.join(", ")));
        }
        Error::invalid_field(name.chars().take(100).collect::<String>(), "UNKNOWN_PARAMETER", description)
    }
}

fn body_rule(schema: &Schema, method: &Method) -> Result<BodyRule, Error> {
    match method.http.body.as_deref() {
        None => Ok(BodyRule::None),
        Some("*") => Ok(BodyRule::Whole),
        Some(name) => {
            let field = schema.message(method.input).fields.iter().find(|field| field.name == name);
            match field.map(|field| (field.number, field.kind)) {
                Some((number, Kind::Message(message))) => Ok(BodyRule::Field { number, message }),
                _ => Err(defect(method, name)),
            }
        }
    }
}

/// `id` and `user.id` of `/v1/users/{id}` and `/v1/users/{user.id}`.
fn variables(template: &str) -> impl Iterator<Item = &str> {
    template.split('/').filter_map(|segment| {
        let (name, _) = segment.strip_prefix('{')?.split_once('}')?;
        Some(name)
    })
}

fn target(schema: &Schema, method: &Method, path: &str) -> Result<Target, Error> {
    let mut message = method.input;
    let mut parts = path.split('.').peekable();
    while let Some(part) = parts.next() {
        let field = schema.message(message).fields.iter().find(|field| field.name == part);
        let field = field.ok_or_else(|| defect(method, path))?;
        match (parts.peek(), field.kind) {
            (None, _) => return Ok(Target::new(schema, field, path.to_owned())),
            (Some(_), Kind::Message(inner)) => message = inner,
            (Some(_), _) => return Err(defect(method, path)),
        }
    }
    Err(defect(method, path))
}

fn defect(method: &Method, name: &str) -> Error {
    let message = format!("the HTTP rule of {}/{} names `{name}`", method.service, method.name);
    Error::new(Code::Internal, "HTTP_RULE", message)
}
