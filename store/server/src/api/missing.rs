//! Keys in responses: `missing_ids` of `BatchGetUsersResponse`.

use rowkeep_record::Key;
use rowkeep_schema::Kind;

use super::plan::EntityPlan;
use crate::wire::{Fields, Payload, put_bytes, put_key, put_varint};

/// Number of `missing_ids` and `missing_keys`.
const MISSING: u32 = 2;

/// Appends the keys. The row codec knows how each value goes on the wire, so a key is written as a row that has
/// nothing else, and its fields are taken from there.
pub(super) fn put_missing(plan: &EntityPlan, keys: &[Key], out: &mut Vec<u8>) {
    for key in keys {
        let mut values = plan.codec.empty();
        for (field, value) in plan.key.iter().zip(key.values()) {
            values[field.column.index()] = value.clone();
        }
        // A key that was read from a request always fits its columns.
        let Ok(row) = plan.codec.encode(&values, 0) else { continue };
        let fields: Vec<_> = plan.key.iter().map(|field| find(row.wire(), field.row_number)).collect();
        match (plan.key.as_slice(), fields.as_slice()) {
            ([field], [payload]) => put_payload(out, MISSING, payload.unwrap_or(zero(field.kind))),
            _ => {
                let mut message = Vec::new();
                for (payload, number) in fields.iter().zip(1..) {
                    if let Some(payload) = payload {
                        put_payload(&mut message, number, *payload);
                    }
                }
                put_bytes(out, MISSING, &message);
            }
        }
    }
}

fn find(row: &[u8], wanted: u32) -> Option<Payload<'_>> {
    let mut fields = Fields::new(row);
    while let Ok(Some((number, payload))) = fields.next() {
        if number == wanted {
            return Some(payload);
        }
    }
    None
}

/// What a value that is not on the wire stands for.
fn zero(kind: Kind) -> Payload<'static> {
    match kind {
        Kind::String | Kind::Bytes | Kind::Message(_) => Payload::Bytes(&[]),
        Kind::Fixed32 | Kind::Sfixed32 | Kind::Float => Payload::Fixed32(0),
        Kind::Fixed64 | Kind::Sfixed64 | Kind::Double => Payload::Fixed64(0),
        Kind::Bool
        | Kind::Int32
        | Kind::Int64
        | Kind::Sint32
        | Kind::Sint64
        | Kind::Uint32
        | Kind::Uint64
        | Kind::Enum(_) => Payload::Varint(0),
    }
}

pub(super) fn put_payload(out: &mut Vec<u8>, number: u32, payload: Payload<'_>) {
    match payload {
        Payload::Varint(value) => {
            put_key(out, number, 0);
            put_varint(out, value);
        }
        Payload::Fixed64(value) => {
            put_key(out, number, 1);
            out.extend_from_slice(&value.to_le_bytes());
        }
        Payload::Bytes(value) => put_bytes(out, number, value),
        Payload::Fixed32(value) => {
            put_key(out, number, 5);
            out.extend_from_slice(&value.to_le_bytes());
        }
    }
}
