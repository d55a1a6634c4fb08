//! Requests that are repeated under their id.

use kit_core::Code;
use serde_json::{Value as Json, json};

use super::Subject;
use super::subject::row;

const ID: &str = "6f1f3d0e-4a1b-4c1e-9d3e-0a1b2c3d4e5f";

fn note(title: &str) -> Json {
    json!({ "note": { "title": title }, "requestId": ID })
}

pub fn a_repeated_request_is_answered_alike_and_done_once(store: &Subject) {
    let first = store.answer("CreateNote", note("a"));
    for _ in 0..3 {
        assert_eq!(store.answer("CreateNote", note("a")), first);
    }
    assert_eq!(store.list("Note", json!({})).len(), 1);
}

pub fn the_first_answer_is_given_although_the_row_has_changed_since(store: &Subject) {
    let first = store.answer("CreateNote", note("a"));
    store.update("Note", json!({ "id": first.body["id"], "title": "b" }), "title");
    assert_eq!(store.answer("CreateNote", note("a")), first);
    store.delete("Note", json!({ "id": first.body["id"] }));
    assert_eq!(store.answer("CreateNote", note("a")), first);
    assert!(!store.exists("Note", json!({ "id": first.body["id"] })));
}

pub fn the_same_id_with_other_content_is_refused(store: &Subject) {
    store.call("CreateNote", note("a"));
    store.fails("CreateNote", note("b")).is(Code::AlreadyExists, "REQUEST_ID_REUSED").has("request_id", ID);
    let other_method = json!({ "plain": { "id": "1" }, "requestId": ID });
    store.fails("CreatePlain", other_method).is(Code::AlreadyExists, "REQUEST_ID_REUSED");
    assert_eq!(store.list("Note", json!({})).len(), 1);
    assert!(!store.exists("Plain", json!({ "id": "1" })));
}

pub fn a_request_that_failed_may_be_tried_again_under_its_id(store: &Subject) {
    store.create("Plain", json!({ "id": "1", "value": "in the way" }));
    let request = json!({ "plain": { "id": "1", "value": "mine" }, "requestId": ID });
    store.fails("CreatePlain", request.clone()).is(Code::AlreadyExists, "ALREADY_EXISTS");
    store.delete("Plain", json!({ "id": "1" }));
    assert_eq!(store.call("CreatePlain", request)["value"], "mine");
}

pub fn every_kind_of_write_can_be_repeated(store: &Subject) {
    store.create("Counter", json!({ "id": "1", "stock": "5" }));
    let twice = |method: &str, mut request: Json, id: &str| {
        request["requestId"] = json!(id);
        let first = store.answer(method, request.clone());
        assert_eq!(store.answer(method, request), first, "{method}");
    };
    let sold = json!([{ "field": "stock", "increment": "-1" }]);
    let sell = json!({ "counter": { "id": "1" }, "updateMask": "", "transforms": sold });
    twice("UpdateCounter", sell.clone(), "update");
    twice("BatchUpdateCounters", json!({ "requests": [sell] }), "batch-update");
    let update = json!({ "row": row("Counter", json!({ "id": "1" })), "updateMask": "", "transforms": sold });
    twice("Commit", json!({ "writes": [{ "update": update }] }), "commit");
    assert_eq!(store.get("Counter", json!({ "id": "1" }))["stock"], "2");
    twice("DeleteCounter", json!({ "id": "1" }), "delete");
    twice("BatchCreateTickets", json!({ "requests": [{ "ticket": {} }, { "ticket": {} }] }), "batch-create");
    assert_eq!(store.list("Ticket", json!({})).len(), 2);
    let ids = json!([{ "id": "1" }, { "id": "2" }]);
    twice("BatchDeleteTickets", json!({ "requests": ids }), "batch-delete");
    store.create("Draft", json!({ "name": "a" }));
    twice("DeleteDraft", json!({ "name": "a" }), "soft-delete");
    twice("UndeleteDraft", json!({ "name": "a" }), "undelete");
    twice("Commit", json!({ "writes": [] }), "empty");
}

pub fn a_validated_request_is_not_remembered(store: &Subject) {
    let mut validate = note("a");
    validate["validateOnly"] = json!(true);
    store.call("CreateNote", validate);
    store.call("CreateNote", note("b"));
    assert_eq!(store.list("Note", json!({})).len(), 1);
}

pub fn ids_are_short_and_visible(store: &Subject) {
    let long = "x".repeat(128);
    store.call("CreateNote", json!({ "note": { "title": "a" }, "requestId": long }));
    for id in ["has space", "\u{e9}", "tab\t", &"x".repeat(129)] {
        let failure = store.fails("CreateNote", json!({ "note": { "title": "a" }, "requestId": id }));
        failure.is_about(&[("request_id", "INVALID_REQUEST_ID")]);
    }
    // An empty id is none.
    for _ in 0..2 {
        store.call("CreateNote", json!({ "note": { "title": "b" }, "requestId": "" }));
    }
    assert_eq!(store.list("Note", json!({})).len(), 3);
}
