//! What a write may ask of its row before it happens.

use kit_core::Code;
use serde_json::{Value as Json, json};

use super::Subject;
use super::subject::row;

fn counter(id: u32, stock: u32) -> Json {
    row("Counter", json!({ "id": id.to_string(), "stock": stock.to_string() }))
}

fn write(operation: &str, body: Json, precondition: Json) -> Json {
    json!([{ operation: body, "precondition": precondition }])
}

fn update(id: u32, stock: u32, precondition: Json) -> Json {
    write("update", json!({ "row": counter(id, stock), "updateMask": "stock" }), precondition)
}

fn stock(store: &Subject, id: u32) -> Json {
    store.get("Counter", json!({ "id": id.to_string() }))["stock"].clone()
}

pub fn a_row_must_exist_or_must_not(store: &Subject) {
    store.commit(write("create", counter(1, 1), json!({ "exists": false })));
    let failure = store.commit_fails(write("create", counter(1, 2), json!({ "exists": false })));
    failure.is(Code::AlreadyExists, "ALREADY_EXISTS").has("key", "1");
    store.commit(update(1, 3, json!({ "exists": true })));
    assert_eq!(stock(store, 1), "3");
    store.commit_fails(update(2, 3, json!({ "exists": true }))).is(Code::NotFound, "NOT_FOUND");
    let upsert = |id| {
        let body = json!({ "row": counter(id, 9), "allowMissing": true });
        write("update", body, json!({ "exists": false }))
    };
    store.commit(upsert(2));
    store.commit_fails(upsert(2)).is(Code::AlreadyExists, "ALREADY_EXISTS");
    store.commit(write("delete", json!({ "row": counter(2, 0) }), json!({ "exists": true })));
    let gone = json!({ "row": counter(2, 0), "allowMissing": true });
    store.commit_fails(write("delete", gone.clone(), json!({ "exists": true }))).is(Code::NotFound, "NOT_FOUND");
    store.commit(write("delete", gone, json!({})));
}

pub fn a_check_writes_nothing_and_fails_the_whole(store: &Subject) {
    store.create("Counter", json!({ "id": "1", "stock": "5" }));
    let guarded = |precondition: Json| {
        json!([
            { "check": counter(1, 0), "precondition": precondition },
            { "create": row("Plain", json!({ "id": "1" })) },
        ])
    };
    let failure = store.commit_fails(guarded(json!({ "condition": "stock < 5" })));
    failure.is(Code::FailedPrecondition, "CONDITION_FAILED").has("condition", "stock < 5");
    let subject = "conformance.v1.Counter/1".to_owned();
    assert_eq!(failure.preconditions, [("CONDITION".to_owned(), subject)]);
    store.commit_fails(guarded(json!({ "exists": false }))).is(Code::AlreadyExists, "ALREADY_EXISTS");
    assert!(!store.exists("Plain", json!({ "id": "1" })));
    let before = store.answer("GetCounter", json!({ "id": "1" }));
    store.commit(guarded(json!({ "condition": "stock = 5" })));
    assert_eq!(store.answer("GetCounter", json!({ "id": "1" })), before);
}

pub fn a_condition_holds_of_the_current_row(store: &Subject) {
    store.create("Counter", json!({ "id": "1", "stock": "5", "tags": ["a"], "price": "1.50" }));
    let sell = |condition: &str| update(1, 4, json!({ "condition": condition }));
    for condition in ["stock >= 6", "tags:\"b\"", "price != 1.5", "maybe:*", "NOT stock = 5", "maybe = 1"] {
        store.commit_fails(sell(condition)).is(Code::FailedPrecondition, "CONDITION_FAILED");
        assert_eq!(stock(store, 1), "5");
    }
    store.commit(sell("stock >= 5 AND tags:\"a\" AND price = 1.5 AND maybe != 1 AND NOT maybe:*"));
    assert_eq!(stock(store, 1), "4");
    store.commit_fails(sell("stock = 5")).is(Code::FailedPrecondition, "CONDITION_FAILED");
    let missing = update(7, 4, json!({ "condition": "stock = 0" }));
    store.commit_fails(missing).is(Code::NotFound, "NOT_FOUND");
    let delete = write("delete", json!({ "row": counter(1, 0) }), json!({ "condition": "stock = 0" }));
    store.commit_fails(delete).is(Code::FailedPrecondition, "CONDITION_FAILED");
}

pub fn an_etag_holds_in_a_commit_as_it_does_elsewhere(store: &Subject) {
    store.create("Counter", json!({ "id": "1", "stock": "5" }));
    let etag = store.answer("GetCounter", json!({ "id": "1" })).etag;
    store.commit(update(1, 4, json!({ "etag": etag })));
    let failure = store.commit_fails(update(1, 3, json!({ "etag": etag })));
    failure.is(Code::Aborted, "ETAG_MISMATCH");
    store.commit(update(1, 3, json!({ "etag": "*", "exists": true, "condition": "stock = 4" })));
    let check = |id| write("check", counter(id, 0), json!({ "etag": "*" }));
    store.commit(check(1));
    store.commit_fails(check(2)).is(Code::NotFound, "NOT_FOUND");
}

pub fn what_contradicts_itself_is_refused_before_anything_is_read(store: &Subject) {
    let row_of = |id| json!({ "row": counter(id, 0) });
    let cases = [
        write("create", counter(1, 0), json!({ "exists": true })),
        write("create", counter(1, 0), json!({ "etag": "*" })),
        write("create", counter(1, 0), json!({ "condition": "stock = 1" })),
        write("update", row_of(1), json!({ "exists": false })),
        write("delete", row_of(1), json!({ "exists": false })),
        write("check", counter(1, 0), json!({ "exists": false, "condition": "stock = 1" })),
    ];
    for writes in cases {
        let failure = store.commit_fails(writes.clone());
        assert_eq!(
            failure.fields[0],
            ("writes[0].precondition.exists".to_owned(), "CONTRADICTION".to_owned()),
            "{writes}"
        );
    }
}

pub fn preconditions_see_the_writes_before_them(store: &Subject) {
    store.create("Counter", json!({ "id": "1", "stock": "5" }));
    let writes = json!([
        { "update": { "row": counter(1, 2), "updateMask": "stock" } },
        { "create": row("Plain", json!({ "id": "1" })), "precondition": { "exists": false } },
        { "delete": { "row": row("Member", json!({ "code": "x" })), "allowMissing": true } },
    ]);
    store.commit(writes);
    assert_eq!(stock(store, 1), "2");
}
