//! Requests that are repeated under their id until there is an answer: each is done once, and answered alike each time.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use kit_core::Code;
use rand::Rng as _;
use rand::rngs::StdRng;
use rowkeep_engine::conformance::{Answer, Subject};
use serde_json::{Value as Json, json};

use crate::stage::{Workload, number, packed, rows};

const COUNTERS: i64 = 4;
/// Then a client gives up: its request may be done or not.
const TRIES: u32 = 30;

/// The answers to one request.
#[derive(Debug, Default)]
struct Request {
    answers: Vec<Json>,
    /// What no repetition may be answered.
    wrong: Option<String>,
}

/// See the [module](self).
pub(crate) struct Requests {
    clients: usize,
    next: AtomicI64,
    history: Mutex<BTreeMap<String, Request>>,
}

impl Requests {
    pub(crate) fn new(clients: usize) -> Self {
        Self { clients, next: AtomicI64::new(1), history: Mutex::default() }
    }

    fn send(&self, store: &Subject, id: &str, request: &Json, times: u32) {
        for _ in 0..times {
            let answer = store.try_call("Commit", request);
            let mut history = self.history.lock().unwrap();
            let entry = history.entry(id.to_owned()).or_default();
            match answer {
                Ok(Answer { body, .. }) => entry.answers.push(body),
                // Both say that nothing is known to have happened, or that it is to be sent again.
                Err(failure) if [Code::Unavailable, Code::Aborted, Code::ResourceExhausted].contains(&failure.code) => {
                    continue;
                }
                Err(failure) => entry.wrong = Some(format!("{failure:?}")),
            }
            return;
        }
    }
}

impl Workload for Requests {
    fn name(&self) -> &'static str {
        "requests"
    }

    fn clients(&self) -> usize {
        self.clients
    }

    fn prepare(&self, store: &Subject) {
        for id in 1..=COUNTERS {
            store.create("Counter", json!({ "id": id.to_string() }));
        }
    }

    fn step(&self, store: &Subject, _: usize, random: &mut StdRng) -> bool {
        let id = format!("request-{}", self.next.fetch_add(1, Ordering::Relaxed));
        let counter = random.random_range(1..=COUNTERS).to_string();
        let row = packed("Counter", json!({ "id": counter }));
        let add = json!([{ "field": "done", "increment": "1" }]);
        let writes = json!([
            { "create": packed("Deed", json!({ "counter": counter, "request": id })) },
            { "update": { "row": row, "updateMask": "", "transforms": add } },
        ]);
        let is_serializable = random.random_bool(0.5) && store.promises().serializable;
        let isolation = if is_serializable { "SERIALIZABLE" } else { "READ_COMMITTED" };
        let request = json!({ "writes": writes, "requestId": id, "isolation": isolation });
        match random.random_range(0..3) {
            // Two at once, as a client with a short deadline and a proxy that repeats do it.
            0 => std::thread::scope(|scope| {
                scope.spawn(|| self.send(store, &id, &request, TRIES));
                self.send(store, &id, &request, TRIES);
            }),
            1 => {
                self.send(store, &id, &request, TRIES);
                self.send(store, &id, &request, 1);
            }
            _ => self.send(store, &id, &request, random.random_range(1..TRIES)),
        }
        self.history.lock().unwrap().get(&id).is_some_and(|request| !request.answers.is_empty())
    }

    fn check(&self, store: &Subject) -> Result<(), String> {
        let deeds = rows(store, "Deed", "ListDeeds");
        let deeds: Vec<(String, i64)> =
            deeds.iter().map(|row| (text(&row["request"]), number(&row["counter"]))).collect();
        let counters = rows(store, "Counter", "ListCounters");
        let counters = counters.iter().map(|row| (number(&row["id"]), number(&row["done"]))).collect();
        check(&self.history.lock().unwrap(), &deeds, &counters)
    }
}

fn text(value: &Json) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// `deeds`: the request of each row that was made, and the counter it counted.
fn check(
    history: &BTreeMap<String, Request>,
    deeds: &[(String, i64)],
    counters: &BTreeMap<i64, i64>,
) -> Result<(), String> {
    let mut done: BTreeMap<&str, u32> = BTreeMap::new();
    let mut counted: BTreeMap<i64, i64> = counters.keys().map(|counter| (*counter, 0)).collect();
    for (request, counter) in deeds {
        *done.entry(request).or_default() += 1;
        *counted.entry(*counter).or_default() += 1;
    }
    for (id, request) in history {
        let times = done.remove(id.as_str()).unwrap_or_default();
        if let Some(wrong) = &request.wrong {
            return Err(format!("{id} was answered {wrong}"));
        }
        if request.answers.iter().any(|answer| *answer != request.answers[0]) {
            return Err(format!("{id} has several answers: {request:?}"));
        }
        if times > 1 || (times == 0 && !request.answers.is_empty()) {
            return Err(format!("{id} was done {times} times: {request:?}"));
        }
    }
    if let Some((id, _)) = done.first_key_value() {
        return Err(format!("{id} was done and never asked for"));
    }
    if counted != *counters {
        return Err(format!("the requests that were done come to {counted:?}, the counters say {counters:?}"));
    }
    Ok(())
}

#[test]
fn what_is_done_twice_or_answered_differently_is_found() {
    let request = |answers: &[i64]| Request { answers: answers.iter().map(|n| json!(n)).collect(), wrong: None };
    let history = |answers: &[i64]| BTreeMap::from([("a".to_owned(), request(answers))]);
    let deed = ("a".to_owned(), 1);
    let one = std::slice::from_ref(&deed);
    let once = BTreeMap::from([(1, 1)]);
    let found = |history: &BTreeMap<String, Request>, deeds: &[(String, i64)], counter: i64, why: &str| {
        let found = check(history, deeds, &BTreeMap::from([(1, counter)])).unwrap_err();
        assert!(found.contains(why), "{found}");
    };
    check(&history(&[7, 7]), one, &once).unwrap();
    check(&history(&[]), one, &once).unwrap();
    check(&history(&[]), &[], &BTreeMap::from([(1, 0)])).unwrap();
    found(&history(&[7]), &[deed.clone(), deed.clone()], 2, "2 times");
    found(&history(&[]), &[deed.clone(), deed.clone()], 2, "2 times");
    found(&history(&[7]), &[], 0, "0 times");
    found(&history(&[7, 8]), one, 1, "several answers");
    found(&history(&[7]), one, 2, "the counters say");
    found(&BTreeMap::new(), one, 1, "never asked for");
    let reused = Request { wrong: Some("REQUEST_ID_REUSED".to_owned()), ..request(&[7]) };
    found(&BTreeMap::from([("a".to_owned(), reused)]), one, 1, "was answered");
}
