//! Random messages of any descriptor, with values that can be stored.

use std::collections::HashMap;

use prost::Message as _;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};

use super::entropy::Entropy;

/// Messages inside each other.
const DEPTH: usize = 4;

pub fn message(entropy: &mut Entropy<'_>, descriptor: &MessageDescriptor) -> DynamicMessage {
    fill(entropy, descriptor, 0)
}

fn fill(entropy: &mut Entropy<'_>, descriptor: &MessageDescriptor, depth: usize) -> DynamicMessage {
    if let Some(message) = well_known(entropy, descriptor, depth) {
        return message;
    }
    let mut message = DynamicMessage::new(descriptor.clone());
    let fields: Vec<_> = descriptor.fields().collect();
    if fields.is_empty() {
        return message;
    }
    for _ in 0..entropy.below(if depth == 0 { 12 } else { 4 }) {
        let field = &fields[entropy.below(fields.len())];
        if depth < DEPTH || !matches!(field.kind(), Kind::Message(_)) {
            let value = field_value(entropy, field, depth);
            message.set_field(field, value);
        }
    }
    message
}

fn field_value(entropy: &mut Entropy<'_>, field: &FieldDescriptor, depth: usize) -> Value {
    if field.is_map() {
        let Kind::Message(entry) = field.kind() else { unreachable!() };
        let (key, value) = (entry.map_entry_key_field(), entry.map_entry_value_field());
        let count = entropy.below(4);
        let entries: HashMap<_, _> =
            (0..count).map(|_| (map_key(entropy, &key.kind()), single(entropy, &value, depth))).collect();
        return Value::Map(entries);
    }
    if field.is_list() {
        let count = entropy.below(4);
        return Value::List((0..count).map(|_| single(entropy, field, depth)).collect());
    }
    single(entropy, field, depth)
}

pub fn single(entropy: &mut Entropy<'_>, field: &FieldDescriptor, depth: usize) -> Value {
    match (field.name(), field.kind()) {
        ("a_decimal" | "a_long_decimal" | "maybe_decimal", _) => Value::String(decimal(entropy, field.name())),
        ("a_decimal_message", Kind::Message(descriptor)) => {
            let mut message = DynamicMessage::new(descriptor);
            message.set_field_by_name("value", Value::String(decimal(entropy, field.name())));
            Value::Message(message)
        }
        ("a_date", Kind::Message(descriptor)) => Value::Message(date(entropy, &descriptor)),
        (_, Kind::Message(descriptor)) => Value::Message(fill(entropy, &descriptor, depth + 1)),
        (_, kind) => scalar(entropy, &kind),
    }
}

fn scalar(entropy: &mut Entropy<'_>, kind: &Kind) -> Value {
    match kind {
        Kind::Bool => Value::Bool(entropy.chance(2)),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(entropy.number() as i32),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(entropy.number() as i64),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(entropy.number() as u32),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(entropy.number()),
        Kind::Float => Value::F32(float(entropy) as f32),
        Kind::Double => Value::F64(float(entropy)),
        Kind::String => Value::String(entropy.text()),
        Kind::Bytes => Value::Bytes(entropy.bytes().into()),
        Kind::Enum(_) => Value::EnumNumber(match entropy.below(5) {
            0 => entropy.number() as i32,
            other => [0, 1, 2, -5][other - 1],
        }),
        Kind::Message(_) => unreachable!("no scalar"),
    }
}

/// Finite, also as 32 bits, and not minus zero, which protobuf's JSON writers disagree about.
fn float(entropy: &mut Entropy<'_>) -> f64 {
    match entropy.below(4) {
        0 => f64::from(entropy.byte()) / 4.0,
        1 => entropy.pick(&[0.1, -1.5, 1e30, 1e-30, f64::from(f32::MAX), f64::from(f32::MIN_POSITIVE), -3e38]),
        2 => entropy.number() as i64 as f64,
        _ => {
            let value = f32::from_bits(entropy.u64() as u32);
            if value.is_finite() && value != 0.0 { f64::from(value) } else { 0.25 }
        }
    }
}

fn map_key(entropy: &mut Entropy<'_>, kind: &Kind) -> MapKey {
    match scalar(entropy, kind) {
        Value::Bool(value) => MapKey::Bool(value),
        Value::I32(value) => MapKey::I32(value),
        Value::I64(value) => MapKey::I64(value),
        Value::U32(value) => MapKey::U32(value),
        Value::U64(value) => MapKey::U64(value),
        Value::String(value) => MapKey::String(value),
        _ => unreachable!("no key"),
    }
}

/// A decimal that fits the column, in one of the ways to write it.
fn decimal(entropy: &mut Entropy<'_>, column: &str) -> String {
    let (whole, scale) = digits(column);
    let (whole, scale) = (entropy.below(whole + 1), entropy.below(scale + 1));
    let mut text: String = if entropy.chance(2) { "-".into() } else { String::new() };
    text.extend((0..whole.max(1)).map(|_| char::from(b'0' + entropy.byte() % 10)));
    if scale > 0 {
        text.push('.');
        text.extend((0..scale).map(|_| char::from(b'0' + entropy.byte() % 10)));
    }
    text
}

/// Digits in front of and behind the point.
pub fn digits(column: &str) -> (usize, usize) {
    match column {
        "a_decimal" => (10, 2),
        "a_long_decimal" => (28, 10),
        "a_decimal_message" => (14, 4),
        "maybe_decimal" => (17, 3),
        _ => unreachable!("{column} is no decimal"),
    }
}

fn date(entropy: &mut Entropy<'_>, descriptor: &MessageDescriptor) -> DynamicMessage {
    let [year, month, day] =
        entropy.pick(&[[0, 0, 0], [2024, 2, 29], [1, 1, 1], [9999, 12, 31], [0, 2, 29], [1999, 0, 0]]);
    let mut date = DynamicMessage::new(descriptor.clone());
    for (name, value) in [("year", year), ("month", month), ("day", day)] {
        date.set_field_by_name(name, Value::I32(value));
    }
    date
}

fn well_known(entropy: &mut Entropy<'_>, descriptor: &MessageDescriptor, depth: usize) -> Option<DynamicMessage> {
    let mut message = DynamicMessage::new(descriptor.clone());
    match descriptor.full_name() {
        "google.protobuf.Timestamp" => {
            let seconds = entropy.pick(&[0, -1, 1, 1_714_564_800, -62_135_596_800, 253_402_300_799]);
            message.set_field_by_name("seconds", Value::I64(seconds));
            message.set_field_by_name("nanos", Value::I32(entropy.pick(&[0, 1, 999, 1_000, 500_000_000, 999_999_999])));
        }
        "google.protobuf.Duration" => {
            let seconds = entropy.pick(&[0, 1, -1, 90, -86_400, 315_575_999_999, -315_575_999_999]);
            let nanos = entropy.pick(&[0, 1, 999, 1_000, 500_000_000, 999_999_999]);
            let negative = seconds < 0 || seconds == 0 && entropy.chance(2);
            message.set_field_by_name("seconds", Value::I64(seconds));
            message.set_field_by_name("nanos", Value::I32(if negative { -nanos } else { nanos }));
        }
        "google.protobuf.Any" => {
            let pool = descriptor.parent_pool();
            let name = entropy.pick(&[
                "every.v1.Nested",
                "google.protobuf.Timestamp",
                "google.protobuf.Value",
                "google.protobuf.Int64Value",
                "google.protobuf.Empty",
                "google.type.Date",
            ]);
            let inner = fill(entropy, &pool.get_message_by_name(name).unwrap(), depth + 1);
            message.set_field_by_name("type_url", Value::String(format!("type.googleapis.com/{name}")));
            message.set_field_by_name("value", Value::Bytes(inner.encode_to_vec().into()));
        }
        "google.protobuf.FieldMask" => {
            let paths = ["a", "a_string", "ship_to.city", "a_b_c.d"];
            let paths = (0..entropy.below(3)).map(|_| Value::String(entropy.pick(&paths).to_owned())).collect();
            message.set_field_by_name("paths", Value::List(paths));
        }
        // One of its kinds, always: JSON has no form for none.
        "google.protobuf.Value" => {
            let kinds = if depth < DEPTH { 6 } else { 4 };
            let field = descriptor.fields().nth(entropy.below(kinds)).unwrap();
            let value = match field.kind() {
                Kind::Enum(_) => Value::EnumNumber(0),
                _ => single(entropy, &field, depth),
            };
            message.set_field(&field, value);
        }
        _ => return None,
    }
    Some(message)
}
