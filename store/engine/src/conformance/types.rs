//! Every type of column at the ends of its range: what is written comes back, what does not fit is refused.

use kit_core::Code;
use serde_json::{Value as Json, json};

use super::Subject;

/// Writes values of a field, each in a row of its own, and reads them back by key and in a list.
#[track_caller]
fn come_back(store: &Subject, field: &str, values: &[Json]) {
    for (at, value) in values.iter().enumerate() {
        let id = (at + 1).to_string();
        let made = store.create("Everything", json!({ "id": id, field: value }));
        assert_eq!(made[field], *value, "{field} as it was answered");
        assert_eq!(store.get("Everything", json!({ "id": id })), made, "{field} as it was stored");
    }
    let listed: Vec<Json> = store.list("Everything", json!({})).into_iter().map(|row| row[field].clone()).collect();
    assert_eq!(listed, values, "{field} in a list");
}

/// Reads back another form than was written.
#[track_caller]
fn becomes(store: &Subject, field: &str, cases: &[(Json, Json)]) {
    for (at, (written, read)) in cases.iter().enumerate() {
        let id = (at + 1).to_string();
        let made = store.create("Everything", json!({ "id": id, field: written }));
        assert_eq!(made.get(field).unwrap_or(&Json::Null), read, "{field} {written}");
        assert_eq!(store.get("Everything", json!({ "id": id })), made, "{field} {written}");
    }
}

#[track_caller]
fn refused(store: &Subject, field: &str, values: &[Json]) {
    for value in values {
        let failure = store.create_fails("Everything", json!({ "id": "1", field: value }));
        assert_eq!(failure.code, Code::InvalidArgument, "{value}: {failure:?}");
        let path = format!("everything.{}", snake(field));
        assert!(failure.fields.iter().any(|(field, _)| field.starts_with(&path)), "{value}: {failure:?}");
    }
    assert!(!store.exists("Everything", json!({ "id": "1" })));
}

fn snake(camel: &str) -> String {
    let mut out = String::new();
    for letter in camel.chars() {
        if letter.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}

pub fn numbers_of_32_bits(store: &Subject) {
    for field in ["anInt32", "aSint32", "aSfixed32"] {
        let values = [json!(i32::MIN), json!(-1), json!(1), json!(i32::MAX)];
        come_back(store, field, &values);
        clear(store);
    }
    for field in ["aUint32", "aFixed32"] {
        come_back(store, field, &[json!(1), json!(i32::MAX), json!(1_u32 << 31), json!(u32::MAX)]);
        clear(store);
    }
}

pub fn numbers_of_64_bits(store: &Subject) {
    let text = |number: i128| json!(number.to_string());
    for field in ["anInt64", "aSint64", "aSfixed64"] {
        let numbers = [i64::MIN, -(1 << 53) - 1, -1, 1, (1 << 53) + 1, i64::MAX];
        come_back(store, field, &numbers.map(|number| text(number.into())));
        clear(store);
    }
    for field in ["aUint64", "aFixed64"] {
        let numbers = [1, (1 << 53) + 1, i64::MAX as u64, 1 << 63, u64::MAX];
        come_back(store, field, &numbers.map(|number| text(number.into())));
        clear(store);
    }
}

fn clear(store: &Subject) {
    for row in store.list("Everything", json!({})) {
        store.delete("Everything", json!({ "id": row["id"] }));
    }
}

pub fn floating_point_numbers(store: &Subject) {
    let doubles = [f64::MIN, -0.1, 5e-324, f64::MIN_POSITIVE, 0.1, 1.0, 9_007_199_254_740_993.0, 1e300, f64::MAX];
    come_back(store, "aDouble", &doubles.map(|number| json!(number)));
    clear(store);
    let singles = [f32::MIN, -0.5, 1e-45, f32::MIN_POSITIVE, 0.25, 1.0, 16_777_216.0, f32::MAX];
    come_back(store, "aFloat", &singles.map(|number| json!(number)));
}

pub fn there_is_one_zero(store: &Subject) {
    // Not every database keeps the sign of a zero, so none does.
    for field in ["maybeDouble", "maybeFloat"] {
        let made = store.create("Everything", json!({ "id": "1", field: -0.0 }));
        let read = store.get("Everything", json!({ "id": "1" }));
        for row in [&made, &read] {
            let number = row[field].as_f64().unwrap_or_else(|| panic!("{field}: {row}"));
            assert!(number == 0.0 && number.is_sign_positive(), "{field}: {number}");
        }
        for (filter, count) in [("= 0", 1), ("= -0", 1), ("< 0", 0), (">= -0.0", 1)] {
            let filter = format!("{} {filter}", snake(field));
            assert_eq!(store.list("Everything", json!({ "filter": filter })).len(), count, "{filter}");
        }
        store.delete("Everything", json!({ "id": "1" }));
    }
}

pub fn numbers_that_are_not_finite_are_refused(store: &Subject) {
    for field in ["aDouble", "aFloat", "maybeDouble", "wrappedDouble"] {
        refused(store, field, &[json!("NaN"), json!("Infinity"), json!("-Infinity")]);
    }
}

pub fn texts_of_any_characters(store: &Subject) {
    let texts = [
        " ",
        "a\u{0}b\u{0}",
        "\u{0}",
        "Zo\u{eb}",
        "Zoe\u{308}",
        "\u{1f9d1}\u{200d}\u{1f680} \u{10ffff}",
        "\u{feff}\u{202e}\u{7f}\r\n\t",
        "'; DROP TABLE everything; --",
        "\"%_\\\\'`$1?{}[]",
        "\u{fffd}\u{d7ff}\u{e000}",
    ];
    come_back(store, "aString", &texts.map(|text| json!(text)));
    clear(store);
    let long = "\u{e9}\u{1f680}".repeat(30_000);
    come_back(store, "aString", &[json!(long)]);
}

pub fn texts_that_look_alike_are_different(store: &Subject) {
    for (at, text) in ["e\u{301}", "\u{e9}", "e", "E", "e ", "e\u{0}"].iter().enumerate() {
        store.create("Everything", json!({ "id": (at + 1).to_string(), "aString": text }));
        let filter = format!("a_string = \"{text}\"");
        assert_eq!(store.list("Everything", json!({ "filter": filter })).len(), 1, "{filter}");
    }
}

pub fn bytes_of_any_value(store: &Subject) {
    // Base64 of 0x00, 0xff 0x00, and all that is not UTF-8.
    come_back(store, "aBytes", &[json!("AA=="), json!("/wA="), json!("gIGCg+/+"), json!("J0Rzcg==")]);
    clear(store);
    come_back(store, "blobs", &[json!(["AA==", "", "/wA="])]);
}

pub fn enums_with_numbers_nobody_declared(store: &Subject) {
    come_back(store, "aColour", &[json!("RED"), json!("ULTRAVIOLET"), json!(77), json!(i32::MIN), json!(i32::MAX)]);
    clear(store);
    come_back(store, "maybeColour", &[json!("COLOUR_UNSPECIFIED"), json!("BLUE"), json!(-7)]);
}

pub fn times_from_the_first_to_the_last(store: &Subject) {
    let times = [
        "0001-01-01T00:00:00Z",
        "1969-12-31T23:59:59.999999Z",
        "1970-01-01T00:00:00Z",
        "1970-01-01T00:00:00.000001Z",
        "2024-02-29T12:30:00.250Z",
        "9999-12-31T23:59:59.999999Z",
    ];
    come_back(store, "aTime", &times.map(|time| json!(time)));
    clear(store);
    // Kept in microseconds; finer digits are cut off, towards the past.
    let cases = [
        (json!("2024-01-01T00:00:00.123456789Z"), json!("2024-01-01T00:00:00.123456Z")),
        (json!("1969-12-31T23:59:59.999999999Z"), json!("1969-12-31T23:59:59.999999Z")),
    ];
    becomes(store, "aTime", &cases);
}

pub fn durations_of_both_signs(store: &Subject) {
    let longest = "315576000000s";
    let durations =
        [format!("-{longest}").as_str(), "-1.500s", "-0.000001s", "0s", "0.000001s", "1s", longest].map(|d| json!(d));
    come_back(store, "aDuration", &durations);
    clear(store);
    let cases = [(json!("1.123456789s"), json!("1.123456s")), (json!("-1.123456789s"), json!("-1.123456s"))];
    becomes(store, "aDuration", &cases);
}

pub fn dates_with_and_without_all_their_parts(store: &Subject) {
    let dates = [
        json!({ "year": 1, "month": 1, "day": 1 }),
        json!({ "year": 2024, "month": 2, "day": 29 }),
        json!({ "year": 9999, "month": 12, "day": 31 }),
        json!({ "year": 2024 }),
        json!({ "year": 2024, "month": 5 }),
        json!({ "month": 2, "day": 29 }),
        json!({}),
    ];
    come_back(store, "aDate", &dates);
    clear(store);
    let wrong = [
        json!({ "year": 2023, "month": 2, "day": 29 }),
        json!({ "year": 10000 }),
        json!({ "year": 2023, "day": 1 }),
        json!({ "year": 2023, "month": 13 }),
        json!({ "year": -1 }),
    ];
    refused(store, "aDate", &wrong);
}

pub fn decimals_to_their_last_digit(store: &Subject) {
    let texts = ["-9999999999.99", "-0.01", "0.01", "1.00", "9999999999.99"];
    come_back(store, "aDecimal", &texts.map(|text| json!(text)));
    clear(store);
    let most = format!("{}.{}", "9".repeat(28), "9".repeat(10));
    let texts = [format!("-{most}"), "-0.0000000001".to_owned(), "0.0000000001".to_owned(), most];
    come_back(store, "aLongDecimal", &texts.map(|text| json!(text)));
    clear(store);
    let value = |text: &str| json!({ "value": text });
    come_back(store, "aDecimalMessage", &[value("0.0000"), value("-9999999999999999.9999"), value("1.2300")]);
}

pub fn decimals_in_any_spelling_are_kept_exactly_or_refused(store: &Subject) {
    let cases = [("1", "1.00"), ("+1.5", "1.50"), ("1e2", "100.00"), ("0.100", "0.10"), ("00012", "12.00")];
    becomes(store, "aDecimal", &cases.map(|(written, read)| (json!(written), json!(read))));
    clear(store);
    let zeros = ["", "0", "-0.00"];
    becomes(store, "aDecimal", &zeros.map(|zero| (json!(zero), Json::Null)));
    clear(store);
    refused(store, "aDecimal", &["1.001", "10000000000", "ten", "1,5", "NaN", ".5", "0x10"].map(|text| json!(text)));
    refused(store, "aLongDecimal", &[json!("1e28"), json!("0.00000000001")]);
}

pub fn times_and_durations_out_of_range_are_refused(store: &Subject) {
    // Forms that a client can only send on the wire are the codec's own tests; these are what JSON lets through.
    for field in ["aTime", "aDuration"] {
        let row = json!({ "id": "1", field: null });
        assert_eq!(store.create("Everything", row).get(field), None);
        store.delete("Everything", json!({ "id": "1" }));
    }
}
