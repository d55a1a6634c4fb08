//! Get, lookup, batch get.

use kit_core::Code;
use serde_json::json;

use super::Subject;
use super::subject::column;

fn note(title: &str) -> serde_json::Value {
    json!({ "title": title, "body": "text", "rank": 3, "city": "Oslo" })
}

pub fn a_created_row_is_read_back_as_it_was_answered(store: &Subject) {
    let made = store.create("Note", note("a"));
    assert_eq!(made["body"], "text");
    assert_eq!(store.get("Note", json!({ "id": made["id"] })), made);
}

pub fn a_read_answers_the_etag_of_the_row(store: &Subject) {
    let made = store.answer("CreateNote", json!({ "note": note("a") }));
    let read = store.answer("GetNote", json!({ "id": made.body["id"] }));
    assert_eq!(read.etag, made.etag);
    assert_eq!(read.body["etag"].as_str(), made.etag.as_deref(), "the declared column shows it as well");
    store.create("Member", json!({ "code": "m", "email": "m@x" }));
    let by_email = store.answer("GetMemberByEmail", json!({ "email": "m@x" }));
    let by_code = store.answer("GetMember", json!({ "code": "m" }));
    assert!(by_code.etag.is_some());
    assert_eq!(by_email, by_code);
}

pub fn a_row_that_does_not_exist_is_not_found_and_named(store: &Subject) {
    let failure = store.fails("GetNote", json!({ "id": "77" }));
    failure.is(Code::NotFound, "NOT_FOUND").has("entity", "conformance.v1.Note").has("key", "77");
    let failure = store.fails("GetLine", json!({ "orderId": "7", "line": -1 }));
    failure.is(Code::NotFound, "NOT_FOUND").has("key", "7/-1");
}

pub fn a_row_is_looked_up_by_each_of_its_unique_indexes(store: &Subject) {
    let row = json!({ "code": "a", "email": "a@x", "handle": "ann", "team": "red", "seat": 0 });
    let made = store.create("Member", row);
    store.create("Member", json!({ "code": "b", "email": "b@x", "team": "red" }));
    assert_eq!(store.call("GetMemberByEmail", json!({ "email": "a@x" })), made);
    assert_eq!(store.call("GetMemberByHandle", json!({ "handle": "ann" })), made);
    assert_eq!(store.call("GetMemberByTeamAndSeat", json!({ "team": "red", "seat": 0 })), made);
    store.fails("GetMemberByEmail", json!({ "email": "A@X" })).is(Code::NotFound, "NOT_FOUND");
    store.fails("GetMemberByTeamAndSeat", json!({ "team": "red", "seat": 1 })).is(Code::NotFound, "NOT_FOUND");
}

pub fn a_batch_answers_rows_in_the_order_asked_and_repeats_what_is_asked_twice(store: &Subject) {
    for id in 1..=3 {
        store.create("Plain", json!({ "id": id.to_string(), "value": format!("v{id}") }));
    }
    let found = store.call("BatchGetPlains", json!({ "ids": ["3", "1", "3"] }));
    assert_eq!(column(&store.rows("Plain", &found), "value"), ["v3", "v1", "v3"]);
    assert_eq!(store.call("BatchGetPlains", json!({ "ids": [] })), json!({}));
}

pub fn a_batch_with_a_missing_row_fails_unless_it_may_be_missing(store: &Subject) {
    store.create("Plain", json!({ "id": "1" }));
    store.fails("BatchGetPlains", json!({ "ids": ["1", "2"] })).is(Code::NotFound, "NOT_FOUND").has("key", "2");
    let found = store.call("BatchGetPlains", json!({ "ids": ["2", "1", "0"], "allowMissing": true }));
    assert_eq!(found, json!({ "plains": [{ "id": "1" }], "missingIds": ["2", "0"] }));
}

pub fn a_batch_asks_composite_keys_as_messages(store: &Subject) {
    for line in [0, 2] {
        store.create("Line", json!({ "orderId": "9", "line": line, "text": format!("l{line}") }));
    }
    let keys = json!([{ "orderId": "9", "line": 2 }, { "orderId": "9", "line": 1 }, { "orderId": "9" }]);
    let found = store.call("BatchGetLines", json!({ "keys": keys, "allowMissing": true }));
    assert_eq!(column(&store.rows("Line", &found), "text"), ["l2", "l0"]);
    assert_eq!(found["missingKeys"], json!([{ "orderId": "9", "line": 1 }]));
}

pub fn a_batch_of_more_than_500_keys_is_refused(store: &Subject) {
    let ids = |count: i64| (0..count).map(|id| id.to_string()).collect::<Vec<_>>();
    store.call("BatchGetPlains", json!({ "ids": ids(500), "allowMissing": true }));
    let failure = store.fails("BatchGetPlains", json!({ "ids": ids(501), "allowMissing": true }));
    assert_eq!((failure.code, failure.fields[0].1.as_str()), (Code::InvalidArgument, "TOO_MANY"), "{failure:?}");
}

pub fn a_read_mask_shows_the_named_fields_only(store: &Subject) {
    let row = json!({ "title": "a", "city": "Oslo", "address": { "city": "Rome", "lines": ["1", "2"] } });
    let id = store.create("Note", row)["id"].clone();
    let read = |mask: &str| store.call("GetNote", json!({ "id": id, "readMask": mask }));
    assert_eq!(read("title,address.lines"), json!({ "title": "a", "address": { "lines": ["1", "2"] } }));
    assert_eq!(read("city"), json!({ "city": "Oslo" }));
    assert_eq!(read(""), store.get("Note", json!({ "id": id })));
    let listed = store.list("Note", json!({ "readMask": "id" }));
    assert_eq!(listed, [json!({ "id": id })]);
}

pub fn a_read_mask_of_unknown_fields_is_refused(store: &Subject) {
    let id = store.create("Note", note("a"))["id"].clone();
    let failure = store.fails("GetNote", json!({ "id": id, "readMask": "title,nonsense" }));
    assert_eq!(failure.code, Code::InvalidArgument, "{failure:?}");
    let failure = store.fails("GetNote", json!({ "id": id, "readMask": "password" }));
    assert_eq!(failure.code, Code::InvalidArgument, "secret fields are as unknown: {failure:?}");
}

pub fn secret_fields_are_written_and_never_shown(store: &Subject) {
    let made = store.create("Note", json!({ "title": "a", "password": "hidden" }));
    assert_eq!(made.get("password"), None);
    assert_eq!(store.get("Note", json!({ "id": made["id"] })).get("password"), None);
    assert_eq!(store.list("Note", json!({}))[0].get("password"), None);
}
