//! Example rows and values that obey the rules.

use serde_json::{Map, Value, json};

use super::components::{Form, is_kept_by_store, type_url};
use super::pattern;
use crate::{Auto, Cardinality, Column, Entity, Field, Generated, Kind, MessageId, Rules, Schema, Storage, WellKnown};

/// A row in a form; `None` if a required field has no example.
pub(super) fn row(schema: &Schema, entity: &Entity, form: Form) -> Option<Value> {
    let message = schema.message(entity.message);
    let mut object = Map::new();
    if form == Form::Packed {
        object.insert("@type".to_owned(), json!(type_url(&entity.full_name)));
    }
    let mut oneofs = Vec::new();
    for (column, field) in entity.columns.iter().zip(&message.fields) {
        if !shows(entity, column, form) || field.oneof.is_some_and(|oneof| oneofs.contains(&oneof)) {
            continue;
        }
        match column_value(schema, column, field, form) {
            Some(value) => {
                oneofs.extend(field.oneof);
                object.insert(field.json_name.clone(), value);
            }
            None if column.rules.required => return None,
            None => {}
        }
    }
    Some(Value::Object(object))
}

fn shows(entity: &Entity, column: &Column, form: Form) -> bool {
    let key = entity.is_key(column.id);
    let generated = column.generated.is_some() || is_kept_by_store(column);
    match form {
        Form::Rendered => !column.secret && column.auto != Some(Auto::DeleteTime),
        Form::Create | Form::Packed | Form::Accepted => !generated,
        Form::Update => key || !generated,
        Form::Patch => !key && !generated && !column.immutable,
    }
}

fn column_value(schema: &Schema, column: &Column, field: &Field, form: Form) -> Option<Value> {
    match field.cardinality {
        Cardinality::Implicit | Cardinality::Explicit => {}
        Cardinality::Repeated => {
            let count = column.rules.min_length.unwrap_or(1).max(1);
            let item = item_value(schema, field, form, 1)?;
            return (count == 1 || !column.rules.unique_items).then(|| json!(vec![item; count.min(50) as usize]));
        }
        Cardinality::Map(_) => return None,
    }
    let rules = &column.rules;
    match field.kind {
        Kind::String => match (column.storage, column.generated, column.auto) {
            (Storage::Decimal { scale, .. }, ..) => Some(json!(decimal(rules, scale))),
            (_, Some(Generated::UuidV7), _) => Some(json!(UUID)),
            (_, _, Some(Auto::Etag)) => Some(json!(ETAG)),
            _ => text(column).map(Value::from),
        },
        Kind::Message(id) => match (schema.message(id).well_known, column.storage) {
            (Some(WellKnown::Decimal), Storage::Decimal { scale, .. }) => Some(json!({"value": decimal(rules, scale)})),
            (Some(WellKnown::Timestamp), _) => Some(json!(bound(rules).unwrap_or_else(|| TIME.to_owned()))),
            (Some(WellKnown::Duration), _) => Some(json!(bound(rules).unwrap_or_else(|| "90s".to_owned()))),
            _ => message(schema, id, form, 1),
        },
        Kind::Enum(id) => {
            let named = rules.one_of.first().cloned();
            let first = || schema.enumeration(id).values.iter().find(|(_, number)| *number != 0);
            named.or_else(|| first().map(|(name, _)| name.clone())).map(Value::from)
        }
        Kind::Bool => Some(json!(true)),
        Kind::Bytes => Some(json!(base64(rules))),
        kind => number(kind, rules, form == Form::Rendered),
    }
}

/// A value of a field without rules, in a list or in a nested message.
fn item_value(schema: &Schema, field: &Field, form: Form, depth: u8) -> Option<Value> {
    Some(match field.kind {
        Kind::String => json!(known_text(&field.name)),
        Kind::Message(id) => return message(schema, id, form, depth),
        Kind::Enum(id) => json!(schema.enumeration(id).values.last()?.0),
        Kind::Bool => json!(true),
        Kind::Bytes => json!("AQI="),
        kind => number(kind, &Rules::default(), form == Form::Rendered)?,
    })
}

fn message(schema: &Schema, id: MessageId, form: Form, depth: u8) -> Option<Value> {
    let message = schema.message(id);
    if let Some(well_known) = message.well_known {
        return Some(match well_known {
            WellKnown::Timestamp => json!(TIME),
            WellKnown::Duration => json!("90s"),
            WellKnown::FieldMask => return None,
            WellKnown::Struct | WellKnown::Value => json!({"color": "blue"}),
            WellKnown::ListValue => json!(["blue", 7]),
            WellKnown::Any => return None,
            WellKnown::Empty => json!({}),
            WellKnown::Wrapper => {
                return message.fields.first().and_then(|field| item_value(schema, field, form, depth));
            }
            WellKnown::Date => json!({"year": 2026, "month": 1, "day": 31}),
            WellKnown::Decimal => json!({"value": "9.90"}),
        });
    }
    let mut object = Map::new();
    if depth < 4 {
        let plain = |field: &&Field| {
            matches!(field.cardinality, Cardinality::Implicit | Cardinality::Explicit) && field.oneof.is_none()
        };
        for field in message.fields.iter().filter(plain) {
            if let Some(value) = item_value(schema, field, form, depth + 1) {
                object.insert(field.json_name.clone(), value);
            }
        }
    }
    Some(Value::Object(object))
}

const TIME: &str = "2026-01-31T09:30:00Z";
const UUID: &str = "0196b0d7-3c1e-7c62-a1b4-5d0f6f2a9e31";
const ETAG: &str = "\"AAYdZ0fC8gA\"";

/// A bound that is itself allowed.
fn bound(rules: &Rules) -> Option<String> {
    [&rules.min, &rules.max].into_iter().flatten().find(|bound| bound.inclusive).map(|bound| bound.text.clone())
}

fn number(kind: Kind, rules: &Rules, rendered: bool) -> Option<Value> {
    let float = matches!(kind, Kind::Float | Kind::Double);
    let text = match (&rules.min, &rules.max) {
        _ if !rules.one_of.is_empty() => rules.one_of.first()?.clone(),
        (Some(min), _) => inside(&min.text, if min.inclusive { 0 } else { 1 })?,
        (None, Some(max)) => inside(&max.text, if max.inclusive { 0 } else { -1 })?,
        (None, None) => if float { "2.5" } else { "1" }.to_owned(),
    };
    // Zero is a poor example, and for a required number a wrong one.
    let one_fits = rules.one_of.is_empty()
        && rules.max.as_ref().is_none_or(|max| max.text.parse::<f64>().is_ok_and(|max| max > 1.0));
    let text = if text == "0" && one_fits { "1".to_owned() } else { text };
    let wide = matches!(kind, Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 | Kind::Uint64 | Kind::Fixed64);
    if wide && rendered {
        return Some(json!(text));
    }
    if float {
        return text.parse::<f64>().ok().map(Value::from);
    }
    text.parse::<i64>().map(Value::from).or_else(|_| text.parse::<u64>().map(Value::from)).ok()
}

fn inside(text: &str, step: i64) -> Option<String> {
    match text.parse::<i64>() {
        Ok(value) => Some(value.checked_add(step)?.to_string()),
        Err(_) => text.parse::<f64>().ok().map(|value| {
            #[expect(clippy::cast_precision_loss, reason = "one or minus one")]
            let step = step as f64;
            (value + step).to_string()
        }),
    }
}

fn decimal(rules: &Rules, scale: u8) -> String {
    let plain = if scale >= 2 { "9.90" } else { "9" };
    let value: f64 = plain.parse().unwrap_or_default();
    let fits = |bound: &Option<crate::Bound>, low: bool| {
        bound
            .as_ref()
            .and_then(|bound| bound.text.parse::<f64>().ok())
            .is_none_or(|edge| if low { value > edge } else { value < edge })
    };
    if fits(&rules.min, true) && fits(&rules.max, false) {
        plain.to_owned()
    } else {
        bound(rules).unwrap_or_else(|| plain.to_owned())
    }
}

fn base64(rules: &Rules) -> String {
    let min = rules.min_length.unwrap_or(0).max(2) as usize;
    let length = rules.max_length.map_or(min, |max| min.min(max as usize));
    let (groups, rest) = (length / 3, length % 3);
    let tail = match rest {
        0 => "",
        1 => "AQ==",
        _ => "AQI=",
    };
    "AQID".repeat(groups) + tail
}

/// A string that obeys the column's rules, the most natural one that is found.
fn text(column: &Column) -> Option<String> {
    let rules = &column.rules;
    let known = known_text(&column.field);
    let by_format = rules.format.map(|format| match format {
        "email" => "ada@example.com",
        "uri" => "https://example.com/",
        "uuid" => UUID,
        "hostname" => "example.com",
        "ip" | "ipv4" => "192.0.2.1",
        _ => "2001:db8::1",
    });
    let candidates = rules
        .one_of
        .iter()
        .cloned()
        .chain(by_format.map(str::to_owned))
        .chain([known.to_owned(), known.to_ascii_uppercase(), fitted(known, rules)])
        .chain(CANDIDATES.iter().map(|text| (*text).to_owned()))
        .chain([4, 1, 8, 20].iter().filter_map(|repeat| pattern::sample(&rules.pattern.as_ref()?.source, *repeat)));
    candidates.into_iter().find(|text| obeys(text, rules))
}

const CANDIDATES: [&str; 6] =
    ["ABC-123", "ada@example.com", "https://example.com/", "2026-01-31", "+4712345678", "12345"];

fn obeys(text: &str, rules: &Rules) -> bool {
    let length = text.chars().count();
    rules.max_length.is_none_or(|max| length <= max as usize)
        && rules.min_length.is_none_or(|min| length >= min as usize)
        && rules.pattern.as_ref().is_none_or(|pattern| pattern.regex.is_match(text))
        && (rules.one_of.is_empty() || rules.one_of.iter().any(|value| value == text))
        && !rules.not_in.iter().any(|value| value == text)
        && !(rules.required && text.is_empty())
}

/// Cut or repeated to the length that is asked for.
fn fitted(text: &str, rules: &Rules) -> String {
    let min = rules.min_length.unwrap_or(0).min(10_000) as usize;
    let max = rules.max_length.map_or(usize::MAX, |max| max as usize);
    let length = text.chars().count().clamp(min.min(max), max);
    text.chars().cycle().take(length).collect()
}

/// What a field of this name often holds.
fn known_text(field: &str) -> &'static str {
    const KNOWN: [(&str, &str); 14] = [
        ("email", "ada@example.com"),
        ("first_name", "Ada"),
        ("last_name", "Lovelace"),
        ("street", "Main Street 1"),
        ("city", "Oslo"),
        ("postal_code", "0150"),
        ("country", "NO"),
        ("currency", "NOK"),
        ("language", "en"),
        ("phone", "+4712345678"),
        ("url", "https://example.com/"),
        ("sku", "ABC-123"),
        ("title", "An example"),
        ("name", "Ada Lovelace"),
    ];
    KNOWN.iter().find(|(part, _)| field.contains(part)).map_or("example", |(_, text)| text)
}

/// The key of the example row, as JSON.
pub(super) fn key(schema: &Schema, entity: &Entity) -> Option<Value> {
    let row = schema.message(entity.message);
    let fields = entity.primary_key.iter().map(|id| {
        let field = row.fields.get(id.index())?;
        Some((field.json_name.clone(), column_value(schema, entity.column(*id), field, Form::Accepted)?))
    });
    fields.collect::<Option<Map<_, _>>>().map(Value::Object)
}

/// A column's value as a path or query parameter.
pub(super) fn parameter(schema: &Schema, entity: &Entity, name: &str) -> Option<Value> {
    let column = entity.column_by_field(name)?;
    let field = schema.message(entity.message).fields.get(column.id.index())?;
    column_value(schema, column, field, Form::Accepted).filter(|value| !value.is_object())
}

/// A filter that an index serves.
pub(super) fn filter(schema: &Schema, entity: &Entity) -> Option<String> {
    let first_of_index = entity.indexes.iter().filter_map(|index| index.columns.first()).map(|(id, _)| *id);
    let id = first_of_index.chain(entity.primary_key.first().copied()).next()?;
    let column = entity.column(id);
    let value = parameter(schema, entity, &column.field)?;
    let literal = match (column.storage, value) {
        (Storage::Enum(_) | Storage::Decimal { .. }, Value::String(name)) => name,
        (_, value) => value.to_string(),
    };
    Some(format!("{} = {literal}", column.field))
}

/// An order that an index serves.
pub(super) fn order_by(entity: &Entity) -> Option<String> {
    let index = entity.indexes.iter().find(|index| index.columns.iter().all(|(id, _)| !entity.column(*id).secret))?;
    let term = |(id, descending): &(crate::ColumnId, bool)| {
        format!("{}{}", entity.column(*id).field, if *descending { " desc" } else { "" })
    };
    Some(index.columns.iter().map(term).collect::<Vec<_>>().join(", "))
}
