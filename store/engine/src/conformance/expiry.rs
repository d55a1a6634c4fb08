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
