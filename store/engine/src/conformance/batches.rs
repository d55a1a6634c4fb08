//! Batches: several requests of one kind, all or none.

use kit_core::Code;
use serde_json::{Value as Json, json};

use super::Subject;
use super::subject::column;

fn create(id: u32, value: &str) -> Json {
    json!({ "plain": { "id": id.to_string(), "value": value } })
}

fn values(store: &Subject) -> Vec<Json> {
    column(&store.list("Plain", json!({})), "value")
}

pub fn a_batch_answers_in_the_order_of_its_requests(store: &Subject) {
    let made = store.call("BatchCreatePlains", json!({ "requests": [create(3, "c"), create(1, "a"), create(2, "b")] }));
    assert_eq!(column(&store.rows("Plain", &made), "value"), ["c", "a", "b"]);
    let changed = store.call("BatchUpdatePlains", json!({ "requests": [create(2, "B"), create(3, "C")] }));
    assert_eq!(column(&store.rows("Plain", &changed), "value"), ["B", "C"]);
    let gone = store.call("BatchDeletePlains", json!({ "requests": [{ "id": "3" }, { "id": "1" }] }));
    assert_eq!(gone, json!({}));
    assert_eq!(values(store), ["B"]);
    let upsert = json!({ "plain": { "id": "9", "value": "new" }, "allowMissing": true });
    let changed = store.call("BatchUpdatePlains", json!({ "requests": [create(2, "b"), upsert] }));
    assert_eq!(column(&store.rows("Plain", &changed), "value"), ["b", "new"]);
}

pub fn a_batch_with_one_that_fails_does_nothing(store: &Subject) {
    store.create("Plain", json!({ "id": "2", "value": "old" }));
    store
        .fails("BatchCreatePlains", json!({ "requests": [create(1, "a"), create(2, "b")] }))
        .is(Code::AlreadyExists, "ALREADY_EXISTS")
        .has("key", "2");
    store
        .fails("BatchUpdatePlains", json!({ "requests": [create(2, "b"), create(7, "x")] }))
        .is(Code::NotFound, "NOT_FOUND")
        .has("key", "7");
    store
        .fails("BatchDeletePlains", json!({ "requests": [{ "id": "2" }, { "id": "7" }] }))
        .is(Code::NotFound, "NOT_FOUND");
    assert_eq!(values(store), ["old"]);
    store.call("BatchDeletePlains", json!({ "requests": [{ "id": "7", "allowMissing": true }, { "id": "2" }] }));
    assert_eq!(values(store), Vec::<Json>::new());
}

pub fn all_that_is_wrong_in_a_batch_is_said_at_once(store: &Subject) {
    let note = |title: &str| json!({ "note": { "title": title } });
    let requests = json!([note("fine"), note(""), note(&"x".repeat(41))]);
    let failure = store.fails("BatchCreateNotes", json!({ "requests": requests }));
    failure.is_about(&[("requests[1].note.title", "REQUIRED"), ("requests[2].note.title", "TOO_LONG")]);
    let failure = store.fails("BatchCreatePlains", json!({ "requests": [create(1, "a"), {}] }));
    failure.is_about(&[("requests[1].plain", "REQUIRED")]);
}

pub fn a_row_is_written_once_in_a_batch(store: &Subject) {
    let failure = store.fails("BatchCreatePlains", json!({ "requests": [create(1, "a"), create(1, "b")] }));
    failure.is(Code::InvalidArgument, "INVALID_FIELDS");
    assert_eq!(failure.fields[0].1, "DUPLICATE_WRITE", "{failure:?}");
}

pub fn a_batch_of_etags_compares_each(store: &Subject) {
    let etag = |name: &str| store.answer("CreateGuarded", json!({ "guarded": { "name": name } })).etag.unwrap();
    let (a, b) = (etag("a"), etag("b"));
    let change = |name: &str, etag: &str| json!({ "guarded": { "name": name, "value": "1" }, "etag": etag });
    store
        .fails("BatchUpdateGuardeds", json!({ "requests": [change("a", &a), change("b", &a)] }))
        .is(Code::Aborted, "ETAG_MISMATCH")
        .has("key", "b");
    store.call("BatchUpdateGuardeds", json!({ "requests": [change("a", &a), change("b", &b)] }));
    let delete = |name: &str, etag: &str| json!({ "name": name, "etag": etag });
    store.fails("BatchDeleteGuardeds", json!({ "requests": [delete("a", &a)] })).is(Code::Aborted, "ETAG_MISMATCH");
}

pub fn what_belongs_to_the_whole_is_not_said_of_a_part(store: &Subject) {
    let mut part = create(1, "a");
    part["requestId"] = json!("x");
    store
        .fails("BatchCreatePlains", json!({ "requests": [part] }))
        .is_about(&[("requests[0].request_id", "NOT_IN_BATCH")]);
    let mut part = create(1, "a");
    part["validateOnly"] = json!(true);
    store
        .fails("BatchCreatePlains", json!({ "requests": [part] }))
        .is_about(&[("requests[0].validate_only", "NOT_IN_BATCH")]);
    let whole = json!({ "requests": [create(1, "a")], "validateOnly": true });
    assert_eq!(store.call("BatchCreatePlains", whole)["plains"][0]["value"], "a");
    assert_eq!(values(store), Vec::<Json>::new());
}

pub fn a_batch_of_soft_deletes_answers_the_hidden_rows(store: &Subject) {
    for name in ["a", "b"] {
        store.create("Draft", json!({ "name": name, "text": name }));
    }
    let hidden = store.call("BatchDeleteDrafts", json!({ "requests": [{ "name": "b" }, { "name": "a" }] }));
    assert_eq!(column(&store.rows("Draft", &hidden), "text"), ["b", "a"]);
    assert_eq!(store.list("Draft", json!({})), Vec::<Json>::new());
}
