//! Wire forms that are valid and that no serializer writes: fields in any order and given several times, messages in
//! pieces, lists packed and not, varints longer than they need be, fields that the schema does not know.

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, Value};

use super::entropy::Entropy;
use super::generate;

pub fn encode(entropy: &mut Entropy<'_>, message: &DynamicMessage) -> Vec<u8> {
    let mut chunks = Vec::new();
    for (field, value) in message.fields() {
        field_chunks(entropy, &field, value, &mut chunks);
    }
    for _ in 0..entropy.below(3) {
        chunks.push(unknown(entropy));
    }
    if entropy.chance(2) {
        entropy.shuffle(&mut chunks);
    }
    chunks.concat()
}

fn field_chunks(entropy: &mut Entropy<'_>, field: &FieldDescriptor, value: &Value, chunks: &mut Vec<Vec<u8>>) {
    let number = field.number();
    match value {
        Value::List(items) if packable(&field.kind()) => list(entropy, field, items, chunks),
        Value::List(items) => items.iter().for_each(|item| chunks.push(tagged(entropy, number, &field.kind(), item))),
        Value::Map(entries) => {
            let Kind::Message(entry) = field.kind() else { unreachable!() };
            for (key, value) in entries {
                let key = tagged(entropy, 1, &entry.map_entry_key_field().kind(), &key_value(key));
                let value_kind = entry.map_entry_value_field().kind();
                let mut parts = vec![key, tagged(entropy, 2, &value_kind, value)];
                if let Some(other) = decoy(entropy, &entry.map_entry_value_field()) {
                    parts.push(tagged(entropy, 2, &value_kind, &other));
                }
                if entropy.chance(4) {
                    entropy.shuffle(&mut parts);
                }
                chunks.push(length_delimited(entropy, number, &parts.concat()));
            }
        }
        single => {
            if let Some(other) = decoy(entropy, field) {
                chunks.push(tagged(entropy, number, &field.kind(), &other));
            }
            chunks.push(tagged(entropy, number, &field.kind(), single));
        }
    }
}

/// Another value of the field, which the message then has too. Not where two valid ones may add up to an invalid one.
fn decoy(entropy: &mut Entropy<'_>, field: &FieldDescriptor) -> Option<Value> {
    let is_checked = |name: &str| {
        let checked = [
            "google.protobuf.Any",
            "google.protobuf.Timestamp",
            "google.protobuf.Duration",
            "google.type.Date",
            "google.type.Decimal",
        ];
        checked.contains(&name)
    };
    if !entropy.chance(5) || is_checked(field.parent_message().full_name()) {
        return None;
    }
    match field.kind() {
        Kind::Message(inner) if is_checked(inner.full_name()) => Some(Value::Message(DynamicMessage::new(inner))),
        _ => Some(generate::single(entropy, field, 9)),
    }
}

fn list(entropy: &mut Entropy<'_>, field: &FieldDescriptor, items: &[Value], chunks: &mut Vec<Vec<u8>>) {
    let mut rest = items;
    while !rest.is_empty() {
        let (run, behind) = rest.split_at(1 + entropy.below(rest.len()));
        rest = behind;
        if entropy.chance(2) {
            run.iter().for_each(|item| chunks.push(tagged(entropy, field.number(), &field.kind(), item)));
        } else {
            let run: Vec<u8> = run.iter().flat_map(|item| bare(entropy, &field.kind(), item)).collect();
            chunks.push(length_delimited(entropy, field.number(), &run));
        }
    }
}

fn packable(kind: &Kind) -> bool {
    !matches!(kind, Kind::String | Kind::Bytes | Kind::Message(_))
}

fn key_value(key: &MapKey) -> Value {
    match key {
        MapKey::Bool(value) => Value::Bool(*value),
        MapKey::I32(value) => Value::I32(*value),
        MapKey::I64(value) => Value::I64(*value),
        MapKey::U32(value) => Value::U32(*value),
        MapKey::U64(value) => Value::U64(*value),
        MapKey::String(value) => Value::String(value.clone()),
    }
}

fn tagged(entropy: &mut Entropy<'_>, number: u32, kind: &Kind, value: &Value) -> Vec<u8> {
    let wire_type = match kind {
        Kind::String | Kind::Bytes | Kind::Message(_) => 2,
        Kind::Fixed32 | Kind::Sfixed32 | Kind::Float => 5,
        Kind::Fixed64 | Kind::Sfixed64 | Kind::Double => 1,
        _ => 0,
    };
    let mut out = varint(entropy, u64::from(number << 3 | wire_type), 5);
    out.extend(bare(entropy, kind, value));
    out
}

fn bare(entropy: &mut Entropy<'_>, kind: &Kind, value: &Value) -> Vec<u8> {
    match (kind, value) {
        (Kind::Sint32, Value::I32(value)) => {
            varint(entropy, u64::from(((*value << 1) ^ (*value >> 31)).cast_unsigned()), 10)
        }
        (Kind::Sint64, Value::I64(value)) => varint(entropy, ((*value << 1) ^ (*value >> 63)).cast_unsigned(), 10),
        (Kind::Sfixed32, Value::I32(value)) => value.to_le_bytes().to_vec(),
        (Kind::Sfixed64, Value::I64(value)) => value.to_le_bytes().to_vec(),
        (Kind::Fixed32, Value::U32(value)) => value.to_le_bytes().to_vec(),
        (Kind::Fixed64, Value::U64(value)) => value.to_le_bytes().to_vec(),
        (_, Value::F32(value)) => value.to_le_bytes().to_vec(),
        (_, Value::F64(value)) => value.to_le_bytes().to_vec(),
        (_, Value::Bool(value)) => {
            let truth = if entropy.chance(8) { 1 << 40 } else { 1 };
            varint(entropy, u64::from(*value) * truth, 10)
        }
        // A number of 32 bits may come with others above them, which are cut off.
        (_, Value::I32(value) | Value::EnumNumber(value)) => {
            let above = if entropy.chance(8) { entropy.u64() << 32 } else { 0 };
            varint(entropy, i64::from(*value).cast_unsigned() ^ above, 10)
        }
        (_, Value::U32(value)) => varint(entropy, u64::from(*value), 10),
        (_, Value::I64(value)) => varint(entropy, value.cast_unsigned(), 10),
        (_, Value::U64(value)) => varint(entropy, *value, 10),
        (_, Value::String(value)) => with_length(entropy, value.as_bytes()),
        (_, Value::Bytes(value)) => with_length(entropy, value),
        (_, Value::Message(value)) => {
            let inner = encode(entropy, value);
            with_length(entropy, &inner)
        }
        (_, Value::List(_) | Value::Map(_)) => unreachable!("no single value"),
    }
}

fn length_delimited(entropy: &mut Entropy<'_>, number: u32, bytes: &[u8]) -> Vec<u8> {
    let mut out = varint(entropy, u64::from(number << 3 | 2), 5);
    out.extend(with_length(entropy, bytes));
    out
}

fn with_length(entropy: &mut Entropy<'_>, bytes: &[u8]) -> Vec<u8> {
    let mut out = varint(entropy, bytes.len() as u64, 9);
    out.extend_from_slice(bytes);
    out
}

/// A varint, sometimes of more bytes than it needs.
fn varint(entropy: &mut Entropy<'_>, mut value: u64, longest: usize) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        out.push(value as u8 & 0x7f | 0x80);
        value >>= 7;
        if value == 0 {
            break;
        }
    }
    if entropy.chance(8) {
        let length = out.len() + entropy.below(longest.saturating_sub(out.len()) + 1);
        out.resize(length, 0x80);
    }
    *out.last_mut().unwrap() &= 0x7f;
    out
}

fn unknown(entropy: &mut Entropy<'_>) -> Vec<u8> {
    let number = 5000 + entropy.below(3) as u32;
    let tag = |entropy: &mut Entropy<'_>, wire_type: u32| varint(entropy, u64::from(number << 3 | wire_type), 5);
    match entropy.below(5) {
        0 => [tag(entropy, 0), {
            let value = entropy.number();
            varint(entropy, value, 10)
        }]
        .concat(),
        1 => [tag(entropy, 1), entropy.u64().to_le_bytes().to_vec()].concat(),
        2 => {
            let bytes = entropy.bytes();
            length_delimited(entropy, number, &bytes)
        }
        3 => {
            let inner = if entropy.chance(2) { unknown(entropy) } else { Vec::new() };
            [tag(entropy, 3), inner, tag(entropy, 4)].concat()
        }
        _ => [tag(entropy, 5), vec![1, 2, 3, 4]].concat(),
    }
}
