//! Rows that name other rows.

use kit_core::Code;
use serde_json::{Value as Json, json};

use super::Subject;
use super::subject::{column, row};

fn team_and_player(store: &Subject) {
    store.create("Team", json!({ "id": "1", "name": "red" }));
    store.create("Player", json!({ "id": "1", "teamId": "1", "name": "ann" }));
}

fn ids(store: &Subject, entity: &str) -> Vec<Json> {
    column(&store.list(entity, json!({})), "id")
}

pub fn a_row_that_is_named_must_be_there(store: &Subject) {
    team_and_player(store);
    let failure = store.create_fails("Player", json!({ "id": "2", "teamId": "7" }));
    failure.is(Code::FailedPrecondition, "REFERENCE_NOT_FOUND");
    failure.has("field", "player.team_id").has("entity", "conformance.v1.Team").has("value", "7");
    assert_eq!(failure.preconditions, [("REFERENCE".to_owned(), "conformance.v1.Team/7".to_owned())]);
    let failure = store.update_fails("Player", json!({ "id": "1", "teamId": "7" }), "teamId");
    failure.is(Code::FailedPrecondition, "REFERENCE_NOT_FOUND");
    let upsert = json!({ "player": { "id": "9", "teamId": "7" }, "allowMissing": true });
    store.fails("UpdatePlayer", upsert).is(Code::FailedPrecondition, "REFERENCE_NOT_FOUND");
    // A field that is not optional always names a row, be it 0.
    let failure = store.create_fails("Player", json!({ "id": "2" }));
    failure.is(Code::FailedPrecondition, "REFERENCE_NOT_FOUND").has("value", "0");
    assert_eq!(ids(store, "Player"), ["1"]);
}

pub fn an_absent_value_names_nothing(store: &Subject) {
    store.create("Fan", json!({ "id": "1" }));
    store.create("Team", json!({ "id": "1", "name": "red" }));
    store.update("Fan", json!({ "id": "1", "teamName": "red" }), "teamName");
    store.update("Fan", json!({ "id": "1" }), "teamName");
    let failure = store.update_fails("Fan", json!({ "id": "1", "teamName": "blue" }), "teamName");
    failure.is(Code::FailedPrecondition, "REFERENCE_NOT_FOUND");
}

pub fn a_row_that_is_named_cannot_be_deleted(store: &Subject) {
    team_and_player(store);
    let failure = store.fails("DeleteTeam", json!({ "id": "1" }));
    failure.is(Code::FailedPrecondition, "REFERENCED");
    failure.has("referenced_by", "conformance.v1.Player/1").has("field", "team_id");
    assert_eq!(failure.preconditions, [("REFERENCE".to_owned(), "conformance.v1.Team/1".to_owned())]);
    store.delete("Player", json!({ "id": "1" }));
    store.delete("Team", json!({ "id": "1" }));
}

pub fn rows_go_with_the_row_they_name_and_others_let_go_of_it(store: &Subject) {
    team_and_player(store);
    store.create("Player", json!({ "id": "2", "teamId": "1" }));
    for (id, player) in [("1", "1"), ("2", "1"), ("3", "2")] {
        store.create("Badge", json!({ "id": id, "playerId": player }));
    }
    let locker = store.answer("CreateLocker", json!({ "locker": { "id": "1", "playerId": "1" } }));
    store.delete("Player", json!({ "id": "1" }));
    assert_eq!(ids(store, "Badge"), ["3"]);
    let after = store.answer("GetLocker", json!({ "id": "1" }));
    assert_eq!(after.body.get("playerId"), None);
    assert_ne!(after.etag, locker.etag, "a row that is changed has a new version, whoever changed it");
    store.create("Locker", json!({ "id": "2", "playerId": "2" }));
}

pub fn a_value_that_is_named_cannot_change_under_its_referrers(store: &Subject) {
    store.create("Team", json!({ "id": "1", "name": "red" }));
    store.create("Fan", json!({ "id": "1", "teamName": "red" }));
    let failure = store.update_fails("Team", json!({ "id": "1", "name": "blue" }), "name");
    failure.is(Code::FailedPrecondition, "REFERENCED");
    store.update("Team", json!({ "id": "1", "name": "red" }), "name");
    store.delete("Team", json!({ "id": "1" }));
    assert_eq!(store.get("Fan", json!({ "id": "1" })).get("teamName"), None);
}

pub fn rows_that_can_be_hidden_are_hidden_by_a_cascade(store: &Subject) {
    team_and_player(store);
    store.create("Report", json!({ "id": "1", "playerId": "1" }));
    store.delete("Player", json!({ "id": "1" }));
    assert_eq!(ids(store, "Report"), Vec::<Json>::new());
    assert_eq!(store.list("Report", json!({ "showDeleted": true })).len(), 1);
    let failure = store.fails("UndeleteReport", json!({ "id": "1" }));
    failure.is(Code::FailedPrecondition, "REFERENCE_NOT_FOUND");
    store.create("Player", json!({ "id": "1", "teamId": "1" }));
    store.call("UndeleteReport", json!({ "id": "1" }));
}

pub fn a_hidden_row_cannot_be_named_and_restricts_nothing(store: &Subject) {
    store.create("Draft", json!({ "name": "a" }));
    store.create("Comment", json!({ "id": "1", "draft": "a" }));
    // Hiding leaves the row in its place: what names it may go on doing so, and may change otherwise.
    store.delete("Draft", json!({ "name": "a" }));
    store.update("Comment", json!({ "id": "1", "text": "x" }), "text");
    let failure = store.create_fails("Comment", json!({ "id": "2", "draft": "a" }));
    failure.is(Code::FailedPrecondition, "REFERENCE_NOT_FOUND");
    store.call("UndeleteDraft", json!({ "name": "a" }));
    store.create("Comment", json!({ "id": "2", "draft": "a" }));
    team_and_player(store);
    store.create("Report", json!({ "id": "1", "playerId": "1" }));
    store.delete("Report", json!({ "id": "1" }));
    store.delete("Player", json!({ "id": "1" }));
}

pub fn a_tree_goes_with_its_root(store: &Subject) {
    for (id, parent) in [(1, None), (2, Some(1)), (3, Some(1)), (4, Some(2)), (5, None)] {
        let parent: Option<String> = parent.map(|id: i32| id.to_string());
        store.create("Node", json!({ "id": id.to_string(), "parentId": parent }));
    }
    store.update("Node", json!({ "id": "5", "twinId": "4" }), "twinId");
    store.delete("Node", json!({ "id": "1" }));
    assert_eq!(store.list("Node", json!({})), [json!({ "id": "5" })]);
}

pub fn a_row_may_name_itself_and_goes_alone(store: &Subject) {
    store.create("Node", json!({ "id": "1", "parentId": "1", "anchorId": "1", "twinId": "1" }));
    store.create("Node", json!({ "id": "2" }));
    store.update("Node", json!({ "id": "2", "parentId": "2", "anchorId": "2" }), "parentId,anchorId");
    store.delete("Node", json!({ "id": "1" }));
    store.delete("Node", json!({ "id": "2" }));
    assert_eq!(ids(store, "Node"), Vec::<Json>::new());
}

pub fn a_cycle_goes_as_a_whole(store: &Subject) {
    store.create("Left", json!({ "id": "1" }));
    store.create("Right", json!({ "id": "1", "leftId": "1" }));
    store.update("Left", json!({ "id": "1", "rightId": "1" }), "rightId");
    store.delete("Right", json!({ "id": "1" }));
    assert_eq!(ids(store, "Left"), Vec::<Json>::new());
    for id in ["1", "2", "3"] {
        store.create("Node", json!({ "id": id }));
    }
    for (id, parent) in [("1", "2"), ("2", "3"), ("3", "1")] {
        store.update("Node", json!({ "id": id, "parentId": parent }), "parentId");
    }
    store.delete("Node", json!({ "id": "2" }));
    assert_eq!(ids(store, "Node"), Vec::<Json>::new());
}

pub fn a_restriction_inside_what_goes_restricts_nothing_and_one_outside_stops_all(store: &Subject) {
    store.create("Node", json!({ "id": "1" }));
    store.create("Node", json!({ "id": "2", "parentId": "1" }));
    store.create("Node", json!({ "id": "3", "parentId": "1", "anchorId": "2" }));
    store.create("Node", json!({ "id": "4", "anchorId": "3" }));
    let failure = store.fails("DeleteNode", json!({ "id": "1" }));
    failure.is(Code::FailedPrecondition, "REFERENCED").has("referenced_by", "conformance.v1.Node/4");
    assert_eq!(ids(store, "Node").len(), 4);
    store.delete("Node", json!({ "id": "4" }));
    store.delete("Node", json!({ "id": "1" }));
    assert_eq!(ids(store, "Node"), Vec::<Json>::new());
}

pub fn one_row_may_be_let_go_of_twice_in_a_delete(store: &Subject) {
    store.create("Node", json!({ "id": "1" }));
    store.create("Node", json!({ "id": "2", "parentId": "1" }));
    let before = store.answer("CreateNode", json!({ "node": { "id": "3", "twinId": "2" } }));
    store.create("Node", json!({ "id": "4", "twinId": "1" }));
    store.delete("Node", json!({ "id": "1" }));
    assert_eq!(store.list("Node", json!({})), [json!({ "id": "3" }), json!({ "id": "4" })]);
    assert_ne!(store.answer("GetNode", json!({ "id": "3" })).etag, before.etag);
}

pub fn a_row_that_names_itself_by_a_value_may_change_both(store: &Subject) {
    store.create("Alias", json!({ "id": "1", "name": "a", "sameAs": "a" }));
    let failure = store.update_fails("Alias", json!({ "id": "1", "name": "b" }), "name");
    failure.is(Code::FailedPrecondition, "REFERENCED");
    store.update("Alias", json!({ "id": "1", "name": "b", "sameAs": "b" }), "name,sameAs");
    store.update("Alias", json!({ "id": "1", "name": "c" }), "name,sameAs");
    assert_eq!(store.get("Alias", json!({ "id": "1" })), json!({ "id": "1", "name": "c" }));
}

pub fn references_are_checked_in_their_place_in_a_commit(store: &Subject) {
    team_and_player(store);
    store.create("Team", json!({ "id": "2", "name": "blue" }));
    store.commit(json!([
        { "update": { "row": row("Player", json!({ "id": "1", "teamId": "2" })), "updateMask": "teamId" } },
        { "delete": { "row": row("Team", json!({ "id": "1" })) } },
    ]));
    let failure = store.commit_fails(json!([
        { "create": row("Player", json!({ "id": "2", "teamId": "2" })) },
        { "delete": { "row": row("Player", json!({ "id": "1" })) } },
        { "delete": { "row": row("Team", json!({ "id": "2" })) } },
    ]));
    failure.is(Code::FailedPrecondition, "REFERENCED").has("referenced_by", "conformance.v1.Player/2");
    let failure = store.commit_fails(json!([
        { "create": row("Fan", json!({ "id": "1", "teamName": "blue" })) },
        { "delete": { "row": row("Player", json!({ "id": "1" })) } },
        { "delete": { "row": row("Team", json!({ "id": "2" })) } },
        { "create": row("Fan", json!({ "id": "2", "teamName": "blue" })) },
    ]));
    failure.is(Code::FailedPrecondition, "REFERENCE_NOT_FOUND").has("field", "writes[3].create.team_name");
}
