//! Several writes as one.

use kit_core::Code;
use serde_json::{Value as Json, json};

use super::Subject;
use super::subject::{column, row};

fn plain(id: u32, value: &str) -> Json {
    row("Plain", json!({ "id": id.to_string(), "value": value }))
}

fn values(store: &Subject) -> Vec<Json> {
    column(&store.list("Plain", json!({})), "value")
}

pub fn writes_of_several_entities_happen_together_and_answer_in_order(store: &Subject) {
    store.create("Plain", json!({ "id": "2", "value": "old" }));
    store.create("Plain", json!({ "id": "3", "value": "gone" }));
    let results = store.commit(json!([
        { "create": plain(1, "new") },
        { "update": { "row": plain(2, "changed"), "updateMask": "value" } },
        { "delete": { "row": plain(3, "") } },
        { "check": row("Member", json!({ "code": "m" })), "precondition": { "exists": false } },
        { "create": row("Line", json!({ "orderId": "1", "line": 1 })) },
    ]));
    assert_eq!(results[0]["row"], plain(1, "new"));
    assert_eq!(results[1]["row"], plain(2, "changed"));
    assert_eq!((&results[2], &results[3]), (&json!({}), &json!({})));
    assert_eq!(results[4]["row"]["line"], 1);
    assert_eq!(values(store), ["new", "changed"]);
    assert_eq!(store.commit(json!([])), Vec::<Json>::new());
}

pub fn nothing_happens_if_the_last_write_fails(store: &Subject) {
    store.create("Plain", json!({ "id": "3", "value": "old" }));
    store.create("Plain", json!({ "id": "4", "value": "in the way" }));
    store.create("Member", json!({ "code": "a", "email": "a@x" }));
    let failure = store.commit_fails(json!([
        { "create": plain(1, "new") },
        { "update": { "row": plain(3, "changed") } },
        { "delete": { "row": row("Member", json!({ "code": "a" })) } },
        { "create": plain(4, "again") },
    ]));
    failure.is(Code::AlreadyExists, "ALREADY_EXISTS").has("key", "4");
    assert_eq!(values(store), ["old", "in the way"]);
    assert!(store.exists("Member", json!({ "code": "a" })));
    // The failed one leaves nothing behind that would stand in the way of the next.
    store.commit(json!([{ "create": plain(1, "new") }]));
}

pub fn the_first_write_that_fails_is_the_one_that_is_told(store: &Subject) {
    let line = |line: u32| row("Line", json!({ "orderId": "1", "line": line }));
    store.create("Line", json!({ "orderId": "1", "line": 2, "text": "in the way" }));
    store.create("Counter", json!({ "id": "1" }));
    let counted =
        json!({ "update": { "row": row("Counter", json!({ "id": "1", "small": 1 })), "updateMask": "small" } });
    let missing =
        json!({ "update": { "row": row("Counter", json!({ "id": "2", "small": 1 })), "updateMask": "small" } });
    let failure = store.commit_fails(json!([
        { "create": line(1) },
        { "create": line(2) },
        counted,
        { "create": line(3) },
        missing,
    ]));
    failure.is(Code::AlreadyExists, "ALREADY_EXISTS").has("key", "1/2");
    assert_eq!(column(&store.list("Line", json!({})), "text"), ["in the way"]);
    assert_eq!(store.get("Counter", json!({ "id": "1" }))["small"], Json::Null);
    let failure = store.commit_fails(json!([{ "create": line(1) }, missing, { "create": line(2) }]));
    failure.is(Code::NotFound, "NOT_FOUND");
    assert!(!store.exists("Line", json!({ "orderId": "1", "line": 1 })));
}

pub fn later_writes_see_what_earlier_ones_did(store: &Subject) {
    store.commit(json!([
        { "create": row("Team", json!({ "id": "1", "name": "red" })) },
        { "create": row("Player", json!({ "id": "1", "teamId": "1" })) },
        { "create": row("Badge", json!({ "id": "1", "playerId": "1" })) },
    ]));
    let backwards = json!([
        { "create": row("Player", json!({ "id": "2", "teamId": "2" })) },
        { "create": row("Team", json!({ "id": "2", "name": "blue" })) },
    ]);
    store.commit_fails(backwards).is(Code::FailedPrecondition, "REFERENCE_NOT_FOUND");
    store.commit(json!([
        { "delete": { "row": row("Player", json!({ "id": "1" })) } },
        { "delete": { "row": row("Team", json!({ "id": "1" })) } },
        { "check": row("Badge", json!({ "id": "1" })), "precondition": { "exists": false } },
    ]));
}

pub fn two_writes_of_one_row_are_refused(store: &Subject) {
    store.create("Plain", json!({ "id": "1", "value": "old" }));
    let twice = |second: Json| json!([{ "update": { "row": plain(1, "a") } }, second]);
    for second in [
        json!({ "update": { "row": plain(1, "b") } }),
        json!({ "delete": { "row": plain(1, "") } }),
        json!({ "create": plain(1, "c") }),
        json!({ "check": plain(1, ""), "precondition": { "exists": true } }),
    ] {
        let failure = store.commit_fails(twice(second));
        failure.is(Code::InvalidArgument, "INVALID_FIELDS");
        assert_eq!(failure.fields[0].1, "DUPLICATE_WRITE", "{failure:?}");
        assert!(failure.fields[0].0.starts_with("writes[1]."), "{failure:?}");
    }
    assert_eq!(values(store), ["old"]);
    // Another entity's row with the same key is another row.
    store.commit(json!([
        { "update": { "row": plain(1, "a") } },
        { "create": row("Team", json!({ "id": "1" })) },
    ]));
}

pub fn all_that_is_wrong_is_said_at_once_with_the_place_of_each(store: &Subject) {
    let failure = store.commit_fails(json!([
        { "create": row("Note", json!({ "title": "x".repeat(41) })) },
        { "update": { "row": row("Ruled", json!({ "id": "1", "age": 200 })) } },
        { "update": { "row": plain(1, "a"), "transforms": [{ "field": "value", "increment": "1" }] } },
        { "check": plain(2, "") },
        { "check": plain(3, ""), "precondition": { "condition": "nonsense = 1" } },
    ]));
    failure.is_about(&[
        ("writes[0].create.title", "TOO_LONG"),
        ("writes[1].update.row.age", "OUT_OF_RANGE"),
        ("writes[2].update.transforms[0].increment", "INVALID_TRANSFORM"),
        ("writes[3].precondition.exists", "REQUIRED"),
        ("writes[4].precondition.condition", "INVALID_FILTER"),
    ]);
}

pub fn a_commit_of_more_than_500_writes_is_refused(store: &Subject) {
    let writes = |count: u32| (0..count).map(|id| json!({ "create": plain(id, "") })).collect::<Vec<_>>();
    let failure = store.commit_fails(json!(writes(501)));
    failure.is_about(&[("writes", "TOO_MANY")]);
    assert_eq!(store.commit(json!(writes(500))).len(), 500);
}

pub fn a_commit_that_is_only_validated_changes_nothing(store: &Subject) {
    let request = json!({ "writes": [{ "create": plain(1, "a") }], "validateOnly": true });
    let answer = store.call("Commit", request);
    assert_eq!(answer["results"][0]["row"]["value"], "a");
    assert_eq!(values(store), Vec::<Json>::new());
}

pub fn rows_of_what_is_no_entity_are_refused(store: &Subject) {
    let address = json!([{ "create": row("Address", json!({ "city": "x" })) }]);
    store.commit_fails(address).is_about(&[("writes[0].create", "UNKNOWN_ENTITY")]);
}
