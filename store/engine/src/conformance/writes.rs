//! Create, update and delete of one row.

use kit_core::Code;
use serde_json::{Value as Json, json};

use super::Subject;

fn id(row: &Json) -> Json {
    json!({ "id": row["id"] })
}

pub fn a_create_of_a_key_that_exists_is_refused_and_changes_nothing(store: &Subject) {
    store.create("Plain", json!({ "id": "1", "value": "first" }));
    let failure = store.create_fails("Plain", json!({ "id": "1", "value": "second" }));
    failure.is(Code::AlreadyExists, "ALREADY_EXISTS").has("fields", "id").has("key", "1");
    assert_eq!(store.get("Plain", json!({ "id": "1" }))["value"], "first");
}

pub fn a_create_sets_defaults_and_times_and_ignores_what_the_store_keeps(store: &Subject) {
    let made = store
        .create("Note", json!({ "title": "a", "seenBy": "me", "etag": "mine", "createdAt": "2000-01-01T00:00:00Z" }));
    assert_eq!(made["state"], "new");
    assert_eq!(made.get("seenBy"), None);
    assert_ne!(made["etag"], "mine");
    assert_eq!(made["createdAt"], made["updatedAt"]);
    assert!(made["createdAt"].as_str().unwrap() > "2020", "{made}");
    assert_eq!(store.create("Note", json!({ "title": "b", "state": "old" }))["state"], "old");
}

pub fn a_request_without_a_row_is_refused(store: &Subject) {
    store.fails("CreateNote", json!({})).is_about(&[("note", "REQUIRED")]);
    store.fails("UpdateNote", json!({})).is_about(&[("note", "REQUIRED")]);
}

pub fn an_update_without_a_mask_writes_the_fields_that_are_set(store: &Subject) {
    let made = store.create("Note", json!({ "title": "a", "body": "b", "rank": 4 }));
    let changed = store.call("UpdateNote", json!({ "note": { "id": made["id"], "body": "c", "rank": 0 } }));
    assert_eq!((&changed["title"], &changed["body"], &changed["rank"]), (&json!("a"), &json!("c"), &json!(4)));
    assert_eq!(store.get("Note", id(&made)), changed);
}

pub fn an_update_moves_etag_and_update_time_and_keeps_the_create_time(store: &Subject) {
    let made = store.answer("CreateNote", json!({ "note": { "title": "a" } }));
    super::subject::eventually("a later time", || {
        let changed = store.answer("UpdateNote", json!({ "note": { "id": made.body["id"], "title": "a" } }));
        assert_ne!(changed.etag, made.etag);
        assert_eq!(changed.body["createdAt"], made.body["createdAt"]);
        changed.body["updatedAt"].as_str() > made.body["updatedAt"].as_str()
    });
}

pub fn an_update_of_a_row_that_does_not_exist_is_not_found(store: &Subject) {
    let request = json!({ "note": { "id": "5", "title": "a" } });
    store.fails("UpdateNote", request).is(Code::NotFound, "NOT_FOUND").has("key", "5");
}

pub fn an_update_may_create_the_row_from_all_that_it_says(store: &Subject) {
    let upsert = |value: &str| {
        let request = json!({ "plain": { "id": "5", "value": value }, "allowMissing": true });
        store.call("UpdatePlain", request)
    };
    assert_eq!(upsert("a"), json!({ "id": "5", "value": "a" }));
    assert_eq!(upsert("b"), json!({ "id": "5", "value": "b" }));
    // A row that an update creates is a new row: defaults, times and rules are a create's.
    let request = json!({ "note": { "id": "9", "title": "t", "author": "me" }, "allowMissing": true });
    let made = store.call("UpdateNote", request);
    assert_eq!((&made["id"], &made["state"], &made["author"]), (&json!("9"), &json!("new"), &json!("me")));
    assert!(made["createdAt"].is_string());
    let request = json!({ "note": { "id": "10", "body": "no title" }, "allowMissing": true });
    store.fails("UpdateNote", request).is_about(&[("note.title", "REQUIRED")]);
}

pub fn an_update_that_may_create_must_name_its_row(store: &Subject) {
    let request = json!({ "note": { "title": "t" }, "allowMissing": true });
    store.fails("UpdateNote", request).is_about(&[("note.id", "REQUIRED")]);
}

pub fn what_never_changes_may_be_repeated_but_not_changed(store: &Subject) {
    let made = store.create("Note", json!({ "title": "a", "author": "ann" }));
    let update = |author: &str| json!({ "note": { "id": made["id"], "title": "b", "author": author } });
    assert_eq!(store.call("UpdateNote", update("ann"))["title"], "b");
    store.fails("UpdateNote", update("bob")).is_about(&[("note.author", "IMMUTABLE")]);
    assert_eq!(store.get("Note", id(&made))["author"], "ann");
}

pub fn what_the_store_keeps_is_ignored_in_an_update(store: &Subject) {
    let made = store.create("Note", json!({ "title": "a" }));
    let request = json!({ "note": { "id": made["id"], "seenBy": "me", "createdAt": "2000-01-01T00:00:00Z" } });
    let changed = store.call("UpdateNote", request);
    assert_eq!((changed.get("seenBy"), &changed["createdAt"]), (None, &made["createdAt"]));
}

pub fn a_secret_stays_as_it_is_when_other_fields_change(store: &Subject) {
    // It can be seen through a condition on nothing but its row: by the unchanged etag of a repeated password.
    let made = store.create("Note", json!({ "title": "a", "password": "p" }));
    store.call("UpdateNote", json!({ "note": { "id": made["id"], "title": "b" } }));
    let failure = store.list_fails("Note", json!({ "filter": "password = \"p\"" }));
    failure.is_about(&[("filter", "INVALID_FILTER")]);
}

pub fn a_deleted_row_is_gone_and_its_key_is_free(store: &Subject) {
    store.create("Plain", json!({ "id": "1", "value": "a" }));
    assert_eq!(store.delete("Plain", json!({ "id": "1" })), json!({}));
    assert!(!store.exists("Plain", json!({ "id": "1" })));
    store.create("Plain", json!({ "id": "1", "value": "b" }));
    assert_eq!(store.get("Plain", json!({ "id": "1" }))["value"], "b");
}

pub fn a_delete_of_a_row_that_does_not_exist_is_not_found_unless_it_may_be_missing(store: &Subject) {
    store.fails("DeletePlain", json!({ "id": "1" })).is(Code::NotFound, "NOT_FOUND").has("key", "1");
    assert_eq!(store.call("DeletePlain", json!({ "id": "1", "allowMissing": true })), json!({}));
    store.fails("DeleteTeam", json!({ "id": "1" })).is(Code::NotFound, "NOT_FOUND");
    assert_eq!(store.call("DeleteTeam", json!({ "id": "1", "allowMissing": true })), json!({}));
}

pub fn a_write_that_is_only_validated_answers_as_if_and_changes_nothing(store: &Subject) {
    let made = store.call("CreatePlain", json!({ "plain": { "id": "1", "value": "a" }, "validateOnly": true }));
    assert_eq!(made, json!({ "id": "1", "value": "a" }));
    assert!(!store.exists("Plain", json!({ "id": "1" })));
    store.create("Plain", json!({ "id": "1", "value": "a" }));
    let request = json!({ "plain": { "id": "1", "value": "b" }, "validateOnly": true });
    assert_eq!(store.call("UpdatePlain", request)["value"], "b");
    store.call("DeletePlain", json!({ "id": "1", "validateOnly": true }));
    assert_eq!(store.get("Plain", json!({ "id": "1" }))["value"], "a");
    let again = json!({ "plain": { "id": "1" }, "validateOnly": true });
    store.fails("CreatePlain", again).is(Code::AlreadyExists, "ALREADY_EXISTS");
    let request = json!({ "note": { "title": "" }, "validateOnly": true });
    store.fails("CreateNote", request).is_about(&[("note.title", "REQUIRED")]);
}

pub fn the_etag_of_a_row_without_a_version_is_that_of_its_content(store: &Subject) {
    let made = store.answer("CreatePlain", json!({ "plain": { "id": "1" } })).etag.unwrap();
    assert_eq!(store.answer("GetPlain", json!({ "id": "1" })).etag.as_ref(), Some(&made));
    let update = |value: &str, etag: &str| json!({ "plain": { "id": "1", "value": value }, "etag": etag });
    let changed = store.answer("UpdatePlain", update("b", &made)).etag.unwrap();
    let failure = store.fails("UpdatePlain", update("c", &made));
    failure.is(Code::Aborted, "ETAG_MISMATCH").has("etag", &changed).has("expected", &made);
    let back = store.answer("UpdatePlain", json!({ "plain": { "id": "1" }, "updateMask": "value" })).etag.unwrap();
    assert_eq!(back, made);
    store.fails("DeletePlain", json!({ "id": "1", "etag": changed })).is(Code::Aborted, "ETAG_MISMATCH");
    store.call("DeletePlain", json!({ "id": "1", "etag": made }));
}
