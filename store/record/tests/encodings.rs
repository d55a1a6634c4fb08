//! Wire forms that are valid, but not what serializers write: findings of the property tests and of fuzzing.

#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use rowkeep_record::Value;
use serde_json::{Value as Json, json};
use support::fixture;

const VARINT: u32 = 0;
const LENGTH: u32 = 2;

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

fn tag(number: u32, wire_type: u32) -> Vec<u8> {
    varint(u64::from(number << 3 | wire_type))
}

fn bytes(number: u32, bytes: &[u8]) -> Vec<u8> {
    [&tag(number, LENGTH), &varint(bytes.len() as u64), bytes].concat()
}

fn uint(number: u32, value: u64) -> Vec<u8> {
    [tag(number, VARINT), varint(value)].concat()
}

/// The row as JSON, by way of the database.
fn stored(wire: &[u8]) -> Json {
    let row = fixture().row().decode(wire).unwrap();
    fixture().json(fixture().row().encode(&row.values, 0).unwrap().wire())
}

#[test]
fn a_list_goes_on_behind_an_unknown_field() {
    let wire = [bytes(53, b"a"), uint(5000, 1), bytes(53, b"b")].concat();
    assert_eq!(stored(&wire), json!({"strings": ["a", "b"]}));
    assert_eq!(fixture().json(&wire), json!({"strings": ["a", "b"]}));
    let nested = bytes(35, &[uint(2, 1), uint(5000, 1), uint(2, 2)].concat());
    assert_eq!(stored(&nested), json!({"aNested": {"numbers": [1, 2]}}));
}

#[test]
fn null_is_stored_for_a_list_or_a_map_without_anything_in_it() {
    let row = fixture().row();
    let empty = row.empty();
    let as_null = |value: &Value| match value {
        Value::Text(text) if matches!(&**text, "[]" | "{}") => Value::Text("null".into()),
        value => value.clone(),
    };
    let nulls: Vec<Value> = empty.iter().map(as_null).collect();
    assert_ne!(nulls, empty);
    assert_eq!(row.encode(&nulls, 0).unwrap().wire(), row.encode(&empty, 0).unwrap().wire());
}

#[test]
fn the_value_of_a_map_entry_may_come_in_pieces() {
    let entry = [bytes(1, b"k"), bytes(2, &bytes(1, b"t")), bytes(2, &uint(14, 7)), bytes(2, &uint(2, 1))].concat();
    assert_eq!(stored(&bytes(71, &entry)), json!({"byString": {"k": {"text": "t", "big": "7", "numbers": [1]}}}));
    // A scalar is replaced.
    let entry = [uint(1, 1), uint(2, 3), uint(2, 4)].concat();
    assert_eq!(stored(&bytes(62, &entry)), json!({"byInt64": {"1": "4"}}));
}

#[test]
fn what_is_accepted_can_be_read_again_however_deep_it_is() {
    let (mut accepted, mut refused) = (0, 0);
    for depth in 1..200 {
        let wire = (0..depth).fold(Vec::new(), |inner, _| bytes(16, &inner));
        let list = (0..depth).fold(Vec::new(), |inner, _| bytes(1, &bytes(6, &inner)));
        for wire in [bytes(35, &wire), bytes(25, &list)] {
            match fixture().row().decode(&wire) {
                Ok(row) => {
                    accepted += 1;
                    let record = fixture().row().encode(&row.values, 0).unwrap();
                    // In a list of rows, too, and as a request.
                    let json = fixture().json(record.wire()).to_string();
                    assert_eq!(fixture().wire(&serde_json::from_str(&json).unwrap()), record.wire());
                }
                Err(error) => {
                    refused += 1;
                    assert_eq!(error.code(), kit_core::Code::InvalidArgument);
                }
            }
        }
    }
    assert!(accepted > 60 && refused > 200, "{accepted} {refused}");
}

#[test]
fn a_field_mask_that_json_cannot_show_is_refused_not_changed() {
    let mask = |path: &str| bytes(38, &bytes(1, path.as_bytes()));
    assert_eq!(stored(&mask("ship_to.city")), json!({"aMask": "shipTo.city"}));
    for path in ["", "shipTo", "a__b", "a_", "address_1", "a,b", " a"] {
        let error = fixture().row().decode(&mask(path)).unwrap_err();
        assert_eq!(error.fields()[0].field, "a_mask", "{path}");
    }
}
