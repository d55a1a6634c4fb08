//! Lists that no index serves.

use kit_core::Code;
use serde_json::json;

use super::Subject;

fn rows(store: &Subject) {
    for (id, city, rank) in [("1", "Oslo", 3), ("2", "Oslo", 1), ("3", "Rome", 2)] {
        store.create("Ranked", json!({ "id": id, "city": city, "rank": rank, "name": "n" }));
    }
}

pub fn a_list_that_no_index_serves_is_refused_with_the_index_to_add(store: &Subject) {
    rows(store);
    for (request, index) in [
        (json!({ "filter": "weight = 1" }), "index: [{ fields: \"weight\" }]"),
        (json!({ "orderBy": "weight desc" }), "index: [{ fields: \"weight desc\" }]"),
        (json!({ "filter": "city = \"Oslo\"", "orderBy": "weight" }), "index: [{ fields: \"city, weight\" }]"),
        (json!({ "filter": "weight > 1" }), "index: [{ fields: \"weight\" }]"),
    ] {
        let failure = store.list_fails("Ranked", request.clone());
        failure.is(Code::FailedPrecondition, "NO_INDEX").has("entity", "conformance.v1.Ranked").has("index", index);
    }
    for filter in ["city != \"Oslo\"", "NOT city = \"Oslo\"", "rank = 1 OR city = \"Oslo\"", "rank:*"] {
        let failure = store.list_fails("Ranked", json!({ "filter": filter }));
        failure.is(Code::FailedPrecondition, "NO_INDEX");
    }
}

pub fn lists_that_an_index_serves_are_answered(store: &Subject) {
    rows(store);
    for (request, count) in [
        (json!({}), 3),
        (json!({ "filter": "id = 2" }), 1),
        (json!({ "filter": "id > 1" }), 2),
        (json!({ "filter": "city = \"Oslo\"" }), 2),
        (json!({ "filter": "city = \"Oslo\" AND weight = 0" }), 2),
        (json!({ "filter": "city = \"Oslo\"", "orderBy": "rank" }), 2),
        (json!({ "filter": "city = \"Oslo\" AND rank >= 2" }), 1),
        (json!({ "filter": "rank = 1 OR rank = 2" }), 2),
        (json!({ "filter": "name = \"n\" AND city = \"Rome\"" }), 1),
        (json!({ "filter": "name = \"n*\"", "orderBy": "name" }), 3),
        (json!({ "orderBy": "rank desc" }), 3),
    ] {
        assert_eq!(store.list("Ranked", request.clone()).len(), count, "{request}");
    }
}

pub fn an_entity_that_allows_scans_answers_any_list(store: &Subject) {
    store.create("Everything", json!({ "id": "1", "aDouble": 1.5, "aBool": true }));
    store.create("Everything", json!({ "id": "2", "aDouble": 0.5, "aBool": true }));
    let request = json!({ "filter": "NOT a_bool = false", "orderBy": "a_double" });
    assert_eq!(super::subject::column(&store.list("Everything", request), "id"), ["2", "1"]);
}
