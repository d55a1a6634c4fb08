//! A column's rules as JSON Schema keywords.

use serde_json::{Map, Value, json};

use super::pattern;
use super::scalars::{Direction, Integer, number, scalar};
use crate::{Bound, Cardinality, Column, Field, Generated, Kind, Rules, Schema, Storage};

/// The schema of one value of a scalar column, rules included. Rules count items where a field is repeated, and are
/// then left to [`items`].
pub(super) fn scalar_column(column: &Column, field: &Field, direction: Direction) -> Value {
    if direction == Direction::Rendered || matches!(field.cardinality, Cardinality::Repeated | Cardinality::Map(_)) {
        return scalar(field.kind, direction);
    }
    let rules = &column.rules;
    if let Some(integer) = Integer::of(field.kind) {
        return integer_column(integer, rules, direction);
    }
    match (field.kind, column.storage) {
        (Kind::String, Storage::Decimal { precision, scale }) => {
            json!({"type": "string", "pattern": decimal_pattern(precision, scale, rules)})
        }
        (Kind::String, _) => text(column),
        (Kind::Float | Kind::Double, _) => real(field.kind, rules, direction),
        (Kind::Bytes, _) => bytes(rules, direction),
        _ => scalar(field.kind, direction),
    }
}

/// `minItems`, `maxItems`, `uniqueItems` of a repeated column; `minProperties`, `maxProperties` of a map.
pub(super) fn items(rules: &Rules, map: bool, schema: &mut Map<String, Value>) {
    let (least, most) = if map { ("minProperties", "maxProperties") } else { ("minItems", "maxItems") };
    let min = rules.min_length.unwrap_or(0).max(u32::from(rules.required));
    if min > 0 {
        schema.insert(least.to_owned(), json!(min));
    }
    if let Some(max) = rules.max_length {
        schema.insert(most.to_owned(), json!(max));
    }
    if rules.unique_items && !map {
        schema.insert("uniqueItems".to_owned(), json!(true));
    }
}

/// Whether a field must be in the body of a create: left out, it would break a rule.
pub(super) fn must_be_given(schema: &Schema, column: &Column, field: &Field) -> bool {
    let kept_by_store = column.output_only || column.auto.is_some() || column.generated.is_some();
    if kept_by_store || column.default.is_some() {
        return false;
    }
    column.rules.required || (field.cardinality != Cardinality::Explicit && zero_is_refused(schema, column, field))
}

/// Whether the zero value breaks a rule: rules hold for what a request leaves out as well. A required number may be zero
/// if the request says so; a required string, bytes or list may not be empty.
pub(super) fn zero_is_refused(schema: &Schema, column: &Column, field: &Field) -> bool {
    let rules = &column.rules;
    if matches!(field.cardinality, Cardinality::Repeated | Cardinality::Map(_)) {
        return rules.required || rules.min_length.is_some_and(|min| min > 0);
    }
    match column.storage {
        Storage::Text => {
            rules.required
                || rules.min_length.is_some_and(|min| min > 0)
                || rules.pattern.as_ref().is_some_and(|pattern| !pattern.regex.is_match(""))
                || rules.format.is_some()
                || is_listed_out(rules, "")
        }
        Storage::Blob => rules.required || rules.min_length.is_some_and(|min| min > 0),
        Storage::Enum(id) => is_listed_out(rules, schema.enumeration(id).name_of(0).unwrap_or_default()),
        _ => is_outside(rules, 0.0) || is_listed_out(rules, "0"),
    }
}

fn is_listed_out(rules: &Rules, value: &str) -> bool {
    let has = |list: &[String]| list.iter().any(|other| other == value);
    (!rules.one_of.is_empty() && !has(&rules.one_of)) || has(&rules.not_in)
}

fn is_outside(rules: &Rules, value: f64) -> bool {
    let beyond = |bound: &Option<Bound>, outside: fn(f64, f64) -> bool| {
        let bound = bound.as_ref();
        bound.is_some_and(|bound| {
            parse(bound).is_some_and(|edge| outside(value, edge) || (value == edge && !bound.inclusive))
        })
    };
    beyond(&rules.min, |value, min| value < min) || beyond(&rules.max, |value, max| value > max)
}

fn parse(bound: &Bound) -> Option<f64> {
    bound.text.parse().ok()
}

fn integer_column(mut integer: Integer, rules: &Rules, direction: Direction) -> Value {
    let listed = numbers(&rules.one_of);
    if !listed.is_empty() {
        let texts = listed.iter().map(|value| json!(value.to_string()));
        return json!({"enum": listed.iter().map(|value| number(*value)).chain(texts).collect::<Vec<_>>()});
    }
    if let Some(low) = rules.min.as_ref().and_then(|bound| edge(bound, 1)) {
        integer.low = integer.low.max(low);
    }
    if let Some(high) = rules.max.as_ref().and_then(|bound| edge(bound, -1)) {
        integer.high = integer.high.min(high);
    }
    let refused = numbers(&rules.not_in);
    let mut schema = integer.schema(direction);
    if let (Value::Object(map), false) = (&mut schema, refused.is_empty()) {
        let texts = refused.iter().map(|value| json!(value.to_string()));
        let values: Vec<_> = refused.iter().map(|value| number(*value)).chain(texts).collect();
        map.insert("not".to_owned(), json!({"enum": values}));
    }
    schema
}

fn numbers(texts: &[String]) -> Vec<i128> {
    texts.iter().filter_map(|text| text.parse().ok()).collect()
}

fn edge(bound: &Bound, inward: i128) -> Option<i128> {
    let value: i128 = bound.text.parse().ok()?;
    Some(if bound.inclusive { value } else { value + inward })
}

fn real(kind: Kind, rules: &Rules, direction: Direction) -> Value {
    let mut schema = scalar(kind, direction);
    let Value::Object(map) = &mut schema else { return schema };
    let mut bounded = false;
    for (bound, closed, open) in
        [(&rules.min, "minimum", "exclusiveMinimum"), (&rules.max, "maximum", "exclusiveMaximum")]
    {
        let Some((bound, value)) = bound.as_ref().and_then(|bound| Some((bound, parse(bound)?))) else { continue };
        map.remove(closed);
        map.insert(if bound.inclusive { closed } else { open }.to_owned(), json!(value));
        bounded = true;
    }
    if bounded {
        // A number in a string has no bounds in JSON Schema.
        map.insert("type".to_owned(), json!("number"));
        map.remove("pattern");
    }
    schema
}

fn bytes(rules: &Rules, direction: Direction) -> Value {
    let mut schema = scalar(Kind::Bytes, direction);
    let Value::Object(map) = &mut schema else { return schema };
    let encoded = |bytes: u32| u64::from(bytes).div_ceil(3) * 4;
    let min = rules.min_length.unwrap_or(0).max(u32::from(rules.required));
    if min > 0 {
        map.insert("minLength".to_owned(), json!(encoded(min)));
    }
    if let Some(max) = rules.max_length {
        map.insert("maxLength".to_owned(), json!(encoded(max)));
    }
    schema
}

fn text(column: &Column) -> Value {
    let rules = &column.rules;
    let mut map = Map::from_iter([("type".to_owned(), json!("string"))]);
    if !rules.one_of.is_empty() {
        map.insert("enum".to_owned(), json!(rules.one_of));
        return Value::Object(map);
    }
    let min = rules.min_length.unwrap_or(0).max(u32::from(rules.required));
    if min > 0 {
        map.insert("minLength".to_owned(), json!(min));
    }
    if let Some(max) = rules.max_length {
        map.insert("maxLength".to_owned(), json!(max));
    }
    if let Some(format) = rules.format {
        map.insert("format".to_owned(), json!(format));
    }
    if let Some(pattern) = rules.pattern.as_ref().and_then(|pattern| pattern::ecma(&pattern.source)) {
        map.insert("pattern".to_owned(), json!(pattern));
    } else if column.generated == Some(Generated::UuidV7) {
        map.insert("format".to_owned(), json!("uuid"));
    }
    if !rules.not_in.is_empty() {
        map.insert("not".to_owned(), json!({"enum": rules.not_in}));
    }
    Value::Object(map)
}

/// Digits before and behind the point, with a sign unless the rules forbid negative numbers.
pub(super) fn decimal_pattern(precision: u8, scale: u8, rules: &Rules) -> String {
    let sign = if rules.min.as_ref().and_then(parse).is_some_and(|min| min >= 0.0) { "" } else { "-?" };
    let whole = precision.saturating_sub(scale);
    let whole = if whole == 0 { "0".to_owned() } else { format!("[0-9]{{1,{whole}}}") };
    let fraction = if scale == 0 { String::new() } else { format!(r"(\.[0-9]{{1,{scale}}})?") };
    format!("^{sign}{whole}{fraction}$")
}

/// What the rules say that JSON Schema cannot: bounds of times, durations and decimals.
pub(super) fn in_words(column: &Column) -> Option<String> {
    if !matches!(column.storage, Storage::Timestamp | Storage::Duration | Storage::Decimal { .. } | Storage::Date) {
        return None;
    }
    let bound = |bound: &Option<Bound>, closed: &str, open: &str| {
        bound.as_ref().map(|bound| format!("{} {}", if bound.inclusive { closed } else { open }, bound.text))
    };
    let parts: Vec<_> =
        [bound(&column.rules.min, "at least", "more than"), bound(&column.rules.max, "at most", "less than")]
            .into_iter()
            .flatten()
            .collect();
    let sentence = parts.join(", ");
    let mut chars = sentence.chars();
    chars.next().map(|first| format!("{}{}.", first.to_ascii_uppercase(), chars.as_str()))
}
