//! Update masks.

use kit_core::Code;
use serde_json::{Value as Json, json};

use super::Subject;

fn full(store: &Subject) -> Json {
    let address = json!({ "city": "Rome", "lines": ["1", "2"], "counts": { "a": "1" }, "main": true });
    store.create(
        "Note",
        json!({ "title": "t", "body": "b", "rank": 4, "city": "Oslo", "author": "ann", "state": "s", "address": address }),
    )
}

pub fn only_the_named_fields_are_written_and_absent_ones_are_cleared(store: &Subject) {
    let made = full(store);
    let changed = store.update("Note", json!({ "id": made["id"], "body": "x", "title": "ignored" }), "body,rank,city");
    assert_eq!((&changed["title"], &changed["body"]), (&json!("t"), &json!("x")));
    assert_eq!((changed.get("rank"), changed.get("city")), (None, None));
    assert_eq!(changed["address"], made["address"]);
    assert_eq!(store.get("Note", json!({ "id": made["id"] })), changed);
}

pub fn an_empty_text_and_no_text_are_different_in_an_optional_field(store: &Subject) {
    let made = full(store);
    let empty = store.update("Note", json!({ "id": made["id"], "city": "" }), "city");
    assert_eq!(empty["city"], "");
    let absent = store.update("Note", json!({ "id": made["id"] }), "city");
    assert_eq!(absent.get("city"), None);
}

pub fn a_star_replaces_everything_but_what_never_changes(store: &Subject) {
    let made = full(store);
    let changed = store.update("Note", json!({ "id": made["id"], "title": "u" }), "*");
    assert_eq!(changed["title"], "u");
    assert_eq!(changed["author"], "ann");
    for cleared in ["body", "rank", "city", "state", "address"] {
        assert_eq!(changed.get(cleared), None, "{cleared}");
    }
    assert_eq!(changed["createdAt"], made["createdAt"]);
    store.update_fails("Note", json!({ "id": made["id"] }), "*").is_about(&[("note.title", "REQUIRED")]);
}

pub fn a_path_into_a_message_changes_that_part_only(store: &Subject) {
    let made = full(store);
    let row = json!({ "id": made["id"], "address": { "city": "Bari", "lines": ["ignored"] } });
    let changed = store.update("Note", row, "address.city,address.main");
    let expected = json!({ "city": "Bari", "lines": ["1", "2"], "counts": { "a": "1" } });
    assert_eq!(changed["address"], expected);
    let row = json!({ "id": made["id"], "address": { "next": { "city": "Pisa", "main": true } } });
    let deeper = store.update("Note", row, "address.next.city");
    assert_eq!(deeper["address"]["next"], json!({ "city": "Pisa" }));
    assert_eq!(deeper["address"]["city"], "Bari");
}

pub fn a_path_into_a_message_that_is_not_there_makes_it(store: &Subject) {
    let made = store.create("Note", json!({ "title": "t" }));
    let row = json!({ "id": made["id"], "address": { "city": "Bari", "main": true } });
    assert_eq!(store.update("Note", row, "address.city")["address"], json!({ "city": "Bari" }));
}

pub fn unknown_paths_are_refused_and_named_in_the_mask(store: &Subject) {
    let made = full(store);
    let failure = store.update_fails("Note", json!({ "id": made["id"] }), "title,nonsense,address.nowhere");
    failure.is(Code::InvalidArgument, "INVALID_FIELDS");
    assert!(failure.fields.iter().all(|(field, _)| field == "update_mask"), "{failure:?}");
    assert_eq!(store.get("Note", json!({ "id": made["id"] })), made);
}

pub fn rules_hold_for_what_the_mask_clears(store: &Subject) {
    let made = full(store);
    store.update_fails("Note", json!({ "id": made["id"] }), "title").is_about(&[("note.title", "REQUIRED")]);
    store.update_fails("Note", json!({ "id": made["id"] }), "author").is_about(&[("note.author", "IMMUTABLE")]);
}

pub fn the_key_and_what_the_store_keeps_may_be_named_without_effect(store: &Subject) {
    let made = full(store);
    let changed = store.update("Note", json!({ "id": made["id"], "body": "x" }), "id,body,createdAt,etag,seenBy");
    assert_eq!((&changed["id"], &changed["body"]), (&made["id"], &json!("x")));
    assert_eq!(changed["createdAt"], made["createdAt"]);
}

pub fn naming_a_member_of_a_oneof_clears_the_others_if_it_is_set(store: &Subject) {
    store.create("Everything", json!({ "id": "1", "choiceText": "a" }));
    let changed = store.update("Everything", json!({ "id": "1", "choiceNumber": 0 }), "choiceNumber");
    assert_eq!((&changed["choiceNumber"], changed.get("choiceText")), (&json!(0), None));
    let kept = store.update("Everything", json!({ "id": "1" }), "choiceText");
    assert_eq!(kept["choiceNumber"], 0);
    let without_mask = store.call("UpdateEverything", json!({ "everything": { "id": "1", "choiceText": "b" } }));
    assert_eq!((&without_mask["choiceText"], without_mask.get("choiceNumber")), (&json!("b"), None));
}
