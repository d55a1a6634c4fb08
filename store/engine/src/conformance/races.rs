//! Many clients at once. Each rule is one that a store without isolation breaks within a few rounds.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};

use kit_core::Code;
use serde_json::{Value as Json, json};

use super::Subject;
use super::subject::row;

const CLIENTS: usize = 8;
const ROUNDS: usize = 10;

/// Runs clients that begin together; what each answers.
fn together<T: Send>(clients: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let barrier = Barrier::new(clients);
    let (barrier, work) = (&barrier, &work);
    std::thread::scope(|scope| {
        let start = |client| {
            scope.spawn(move || {
                barrier.wait();
                work(client)
            })
        };
        let threads: Vec<_> = (0..clients).map(start).collect();
        threads.into_iter().map(|thread| thread.join().expect("a client panicked")).collect()
    })
}

fn stock(store: &Subject, id: &str) -> i64 {
    let stock = store.get("Counter", json!({ "id": id }))["stock"].clone();
    stock.as_str().map_or(0, |text| text.parse().unwrap())
}

pub fn no_update_is_lost_among_those_that_compare_etags(store: &Subject) {
    store.create("Counter", json!({ "id": "1" }));
    together(CLIENTS, |_| {
        for _ in 0..ROUNDS {
            loop {
                let read = store.answer("GetCounter", json!({ "id": "1" }));
                let next = read.body["stock"].as_str().map_or(0, |text| text.parse::<i64>().unwrap()) + 1;
                let row = json!({ "id": "1", "stock": next.to_string() });
                match store.try_call("UpdateCounter", &json!({ "counter": row, "etag": read.etag })) {
                    Ok(_) => break,
                    Err(failure) => failure.is(Code::Aborted, "ETAG_MISMATCH"),
                };
            }
        }
    });
    assert_eq!(stock(store, "1"), (CLIENTS * ROUNDS) as i64);
}

pub fn no_increment_is_lost(store: &Subject) {
    store.create("Counter", json!({ "id": "1" }));
    together(CLIENTS, |_| {
        for _ in 0..ROUNDS {
            let add = json!([{ "field": "stock", "increment": "1" }]);
            store.call("UpdateCounter", json!({ "counter": { "id": "1" }, "updateMask": "", "transforms": add }));
        }
    });
    assert_eq!(stock(store, "1"), (CLIENTS * ROUNDS) as i64);
}

pub fn what_is_left_is_sold_once(store: &Subject) {
    store.create("Counter", json!({ "id": "1", "stock": "20" }));
    let sold = AtomicU32::new(0);
    together(CLIENTS, |_| {
        for _ in 0..ROUNDS {
            let take = json!([{ "field": "stock", "increment": "-1" }]);
            let request = json!({ "counter": { "id": "1" }, "updateMask": "", "transforms": take });
            match store.try_call("UpdateCounter", &request) {
                Ok(_) => _ = sold.fetch_add(1, Ordering::Relaxed),
                Err(failure) => _ = failure.is(Code::FailedPrecondition, "TRANSFORM_OUT_OF_RANGE"),
            }
        }
    });
    assert_eq!((sold.into_inner(), stock(store, "1")), (20, 0));
}

pub fn two_commits_cannot_each_rely_on_what_the_other_changes(store: &Subject) {
    // Write skew: each may go off duty as long as the other is on.
    for round in 0..ROUNDS {
        let ids = [(2 * round + 1).to_string(), (2 * round + 2).to_string()];
        for id in &ids {
            store.create("Counter", json!({ "id": id, "stock": "1" }));
        }
        let leave = |mine: &str, other: &str| {
            let off = json!({ "row": row("Counter", json!({ "id": mine })), "updateMask": "stock" });
            let writes = json!([
                { "check": row("Counter", json!({ "id": other })), "precondition": { "condition": "stock = 1" } },
                { "update": off },
            ]);
            store.try_call("Commit", &json!({ "writes": writes }))
        };
        let left = together(2, |client| leave(&ids[client], &ids[1 - client]));
        let done = left.iter().filter(|result| result.is_ok()).count();
        assert_eq!(done, 1, "round {round}: {left:?}");
        let refused = left.iter().find_map(|result| result.as_ref().err()).unwrap();
        refused.is(Code::FailedPrecondition, "CONDITION_FAILED");
        assert_eq!(stock(store, &ids[0]) + stock(store, &ids[1]), 1);
    }
}

pub fn one_of_many_gets_a_key_or_a_unique_value(store: &Subject) {
    for round in 0..ROUNDS {
        let made = together(CLIENTS, |client| {
            let value = json!({ "plain": { "id": round.to_string(), "value": client.to_string() } });
            store.try_call("CreatePlain", &value)
        });
        only_one(&made);
        let made = together(CLIENTS, |client| {
            let code = format!("{round}-{client}");
            let member = json!({ "member": { "code": code, "email": format!("{round}@x") } });
            store.try_call("CreateMember", &member)
        });
        only_one(&made);
    }
    assert_eq!(store.list("Member", json!({})).len(), ROUNDS);
}

#[track_caller]
fn only_one(made: &[Result<super::Answer, Box<super::Failure>>]) {
    assert_eq!(made.iter().filter(|result| result.is_ok()).count(), 1, "{made:?}");
    for failure in made.iter().filter_map(|result| result.as_ref().err()) {
        failure.is(Code::AlreadyExists, "ALREADY_EXISTS");
    }
}

pub fn a_request_that_is_sent_many_times_at_once_is_done_once(store: &Subject) {
    for round in 0..ROUNDS {
        let request = json!({ "note": { "title": round.to_string() }, "requestId": format!("r{round}") });
        let made = together(CLIENTS, |_| store.answer("CreateNote", request.clone()));
        assert!(made.iter().all(|answer| *answer == made[0]), "{made:?}");
    }
    assert_eq!(store.list("Note", json!({})).len(), ROUNDS);
}

pub fn a_request_whose_twin_was_quicker_has_its_answer(store: &Subject) {
    for round in 1..=ROUNDS {
        let id = round.to_string();
        store.create("Counter", json!({ "id": id }));
        let etag = store.answer("GetCounter", json!({ "id": id })).etag;
        let change =
            json!({ "counter": { "id": id, "stock": "5" }, "etag": etag, "requestId": format!("change-{round}") });
        let delete = json!({ "id": id, "requestId": format!("delete-{round}") });
        for (method, request) in [("UpdateCounter", change), ("DeleteCounter", delete)] {
            let answers = together(CLIENTS, |_| store.try_call(method, &request));
            let bodies: Vec<_> = answers.into_iter().map(|answer| answer.map(|answer| answer.body)).collect();
            assert!(bodies.iter().all(|body| body.is_ok() && body == &bodies[0]), "{method}: {bodies:?}");
        }
    }
}

pub fn one_of_many_requests_with_different_content_gets_an_id(store: &Subject) {
    for round in 0..ROUNDS {
        let made = together(CLIENTS, |client| {
            let note = json!({ "title": client.to_string() });
            store.try_call("CreateNote", &json!({ "note": note, "requestId": format!("r{round}") }))
        });
        assert_eq!(made.iter().filter(|result| result.is_ok()).count(), 1, "{made:?}");
        for failure in made.iter().filter_map(|result| result.as_ref().err()) {
            failure.is(Code::AlreadyExists, "REQUEST_ID_REUSED");
        }
    }
    assert_eq!(store.list("Note", json!({})).len(), ROUNDS);
}

pub fn a_row_is_not_named_after_it_was_deleted(store: &Subject) {
    for round in 0..ROUNDS {
        let id = round.to_string();
        store.create("Team", json!({ "id": id, "name": id }));
        let done = together(2, |client| match client {
            0 => store.try_call("DeleteTeam", &json!({ "id": id })),
            _ => store.try_call("CreatePlayer", &json!({ "player": { "id": id, "teamId": id } })),
        });
        assert_eq!(done.iter().filter(|result| result.is_ok()).count(), 1, "{done:?}");
        assert_eq!(store.exists("Team", json!({ "id": id })), store.exists("Player", json!({ "id": id })));
    }
}

fn stocks(store: &Subject) -> (Vec<Json>, i64) {
    let rows = store.list("Counter", json!({}));
    let sum = rows.iter().map(|row| row["stock"].as_str().unwrap().parse::<i64>().unwrap()).sum();
    (rows, sum)
}

pub fn a_transfer_is_never_seen_half_done(store: &Subject) {
    for id in ["1", "2"] {
        store.create("Counter", json!({ "id": id, "stock": "100" }));
    }
    let transfer = |from: &str, to: &str| {
        let add = |id: &str, count: &str| {
            let row = row("Counter", json!({ "id": id }));
            json!({ "update": { "row": row, "updateMask": "", "transforms": [{ "field": "stock", "increment": count }] } })
        };
        store.commit(json!([add(from, "-1"), add(to, "1")]));
    };
    together(3, |client| {
        for _ in 0..4 * ROUNDS {
            match client {
                0 => transfer("1", "2"),
                1 => transfer("2", "1"),
                _ => {
                    // One list is of one moment, unless its storage says that it is not.
                    let (rows, sum) = stocks(store);
                    assert!(sum == 200 || !store.promises().reads_one_moment, "{rows:?}");
                }
            }
        }
    });
    let (rows, sum) = stocks(store);
    assert_eq!(sum, 200, "{rows:?}");
}

pub fn whoever_was_told_of_a_write_finds_it(store: &Subject) {
    together(CLIENTS / 2, |client| {
        for round in 0..ROUNDS {
            let id = (client * ROUNDS + round).to_string();
            let made = store.create("Plain", json!({ "id": id, "value": "a" }));
            assert_eq!(store.get("Plain", json!({ "id": id })), made);
            store.update("Plain", json!({ "id": id, "value": "b" }), "value");
            assert_eq!(store.get("Plain", json!({ "id": id }))["value"], "b");
            store.delete("Plain", json!({ "id": id }));
            assert!(!store.exists("Plain", json!({ "id": id })));
        }
    });
}

/// Kept apart: numbers given at once never meet.
pub fn counted_keys_are_given_once(store: &Subject) {
    let made = together(CLIENTS, |_| {
        (0..ROUNDS).map(|_| store.create("Ticket", json!({}))["id"].clone()).collect::<Vec<Json>>()
    });
    let mut ids: Vec<String> = made.into_iter().flatten().map(|id| id.as_str().unwrap().to_owned()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), CLIENTS * ROUNDS);
}
