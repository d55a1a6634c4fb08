//! Soft delete and undelete.

use kit_core::Code;
use serde_json::{Value as Json, json};

use super::Subject;
use super::subject::{column, row};

fn document(sku: &str) -> Json {
    json!({ "sku": sku, "text": "t" })
}

fn hidden(store: &Subject, sku: &str) -> Json {
    let made = store.create("Document", document(sku));
    store.delete("Document", json!({ "id": made["id"] }))
}

pub fn a_deleted_row_is_answered_with_its_time_and_hidden_from_lists_and_lookups(store: &Subject) {
    let made = store.create("Document", document("a"));
    assert_eq!(made.get("deletedAt"), None);
    let gone = store.answer("DeleteDocument", json!({ "id": made["id"] }));
    assert!(gone.body["deletedAt"].is_string(), "{gone:?}");
    assert_eq!(gone.body["deletedAt"], gone.body["updatedAt"]);
    assert_eq!(store.list("Document", json!({})), Vec::<Json>::new());
    store.fails("GetDocumentBySku", json!({ "sku": "a" })).is(Code::NotFound, "NOT_FOUND");
    // A read by key shows it (AIP-164), as does a list that asks for it.
    assert_eq!(store.answer("GetDocument", json!({ "id": made["id"] })), gone);
    assert_eq!(store.list("Document", json!({ "showDeleted": true })), std::slice::from_ref(&gone.body));
    let found = store.call("BatchGetDocuments", json!({ "ids": [made["id"]] }));
    assert_eq!(store.rows("Document", &found), [gone.body]);
}

pub fn an_undeleted_row_is_as_it_was_but_for_its_version(store: &Subject) {
    let made = store.answer("CreateDocument", json!({ "document": document("a") }));
    let gone = store.answer("DeleteDocument", json!({ "id": made.body["id"] }));
    let back = store.answer("UndeleteDocument", json!({ "id": made.body["id"] }));
    assert_eq!(back.body.get("deletedAt"), None);
    assert_eq!((&back.body["sku"], &back.body["text"]), (&made.body["sku"], &made.body["text"]));
    assert_ne!(back.etag, gone.etag);
    assert_ne!(back.etag, made.etag);
    assert_eq!(store.list("Document", json!({})), std::slice::from_ref(&back.body));
    assert_eq!(store.call("GetDocumentBySku", json!({ "sku": "a" })), back.body);
}

pub fn a_deleted_row_cannot_be_written(store: &Subject) {
    let gone = hidden(store, "a");
    let id = &gone["id"];
    let failure = store.update_fails("Document", json!({ "id": id, "text": "x" }), "text");
    failure.is(Code::NotFound, "NOT_FOUND").has("deleted", "true");
    store.fails("DeleteDocument", json!({ "id": id })).is(Code::NotFound, "NOT_FOUND").has("deleted", "true");
    let upsert = json!({ "document": { "id": id, "text": "x" }, "allowMissing": true });
    store.fails("UpdateDocument", upsert).is(Code::AlreadyExists, "ALREADY_EXISTS").has("deleted", "true");
    let failure = store.create_fails("Document", json!({ "id": id, "sku": "b" }));
    failure.is(Code::AlreadyExists, "ALREADY_EXISTS").has("deleted", "true");
    assert_eq!(store.get("Document", json!({ "id": id })), gone);
    // One that may be missing is deleted already.
    assert_eq!(store.call("DeleteDocument", json!({ "id": id, "allowMissing": true })), gone);
}

pub fn a_deleted_row_keeps_its_unique_values(store: &Subject) {
    hidden(store, "a");
    let failure = store.create_fails("Document", document("a"));
    failure.is(Code::AlreadyExists, "ALREADY_EXISTS").has("fields", "sku").has("deleted", "true");
}

pub fn only_a_deleted_row_can_be_undeleted(store: &Subject) {
    let made = store.create("Document", document("a"));
    store.fails("UndeleteDocument", json!({ "id": made["id"] })).is(Code::AlreadyExists, "NOT_DELETED");
    store.fails("UndeleteDocument", json!({ "id": "999" })).is(Code::NotFound, "NOT_FOUND");
    let undelete = json!([{ "undelete": { "row": row("Plain", json!({ "id": "1" })) } }]);
    let failure = store.commit_fails(undelete);
    assert_eq!(failure.fields[0].1, "NO_SOFT_DELETE", "{failure:?}");
}

pub fn etags_are_compared_on_delete_and_undelete(store: &Subject) {
    let made = store.answer("CreateDocument", json!({ "document": document("a") }));
    let id = &made.body["id"];
    let gone = store.answer("DeleteDocument", json!({ "id": id, "etag": made.etag }));
    let old = json!({ "id": id, "etag": made.etag });
    store.fails("UndeleteDocument", old).is(Code::Aborted, "ETAG_MISMATCH");
    store.call("UndeleteDocument", json!({ "id": id, "etag": gone.etag }));
    store.fails("DeleteDocument", json!({ "id": id, "etag": gone.etag })).is(Code::Aborted, "ETAG_MISMATCH");
}

pub fn rows_are_hidden_without_a_column_that_shows_it(store: &Subject) {
    store.create("Draft", json!({ "name": "a", "text": "t" }));
    assert_eq!(store.delete("Draft", json!({ "name": "a" })), json!({ "name": "a", "text": "t" }));
    assert_eq!(store.list("Draft", json!({})), Vec::<Json>::new());
    assert_eq!(column(&store.list("Draft", json!({ "showDeleted": true })), "name"), ["a"]);
    store.create("Draft", json!({ "name": "b" }));
    assert_eq!(column(&store.list("Draft", json!({ "showDeleted": true })), "name"), ["a", "b"]);
    store.call("UndeleteDraft", json!({ "name": "a" }));
    assert_eq!(column(&store.list("Draft", json!({})), "name"), ["a", "b"]);
}

pub fn preconditions_count_a_deleted_row_as_absent(store: &Subject) {
    store.create("Draft", json!({ "name": "a" }));
    store.delete("Draft", json!({ "name": "a" }));
    let check =
        |precondition: Json| json!([{ "check": row("Draft", json!({ "name": "a" })), "precondition": precondition }]);
    store.commit(check(json!({ "exists": false })));
    store.commit_fails(check(json!({ "exists": true }))).is(Code::NotFound, "NOT_FOUND").has("deleted", "true");
    store.commit_fails(check(json!({ "etag": "*" }))).is(Code::NotFound, "NOT_FOUND");
    store.commit_fails(check(json!({ "condition": "name = \"a\"" }))).is(Code::NotFound, "NOT_FOUND");
}

pub fn a_delete_that_is_only_validated_hides_nothing(store: &Subject) {
    store.create("Draft", json!({ "name": "a" }));
    store.call("DeleteDraft", json!({ "name": "a", "validateOnly": true }));
    assert_eq!(store.list("Draft", json!({})).len(), 1);
    store.delete("Draft", json!({ "name": "a" }));
    store.call("UndeleteDraft", json!({ "name": "a", "validateOnly": true }));
    assert_eq!(store.list("Draft", json!({})).len(), 0);
}
