//! `components.schemas`: one schema for each message in each form that the paths refer to.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Map, Value, json};

use super::OpenApiOptions;
use super::constraints;
use super::examples;
use super::scalars::{Direction, map_key_pattern, nullable, scalar};
use crate::{
    Auto, Cardinality, Column, Entity, EntityId, EnumId, Field, Kind, MessageId, MessageType, MethodKind, Schema,
    Storage, WellKnown,
};

/// The form of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Form {
    /// As answers have it.
    Rendered,
    /// As requests have it.
    Accepted,
    /// A row to be created.
    Create,
    /// A row in an update request: the key and what changes.
    Update,
    /// A row in the body of PATCH: what changes. The key is in the path.
    Patch,
    /// A row in an `Any` of a commit.
    Packed,
}

impl Form {
    const fn direction(self) -> Direction {
        match self {
            Self::Rendered => Direction::Rendered,
            Self::Accepted | Self::Create | Self::Update | Self::Patch | Self::Packed => Direction::Accepted,
        }
    }
}

/// Schemas made so far, and those still to be made.
pub(super) struct Components<'a> {
    pub(super) schema: &'a Schema,
    pub(super) options: &'a OpenApiOptions,
    /// Messages that answers contain.
    rendered: BTreeSet<MessageId>,
    /// Requests in whose bodies rows are created or updated.
    request_forms: BTreeMap<MessageId, Form>,
    schemas: BTreeMap<String, Value>,
    pending: VecDeque<(MessageId, Form)>,
}

impl<'a> Components<'a> {
    pub(super) fn new(schema: &'a Schema, options: &'a OpenApiOptions) -> Self {
        let mut rendered = BTreeSet::new();
        for method in &schema.methods {
            reach(schema, method.output, &mut rendered);
        }
        let request_forms = schema.methods.iter().filter_map(|method| match method.kind {
            MethodKind::Create => Some((method.input, Form::Create)),
            MethodKind::Update => Some((method.input, Form::Update)),
            _ => None,
        });
        Self {
            schema,
            options,
            rendered,
            request_forms: request_forms.collect(),
            schemas: BTreeMap::new(),
            pending: VecDeque::new(),
        }
    }

    /// All schemas, the error's included.
    pub(super) fn finish(mut self) -> Value {
        while let Some((id, form)) = self.pending.pop_front() {
            let name = self.name(id, form);
            if !self.schemas.contains_key(&name) {
                // Reserved first: a message may contain itself.
                self.schemas.insert(name.clone(), Value::Null);
                let schema = self.message(id, form);
                self.schemas.insert(name, schema);
            }
        }
        self.schemas.insert("Error".to_owned(), super::responses::error_schema());
        json!(self.schemas)
    }

    /// The message in this form: its own schema if JSON has a special one, else a reference.
    pub(super) fn reference(&mut self, id: MessageId, form: Form) -> Value {
        if let Some(special) = self.well_known(id, form) {
            return special;
        }
        self.pending.push_back((id, form));
        json!({"$ref": format!("#/components/schemas/{}", self.name(id, form))})
    }

    fn name(&self, id: MessageId, form: Form) -> String {
        let name = &self.schema.message(id).full_name;
        let suffix = match form {
            Form::Accepted if self.rendered.contains(&id) => ".input",
            Form::Rendered | Form::Accepted => "",
            Form::Create => ".create",
            Form::Update => ".update",
            Form::Patch => ".patch",
            Form::Packed => ".packed",
        };
        format!("{name}{suffix}")
    }

    fn well_known(&mut self, id: MessageId, form: Form) -> Option<Value> {
        let message = self.schema.message(id);
        let direction = form.direction();
        Some(match message.well_known? {
            WellKnown::Timestamp => json!({"type": "string", "format": "date-time"}),
            WellKnown::Duration => json!({"type": "string", "pattern": DURATION}),
            WellKnown::FieldMask => json!({"type": "string", "pattern": FIELD_MASK}),
            WellKnown::Struct => json!({"type": "object"}),
            WellKnown::Value => json!({}),
            WellKnown::ListValue => json!({"type": "array"}),
            WellKnown::Any => any(),
            WellKnown::Empty => json!({"type": "object", "additionalProperties": false}),
            WellKnown::Wrapper => {
                let kind = message.fields.first().map_or(Kind::String, |field| field.kind);
                nullable(scalar(kind, direction))
            }
            WellKnown::Date => date(),
            WellKnown::Decimal => decimal(r"^-?[0-9]{1,20}(\.[0-9]{1,18})?$"),
        })
    }

    fn message(&mut self, id: MessageId, form: Form) -> Value {
        let schema = self.schema;
        let message = schema.message(id);
        let entity = message.entity.map(|id| schema.entity(id));
        let mut properties = Map::new();
        let mut required = Vec::new();
        for (place, field) in message.fields.iter().enumerate() {
            let column = entity.and_then(|entity| entity.columns.get(place));
            if self.belongs_to_batch(id, field) {
                continue;
            }
            if let (Some(entity), Some(column)) = (entity, column) {
                if !shows(entity, column, form) {
                    continue;
                }
                if is_required(schema, entity, column, field, form) {
                    required.push(field.json_name.clone());
                }
            } else if form != Form::Rendered && entity.is_none() && self.requires(message, field, id) {
                required.push(field.json_name.clone());
            }
            let must = required.last() == Some(&field.json_name);
            properties.insert(field.json_name.clone(), self.property(id, field, column, form, must));
        }
        let mut object = Map::from_iter([("type".to_owned(), json!("object"))]);
        if form == Form::Packed {
            required.insert(0, "@type".to_owned());
            properties.insert("@type".to_owned(), json!({"const": type_url(&message.full_name)}));
        }
        object.insert("properties".to_owned(), Value::Object(properties));
        if !required.is_empty() {
            object.insert("required".to_owned(), json!(required));
        }
        if form != Form::Rendered {
            object.insert("additionalProperties".to_owned(), json!(false));
        }
        describe(&mut object, &message.comment);
        oneofs(message, form, &mut object);
        if let Some(entity) = entity
            && let Some(example) = examples::row(schema, entity, form)
        {
            object.insert("examples".to_owned(), json!([example]));
        }
        Value::Object(object)
    }

    /// `must`: the field cannot be left out, nor be null.
    fn property(&mut self, parent: MessageId, field: &Field, column: Option<&Column>, form: Form, must: bool) -> Value {
        let element = self.element(parent, field, column, form);
        let mut schema = self.with_cardinality(parent, field, column, element, form.direction());
        let strict = must || form == Form::Rendered || field.oneof.is_some();
        let cleared_is_refused = column.is_some_and(|column| {
            form == Form::Patch
                && field.cardinality != Cardinality::Explicit
                && constraints::zero_is_refused(self.schema, column, field)
        });
        if !strict && !cleared_is_refused && !column.is_some_and(|column| column.rules.required) {
            schema = nullable(schema);
        }
        let Value::Object(map) = &mut schema else { return schema };
        let mut comment = field.comment.trim().to_owned();
        if let Some(column) = column {
            if let Some(words) = constraints::in_words(column) {
                comment = [comment, words].join(" ").trim().to_owned();
            }
            if is_kept_by_store(column) {
                map.insert("readOnly".to_owned(), json!(true));
            }
            if column.secret {
                map.insert("writeOnly".to_owned(), json!(true));
            }
            if form != Form::Rendered
                && let Some(default) = column.default.as_deref().and_then(|text| default_value(column, field, text))
            {
                map.insert("default".to_owned(), default);
            }
        }
        describe(map, &comment);
        schema
    }

    /// One value of the field.
    fn element(&mut self, parent: MessageId, field: &Field, column: Option<&Column>, form: Form) -> Value {
        if field.name == "request_id" && form != Form::Rendered && self.is_request(parent) {
            return super::parameters::request_id();
        }
        match field.kind {
            Kind::Enum(id) => self.enumeration(id, column, form.direction()),
            Kind::Message(id) => self.nested(parent, id, column, form),
            kind => match column {
                Some(column) => constraints::scalar_column(column, field, form.direction()),
                None => scalar(kind, form.direction()),
            },
        }
    }

    fn nested(&mut self, parent: MessageId, id: MessageId, column: Option<&Column>, form: Form) -> Value {
        let schema = self.schema;
        let message = schema.message(id);
        match (message.well_known, column.map(|column| column.storage)) {
            (Some(WellKnown::Any), _) if schema.message(parent).full_name.starts_with("rowkeep.v1.") => {
                self.row_in_any(form)
            }
            (Some(WellKnown::Decimal), Some(Storage::Decimal { precision, scale })) if form != Form::Rendered => {
                let rules = column.map(|column| &column.rules);
                rules.map_or_else(
                    || decimal("^.*$"),
                    |rules| decimal(&constraints::decimal_pattern(precision, scale, rules)),
                )
            }
            (Some(WellKnown::Wrapper), _) => {
                // The null of a wrapper is the null of its field.
                let Some(inner) = message.fields.first() else { return json!({}) };
                match column {
                    Some(column) => constraints::scalar_column(column, inner, form.direction()),
                    None => scalar(inner.kind, form.direction()),
                }
            }
            _ if message.entity.is_some() && form != Form::Rendered => {
                let form = self.request_forms.get(&parent).copied().unwrap_or(Form::Accepted);
                self.reference(id, form)
            }
            _ => {
                let form = if form == Form::Rendered { Form::Rendered } else { Form::Accepted };
                self.reference(id, form)
            }
        }
    }

    /// A row of any entity, packed.
    fn row_in_any(&mut self, form: Form) -> Value {
        if form == Form::Rendered {
            return any();
        }
        let rows: Vec<EntityId> = self.schema.entities.iter().map(|entity| entity.id).collect();
        let options: Vec<_> =
            rows.into_iter().map(|id| self.reference(self.schema.entity(id).message, Form::Packed)).collect();
        json!({"anyOf": options})
    }

    fn enumeration(&self, id: EnumId, column: Option<&Column>, direction: Direction) -> Value {
        let item = self.schema.enumeration(id);
        if item.is_null_value {
            return json!({"type": "null"});
        }
        let rules = column.map(|column| &column.rules);
        let allowed = |(name, number): &&(String, i32)| {
            rules.is_none_or(|rules| {
                let named = |list: &[String]| list.iter().any(|text| text == name || *text == number.to_string());
                (rules.one_of.is_empty() || named(&rules.one_of)) && !named(&rules.not_in)
            })
        };
        let values: Vec<_> = match direction {
            Direction::Rendered => item.values.iter().collect(),
            Direction::Accepted | Direction::Parameter => item.values.iter().filter(allowed).collect(),
        };
        let names: Vec<_> = values.iter().map(|(name, _)| json!(name)).collect();
        // What is asked of the store itself it has to know.
        let closed = item.full_name.starts_with("rowkeep.v1.")
            || rules.is_some_and(|rules| rules.defined_only || !rules.one_of.is_empty() || !rules.not_in.is_empty());
        let mut schema = match direction {
            Direction::Parameter => json!({"type": "string", "enum": names}),
            Direction::Rendered if closed => json!({"type": "string", "enum": names}),
            Direction::Accepted if closed => {
                let numbers = values.iter().map(|(_, number)| json!(number));
                json!({"enum": names.into_iter().chain(numbers).collect::<Vec<_>>()})
            }
            // Enums are open: a number that this schema does not know may be one that the writer's does.
            Direction::Accepted | Direction::Rendered => {
                let number = json!({"type": "integer", "format": "int32", "minimum": i32::MIN, "maximum": i32::MAX});
                json!({"anyOf": [{"type": "string", "enum": names}, number]})
            }
        };
        if let Value::Object(map) = &mut schema {
            describe(map, &item.comment);
        }
        schema
    }

    fn with_cardinality(
        &self,
        parent: MessageId,
        field: &Field,
        column: Option<&Column>,
        element: Value,
        direction: Direction,
    ) -> Value {
        let is_map = matches!(field.cardinality, Cardinality::Map(_));
        let mut outer = match field.cardinality {
            Cardinality::Implicit | Cardinality::Explicit => return element,
            Cardinality::Repeated => json!({"type": "array", "items": element}),
            Cardinality::Map(key) => {
                let mut map = json!({"type": "object", "additionalProperties": element});
                if let (Value::Object(map), Some(pattern)) = (&mut map, map_key_pattern(key)) {
                    map.insert("propertyNames".to_owned(), json!({"pattern": pattern}));
                }
                map
            }
        };
        if let (Value::Object(map), Direction::Accepted) = (&mut outer, direction) {
            match column {
                Some(column) => constraints::items(&column.rules, is_map, map),
                // The lists of derived requests are those of batches.
                None if self.is_request(parent) => {
                    map.insert("maxItems".to_owned(), json!(self.options.max_batch));
                }
                None => {}
            }
        }
        outer
    }

    /// Fields of messages that are no rows, but wrong without: the row of a request, the parts of a write.
    fn requires(&self, message: &MessageType, field: &Field, id: MessageId) -> bool {
        match (message.full_name.as_str(), field.name.as_str()) {
            ("rowkeep.v1.Update" | "rowkeep.v1.Delete", "row") | ("rowkeep.v1.Transform", "field") => true,
            _ => field.cardinality == Cardinality::Explicit && field.number == 1 && self.is_request(id),
        }
    }

    /// The single requests of a batch leave to the batch what is said of the whole.
    fn belongs_to_batch(&self, id: MessageId, field: &Field) -> bool {
        matches!(field.name.as_str(), "request_id" | "validate_only")
            && self.schema.methods.iter().any(|method| {
                let single = [MethodKind::Create, MethodKind::Update, MethodKind::Delete];
                method.input == id && single.contains(&method.kind)
            })
    }

    fn is_request(&self, message: MessageId) -> bool {
        self.schema.methods.iter().any(|method| method.input == message)
    }

    /// A path or query parameter's schema, for a field of a request.
    pub(super) fn parameter(&mut self, field: &Field) -> Value {
        let element = match field.kind {
            _ if field.name == "request_id" => super::parameters::request_id(),
            Kind::Enum(id) => self.enumeration(id, None, Direction::Parameter),
            Kind::Message(id) => self.well_known(id, Form::Rendered).unwrap_or_else(|| json!({"type": "string"})),
            kind => scalar(kind, Direction::Parameter),
        };
        match field.cardinality {
            Cardinality::Repeated => json!({"type": "array", "items": element, "maxItems": self.options.max_batch}),
            _ => element,
        }
    }
}

/// Every message that `id` contains, itself included.
fn reach(schema: &Schema, id: MessageId, seen: &mut BTreeSet<MessageId>) {
    if !seen.insert(id) {
        return;
    }
    for field in &schema.message(id).fields {
        if let Kind::Message(inner) = field.kind {
            reach(schema, inner, seen);
        }
    }
}

/// Whether a column is part of the row in this form.
fn shows(entity: &Entity, column: &Column, form: Form) -> bool {
    let key = entity.is_key(column.id);
    match form {
        Form::Rendered => !column.secret,
        Form::Accepted | Form::Create | Form::Packed => true,
        Form::Update => key || !is_kept_by_store(column),
        Form::Patch => !key && !is_kept_by_store(column) && !column.immutable,
    }
}

fn is_required(schema: &Schema, entity: &Entity, column: &Column, field: &Field, form: Form) -> bool {
    match form {
        Form::Create => constraints::must_be_given(schema, column, field),
        Form::Update => entity.is_key(column.id),
        Form::Rendered | Form::Accepted | Form::Patch | Form::Packed => false,
    }
}

/// Values that only the store sets; a request that has them is not wrong, it has no effect.
pub(super) fn is_kept_by_store(column: &Column) -> bool {
    column.output_only
        || matches!(column.auto, Some(Auto::CreateTime | Auto::UpdateTime | Auto::DeleteTime | Auto::Etag))
}

/// A oneof is at most one of its fields; the operation of a write is exactly one.
fn oneofs(message: &MessageType, form: Form, object: &mut Map<String, Value>) {
    if form == Form::Rendered {
        return;
    }
    let must = matches!(message.full_name.as_str(), "rowkeep.v1.Write" | "rowkeep.v1.Transform");
    let mut members: BTreeMap<u16, Vec<Value>> = BTreeMap::new();
    for field in &message.fields {
        if let Some(oneof) = field.oneof {
            members.entry(oneof).or_default().push(json!({"required": [field.json_name]}));
        }
    }
    let mut conditions: Vec<Value> = members
        .into_values()
        .filter(|fields| fields.len() > 1)
        .map(|mut fields| {
            if !must {
                fields.push(json!({"not": {"anyOf": fields}}));
            }
            json!({"oneOf": fields})
        })
        .collect();
    match conditions.len() {
        0 => {}
        1 => {
            if let Value::Object(only) = conditions.remove(0) {
                object.extend(only);
            }
        }
        _ => {
            object.insert("allOf".to_owned(), json!(conditions));
        }
    }
}

fn describe(object: &mut Map<String, Value>, comment: &str) {
    let comment = comment.trim();
    if !comment.is_empty() {
        object.insert("description".to_owned(), json!(comment));
    }
}

/// The default as JSON, if it is a plain value.
fn default_value(column: &Column, field: &Field, text: &str) -> Option<Value> {
    if field.cardinality == Cardinality::Repeated || matches!(field.cardinality, Cardinality::Map(_)) {
        return serde_json::from_str(text).ok();
    }
    match column.storage {
        Storage::Bool => text.parse::<bool>().ok().map(Value::from),
        Storage::Int32 | Storage::Uint32 => text.parse::<i64>().ok().map(Value::from),
        Storage::Float | Storage::Double => text.parse::<f64>().ok().map(Value::from),
        Storage::Int64 | Storage::Uint64 | Storage::Text | Storage::Enum(_) => Some(json!(text)),
        Storage::Json => serde_json::from_str(text).ok(),
        Storage::Blob | Storage::Timestamp | Storage::Duration | Storage::Date | Storage::Decimal { .. } => None,
    }
}

pub(super) fn type_url(full_name: &str) -> String {
    format!("type.googleapis.com/{full_name}")
}

const DURATION: &str = r"^-?[0-9]{1,11}(\.[0-9]{1,9})?s$";
const FIELD_MASK: &str =
    r"^(\*|[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)*(,[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)*)*)?$";

fn any() -> Value {
    json!({"type": "object", "required": ["@type"], "properties": {"@type": {"type": "string"}}})
}

fn date() -> Value {
    let part = |max: u32| json!({"type": "integer", "format": "int32", "minimum": 0, "maximum": max});
    json!({
        "type": "object",
        "properties": {"year": part(9999), "month": part(12), "day": part(31)},
        "additionalProperties": false,
    })
}

fn decimal(pattern: &str) -> Value {
    json!({
        "type": "object",
        "properties": {"value": {"type": "string", "pattern": pattern}},
        "required": ["value"],
        "additionalProperties": false,
    })
}
