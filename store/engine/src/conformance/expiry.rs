//! Rows that end by themselves.

use kit_core::Code;
use serde_json::{Value as Json, json};

use super::Subject;
use super::subject::{column, row};

const PAST: &str = "2001-01-01T00:00:00Z";
const FUTURE: &str = "2999-01-01T00:00:00Z";

fn session(token: &str, expires: Option<&str>) -> Json {
    let mut session = json!({ "token": token, "text": "t", "device": format!("of-{token}") });
    if let Some(expires) = expires {
        session["expiresAt"] = json!(expires);
    }
    session
}

pub fn an_expired_row_is_not_there_for_any_read(store: &Subject) {
    store.create("Session", session("a", Some(PAST)));
    store.create("Session", session("b", Some(FUTURE)));
    store.create("Session", session("c", None));
    store.fails("GetSession", json!({ "token": "a" })).is(Code::NotFound, "NOT_FOUND");
    store.fails("GetSessionByDevice", json!({ "device": "of-a" })).is(Code::NotFound, "NOT_FOUND");
    assert_eq!(column(&store.list("Session", json!({})), "token"), ["b", "c"]);
    assert_eq!(store.call("ListSessions", json!({ "includeTotalSize": true }))["totalSize"], "2");
    let found = store.call("BatchGetSessions", json!({ "tokens": ["c", "a", "b"], "allowMissing": true }));
    assert_eq!(column(&store.rows("Session", &found), "token"), ["c", "b"]);
    assert_eq!(found["missingTokens"], json!(["a"]));
}

pub fn an_expired_row_is_not_there_for_any_write(store: &Subject) {
    store.create("Session", session("a", Some(PAST)));
    let update = || store.update_fails("Session", json!({ "token": "a", "text": "x" }), "text");
    update().is(Code::NotFound, "NOT_FOUND");
    store.fails("DeleteSession", json!({ "token": "a" })).is(Code::NotFound, "NOT_FOUND");
    store.call("DeleteSession", json!({ "token": "a", "allowMissing": true }));
    let check = json!([{ "check": row("Session", json!({ "token": "a" })), "precondition": { "exists": false } }]);
    store.commit(check);
    update().is(Code::NotFound, "NOT_FOUND");
}

pub fn key_and_unique_values_of_an_expired_row_are_free(store: &Subject) {
    store.create("Session", session("a", Some(PAST)));
    assert_eq!(store.create("Session", session("a", Some(FUTURE)))["text"], "t");
    store.create("Session", session("b", Some(PAST)));
    let mut third = session("c", None);
    third["device"] = json!("of-b");
    store.create("Session", third);
    store.create("Session", session("d", Some(PAST)));
    store.update("Session", json!({ "token": "c", "device": "of-d" }), "device");
    assert_eq!(store.call("GetSessionByDevice", json!({ "device": "of-d" }))["token"], "c");
    // Key and unique value may each belong to an expired row of its own.
    store.create("Session", session("e", Some(PAST)));
    store.create("Session", session("f", Some(PAST)));
    let mut both = session("e", None);
    both["device"] = json!("of-f");
    store.create("Session", both);
    let mut upsert = session("f", None);
    upsert["device"] = json!("new");
    store.call("UpdateSession", json!({ "session": upsert, "allowMissing": true }));
    assert_eq!(store.list("Session", json!({})).len(), 4);
}

pub fn a_row_that_is_still_there_is_in_the_way(store: &Subject) {
    store.create("Session", session("a", Some(FUTURE)));
    store.create_fails("Session", session("a", None)).is(Code::AlreadyExists, "ALREADY_EXISTS");
    let mut other = session("b", None);
    other["device"] = json!("of-a");
    store.create_fails("Session", other).is(Code::AlreadyExists, "ALREADY_EXISTS").has("fields", "device");
}

pub fn a_row_ends_when_an_update_says_so_and_lasts_when_it_does_not(store: &Subject) {
    store.create("Session", session("a", None));
    store.update("Session", json!({ "token": "a", "expiresAt": FUTURE }), "expiresAt");
    assert!(store.exists("Session", json!({ "token": "a" })));
    store.update("Session", json!({ "token": "a" }), "expiresAt");
    assert!(store.exists("Session", json!({ "token": "a" })));
    store.update("Session", json!({ "token": "a", "expiresAt": PAST }), "expiresAt");
    assert!(!store.exists("Session", json!({ "token": "a" })));
}

pub fn an_expired_row_cannot_be_referred_to(store: &Subject) {
    store.create("Session", session("a", Some(PAST)));
    let failure = store.create_fails("Visit", json!({ "id": "1", "session": "a" }));
    failure.is(Code::FailedPrecondition, "REFERENCE_NOT_FOUND");
    store.create("Session", session("b", Some(FUTURE)));
    store.create("Visit", json!({ "id": "1", "session": "b" }));
    store.fails("DeleteSession", json!({ "token": "b" })).is(Code::FailedPrecondition, "REFERENCED");
}

/// A session with a row of each kind that refers to it, all numbered alike.
fn referred(store: &Subject, token: &str, id: &str) {
    store.create("Session", session(token, None));
    store.create("Basket", json!({ "id": id, "session": token }));
    store.create("Trail", json!({ "id": id, "session": token }));
    store.create("Push", json!({ "id": id, "device": format!("of-{token}") }));
}

fn end(store: &Subject, token: &str) {
    store.update("Session", json!({ "token": token, "expiresAt": PAST }), "expiresAt");
}

pub fn what_refers_to_an_expired_row_is_treated_as_by_a_delete_when_another_takes_its_place(store: &Subject) {
    referred(store, "a", "1");
    referred(store, "b", "2");
    end(store, "a");
    store.create("Session", session("a", None));
    assert_eq!(column(&store.list("Basket", json!({})), "id"), ["2"]);
    assert_eq!(column(&store.list("Trail", json!({})), "id"), ["2"]);
    assert_eq!(store.list("Trail", json!({ "showDeleted": true })).len(), 2);
    assert_eq!(store.get("Push", json!({ "id": "1" })).get("device"), None);
    // So it is when its unique value is taken by a row that was there.
    end(store, "b");
    store.update("Session", json!({ "token": "a", "device": "of-b" }), "device");
    assert_eq!(store.list("Basket", json!({})), Vec::<Json>::new());
    assert_eq!(store.get("Push", json!({ "id": "2" })).get("device"), None);
}

pub fn an_expired_row_that_is_held_fast_keeps_key_and_unique_values(store: &Subject) {
    store.create("Session", session("a", None));
    store.create("Visit", json!({ "id": "1", "session": "a" }));
    end(store, "a");
    assert!(!store.exists("Session", json!({ "token": "a" })));
    let failure = store.create_fails("Session", session("a", None));
    failure.is(Code::FailedPrecondition, "REFERENCED").has("expired", "true");
    failure.has("referenced_by", "conformance.v1.Visit/1").has("field", "session");
    let upsert = json!({ "session": session("a", None), "allowMissing": true });
    store.fails("UpdateSession", upsert).is(Code::FailedPrecondition, "REFERENCED");
    let mut other = session("b", None);
    other["device"] = json!("of-a");
    store.create_fails("Session", other).is(Code::FailedPrecondition, "REFERENCED");
    assert_eq!(store.get("Visit", json!({ "id": "1" }))["session"], "a");
    store.delete("Visit", json!({ "id": "1" }));
    store.create("Session", session("a", None));
}

pub fn a_write_that_takes_the_place_of_an_expired_row_sees_what_went_with_it(store: &Subject) {
    let lease = |name: &str, fields: Json| {
        let mut lease = json!({ "name": name });
        lease.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        store.create("Lease", lease)
    };
    lease("a", json!({ "slot": "1" }));
    lease("child", json!({ "parent": "a" }));
    lease("twin", json!({ "twin": "a" }));
    store.update("Lease", json!({ "name": "a", "expiresAt": PAST }), "expiresAt");
    // It would go with the row whose value it wants.
    let failure = store.update_fails("Lease", json!({ "name": "child", "slot": "1" }), "slot");
    failure.is(Code::NotFound, "NOT_FOUND");
    let failure = store.create_fails("Lease", json!({ "name": "grandchild", "slot": "1", "parent": "child" }));
    failure.is(Code::FailedPrecondition, "REFERENCE_NOT_FOUND").has("value", "child");
    let failure = store.update_fails("Lease", json!({ "name": "twin", "slot": "1", "parent": "child" }), "slot,parent");
    failure.is(Code::FailedPrecondition, "REFERENCE_NOT_FOUND").has("value", "child");
    // What is answered is what is stored.
    let update = json!({ "lease": { "name": "twin", "slot": "1" }, "updateMask": "slot" });
    let answered = store.answer("UpdateLease", update);
    assert_eq!(answered.body, json!({ "name": "twin", "slot": "1" }));
    assert_eq!(store.answer("GetLease", json!({ "name": "twin" })), answered);
    assert_eq!(column(&store.list("Lease", json!({})), "name"), ["twin"]);
}
