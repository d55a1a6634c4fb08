//! Changes that depend on the current value.

use kit_core::Code;
use serde_json::{Value as Json, json};

use super::Subject;
use super::subject::row;

fn transform(store: &Subject, field: &str, change: &str, operand: &str) -> Result<Json, Box<super::Failure>> {
    let transform = json!({ "field": field, change: operand });
    let request = json!({ "counter": { "id": "1" }, "updateMask": "", "transforms": [transform] });
    store.try_call("UpdateCounter", &request).map(|answer| answer.body)
}

/// Sets a field, transforms it, and answers what it is then.
#[track_caller]
fn result(store: &Subject, field: &str, start: Json, change: &str, operand: &str) -> Json {
    let json_name = camel(field);
    store.call("DeleteCounter", json!({ "id": "1", "allowMissing": true }));
    store.create("Counter", json!({ "id": "1", json_name.as_str(): start }));
    let changed = transform(store, field, change, operand).unwrap_or_else(|failure| panic!("{failure:?}"));
    assert_eq!(store.get("Counter", json!({ "id": "1" })), changed);
    changed.get(&json_name).cloned().unwrap_or_default()
}

#[track_caller]
fn fails(store: &Subject, field: &str, start: Json, change: &str, operand: &str) {
    let json_name = camel(field);
    store.call("DeleteCounter", json!({ "id": "1", "allowMissing": true }));
    let made = store.create("Counter", json!({ "id": "1", json_name.as_str(): start }));
    let failure = transform(store, field, change, operand).unwrap_err();
    failure.is(Code::FailedPrecondition, "TRANSFORM_OUT_OF_RANGE");
    assert_eq!(failure.preconditions[0].0, "TRANSFORM", "{failure:?}");
    assert_eq!(store.get("Counter", json!({ "id": "1" })), made);
}

fn camel(snake: &str) -> String {
    let mut words = snake.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| name + &word[..1].to_uppercase() + &word[1..])
}

pub fn an_increment_adds_to_every_kind_of_number(store: &Subject) {
    assert_eq!(result(store, "small", json!(40), "increment", "2"), json!(42));
    assert_eq!(result(store, "wide", json!("-40"), "increment", "-2"), json!("-42"));
    assert_eq!(result(store, "unsigned_small", json!(1), "increment", "-1"), Json::Null);
    let near_the_end = (u64::MAX - 1).to_string();
    assert_eq!(result(store, "unsigned_wide", json!(near_the_end), "increment", "1"), json!(u64::MAX.to_string()));
    assert_eq!(result(store, "single", json!(0.5), "increment", "0.25"), json!(0.75));
    assert_eq!(result(store, "real", json!(0.1), "increment", "0.2"), json!(0.1 + 0.2));
    assert_eq!(result(store, "price", json!("9.99"), "increment", "0.01"), json!("10.00"));
    let long = format!("{}.98", "9".repeat(36));
    assert_eq!(result(store, "long_price", json!(long), "increment", "0.01"), json!(format!("{}.99", "9".repeat(36))));
    assert_eq!(result(store, "spent", json!("1.500s"), "increment", "-2s"), json!("-0.500s"));
}

pub fn an_absent_number_counts_as_zero(store: &Subject) {
    assert_eq!(result(store, "maybe", Json::Null, "increment", "5"), json!("5"));
    assert_eq!(result(store, "maybe", Json::Null, "increment", "0"), json!("0"));
    assert_eq!(result(store, "spent", Json::Null, "increment", "1s"), json!("1s"));
    assert_eq!(result(store, "maybe", Json::Null, "maximum", "-5"), json!("-5"));
    assert_eq!(result(store, "maybe", Json::Null, "minimum", "5"), json!("5"));
}

pub fn a_result_out_of_the_fields_range_fails_and_changes_nothing(store: &Subject) {
    fails(store, "small", json!(i32::MAX), "increment", "1");
    fails(store, "small", json!(i32::MIN), "increment", "-1");
    fails(store, "wide", json!(i64::MAX.to_string()), "increment", "1");
    fails(store, "wide", json!(i64::MIN.to_string()), "increment", "-1");
    fails(store, "wide", json!("0"), "increment", "170141183460469231731687303715884105727");
    fails(store, "unsigned_small", json!(0), "increment", "-1");
    fails(store, "unsigned_small", json!(u32::MAX), "increment", "1");
    fails(store, "unsigned_wide", json!("0"), "increment", "-1");
    fails(store, "unsigned_wide", json!(u64::MAX.to_string()), "increment", "1");
    fails(store, "single", json!(f32::MAX), "increment", "3e38");
    fails(store, "real", json!(f64::MAX), "increment", "1e308");
    fails(store, "price", json!("9999.99"), "increment", "0.01");
    fails(store, "long_price", json!(format!("-{}.99", "9".repeat(36))), "increment", "-0.01");
    fails(store, "spent", json!("315576000000s"), "increment", "0.000001s");
}

pub fn the_rules_of_a_field_hold_for_the_result(store: &Subject) {
    assert_eq!(result(store, "stock", json!("3"), "increment", "-3"), Json::Null);
    fails(store, "stock", json!("3"), "increment", "-4");
    fails(store, "stock", json!("3"), "minimum", "-1");
    assert_eq!(result(store, "tags", json!(["a", "b"]), "appendMissing", "[\"c\"]"), json!(["a", "b", "c"]));
    fails(store, "tags", json!(["a", "b", "c"]), "appendMissing", "[\"d\"]");
}

pub fn the_larger_or_the_smaller_value_is_kept(store: &Subject) {
    assert_eq!(result(store, "wide", json!("5"), "maximum", "7"), json!("7"));
    assert_eq!(result(store, "wide", json!("5"), "maximum", "-7"), json!("5"));
    assert_eq!(result(store, "wide", json!("5"), "minimum", "-7"), json!("-7"));
    let large = (1_u64 << 63).to_string();
    assert_eq!(result(store, "unsigned_wide", json!("1"), "maximum", &large), json!(large));
    assert_eq!(result(store, "real", json!(-0.5), "maximum", "-1e300"), json!(-0.5));
    assert_eq!(result(store, "long_price", json!("-5.00"), "minimum", "-10"), json!("-10.00"));
    assert_eq!(result(store, "spent", json!("5s"), "minimum", "-0.5s"), json!("-0.500s"));
    let (early, late) = ("1969-12-31T23:59:59Z", "2024-01-01T00:00:00Z");
    assert_eq!(result(store, "seen_at", json!(early), "maximum", late), json!(late));
    assert_eq!(result(store, "seen_at", json!(late), "minimum", early), json!(early));
    let day = json!({ "year": 2024, "month": 1, "day": 1 });
    assert_eq!(result(store, "day", day.clone(), "maximum", "2023-12-31"), day);
}

pub fn the_commits_time_is_the_time_of_its_other_columns(store: &Subject) {
    store.create("Counter", json!({ "id": "1" }));
    let transform = json!([{ "field": "seen_at", "setToCommitTime": true }]);
    let request = json!({ "counter": { "id": "1" }, "updateMask": "", "transforms": transform });
    let changed = store.call("UpdateCounter", request);
    assert_eq!(changed["seenAt"], changed["updatedAt"]);
}

pub fn items_are_added_once_and_removed_wherever_they_are(store: &Subject) {
    assert_eq!(
        result(store, "tags", json!(["a", "b"]), "appendMissing", "[\"b\",\"c\",\"c\"]"),
        json!(["a", "b", "c"])
    );
    assert_eq!(result(store, "tags", json!([]), "appendMissing", "[]"), Json::Null);
    assert_eq!(result(store, "tags", json!(["a", "b", "a"]), "removeAll", "[\"a\",\"x\"]"), json!(["b"]));
    let numbers = json!(["1", "-9223372036854775808", "1"]);
    assert_eq!(result(store, "numbers", numbers.clone(), "removeAll", "[\"1\"]"), json!(["-9223372036854775808"]));
    // Numbers may be given without quotes.
    assert_eq!(result(store, "numbers", numbers, "removeAll", "[1, -9223372036854775808]"), Json::Null);
}

pub fn a_transform_of_a_member_of_a_oneof_clears_the_others(store: &Subject) {
    assert_eq!(result(store, "points", json!("5"), "increment", "1"), json!("6"));
    store.update("Counter", json!({ "id": "1", "remark": "text" }), "remark");
    let changed = transform(store, "points", "increment", "1").unwrap();
    assert_eq!((&changed["points"], changed.get("remark")), (&json!("1"), None), "{changed}");
    assert_eq!(store.get("Counter", json!({ "id": "1" })), changed);
}

pub fn mask_and_transforms_work_together_and_the_mask_comes_first(store: &Subject) {
    store.create("Counter", json!({ "id": "1", "wide": "5", "small": 1 }));
    let request = json!({
        "counter": { "id": "1", "wide": "100", "small": 9 },
        "updateMask": "wide",
        "transforms": [{ "field": "wide", "increment": "1" }, { "field": "stock", "increment": "2" }],
    });
    let changed = store.call("UpdateCounter", request);
    assert_eq!((&changed["wide"], &changed["stock"], &changed["small"]), (&json!("101"), &json!("2"), &json!(1)));
}

pub fn a_row_that_is_created_by_an_update_starts_from_its_fields(store: &Subject) {
    let request = json!({
        "counter": { "id": "1", "wide": "10" },
        "allowMissing": true,
        "transforms": [{ "field": "wide", "increment": "5" }, { "field": "stock", "increment": "2" }],
    });
    let made = store.call("UpdateCounter", request);
    assert_eq!((&made["wide"], &made["stock"]), (&json!("15"), &json!("2")));
    let request = json!({
        "counter": { "id": "2" }, "allowMissing": true, "transforms": [{ "field": "stock", "increment": "-1" }],
    });
    store.fails("UpdateCounter", request).is(Code::FailedPrecondition, "TRANSFORM_OUT_OF_RANGE");
    assert!(!store.exists("Counter", json!({ "id": "2" })));
}

pub fn transforms_in_a_commit_and_in_a_batch(store: &Subject) {
    for id in ["1", "2"] {
        store.create("Counter", json!({ "id": id, "stock": "5" }));
    }
    let sell = |id: &str, count: &str| {
        let sold = json!([{ "field": "stock", "increment": count }]);
        json!({ "update": { "row": row("Counter", json!({ "id": id })), "updateMask": "", "transforms": sold } })
    };
    store.commit(json!([sell("1", "-2"), sell("2", "-5")]));
    let failure = store.commit_fails(json!([sell("1", "-2"), sell("2", "-1")]));
    failure.is(Code::FailedPrecondition, "TRANSFORM_OUT_OF_RANGE").has("field", "writes[1].update.row.stock");
    assert_eq!(store.get("Counter", json!({ "id": "1" }))["stock"], "3");
    let one = |id: &str| {
        let sold = json!([{ "field": "wide", "increment": "1" }]);
        json!({ "counter": { "id": id }, "updateMask": "", "transforms": sold })
    };
    let changed = store.call("BatchUpdateCounters", json!({ "requests": [one("1"), one("2")] }));
    assert_eq!(changed["counters"][1]["wide"], "1");
}

pub fn what_cannot_be_transformed_is_refused(store: &Subject) {
    store.create("Counter", json!({ "id": "1", "small": 1 }));
    let cases = [
        ("id", "increment", "1", "field", "IMMUTABLE"),
        ("fixed_label", "appendMissing", "[]", "field", "IMMUTABLE"),
        ("updated_at", "maximum", "2024-01-01T00:00:00Z", "field", "IMMUTABLE"),
        ("nonsense", "increment", "1", "field", "UNKNOWN_FIELD"),
        ("small", "increment", "1.5", "increment", "INVALID_TRANSFORM"),
        ("small", "increment", "", "increment", "INVALID_TRANSFORM"),
        ("small", "maximum", "2147483648", "maximum", "INVALID_TRANSFORM"),
        ("real", "increment", "NaN", "increment", "INVALID_TRANSFORM"),
        ("real", "minimum", "inf", "minimum", "INVALID_TRANSFORM"),
        ("price", "increment", "0.001", "increment", "INVALID_TRANSFORM"),
        ("tags", "increment", "1", "increment", "INVALID_TRANSFORM"),
        ("tags", "appendMissing", "\"a\"", "append_missing", "INVALID_TRANSFORM"),
        ("tags", "removeAll", "[1]", "remove_all", "INVALID_TRANSFORM"),
        ("small", "appendMissing", "[1]", "append_missing", "INVALID_TRANSFORM"),
        ("remark", "maximum", "x", "maximum", "INVALID_TRANSFORM"),
    ];
    for (field, change, operand, place, reason) in cases {
        let failure = transform(store, field, change, operand).unwrap_err();
        let path = format!("transforms[0].{place}");
        failure.is_about(&[(&path, reason)]);
    }
    let twice = json!([{ "field": "small", "increment": "1" }, { "field": "small", "maximum": "1" }]);
    let request = json!({ "counter": { "id": "1" }, "updateMask": "", "transforms": twice });
    store.fails("UpdateCounter", request).is_about(&[("transforms[1].field", "DUPLICATE_WRITE")]);
    let on_text = json!([{ "field": "small", "setToCommitTime": true }]);
    let request = json!({ "counter": { "id": "1" }, "updateMask": "", "transforms": on_text });
    store.fails("UpdateCounter", request).is_about(&[("transforms[0].set_to_commit_time", "INVALID_TRANSFORM")]);
}
