//! What a filter means, on every type.

use serde_json::{Value as Json, json};

use super::Subject;
use super::subject::column;

/// Row 1 has small values, row 2 large ones, row 3 nothing.
fn three(store: &Subject) {
    let small = json!({
        "id": "1", "aBool": false, "anInt32": -5, "anInt64": i64::MIN.to_string(), "aUint32": 1, "aUint64": "1",
        "aFloat": -0.5, "aDouble": -1e300, "aString": "Ann", "aBytes": "AA==", "aColour": "RED",
        "aTime": "1969-12-31T23:59:59.999999Z", "aDuration": "-1.500s", "aDate": { "year": 2024, "month": 1 },
        "aDecimal": "-0.01", "aLongDecimal": "-1.0000000000", "maybeInt32": 0, "maybeString": "", "maybeBool": false,
        "wrappedInt64": "-7", "strings": ["new", "x"], "numbers": ["1"], "aMap": { "env": "1" },
        "anAddress": { "city": "Oslo", "large": "1", "main": true, "colour": "RED", "next": { "city": "Bari" } },
        "aStruct": { "a": 1.0, "b": "x", "c": true, "d": { "e": null } },
    });
    let large = json!({
        "id": "2", "aBool": true, "anInt32": 5, "anInt64": i64::MAX.to_string(), "aUint32": u32::MAX,
        "aUint64": u64::MAX.to_string(), "aFloat": 0.5, "aDouble": 1e300, "aString": "anna", "aBytes": "/wA=",
        "aColour": 77, "aTime": "2024-05-01T12:00:00Z", "aDuration": "1s",
        "aDate": { "year": 2024, "month": 1, "day": 1 }, "aDecimal": "9999999999.99",
        "aLongDecimal": "9999999999999999999999999999.0000000000", "maybeInt32": 7, "maybeString": "z",
        "maybeBool": true, "wrappedInt64": "7", "strings": ["old"], "numbers": ["-1", "2"], "aMap": { "a.b": "2" },
        "anAddress": { "city": "Rome", "large": u64::MAX.to_string(), "lines": ["l"], "counts": { "k": "3" } },
        "aStruct": { "a": 2.0, "b": "y", "c": false },
    });
    for row in [small, large, json!({ "id": "3" })] {
        store.create("Everything", row);
    }
}

#[track_caller]
fn finds(store: &Subject, cases: &[(&str, &[u32])]) {
    for (filter, expected) in cases {
        let request = json!({ "filter": filter, "includeTotalSize": true });
        let answer = store.call("ListEverythings", request);
        let ids: Vec<Json> = expected.iter().map(|id| json!(id.to_string())).collect();
        assert_eq!(column(&store.rows("Everything", &answer), "id"), ids, "{filter}");
        assert_eq!(answer["totalSize"], expected.len().to_string(), "{filter}");
    }
}

pub fn numbers_are_compared_by_value(store: &Subject) {
    three(store);
    finds(
        store,
        &[
            ("an_int32 = -5", &[1]),
            ("an_int32 != -5", &[2, 3]),
            ("an_int32 < 0", &[1]),
            ("an_int32 <= 0", &[1, 3]),
            ("an_int32 > -5 AND an_int32 < 5", &[3]),
            ("an_int64 = -9223372036854775808", &[1]),
            ("an_int64 >= 9223372036854775807", &[2]),
            ("a_uint32 > 2147483647", &[2]),
            ("a_uint64 > 9223372036854775807", &[2]),
            ("a_uint64 < 2", &[1, 3]),
            ("a_uint64 = 18446744073709551615", &[2]),
            ("a_float = 0.5", &[2]),
            ("a_double < -1", &[1]),
            ("a_double >= 1e300", &[2]),
            ("a_decimal = -0.01", &[1]),
            ("a_decimal > 9999999999", &[2]),
            ("a_decimal <= 0", &[1, 3]),
            ("a_long_decimal < 0", &[1]),
            ("a_long_decimal > 1", &[2]),
            ("a_long_decimal = 0", &[3]),
            ("wrapped_int64 < 0", &[1]),
        ],
    );
}

pub fn texts_bytes_and_enums_are_compared_exactly(store: &Subject) {
    three(store);
    finds(
        store,
        &[
            ("a_string = \"Ann\"", &[1]),
            ("a_string = \"ann\"", &[]),
            ("a_string = \"\"", &[3]),
            ("a_string = \"Ann*\"", &[1]),
            ("a_string = \"ann*\"", &[2]),
            ("a_string != \"A*\"", &[2, 3]),
            ("a_string > \"Ann\"", &[2]),
            ("a_string < \"a\"", &[1, 3]),
            ("a_bytes = \"AA==\"", &[1]),
            ("a_bytes != \"/wA=\"", &[1, 3]),
            ("a_bool = true", &[2]),
            ("a_bool = false", &[1, 3]),
            ("a_colour = RED", &[1]),
            ("a_colour = 77", &[2]),
            ("a_colour != RED", &[2, 3]),
            ("a_colour = COLOUR_UNSPECIFIED", &[3]),
        ],
    );
}

pub fn times_are_compared_by_moment(store: &Subject) {
    three(store);
    finds(
        store,
        &[
            ("a_time < \"1970-01-01T00:00:00Z\"", &[1]),
            ("a_time >= \"2024-05-01T14:00:00+02:00\"", &[2]),
            ("a_time = \"1969-12-31T23:59:59.999999Z\"", &[1]),
            ("a_time != \"1969-12-31T23:59:59.999999Z\"", &[2, 3]),
            ("a_duration < 0s", &[1]),
            ("a_duration > \"0.999999s\"", &[2]),
            ("a_date = \"2024-01-00\"", &[1]),
            ("a_date > \"2024-01-00\"", &[2]),
        ],
    );
}

pub fn absent_values_match_nothing_but_inequality(store: &Subject) {
    three(store);
    finds(
        store,
        &[
            ("maybe_int32 = 0", &[1]),
            ("maybe_int32 != 0", &[2, 3]),
            ("maybe_int32 < 100", &[1, 2]),
            ("NOT maybe_int32 < 100", &[3]),
            ("maybe_int32:*", &[1, 2]),
            ("-maybe_int32:*", &[3]),
            ("maybe_int32 = null", &[3]),
            ("maybe_int32 != null", &[1, 2]),
            ("maybe_string = \"\"", &[1]),
            ("maybe_string:*", &[1, 2]),
            ("maybe_bool = false", &[1]),
            ("an_int32:*", &[1, 2]),
            ("a_bool:*", &[2]),
            ("a_string:*", &[1, 2]),
            ("a_time:*", &[1, 2]),
            ("a_long_decimal:*", &[1, 2]),
        ],
    );
}

pub fn or_binds_tighter_than_and(store: &Subject) {
    three(store);
    finds(
        store,
        &[
            ("id = 1 AND id = 2 OR id = 1", &[1]),
            ("id = 3 OR id = 1 AND id = 2", &[]),
            ("(id = 3) OR (id = 1 AND an_int32 = -5)", &[1, 3]),
            ("NOT (id = 1 OR id = 2)", &[3]),
            ("NOT id = 1 AND NOT id = 2", &[3]),
            ("", &[1, 2, 3]),
            ("  ", &[1, 2, 3]),
        ],
    );
}

pub fn places_inside_structures_are_reached_by_name(store: &Subject) {
    three(store);
    finds(
        store,
        &[
            ("an_address.city = \"Oslo\"", &[1]),
            ("an_address.city != \"Oslo\"", &[2, 3]),
            ("an_address.city > \"P\"", &[2]),
            ("an_address.next.city = \"Bari\"", &[1]),
            ("an_address.next:*", &[1]),
            ("an_address.large > 1", &[2]),
            ("an_address.large = 18446744073709551615", &[2]),
            ("an_address.main = true", &[1]),
            ("an_address.colour = RED", &[1]),
            ("an_address.lines:\"l\"", &[2]),
            ("an_address.counts.k = 3", &[2]),
            ("an_address.counts:k", &[2]),
            ("strings:\"new\"", &[1]),
            ("strings:\"ne\"", &[]),
            ("strings:*", &[1, 2]),
            ("numbers:2", &[2]),
            ("numbers:1", &[1]),
            ("a_map:env", &[1]),
            ("a_map:\"a.b\"", &[2]),
            ("a_map.env = 1", &[1]),
            ("a_map.env != 1", &[2, 3]),
            ("a_struct.a >= 2", &[2]),
            ("a_struct.b = \"x\"", &[1]),
            ("a_struct.c = true", &[1]),
            ("a_struct.d:*", &[1]),
            ("a_struct.d.e:*", &[]),
            ("NOT an_address:*", &[3]),
        ],
    );
}

pub fn what_breaks_out_of_a_text_elsewhere_is_a_text_here(store: &Subject) {
    let texts = ["'", "\"", "\\", "%", "_", "a\u{0}b", "'; DROP TABLE everythings; --", "\u{1f680}", "*", "a*b"];
    for (at, text) in texts.iter().enumerate() {
        store.create("Everything", json!({ "id": at.to_string(), "aString": text }));
    }
    for (at, text) in texts.iter().enumerate() {
        let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
        let quoted = quoted.replace('*', "\\*");
        let found = store.list("Everything", json!({ "filter": format!("a_string = \"{quoted}\"") }));
        assert_eq!(column(&found, "aString"), [json!(text)], "{at}: {quoted}");
    }
}

pub fn what_is_no_filter_is_refused_with_its_place(store: &Subject) {
    for filter in [
        "nonsense = 1",
        "an_int32 = \"x\"",
        "an_int32 = 2147483648",
        "an_int32",
        "an_int32 =",
        "= 1",
        "(an_int32 = 1",
        "an_int32 = 1)",
        "an_int32 = 1 AND",
        "a_string = Ann",
        "a_bool > false",
        "a_colour = GREEN",
        "an_address = \"x\"",
        "an_address.nowhere = 1",
        "strings = \"x\"",
        "an_int32:1",
        "a_time = \"yesterday\"",
        "a_decimal = 0.001",
        "a_string = \"unfinished",
        "an_int32 = null",
    ] {
        let failure = store.list_fails("Everything", json!({ "filter": filter }));
        failure.is_about(&[("filter", "INVALID_FILTER")]);
    }
}

pub fn orders_are_by_fields_that_can_be_ordered(store: &Subject) {
    three(store);
    let ids = |order: &str| column(&store.list("Everything", json!({ "orderBy": order })), "id");
    assert_eq!(ids("an_int32 desc"), ["2", "3", "1"]);
    assert_eq!(ids("a_uint64"), ["3", "1", "2"]);
    assert_eq!(ids("a_string"), ["3", "1", "2"]);
    assert_eq!(ids("a_time desc, id"), ["2", "1", "3"]);
    assert_eq!(ids("aLongDecimal"), ["1", "3", "2"]);
    assert_eq!(ids("a_bytes, id desc"), ["3", "1", "2"]);
    assert_eq!(ids("maybe_int32"), ["3", "1", "2"]);
    for order in ["nonsense", "id sideways", "id, id", "an_address", "strings", "id desc desc", ",", "id,"] {
        let failure = store.list_fails("Everything", json!({ "orderBy": order }));
        failure.is_about(&[("order_by", "INVALID_ORDER_BY")]);
    }
    let failure = store.list_fails("Note", json!({ "orderBy": "password" }));
    failure.is_about(&[("order_by", "INVALID_ORDER_BY")]);
}
