//! What the codecs should answer, worked out with prost-reflect's message tree.

use prost_reflect::{DynamicMessage, FieldDescriptor, ReflectMessage, Value};

use super::generate::digits;

/// The message as a store keeps it: without unknown fields and secrets, times cut to microseconds and decimals with the
/// digits of their column's scale where they are columns, a Value without a kind as null.
pub fn stored(message: &DynamicMessage) -> DynamicMessage {
    let mut out = known(message);
    out.clear_field_by_name("a_secret");
    for name in ["a_time", "a_duration", "choice_time"] {
        if out.has_field_by_name(name) {
            let Some(Value::Message(time)) = out.get_field_by_name_mut(name) else { unreachable!() };
            let nanos = time.get_field_by_name("nanos").unwrap().as_i32().unwrap();
            time.set_field_by_name("nanos", Value::I32(nanos / 1000 * 1000));
            *time = known(time);
        }
    }
    for name in ["a_decimal", "a_long_decimal", "maybe_decimal", "a_decimal_message"] {
        let Some(field) = out.descriptor().get_field_by_name(name) else { continue };
        if !out.has_field(&field) {
            continue;
        }
        match out.get_field(&field).into_owned() {
            Value::String(text) => match canonical_decimal(&text, digits(name).1) {
                text if is_zero(&text) && !field.supports_presence() => out.clear_field(&field),
                text => out.set_field(&field, Value::String(text)),
            },
            Value::Message(mut decimal) => {
                let text = decimal.get_field_by_name("value").unwrap().as_str().unwrap().to_owned();
                decimal.set_field_by_name("value", Value::String(canonical_decimal(&text, digits(name).1)));
                out.set_field(&field, Value::Message(decimal));
            }
            _ => unreachable!(),
        }
    }
    out
}

/// The message without unknown fields.
pub fn known(message: &DynamicMessage) -> DynamicMessage {
    let mut out = DynamicMessage::new(message.descriptor());
    for (field, value) in message.fields().filter(|(field, _)| message.has_field(field)) {
        out.set_field(&field, known_value(value));
    }
    let descriptor = message.descriptor();
    if descriptor.full_name() == "google.protobuf.Value" && out.fields().next().is_none() {
        out.set_field_by_name("null_value", Value::EnumNumber(0));
    }
    // There is only one null.
    if descriptor.full_name() == "google.protobuf.Value" && out.has_field_by_name("null_value") {
        out.set_field_by_name("null_value", Value::EnumNumber(0));
    }
    out
}

fn known_value(value: &Value) -> Value {
    match value {
        Value::Message(message) => Value::Message(known(message)),
        Value::List(items) => Value::List(items.iter().map(known_value).collect()),
        Value::Map(entries) => {
            Value::Map(entries.iter().map(|(key, value)| (key.clone(), known_value(value))).collect())
        }
        value => value.clone(),
    }
}

fn is_zero(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0' | b'.' | b'-'))
}

fn canonical_decimal(text: &str, scale: usize) -> String {
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let whole = whole.trim_start_matches('0');
    let mut out = if whole.is_empty() { "0".to_owned() } else { whole.to_owned() };
    if scale > 0 {
        out.push('.');
        out.push_str(fraction);
        out.extend(std::iter::repeat_n('0', scale - fraction.len()));
    }
    if is_zero(&out) { out } else { format!("{sign}{out}") }
}

/// What a read mask of these paths, split into proto names and stars, leaves of a message.
pub fn prune(message: &DynamicMessage, paths: &[Vec<&str>]) -> DynamicMessage {
    let mut out = DynamicMessage::new(message.descriptor());
    for (field, value) in message.fields() {
        let below: Vec<_> =
            paths.iter().filter(|path| path[0] == field.name()).map(|path| path[1..].to_vec()).collect();
        if let Some(value) = prune_field(&field, value, &below) {
            out.set_field(&field, value);
        }
    }
    out
}

fn prune_field(field: &FieldDescriptor, value: &Value, below: &[Vec<&str>]) -> Option<Value> {
    if below.is_empty() {
        return None;
    }
    let is_whole = |path: &Vec<&str>| path.is_empty() || *path == ["*"];
    if below.iter().any(is_whole) {
        return Some(value.clone());
    }
    let inner: Vec<_> = below.iter().map(|path| path[usize::from(path[0] == "*")..].to_vec()).collect();
    let pruned = |value: &Value| match value {
        Value::Message(message) => Value::Message(prune(message, &inner)),
        _ => unreachable!("{} has no fields", field.name()),
    };
    Some(match value {
        Value::List(items) => Value::List(items.iter().map(pruned).collect()),
        Value::Map(entries) => Value::Map(entries.iter().map(|(key, value)| (key.clone(), pruned(value))).collect()),
        value => pruned(value),
    })
}

/// Takes what is at `path` from another message. Nothing comes into being around what is not set.
pub fn take(into: &mut DynamicMessage, from: Option<&DynamicMessage>, path: &[&str]) {
    let field = into.descriptor().get_field_by_name(path[0]).unwrap();
    let theirs = from.filter(|from| from.has_field(&field)).map(|from| from.get_field(&field).into_owned());
    if let [_] = path {
        return match theirs {
            Some(value) => into.set_field(&field, value),
            None => into.clear_field(&field),
        };
    }
    let theirs = theirs.map(|value| value.as_message().unwrap().clone());
    let was = into.has_field(&field);
    let mut changed = into.get_field(&field).as_message().unwrap().clone();
    take(&mut changed, theirs.as_ref(), &path[1..]);
    if was || changed.fields().next().is_some() {
        into.set_field(&field, Value::Message(changed));
    }
}

/// The message with what Anys hold as JSON: their bytes may be in any order.
pub fn comparable(message: &DynamicMessage) -> DynamicMessage {
    let mut out = message.clone();
    out.fields_mut().for_each(|(_, value)| compare_value(value));
    if message.descriptor().full_name() == "google.protobuf.Any" {
        // Whatever host a type's URL names, the usual one is stored.
        let url = message.get_field_by_name("type_url").unwrap().as_str().unwrap().to_owned();
        if let Some((_, name)) = url.rsplit_once('/') {
            out.set_field_by_name("type_url", Value::String(format!("type.googleapis.com/{name}")));
        }
        let json = serde_json::to_value(&out).map_or_else(|error| error.to_string(), |json| json.to_string());
        out.set_field_by_name("value", Value::Bytes(json.into_bytes().into()));
    }
    out
}

fn compare_value(value: &mut Value) {
    match value {
        Value::Message(message) => *message = comparable(message),
        Value::List(items) => items.iter_mut().for_each(compare_value),
        Value::Map(entries) => entries.values_mut().for_each(compare_value),
        _ => {}
    }
}
