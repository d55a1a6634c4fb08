//! Unique indexes.

use kit_core::Code;
use serde_json::{Value as Json, json};

use super::Subject;
use super::subject::row;

fn member(code: &str) -> Json {
    json!({ "code": code, "email": format!("{code}@x") })
}

fn with(code: &str, field: &str, value: Json) -> Json {
    let mut member = member(code);
    member[field] = value;
    member
}

pub fn a_value_that_is_taken_is_refused_and_the_index_named(store: &Subject) {
    store.create("Member", member("a"));
    let failure = store.create_fails("Member", with("b", "email", json!("a@x")));
    failure.is(Code::AlreadyExists, "ALREADY_EXISTS").has("fields", "email").has("entity", "conformance.v1.Member");
    assert!(!store.exists("Member", json!({ "code": "b" })));
    store.create("Member", member("b"));
    let failure = store.update_fails("Member", with("b", "email", json!("a@x")), "email");
    failure.is(Code::AlreadyExists, "ALREADY_EXISTS").has("fields", "email");
    assert_eq!(store.get("Member", json!({ "code": "b" }))["email"], "b@x");
}

pub fn absent_values_are_never_equal(store: &Subject) {
    store.create("Member", with("a", "team", json!("red")));
    store.create("Member", with("b", "team", json!("red")));
    let mut seated = with("c", "team", json!("red"));
    seated["seat"] = json!(0);
    store.create("Member", seated.clone());
    seated["code"] = json!("d");
    seated["email"] = json!("d@x");
    store.create_fails("Member", seated).is(Code::AlreadyExists, "ALREADY_EXISTS").has("fields", "team, seat");
}

pub fn empty_values_are_equal(store: &Subject) {
    store.create("Member", with("a", "handle", json!("")));
    let failure = store.create_fails("Member", with("b", "handle", json!("")));
    failure.is(Code::AlreadyExists, "ALREADY_EXISTS").has("fields", "handle");
    store.create("Member", json!({ "code": "c" }));
    store
        .create_fails("Member", json!({ "code": "d" }))
        .is(Code::AlreadyExists, "ALREADY_EXISTS")
        .has("fields", "email");
}

pub fn values_that_differ_in_case_accents_or_blanks_are_different(store: &Subject) {
    for (at, email) in ["a", "A", "\u{e1}", "a\u{301}", "a ", "a\u{0}"].iter().enumerate() {
        store.create("Member", json!({ "code": at.to_string(), "email": email }));
    }
    assert_eq!(store.list("Member", json!({})).len(), 6);
}

pub fn a_value_is_free_again_once_its_row_lets_go_of_it(store: &Subject) {
    store.create("Member", member("a"));
    store.update("Member", with("a", "email", json!("new@x")), "email");
    store.create("Member", with("b", "email", json!("a@x")));
    store.delete("Member", json!({ "code": "b" }));
    store.create("Member", with("c", "email", json!("a@x")));
    // A row does not stand in its own way.
    store.update("Member", with("c", "email", json!("a@x")), "email,team");
}

pub fn values_are_handed_on_within_a_commit_in_the_order_of_its_writes(store: &Subject) {
    store.create("Member", member("a"));
    store.create("Member", member("b"));
    let set = |code: &str, email: &str| json!({ "update": { "row": row("Member", json!({ "code": code, "email": email })), "updateMask": "email" } });
    store.commit_fails(json!([set("a", "b@x"), set("b", "a@x")])).is(Code::AlreadyExists, "ALREADY_EXISTS");
    assert_eq!(store.get("Member", json!({ "code": "a" }))["email"], "a@x");
    store.create("Member", member("c"));
    store.commit(json!([set("a", "free@x"), set("b", "a@x"), set("c", "b@x")]));
    assert_eq!(store.call("GetMemberByEmail", json!({ "email": "a@x" }))["code"], "b");
    let replace = json!([
        { "delete": { "row": row("Member", json!({ "code": "b" })) } },
        { "create": row("Member", json!({ "code": "d", "email": "a@x" })) },
    ]);
    store.commit(replace);
    assert_eq!(store.call("GetMemberByEmail", json!({ "email": "a@x" }))["code"], "d");
}
