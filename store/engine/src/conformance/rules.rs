//! Rules of fields.

use serde_json::{Value as Json, json};

use super::Subject;

fn fine() -> Json {
    json!({ "id": "1", "name": "abc", "score": 0 })
}

#[track_caller]
fn refused(store: &Subject, field: &str, value: Json, reason: &str) {
    let mut row = fine();
    let json_name = field;
    row[json_name] = value.clone();
    let path = format!("ruled.{field}");
    store.create_fails("Ruled", row).is_about(&[(&path, reason)]);
    store.create("Ruled", fine());
    let change = json!({ "id": "1", json_name: value });
    store.update_fails("Ruled", change, json_name).is_about(&[(&path, reason)]);
    assert_eq!(store.delete("Ruled", json!({ "id": "1" })), json!({}));
}

#[track_caller]
fn accepted(store: &Subject, field: &str, value: Json) {
    let mut row = fine();
    row[field] = value.clone();
    store.create("Ruled", row);
    store.update("Ruled", json!({ "id": "1", field: value }), field);
    store.delete("Ruled", json!({ "id": "1" }));
}

pub fn lengths_are_counted_in_characters_bytes_and_items(store: &Subject) {
    accepted(store, "name", json!("\u{1f680}\u{1f680}\u{1f680}\u{1f680}\u{1f680}"));
    refused(store, "name", json!("\u{1f680}\u{1f680}\u{1f680}\u{1f680}\u{1f680}x"), "TOO_LONG");
    refused(store, "name", json!("\u{1f680}"), "TOO_SHORT");
    accepted(store, "data", json!("AAAA"));
    refused(store, "data", json!("AAAAAA=="), "TOO_LONG");
    accepted(store, "tags", json!(["a long one", ""]));
    refused(store, "tags", json!(["", "", ""]), "TOO_LONG");
}

pub fn a_required_field_must_be_set(store: &Subject) {
    refused(store, "name", json!(""), "REQUIRED");
    // A number that must be set may be zero.
    accepted(store, "score", json!(0));
    store.create_fails("Ruled", json!({ "id": "1", "name": "abc" })).is_about(&[("ruled.score", "REQUIRED")]);
    store.create("Ruled", fine());
    store.update_fails("Ruled", json!({ "id": "1" }), "score").is_about(&[("ruled.score", "REQUIRED")]);
}

pub fn ranges_hold_at_their_ends(store: &Subject) {
    accepted(store, "age", json!(150));
    refused(store, "age", json!(151), "OUT_OF_RANGE");
    refused(store, "age", json!(-1), "OUT_OF_RANGE");
    accepted(store, "since", json!("2000-01-01T00:00:00Z"));
    refused(store, "since", json!("1999-12-31T23:59:59.999999Z"), "OUT_OF_RANGE");
    accepted(store, "price", json!("999.99"));
    refused(store, "price", json!("1000"), "OUT_OF_RANGE");
    refused(store, "price", json!("-0.01"), "OUT_OF_RANGE");
    accepted(store, "wait", json!("60s"));
    refused(store, "wait", json!("60.000001s"), "OUT_OF_RANGE");
}

pub fn patterns_and_choices_are_about_the_whole_value(store: &Subject) {
    accepted(store, "code", json!("ABC"));
    refused(store, "code", json!("ABCD"), "PATTERN_MISMATCH");
    refused(store, "code", json!("AB\n"), "PATTERN_MISMATCH");
    accepted(store, "size", json!("L"));
    refused(store, "size", json!("l"), "NOT_ALLOWED");
    refused(store, "size", json!("XL"), "NOT_ALLOWED");
}

pub fn every_field_that_is_wrong_is_named_at_once(store: &Subject) {
    let row =
        json!({ "id": "1", "name": "x", "code": "abc", "age": 200, "size": "XL", "price": "-1", "tags": ["", "", ""] });
    let failure = store.create_fails("Ruled", row);
    failure.is_about(&[
        ("ruled.name", "TOO_SHORT"),
        ("ruled.code", "PATTERN_MISMATCH"),
        ("ruled.age", "OUT_OF_RANGE"),
        ("ruled.size", "NOT_ALLOWED"),
        ("ruled.price", "OUT_OF_RANGE"),
        ("ruled.tags", "TOO_LONG"),
        ("ruled.score", "REQUIRED"),
    ]);
}

pub fn fields_that_an_update_does_not_name_are_not_checked(store: &Subject) {
    store.create("Ruled", fine());
    let changed = store.update("Ruled", json!({ "id": "1", "name": "too long to be a name", "age": 7 }), "age");
    assert_eq!((&changed["name"], &changed["age"]), (&json!("abc"), &json!(7)));
}
