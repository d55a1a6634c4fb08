//! A network that loses answers, and one that delivers them byte by byte.

#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]

mod support;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use support::kept::Kept;
use support::python::python_client;
use support::{Dice, SHOP, every_row};
use testkit::{FaultProxy, Rowkeep};

/// One attempt at a write, whatever becomes of its answer.
fn attempt(proxy: &FaultProxy, key: &str, target: &str, body: &Value) -> Option<Value> {
    let headers = [("idempotency-key", key)];
    let headers = if target == "/v1:commit" { &[][..] } else { &headers[..] };
    let reply = Kept::open(proxy.address()).and_then(|mut kept| kept.ask("POST", target, headers, &body.to_string()));
    let reply = reply.ok()?;
    assert!(matches!(reply.status, 200 | 201), "{}", reply.text());
    serde_json::from_slice(&reply.body).ok()
}

#[test]
fn a_write_whose_answer_was_lost_is_made_once_however_often_it_is_sent() {
    let mut dice = Dice::seeded("a_write_whose_answer_was_lost");
    let server = Rowkeep::start(SHOP, &[]);
    let proxy = FaultProxy::start(server.address());
    let mut lost = 0;
    let mut answers = BTreeMap::new();
    for number in 0..60 {
        let user = json!({"email": format!("{number}@x.org"), "name": "N"});
        let (target, body) = if number % 2 == 0 {
            ("/v1/users", user)
        } else {
            let mut row = user;
            row["@type"] = "type.googleapis.com/shop.v1.User".into();
            ("/v1:commit", json!({"requestId": format!("key-{number}"), "writes": [{"create": row}]}))
        };
        let key = format!("\"key-{number}\"");
        // Somewhere in the answer, or before it, or not at all.
        proxy.cut_after(dice.below(900));
        let mut answer = attempt(&proxy, &key, target, &body);
        while answer.is_none() {
            lost += 1;
            proxy.heal();
            answer = attempt(&proxy, &key, target, &body);
        }
        proxy.heal();
        let again = attempt(&proxy, &key, target, &body);
        assert_eq!(again, answer, "the same request has the same answer");
        answers.insert(number, answer);
    }
    assert!(lost > 5, "no answer was lost");
    assert_eq!(every_row(&server, "/v1/users").len(), answers.len());
}

#[test]
fn requests_in_the_smallest_pieces_are_answered_as_whole_ones_are() {
    let server = Rowkeep::start(SHOP, &[]);
    let proxy = FaultProxy::start(server.address());
    proxy.slice(1);
    let body = json!({"email": "ann@x.org", "name": "żółw"});
    let mut kept = Kept::open(proxy.address()).unwrap();
    let reply = kept.ask("POST", "/v1/users", &[], &body.to_string()).unwrap();
    assert_eq!(reply.status, 201, "{}", reply.text());
    let reply = kept.ask("GET", "/v1/users/1", &[], "").unwrap();
    assert!(reply.text().contains("żółw"), "{}", reply.text());
    proxy.slice(7);
    let output = python_client(proxy.address(), "batches_and_commits_are_all_or_nothing").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
