//! What is absent, what is empty, and everything that is kept as JSON.

use serde_json::{Value as Json, json};

use super::Subject;

#[track_caller]
fn comes_back(store: &Subject, row: Json) {
    let made = store.create("Everything", row.clone());
    assert_eq!(made, row);
    assert_eq!(store.get("Everything", json!({ "id": row["id"] })), row);
    store.delete("Everything", json!({ "id": row["id"] }));
}

pub fn a_row_of_nothing_but_its_key(store: &Subject) {
    comes_back(store, json!({ "id": "1" }));
    // The key's zero value is a key like any other.
    assert_eq!(store.create("Everything", json!({})), json!({}));
    assert_eq!(store.get("Everything", json!({})), json!({}));
    comes_back(store, json!({ "id": i64::MIN.to_string() }));
}

pub fn a_zero_is_absent_in_a_plain_field_and_kept_in_an_optional_one(store: &Subject) {
    let zeros = json!({
        "id": "1", "aBool": false, "anInt32": 0, "aUint64": "0", "aDouble": 0.0, "aString": "", "aBytes": "",
        "aColour": "COLOUR_UNSPECIFIED", "strings": [], "aMap": {},
    });
    assert_eq!(store.create("Everything", zeros), json!({ "id": "1" }));
    comes_back(
        store,
        json!({
            "id": "2", "maybeBool": false, "maybeInt32": 0, "maybeInt64": "0", "maybeUint64": "0", "maybeFloat": 0.0,
            "maybeDouble": 0.0, "maybeString": "", "maybeBytes": "", "maybeColour": "COLOUR_UNSPECIFIED",
        }),
    );
}

pub fn optional_fields_at_the_ends_of_their_range(store: &Subject) {
    comes_back(
        store,
        json!({
            "id": "3", "maybeBool": true, "maybeInt32": i32::MIN, "maybeInt64": i64::MIN.to_string(),
            "maybeUint64": u64::MAX.to_string(), "maybeFloat": -1.5, "maybeDouble": f64::MAX,
            "maybeString": "\u{0}", "maybeBytes": "/w==", "maybeColour": 99,
        }),
    );
}

pub fn wrappers_distinguish_absent_from_zero(store: &Subject) {
    comes_back(
        store,
        json!({
            "id": "1", "wrappedInt64": "0", "wrappedString": "", "wrappedBool": false, "wrappedBytes": "",
            "wrappedDouble": 0.0, "wrappedUint64": "0",
        }),
    );
    comes_back(
        store,
        json!({
            "id": "1", "wrappedInt64": i64::MIN.to_string(), "wrappedString": "\u{1f680}", "wrappedBool": true,
            "wrappedBytes": "AP8=", "wrappedDouble": -1e300, "wrappedUint64": u64::MAX.to_string(),
        }),
    );
}

pub fn nested_messages_keep_every_field(store: &Subject) {
    let address = json!({
        "city": "Zo\u{eb}\u{0}", "lines": ["", "b"], "counts": { "": "1", "k\"ey": i64::MIN.to_string() },
        "next": { "next": {}, "since": "1969-12-31T23:59:59.999999999Z" }, "large": u64::MAX.to_string(),
        "colour": "ULTRAVIOLET", "main": true, "share": 0.1,
    });
    comes_back(store, json!({ "id": "1", "anAddress": address, "addresses": [address, {}, address] }));
    comes_back(store, json!({ "id": "1", "anAddress": {} }));
    comes_back(store, json!({ "id": "1", "anAddress": { "colour": 77 } }));
}

pub fn lists_and_maps_keep_order_duplicates_and_odd_keys(store: &Subject) {
    comes_back(store, json!({ "id": "1", "strings": ["b", "", "a", "b", "\u{1f680}"] }));
    let numbers = [i64::MIN, 0, -1, i64::MAX].map(|number| number.to_string());
    comes_back(store, json!({ "id": "1", "numbers": numbers, "doubles": [0.1, -1e300, 0.0] }));
    comes_back(store, json!({ "id": "1", "aMap": { "": "0", "a.b": "1", "'\"": "-1", "\u{1f680}": "2" } }));
    let map = json!({ i32::MIN.to_string(): {}, "0": { "city": "x" }, i32::MAX.to_string(): { "main": true } });
    comes_back(store, json!({ "id": "1", "aNumberMap": map }));
}

pub fn json_values_of_any_shape(store: &Subject) {
    let nested = json!({ "a": [1.5, "x", true, null, { "b": {} }, []], "": "empty key", "n": null });
    comes_back(store, json!({ "id": "1", "aStruct": nested, "aList": [nested, null, 3.0] }));
    comes_back(store, json!({ "id": "1", "aStruct": {}, "aList": [] }));
    for value in [json!("text"), json!(true), json!(-1e300), json!([null]), json!({}), json!("")] {
        comes_back(store, json!({ "id": "1", "aValue": value }));
    }
}

pub fn a_null_json_value_is_a_value(store: &Subject) {
    let made = store.create("Everything", json!({ "id": "1", "aValue": null }));
    let read = store.get("Everything", json!({ "id": "1" }));
    assert_eq!(made, read);
    assert_eq!(read.get("aValue"), Some(&Json::Null), "{read}");
}

pub fn one_member_of_a_oneof_is_set(store: &Subject) {
    for choice in [
        json!({ "id": "1", "choiceText": "" }),
        json!({ "id": "1", "choiceNumber": 0 }),
        json!({ "id": "1", "choiceAddress": {} }),
        json!({ "id": "1", "choiceAddress": { "city": "x" } }),
    ] {
        comes_back(store, choice);
    }
}

pub fn every_field_can_be_cleared_and_set_again(store: &Subject) {
    let full = json!({
        "id": "1", "aBool": true, "anInt64": "-1", "aUint64": "1", "aDouble": 1.5, "aString": "a", "aBytes": "AA==",
        "aColour": "RED", "aTime": "2024-01-01T00:00:00Z", "aDuration": "1s", "aDate": { "year": 1 },
        "aDecimal": "1.00", "aLongDecimal": "1.0000000000", "aStruct": { "a": 1.0 }, "anAddress": { "city": "a" },
        "strings": ["a"], "aMap": { "a": "1" }, "wrappedInt64": "1", "maybeString": "a", "maybeInt32": 1,
    });
    store.create("Everything", json!({ "id": "1" }));
    assert_eq!(store.update("Everything", full.clone(), "*"), full);
    assert_eq!(store.get("Everything", json!({ "id": "1" })), full);
    assert_eq!(store.update("Everything", json!({ "id": "1" }), "*"), json!({ "id": "1" }));
    assert_eq!(store.get("Everything", json!({ "id": "1" })), json!({ "id": "1" }));
}
