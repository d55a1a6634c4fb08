//! What an operator sets.

use std::time::Duration;

use kit_core::Code;
use serde_json::{Value as Json, json};

use super::Subject;
use super::lab::Lab;

fn with(lab: &Lab, change: impl FnOnce(&mut crate::EngineOptions)) -> Subject {
    Lab::api_of(&lab.engine_with(change))
}

pub fn pages_have_the_sizes_that_were_set(lab: &Lab) {
    let api = with(lab, |options| (options.default_page_size, options.max_page_size) = (2, 3));
    for id in 0..5 {
        api.create("Plain", json!({ "id": id.to_string() }));
    }
    assert_eq!(api.page("Plain", json!({})).0.len(), 2);
    assert_eq!(api.page("Plain", json!({ "pageSize": 100 })).0.len(), 3);
}

pub fn a_page_ends_early_when_its_rows_are_large(lab: &Lab) {
    let api = with(lab, |options| options.max_page_bytes = 1000);
    for id in 0..9 {
        api.create("Plain", json!({ "id": id.to_string(), "value": "x".repeat(400) }));
    }
    let (mut ids, mut token) = (Vec::new(), String::new());
    loop {
        let (rows, next) = api.page("Plain", json!({ "pageToken": token }));
        assert!(rows.len() <= 3, "{}", rows.len());
        ids.extend(super::subject::column(&rows, "value"));
        if next.is_empty() {
            break;
        }
        token = next;
    }
    assert_eq!(ids.len(), 9);
    // A row that is larger than a page is a page.
    api.create("Plain", json!({ "id": "100", "value": "x".repeat(5000) }));
    assert_eq!(api.page("Plain", json!({ "filter": "id = 100" })).0.len(), 1);
}

pub fn commits_have_the_size_that_was_set(lab: &Lab) {
    let api = with(lab, |options| options.max_batch = 2);
    let plain = |id: u32| json!({ "create": super::subject::row("Plain", json!({ "id": id.to_string() })) });
    api.commit(json!([plain(1), plain(2)]));
    api.commit_fails(json!([plain(3), plain(4), plain(5)])).is_about(&[("writes", "TOO_MANY")]);
}

pub fn a_delete_takes_no_more_with_it_than_was_set(lab: &Lab) {
    let api = with(lab, |options| options.max_cascade = 5);
    api.create("Node", json!({ "id": "0" }));
    for id in 1..=5 {
        api.create("Node", json!({ "id": id.to_string(), "parentId": "0" }));
    }
    let failure = api.fails("DeleteNode", json!({ "id": "0" }));
    failure.is(Code::FailedPrecondition, "CASCADE_TOO_LARGE").has("max", "5");
    assert_eq!(api.list("Node", json!({})).len(), 6);
    api.delete("Node", json!({ "id": "5" }));
    api.delete("Node", json!({ "id": "0" }));
    assert_eq!(api.list("Node", json!({})), Vec::<Json>::new());
}

pub fn requests_are_remembered_as_long_as_was_set(lab: &Lab) {
    let api = with(lab, |options| options.request_id_retention = Duration::from_secs(1));
    let request = json!({ "plain": { "id": "1" }, "requestId": "r" });
    api.call("CreatePlain", request.clone());
    api.call("CreatePlain", request.clone());
    lab.clock.advance(super::lab::SECOND);
    api.fails("CreatePlain", request).is(Code::AlreadyExists, "ALREADY_EXISTS");
}

pub fn tokens_of_another_key_do_not_open(lab: &Lab) {
    let api = lab.api();
    for id in ["1", "2"] {
        api.create("Plain", json!({ "id": id }));
    }
    let (_, token) = api.page("Plain", json!({ "pageSize": 1 }));
    let other = with(lab, |options| options.token_key = [9; 32]);
    other.list_fails("Plain", json!({ "pageToken": token })).is_about(&[("page_token", "INVALID_PAGE_TOKEN")]);
}

pub fn snowflakes_name_their_instance(lab: &Lab) {
    let api = with(lab, |options| options.instance = 777);
    let id: u64 = api.create("Flake", json!({}))["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(id >> 12 & 0x3ff, 777);
    let mut options = lab.engine.options().clone();
    options.instance = 1024;
    let refused = crate::Engine::new(super::schema(), crate::MemoryRows::new(&super::schema()), options);
    assert_eq!(refused.err().unwrap().reason(), "INVALID_OPTION");
}
