//! Composite keys, keys of every type, and keys that are made.

use kit_core::Code;
use serde_json::{Value as Json, json};

use super::Subject;
use super::subject::{column, row};

pub fn the_parts_of_a_composite_key_name_a_row_together(store: &Subject) {
    for (order, line) in [("1", 1), ("1", 2), ("2", 1), ("-1", -1), ("0", 0)] {
        store.create("Line", json!({ "orderId": order, "line": line, "text": format!("{order}/{line}") }));
    }
    assert_eq!(store.get("Line", json!({ "orderId": "1", "line": 2 }))["text"], "1/2");
    assert_eq!(store.get("Line", json!({}))["text"], "0/0");
    let failure = store.create_fails("Line", json!({ "orderId": "2", "line": 1 }));
    failure.is(Code::AlreadyExists, "ALREADY_EXISTS").has("fields", "order_id, line").has("key", "2/1");
    store.update("Line", json!({ "orderId": "1", "line": 1, "text": "new" }), "text");
    store.delete("Line", json!({ "orderId": "1", "line": 2 }));
    let listed = store.list("Line", json!({}));
    assert_eq!(column(&listed, "text"), ["-1/-1", "0/0", "new", "2/1"]);
}

pub fn keys_of_every_type_are_told_apart(store: &Subject) {
    let base = json!({
        "flag": true, "small": i32::MIN, "large": u64::MAX.to_string(), "text": "a/\u{0}%\u{1f680}", "data": "/wA=",
        "colour": "ULTRAVIOLET", "at": "1969-12-31T23:59:59.999999Z",
    });
    let variants = [
        ("flag", json!(false)),
        ("small", json!(i32::MAX)),
        ("large", json!((1_u64 << 63).to_string())),
        ("text", json!("a")),
        ("data", json!("/w==")),
        ("colour", json!(77)),
        ("at", json!("0001-01-01T00:00:00Z")),
    ];
    let mut keys = vec![base.clone()];
    keys.extend(variants.map(|(field, value)| with(&base, field, value)));
    for (at, key) in keys.iter().enumerate() {
        store.create("Keyed", with(key, "value", json!(at.to_string())));
    }
    for (at, key) in keys.iter().enumerate() {
        assert_eq!(store.get("Keyed", key.clone())["value"], at.to_string(), "{key}");
        let failure = store.create_fails("Keyed", key.clone());
        failure.is(Code::AlreadyExists, "ALREADY_EXISTS");
    }
    let found = store.call("BatchGetKeyeds", json!({ "keys": [keys[3], keys[0]] }));
    assert_eq!(column(&store.rows("Keyed", &found), "value"), ["3", "0"]);
    for key in &keys {
        store.update("Keyed", with(key, "value", json!("x")), "value");
        store.delete("Keyed", key.clone());
        assert!(!store.exists("Keyed", key.clone()));
    }
}

pub fn an_empty_key_names_no_row(store: &Subject) {
    store.create_fails("Draft", json!({ "text": "t" })).is_about(&[("draft.name", "REQUIRED")]);
    let failure = store.create_fails("Draft", json!({ "name": "" }));
    assert!(failure.message.contains("must not be empty"), "{failure:?}");
    let upsert = json!({ "draft": { "name": "", "text": "t" }, "allowMissing": true });
    store.fails("UpdateDraft", upsert).is_about(&[("draft.name", "REQUIRED")]);
    let batch = json!({ "requests": [{ "draft": { "name": "a" } }, { "draft": { "name": "" } }] });
    store.fails("BatchCreateDrafts", batch).is_about(&[("requests[1].draft.name", "REQUIRED")]);
    store
        .commit_fails(json!([{ "create": row("Draft", json!({})) }]))
        .is_about(&[("writes[0].create.name", "REQUIRED")]);
    // Each part of a key must be there, and bytes as well as texts.
    store.create_fails("Keyed", json!({})).is_about(&[("keyed.text", "REQUIRED"), ("keyed.data", "REQUIRED")]);
    store.fails("GetDraft", json!({ "name": "" })).is(Code::NotFound, "NOT_FOUND");
    assert_eq!(store.list("Draft", json!({})), Vec::<Json>::new());
    assert!(store.exists("Uid", json!({ "id": store.create("Uid", json!({ "id": "" }))["id"] })), "one is made");
}

fn with(row: &Json, field: &str, value: Json) -> Json {
    let mut row = row.clone();
    row[field] = value;
    row
}

pub fn counted_keys_go_up_and_leave_room_for_given_ones(store: &Subject) {
    for entity in ["Note", "Ticket", "SmallTicket"] {
        let text = if entity == "Note" { "title" } else { "text" };
        let number =
            |row: &Json| row["id"].as_str().map_or_else(|| row["id"].as_i64(), |text| text.parse().ok()).unwrap();
        let first = number(&store.create(entity, json!({ text: "a" })));
        let second = number(&store.create(entity, json!({ text: "b" })));
        assert!(first >= 1 && second > first, "{entity}: {first}, {second}");
        store.create(entity, json!({ "id": second + 100, text: "given" }));
        let next = number(&store.create(entity, json!({ text: "c" })));
        assert!(next > second + 100, "{entity}: {next}");
        store.delete(entity, json!({ "id": next }));
        let after = number(&store.create(entity, json!({ text: "d" })));
        assert!(after > next, "{entity}: {after} after {next} was deleted");
        let failure = store.create_fails(entity, json!({ "id": first, text: "again" }));
        failure.is(Code::AlreadyExists, "ALREADY_EXISTS");
    }
}

pub fn counted_keys_that_are_used_up_are_said_to_be(store: &Subject) {
    store.create("SmallTicket", json!({ "id": i32::MAX }));
    store.create("Note", json!({ "id": i64::MAX.to_string(), "title": "a" }));
    store.create("Ticket", json!({ "id": u64::MAX.to_string() }));
    for (entity, row) in [("SmallTicket", json!({})), ("Note", json!({ "title": "b" })), ("Ticket", json!({}))] {
        store.create_fails(entity, row).is(Code::ResourceExhausted, "NUMBERS_USED_UP");
    }
    assert_eq!(store.list("SmallTicket", json!({})).len(), 1);
}

pub fn a_counted_key_is_known_to_the_rest_of_its_commit_only_afterwards(store: &Subject) {
    let rows = json!([
        { "create": row("Note", json!({ "title": "a" })) },
        { "create": row("Note", json!({ "title": "b" })) },
    ]);
    let results = store.commit(rows);
    let ids = [&results[0]["row"]["id"], &results[1]["row"]["id"]];
    assert_ne!(ids[0], ids[1]);
    assert_eq!(store.get("Note", json!({ "id": ids[1] }))["title"], "b");
}

pub fn snowflakes_are_positive_and_in_order(store: &Subject) {
    let made: Vec<Json> = (0..20).map(|_| store.create("Flake", json!({}))).collect();
    for field in ["id", "other"] {
        let ids: Vec<u64> = made.iter().map(|row| row[field].as_str().unwrap().parse().unwrap()).collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "{ids:?}");
        assert!(ids.iter().all(|id| *id < 1 << 63), "{ids:?}");
    }
    let given = store.create("Flake", json!({ "id": "7", "other": "8" }));
    assert_eq!(given, json!({ "id": "7", "other": "8" }));
}

pub fn uuids_are_made_in_order_and_may_be_given(store: &Subject) {
    let made: Vec<Json> = (0..20).map(|_| store.create("Uid", json!({}))).collect();
    let ids: Vec<&str> = made.iter().map(|row| row["id"].as_str().unwrap()).collect();
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "{ids:?}");
    assert!(ids.iter().all(|id| id.len() == 36 && id.as_bytes()[14] == b'7'), "{ids:?}");
    // 16 bytes in base64.
    assert!(made.iter().all(|row| row["other"].as_str().is_some_and(|text| text.len() == 24)), "{made:?}");
    assert_eq!(store.create("Uid", json!({ "id": "mine", "other": "AA==" })), json!({ "id": "mine", "other": "AA==" }));
    assert_eq!(store.list("Uid", json!({})).len(), 21);
}
