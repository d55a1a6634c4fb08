//! What depends on the clock.

use std::time::{Duration, Instant};

use kit_core::Code;
use rowkeep_record::etag;
use serde_json::{Value as Json, json};

use super::lab::{Lab, NOW, SECOND};
use super::subject::column;
use crate::{CommitRequest, Session};

const DAY: i64 = 24 * 3600 * SECOND;

fn version(lab: &Lab, id: &Json) -> u64 {
    etag::parse(&lab.api().answer("GetNote", json!({ "id": id })).etag.unwrap()).unwrap()
}

pub fn a_row_ends_at_its_time_to_the_microsecond(lab: &Lab) {
    let api = lab.api();
    api.create("Session", json!({ "token": "a", "expiresAt": "2026-01-02T03:04:06Z" }));
    lab.clock.set(NOW + SECOND - 1);
    assert!(api.exists("Session", json!({ "token": "a" })));
    api.create("Visit", json!({ "id": "1", "session": "a" }));
    lab.clock.set(NOW + SECOND);
    assert!(!api.exists("Session", json!({ "token": "a" })));
    api.create_fails("Visit", json!({ "id": "2", "session": "a" })).is(Code::FailedPrecondition, "REFERENCE_NOT_FOUND");
}

pub fn a_sweep_removes_what_no_read_sees(lab: &Lab) {
    let api = lab.api();
    for (token, expires) in [("a", Some("2026-01-02T03:04:06Z")), ("b", Some("2026-01-03T00:00:00Z")), ("c", None)] {
        api.create("Session", json!({ "token": token, "expiresAt": expires }));
    }
    api.call("CreatePlain", json!({ "plain": { "id": "1" }, "requestId": "r" }));
    assert_eq!(lab.sweep(), 0);
    lab.clock.set(NOW + SECOND);
    assert_eq!(lab.sweep(), 1);
    assert_eq!(lab.sweep(), 0);
    assert_eq!(column(&api.list("Session", json!({})), "token"), ["b", "c"]);
    lab.clock.set(NOW + 2 * DAY);
    assert_eq!(lab.sweep(), 2, "a row and the memory of a request");
    // Nothing comes back when the clock does.
    lab.clock.set(NOW);
    assert_eq!(column(&api.list("Session", json!({})), "token"), ["c"]);
}

pub fn a_request_is_remembered_for_a_day(lab: &Lab) {
    let api = lab.api();
    let request = json!({ "note": { "title": "a" }, "requestId": "r" });
    let first = api.answer("CreateNote", request.clone());
    lab.clock.set(NOW + DAY - 1);
    assert_eq!(api.answer("CreateNote", request.clone()), first);
    lab.clock.set(NOW + DAY);
    let second = api.answer("CreateNote", request.clone());
    assert_ne!(second.body["id"], first.body["id"]);
    assert_eq!(api.answer("CreateNote", request), second);
}

pub fn times_are_the_commits_and_the_same_for_all_its_rows(lab: &Lab) {
    let api = lab.api();
    lab.clock.set(NOW + 7);
    let made = api.create("Note", json!({ "title": "a" }));
    assert_eq!((&made["createdAt"], &made["updatedAt"]), (&json!("2026-01-02T03:04:05.000007Z"), &made["createdAt"]));
    lab.clock.set(NOW + SECOND);
    let changed = api.update("Note", json!({ "id": made["id"], "title": "b" }), "title");
    assert_eq!((&changed["createdAt"], &changed["updatedAt"]), (&made["createdAt"], &json!("2026-01-02T03:04:06Z")));
    let document = api.create("Document", json!({ "sku": "a" }));
    lab.clock.set(NOW + 2 * SECOND);
    let gone = api.delete("Document", json!({ "id": document["id"] }));
    assert_eq!(gone["deletedAt"], "2026-01-02T03:04:07Z");
}

pub fn versions_grow_although_the_clock_stands_or_is_set_back(lab: &Lab) {
    let api = lab.api();
    let id = api.create("Note", json!({ "title": "a" }))["id"].clone();
    let mut last = version(lab, &id);
    for step in [0, 0, -3600, -3601, 0, 5, -1] {
        lab.clock.set(NOW + step * SECOND);
        api.update("Note", json!({ "id": id, "body": step.to_string() }), "body");
        let next = version(lab, &id);
        assert!(next > last, "{next} after {last} at {step}");
        last = next;
    }
    // Another process over the same data, with a clock that lags.
    lab.clock.set(NOW - DAY);
    let other = Lab::api_of(&lab.engine_with(|_| {}));
    other.update("Note", json!({ "id": id, "body": "z" }), "body");
    assert!(version(lab, &id) > last);
}

pub fn the_version_of_a_deleted_row_is_not_given_to_its_successor(lab: &Lab) {
    let api = lab.api();
    let make = || api.answer("CreateMember", json!({ "member": { "code": "a", "email": "a@x" } })).etag.unwrap();
    let first = etag::parse(&make()).unwrap();
    lab.clock.set(NOW - DAY);
    api.delete("Member", json!({ "code": "a" }));
    let second = etag::parse(&make()).unwrap();
    assert!(second > first, "{second} after {first}");
}

pub fn a_page_token_expires_after_three_days(lab: &Lab) {
    let api = lab.api();
    for id in ["1", "2"] {
        api.create("Plain", json!({ "id": id }));
    }
    let (_, token) = api.page("Plain", json!({ "pageSize": 1 }));
    lab.clock.set(NOW + 3 * DAY);
    assert_eq!(api.page("Plain", json!({ "pageToken": token })).0.len(), 1);
    lab.clock.set(NOW + 3 * DAY + SECOND);
    api.list_fails("Plain", json!({ "pageToken": token })).is_about(&[("page_token", "INVALID_PAGE_TOKEN")]);
}

pub fn a_commit_whose_deadline_passed_leaves_no_trace(lab: &Lab) {
    let late = |deadline| {
        let request = CommitRequest { writes: Vec::new(), deadline: Some(deadline), ..CommitRequest::default() };
        lab.wait(lab.engine.commit(request, &Session::strong()))
    };
    let error = late(Instant::now()).unwrap_err();
    assert_eq!((error.code(), error.applied()), (Code::DeadlineExceeded, kit_core::Applied::No));
    late(Instant::now() + Duration::from_secs(60)).unwrap();
}
