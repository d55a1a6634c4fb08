//! What becomes of rows that refer to one that a sweep removes.

use kit_core::Code;
use serde_json::{Value as Json, json};

use super::Subject;
use super::lab::{Lab, NOW, SECOND};
use super::subject::{column, row};

/// A second behind the start.
const SOON: &str = "2026-01-02T03:04:06Z";

fn session(api: &Subject, token: &str) {
    api.create("Session", json!({ "token": token, "device": format!("of-{token}"), "expiresAt": SOON }));
}

/// Whether a row is on disk: it is seen again when the clock is set back.
fn is_stored(lab: &Lab, token: &str) -> bool {
    let now = NOW + SECOND;
    lab.clock.set(NOW);
    let stored = lab.api().exists("Session", json!({ "token": token }));
    lab.clock.set(now);
    assert!(!lab.api().exists("Session", json!({ "token": token })), "it has expired");
    stored
}

pub fn rows_that_refer_to_a_swept_row_go_with_it_or_let_go_of_it(lab: &Lab) {
    let api = lab.api();
    session(&api, "a");
    api.create("Session", json!({ "token": "b", "device": "of-b" }));
    for (id, token) in [("1", "a"), ("2", "b")] {
        api.create("Basket", json!({ "id": id, "session": token }));
        api.create("Trail", json!({ "id": id, "session": token }));
        api.create("Push", json!({ "id": id, "device": format!("of-{token}") }));
    }
    let before = api.answer("GetPush", json!({ "id": "1" })).etag;
    lab.clock.set(NOW + SECOND);
    assert_eq!(api.list("Basket", json!({})).len(), 2, "expiry alone touches no other row");
    assert_eq!(lab.sweep(), 1);
    assert!(!is_stored(lab, "a"));
    assert_eq!(column(&api.list("Basket", json!({})), "id"), ["2"]);
    assert_eq!(column(&api.list("Trail", json!({})), "id"), ["2"]);
    assert_eq!(api.list("Trail", json!({ "showDeleted": true })).len(), 2);
    let push = api.answer("GetPush", json!({ "id": "1" }));
    assert_eq!(push.body.get("device"), None);
    assert_ne!(push.etag, before);
    assert_eq!(api.get("Push", json!({ "id": "2" }))["device"], "of-b");
}

pub fn a_row_that_is_held_fast_is_kept_out_of_sight_until_nothing_holds_it(lab: &Lab) {
    let api = lab.api();
    session(&api, "a");
    api.create("Visit", json!({ "id": "1", "session": "a" }));
    api.create("Basket", json!({ "id": "1", "session": "a" }));
    lab.clock.set(NOW + SECOND);
    assert_eq!(lab.sweep(), 0);
    assert!(is_stored(lab, "a"));
    assert_eq!(api.list("Session", json!({})), Vec::<Json>::new());
    assert_eq!(api.list("Basket", json!({})).len(), 1, "what would go with it stays with it");
    assert_eq!(api.get("Visit", json!({ "id": "1" }))["session"], "a");
    api.delete("Visit", json!({ "id": "1" }));
    assert_eq!(lab.sweep(), 1);
    assert!(!is_stored(lab, "a"));
    assert_eq!(api.list("Basket", json!({})), Vec::<Json>::new());
}

pub fn a_row_is_kept_by_what_holds_the_rows_that_would_go_with_it(lab: &Lab) {
    let api = lab.api();
    session(&api, "a");
    api.create("Basket", json!({ "id": "1", "session": "a" }));
    api.create("Basket", json!({ "id": "2", "session": "a" }));
    api.create("Item", json!({ "id": "1", "basketId": "2" }));
    lab.clock.set(NOW + SECOND);
    assert_eq!(lab.sweep(), 0);
    assert_eq!(api.list("Basket", json!({})).len(), 2);
    api.delete("Item", json!({ "id": "1" }));
    assert_eq!(lab.sweep(), 1);
    assert_eq!(api.list("Basket", json!({})), Vec::<Json>::new());
}

pub fn a_row_with_which_too_many_would_go_is_kept(lab: &Lab) {
    let api = lab.api();
    session(&api, "a");
    for id in ["1", "2", "3"] {
        api.create("Basket", json!({ "id": id, "session": "a" }));
    }
    lab.clock.set(NOW + SECOND);
    let small = lab.engine_with(|options| options.max_cascade = 3);
    let sweep = || {
        let mut sweep = small.sweep();
        std::iter::from_fn(|| lab.wait(sweep.step()).unwrap()).sum::<u64>()
    };
    assert_eq!(sweep(), 0);
    assert_eq!(api.list("Basket", json!({})).len(), 3);
    api.delete("Basket", json!({ "id": "1" }));
    assert_eq!(sweep(), 1);
    assert_eq!(api.list("Basket", json!({})), Vec::<Json>::new());
}

pub fn a_sweep_walks_past_what_is_kept_and_ends(lab: &Lab) {
    // More than a step takes.
    const HELD: usize = 600;
    let api = lab.api();
    let create = |entity: &str, rows: Vec<Json>| {
        for chunk in rows.chunks(300) {
            api.commit(chunk.iter().map(|fields| json!({ "create": row(entity, fields.clone()) })).collect());
        }
    };
    let tokens = |letter: char, count: usize| (0..count).map(move |at| format!("{letter}{at:03}"));
    for letter in ['a', 'b'] {
        create("Session", tokens(letter, HELD).map(|token| json!({ "token": token, "expiresAt": SOON })).collect());
    }
    create("Visit", (1..).zip(tokens('a', HELD)).map(|(id, token)| visit(id, &token)).collect());
    create("Code", tokens('c', HELD).map(|text| json!({ "text": text, "expiresAt": SOON })).collect());
    lab.clock.set(NOW + SECOND);
    assert_eq!(lab.sweep(), 2 * HELD as u64);
    assert_eq!(lab.sweep(), 0);
    assert!(is_stored(lab, "a000") && is_stored(lab, "a599") && !is_stored(lab, "b000"));
}

fn visit(id: i64, session: &str) -> Json {
    json!({ "id": id.to_string(), "session": session })
}

pub fn rows_of_one_sweep_may_go_with_each_other(lab: &Lab) {
    let api = lab.api();
    // Along an index, and some by the cascade before the sweep comes to them.
    for (at, parent) in [None, Some("l0"), Some("l1"), None, Some("l3")].into_iter().enumerate() {
        let expires = if at == 4 { None } else { Some(SOON) };
        api.create("Lease", json!({ "name": format!("l{at}"), "parent": parent, "expiresAt": expires }));
    }
    api.create("Lease", json!({ "name": "last", "twin": "l2" }));
    lab.clock.set(NOW + SECOND);
    assert_eq!(lab.sweep(), 4);
    assert_eq!(api.list("Lease", json!({})), [json!({ "name": "last" })]);
    assert_eq!(lab.sweep(), 0);
}

pub fn a_row_that_was_swept_cannot_be_named(lab: &Lab) {
    let api = lab.api();
    session(&api, "a");
    lab.clock.set(NOW + SECOND);
    lab.sweep();
    lab.clock.set(NOW);
    let failure = api.create_fails("Visit", visit(1, "a"));
    failure.is(Code::FailedPrecondition, "REFERENCE_NOT_FOUND");
}
