//! Bulk loads.

use std::time::Duration;

use kit_core::Code;
use serde_json::{Value as Json, json};

use super::lab::{Lab, NOW, SECOND};
use super::subject::column;
use crate::{LoadCheckpoint, LoadReport, LoadRequest, OnConflict};

struct Load<'a> {
    lab: &'a Lab,
    entity: &'static str,
    columns: &'static [&'static str],
    on_conflict: OnConflict,
    all_or_none: bool,
    checkpoint: Option<LoadCheckpoint>,
    more: bool,
}

fn load<'a>(lab: &'a Lab, entity: &'static str, columns: &'static [&'static str]) -> Load<'a> {
    Load { lab, entity, columns, on_conflict: OnConflict::Fail, all_or_none: false, checkpoint: None, more: false }
}

impl Load<'_> {
    fn run(self, rows: &[Json]) -> LoadReport {
        let schema = self.lab.engine.schema();
        let entity = schema.entity_by_name(self.entity).unwrap();
        let column = |field: &&str| entity.column_by_field(field).unwrap().id;
        let request = LoadRequest {
            entity: entity.id,
            rows: rows.iter().map(|row| self.lab.values(self.entity, row)).collect(),
            columns: self.columns.iter().map(column).collect(),
            on_conflict: self.on_conflict,
            all_or_none: self.all_or_none,
            checkpoint: self.checkpoint,
            more: self.more,
        };
        self.lab.wait(self.lab.engine.load(request)).unwrap()
    }
}

fn rejected(report: &LoadReport) -> Vec<(usize, &'static str)> {
    report.rejected.iter().map(|(at, error)| (*at, error.reason())).collect()
}

pub fn loaded_rows_are_rows_like_any_other(lab: &Lab) {
    let rows = [json!({ "title": "a", "rank": 1 }), json!({ "title": "b", "author": "x" })];
    let report = load(lab, "Note", &["title", "rank", "author"]).run(&rows);
    assert_eq!((report.stored, report.rejected.len()), (2, 0));
    let api = lab.api();
    let notes = api.list("Note", json!({}));
    assert_eq!(column(&notes, "id"), ["1", "2"]);
    assert_eq!(column(&notes, "state"), ["new", "new"]);
    assert_eq!(notes[0]["createdAt"], "2026-01-02T03:04:05Z");
    let etag = api.answer("GetNote", json!({ "id": "1" })).etag;
    api.call("UpdateNote", json!({ "note": { "id": "1", "title": "c" }, "etag": etag }));
    assert_eq!(api.create("Note", json!({ "title": "d" }))["id"], "3");
}

pub fn a_file_may_set_what_the_store_keeps(lab: &Lab) {
    let made = json!({
        "id": "70", "title": "a", "createdAt": "2001-01-01T00:00:00Z", "updatedAt": "2002-01-01T00:00:00Z",
        "seenBy": "me", "password": "secret",
    });
    load(lab, "Note", &["id", "title", "created_at", "updated_at", "seen_by"]).run(std::slice::from_ref(&made));
    let note = lab.api().get("Note", json!({ "id": "70" }));
    assert_eq!(
        (&note["createdAt"], &note["updatedAt"], &note["seenBy"]),
        (&made["createdAt"], &made["updatedAt"], &json!("me"))
    );
    let gone = json!({ "id": "1", "sku": "a", "deletedAt": "2001-01-01T00:00:00Z" });
    load(lab, "Document", &["id", "sku", "deleted_at"]).run(&[gone]);
    assert_eq!(lab.api().list("Document", json!({})).len(), 0);
    lab.api().call("UndeleteDocument", json!({ "id": "1" }));
}

pub fn every_way_of_counting_keys_counts_in_loads_too(lab: &Lab) {
    for entity in ["Ticket", "SmallTicket"] {
        let report = load(lab, entity, &["text"]).run(&[json!({ "text": "a" }), json!({ "text": "b" })]);
        assert_eq!((report.stored, rejected(&report)), (2, vec![]), "{entity}");
        assert_eq!(lab.api().list(entity, json!({})).len(), 2);
    }
    let report = load(lab, "Uid", &[]).run(&[json!({}), json!({})]);
    assert_eq!(report.stored, 2);
}

pub fn rows_that_break_a_rule_are_left_out_and_named(lab: &Lab) {
    let rows =
        [json!({ "title": "a" }), json!({ "title": "" }), json!({ "title": "x".repeat(41) }), json!({ "title": "b" })];
    let report = load(lab, "Note", &["title"]).run(&rows);
    assert_eq!(report.stored, 2);
    assert_eq!(rejected(&report), [(1, "INVALID_FIELDS"), (2, "INVALID_FIELDS")]);
    assert_eq!(report.rejected[1].1.fields()[0].reason, "TOO_LONG");
    let all_or_none = Load { all_or_none: true, ..load(lab, "Note", &["title"]) }.run(&rows);
    assert_eq!((all_or_none.stored, all_or_none.rejected.len()), (0, 2));
    assert_eq!(lab.api().list("Note", json!({})).len(), 2);
}

pub fn rows_with_an_empty_key_are_left_out_of_a_load_and_can_be_removed_where_they_are(lab: &Lab) {
    let report = load(lab, "Draft", &["name", "text"]).run(&[json!({ "text": "t" }), json!({ "name": "a" })]);
    assert_eq!((report.stored, rejected(&report)), (1, vec![(0, "INVALID_FIELDS")]));
    let violation = &report.rejected[0].1.fields()[0];
    assert_eq!((violation.field.as_str(), violation.reason), ("name", "REQUIRED"));
    let api = lab.api();
    lab.put("Member", &json!({ "code": "", "email": "a@x" }));
    assert_eq!(api.get("Member", json!({ "code": "" }))["email"], "a@x");
    api.update("Member", json!({ "code": "", "team": "red" }), "team");
    let upsert = json!({ "member": { "code": "", "team": "blue" }, "updateMask": "team", "allowMissing": true });
    assert_eq!(api.call("UpdateMember", upsert)["team"], "blue");
    api.delete("Member", json!({ "code": "" }));
    assert_eq!(api.list("Member", json!({})), Vec::<Json>::new());
}

pub fn rows_that_exist_fail_the_load_are_skipped_or_are_replaced(lab: &Lab) {
    let api = lab.api();
    api.create("Member", json!({ "code": "a", "email": "a@x", "team": "old" }));
    api.create("Member", json!({ "code": "z", "email": "z@x" }));
    let rows = [
        json!({ "code": "a", "email": "a@x", "team": "new" }),
        json!({ "code": "b", "email": "z@x" }),
        json!({ "code": "c", "email": "c@x" }),
        json!({ "code": "c", "email": "d@x" }),
    ];
    let with = |on_conflict| Load { on_conflict, ..load(lab, "Member", &["code", "email", "team"]) }.run(&rows);
    let exists = "ALREADY_EXISTS";
    let failed = with(OnConflict::Fail);
    assert_eq!((failed.stored, rejected(&failed)), (0, vec![(0, exists), (1, exists), (3, exists)]));
    assert_eq!(api.list("Member", json!({})).len(), 2);
    let skipped = with(OnConflict::Skip);
    assert_eq!((skipped.stored, rejected(&skipped)), (1, vec![(0, exists), (1, exists), (3, exists)]));
    assert_eq!(api.get("Member", json!({ "code": "a" }))["team"], "old");
    let before = api.answer("GetMember", json!({ "code": "a" })).etag;
    let replaced = with(OnConflict::Replace);
    assert_eq!((replaced.stored, rejected(&replaced)), (3, vec![(1, exists)]));
    let after = api.answer("GetMember", json!({ "code": "a" }));
    assert_eq!(after.body["team"], "new");
    assert_ne!(after.etag, before);
    assert_eq!(api.get("Member", json!({ "code": "c" }))["email"], "d@x");
}

pub fn a_replaced_row_has_a_later_version_whatever_the_clock_says(lab: &Lab) {
    let api = lab.api();
    let etag = || api.answer("GetMember", json!({ "code": "a" })).etag.unwrap();
    api.create("Member", json!({ "code": "a", "email": "a@x" }));
    let before = rowkeep_record::etag::parse(&etag()).unwrap();
    // Another instance, whose clock lags, loads over what this one wrote.
    lab.clock.set(NOW - 3600 * SECOND);
    let late = lab.engine_with(|_| {});
    let entity = lab.id("Member");
    let request = LoadRequest {
        entity,
        rows: vec![lab.values("Member", &json!({ "code": "a", "email": "b@x" }))],
        columns: Vec::new(),
        on_conflict: OnConflict::Replace,
        all_or_none: false,
        checkpoint: None,
        more: false,
    };
    assert_eq!(lab.wait(late.load(request)).unwrap().stored, 1);
    let after = rowkeep_record::etag::parse(&etag()).unwrap();
    assert!(after > before, "{after} after {before}");
}

pub fn references_of_loaded_rows_are_checked(lab: &Lab) {
    lab.api().create("Team", json!({ "id": "1", "name": "red" }));
    let rows = [json!({ "id": "1", "teamId": "1" }), json!({ "id": "2", "teamId": "7" })];
    let report = load(lab, "Player", &["id", "team_id"]).run(&rows);
    assert_eq!((report.stored, rejected(&report)), (1, vec![(1, "REFERENCE_NOT_FOUND")]));
    let fans = [json!({ "id": "1", "teamName": "red" }), json!({ "id": "2" }), json!({ "id": "3", "teamName": "x" })];
    let report = load(lab, "Fan", &["id", "team_name"]).run(&fans);
    assert_eq!((report.stored, rejected(&report)), (2, vec![(2, "REFERENCE_NOT_FOUND")]));
    // Rows of one batch may name each other, in any order.
    let nodes = [json!({ "id": "1", "parentId": "2" }), json!({ "id": "2" }), json!({ "id": "3", "parentId": "9" })];
    let report = load(lab, "Node", &["id", "parent_id"]).run(&nodes);
    assert_eq!((report.stored, rejected(&report)), (2, vec![(2, "REFERENCE_NOT_FOUND")]));
}

pub fn a_row_that_names_a_rejected_one_of_its_batch_is_rejected_too(lab: &Lab) {
    // 3 names 2, which names what is not there.
    let nodes = [json!({ "id": "3", "parentId": "2" }), json!({ "id": "2", "parentId": "9" }), json!({ "id": "1" })];
    let report = load(lab, "Node", &["id", "parent_id"]).run(&nodes);
    assert_eq!((report.stored, rejected(&report)), (1, vec![(0, "REFERENCE_NOT_FOUND"), (1, "REFERENCE_NOT_FOUND")]));
}

pub fn expired_rows_are_not_in_the_way_of_a_load(lab: &Lab) {
    let api = lab.api();
    api.create("Session", json!({ "token": "a", "device": "d", "expiresAt": "2001-01-01T00:00:00Z" }));
    let report = load(lab, "Session", &["token", "text"]).run(&[json!({ "token": "a", "text": "new" })]);
    assert_eq!((report.stored, rejected(&report)), (1, vec![]));
    assert_eq!(api.get("Session", json!({ "token": "a" }))["text"], "new");
}

pub fn an_expired_row_that_is_held_fast_is_in_the_way_of_a_load(lab: &Lab) {
    let api = lab.api();
    for token in ["a", "b"] {
        api.create("Session", json!({ "token": token, "expiresAt": "2026-01-02T03:04:06Z" }));
        api.create("Basket", json!({ "id": if token == "a" { "1" } else { "2" }, "session": token }));
    }
    api.create("Visit", json!({ "id": "1", "session": "a" }));
    lab.clock.set(NOW + SECOND);
    let rows = [json!({ "token": "a", "text": "new" }), json!({ "token": "b", "text": "new" })];
    let report = Load { on_conflict: OnConflict::Skip, ..load(lab, "Session", &["token", "text"]) }.run(&rows);
    assert_eq!((report.stored, rejected(&report)), (1, vec![(0, "ALREADY_EXISTS")]));
    assert_eq!(column(&api.list("Session", json!({})), "token"), ["b"]);
    assert_eq!(column(&api.list("Basket", json!({})), "id"), ["1"]);
}

pub fn a_checkpoint_is_kept_with_its_rows(lab: &Lab) {
    let checkpoint = |state: &[u8]| {
        Some(LoadCheckpoint { id: "file".to_owned(), state: state.to_vec(), keep_for: Duration::from_secs(60) })
    };
    let read = || lab.wait(lab.engine.checkpoint("file")).unwrap();
    assert_eq!(read(), None);
    Load { checkpoint: checkpoint(b"one"), ..load(lab, "Plain", &["id"]) }.run(&[json!({ "id": "1" })]);
    assert_eq!(read().as_deref(), Some(&b"one"[..]));
    Load { checkpoint: checkpoint(b"two"), ..load(lab, "Plain", &["id"]) }.run(&[json!({ "id": "2" })]);
    assert_eq!(read().as_deref(), Some(&b"two"[..]));
    // A load that stores nothing does not move it.
    Load { checkpoint: checkpoint(b"three"), ..load(lab, "Plain", &["id"]) }.run(&[json!({ "id": "2" })]);
    assert_eq!(read().as_deref(), Some(&b"two"[..]));
    lab.clock.advance(60 * SECOND);
    assert_eq!(read(), None, "it is kept for a time");
}

pub fn a_request_cannot_touch_the_checkpoint_of_a_load(lab: &Lab) {
    let checkpoint =
        LoadCheckpoint { id: "file".to_owned(), state: b"one".to_vec(), keep_for: Duration::from_secs(60) };
    Load { checkpoint: Some(checkpoint), ..load(lab, "Plain", &["id"]) }.run(&[json!({ "id": "1" })]);
    let made = lab.api().try_call("CreatePlain", &json!({ "plain": { "id": "2" }, "requestId": "file" }));
    assert!(made.is_ok(), "{made:?}");
    assert_eq!(lab.wait(lab.engine.checkpoint("file")).unwrap().as_deref(), Some(&b"one"[..]));
    let failure = lab.api().fails("CreatePlain", json!({ "plain": { "id": "3" }, "requestId": "file" }));
    failure.is(Code::AlreadyExists, "REQUEST_ID_REUSED");
}
