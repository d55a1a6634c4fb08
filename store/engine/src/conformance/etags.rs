//! Optimistic locking.

use kit_core::Code;
use serde_json::{Value as Json, json};

use super::Subject;
use super::subject::row;

const FOREIGN: &str = "\"AAAAAAAAAAA\"";

fn made(store: &Subject) -> (Json, String) {
    let answer = store.answer("CreateNote", json!({ "note": { "title": "a" } }));
    (answer.body["id"].clone(), answer.etag.unwrap())
}

fn update(store: &Subject, id: &Json, etag: &str) -> Result<super::Answer, Box<super::Failure>> {
    store.try_call("UpdateNote", &json!({ "note": { "id": id, "body": "b" }, "etag": etag }))
}

pub fn a_write_with_the_current_etag_happens_and_with_an_old_one_is_aborted(store: &Subject) {
    let (id, etag) = made(store);
    let changed = update(store, &id, &etag).unwrap();
    let failure = update(store, &id, &etag).unwrap_err();
    let current = changed.etag.as_deref().unwrap();
    failure.is(Code::Aborted, "ETAG_MISMATCH").has("etag", current).has("expected", &etag);
    let subject = format!("conformance.v1.Note/{}", id.as_str().unwrap());
    assert_eq!(failure.preconditions, [("ETAG".to_owned(), subject)]);
    update(store, &id, current).unwrap();
}

pub fn an_etag_is_taken_with_and_without_quotes_and_star_means_any_row(store: &Subject) {
    let (id, etag) = made(store);
    let changed = update(store, &id, etag.trim_matches('"')).unwrap();
    update(store, &id, &changed.etag.unwrap()).unwrap();
    update(store, &id, "*").unwrap();
    let missing = json!("999");
    update(store, &missing, "*").unwrap_err().is(Code::NotFound, "NOT_FOUND");
    update(store, &missing, FOREIGN).unwrap_err().is(Code::NotFound, "NOT_FOUND");
}

pub fn a_text_that_is_no_etag_matches_no_row(store: &Subject) {
    let (id, _) = made(store);
    for text in ["nonsense", "\"\"", "W/", "\"AAAAAAAAAAAA\"", FOREIGN, "é"] {
        update(store, &id, text).unwrap_err().is(Code::Aborted, "ETAG_MISMATCH");
    }
}

pub fn the_etag_of_another_row_or_of_a_former_one_does_not_fit(store: &Subject) {
    let (first, _) = made(store);
    let (_, other) = made(store);
    update(store, &first, &other).unwrap_err().is(Code::Aborted, "ETAG_MISMATCH");
    let create = || store.answer("CreateGuarded", json!({ "guarded": { "name": "a" } })).etag.unwrap();
    let former = create();
    store.call("DeleteGuarded", json!({ "name": "a", "etag": former }));
    let current = create();
    assert_ne!(former, current);
    let request = json!({ "guarded": { "name": "a", "value": "1" }, "etag": former });
    store.fails("UpdateGuarded", request).is(Code::Aborted, "ETAG_MISMATCH");
}

pub fn a_delete_compares_the_etag(store: &Subject) {
    let (id, etag) = made(store);
    let changed = update(store, &id, &etag).unwrap();
    store.fails("DeleteNote", json!({ "id": id, "etag": etag })).is(Code::Aborted, "ETAG_MISMATCH");
    store.call("DeleteNote", json!({ "id": id, "etag": changed.etag }));
    store.fails("DeleteNote", json!({ "id": id, "etag": changed.etag })).is(Code::NotFound, "NOT_FOUND");
    store.call("DeleteNote", json!({ "id": id, "etag": changed.etag, "allowMissing": true }));
}

pub fn an_entity_may_demand_an_etag_of_every_change(store: &Subject) {
    let etag = store.answer("CreateGuarded", json!({ "guarded": { "name": "a" } })).etag.unwrap();
    let change = json!({ "guarded": { "name": "a", "value": "1" } });
    store.fails("UpdateGuarded", change.clone()).is(Code::InvalidArgument, "ETAG_REQUIRED");
    store.fails("DeleteGuarded", json!({ "name": "a" })).is(Code::InvalidArgument, "ETAG_REQUIRED");
    let upsert = json!({ "guarded": { "name": "a", "value": "1" }, "allowMissing": true });
    store.fails("UpdateGuarded", upsert).is(Code::InvalidArgument, "ETAG_REQUIRED");
    let bare = json!([{ "update": { "row": row("Guarded", json!({ "name": "a", "value": "2" })) } }]);
    store.commit_fails(bare).is(Code::InvalidArgument, "ETAG_REQUIRED");
    let new = json!({ "guarded": { "name": "b", "value": "1" }, "allowMissing": true });
    store.call("UpdateGuarded", new);
    let with_etag = json!({ "guarded": change["guarded"], "etag": etag });
    let etag = store.answer("UpdateGuarded", with_etag).etag;
    store.call("DeleteGuarded", json!({ "name": "a", "etag": etag }));
}

pub fn a_commit_answers_the_etag_of_each_row_it_wrote(store: &Subject) {
    let results = store.commit(json!([
        { "create": row("Guarded", json!({ "name": "a" })) },
        { "create": row("Plain", json!({ "id": "1" })) },
    ]));
    let reads = [("GetGuarded", json!({ "name": "a" })), ("GetPlain", json!({ "id": "1" }))];
    for (result, (method, key)) in results.iter().zip(reads) {
        assert_eq!(result["etag"].as_str(), store.answer(method, key).etag.as_deref());
    }
}
