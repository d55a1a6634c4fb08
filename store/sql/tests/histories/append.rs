//! Transactions that append to lists and read them, given to adya, which looks for the cycles that an isolation level rules
//! out.
//!
//! Two histories side by side, each over lists of its own. In one every transaction is a commit at `SERIALIZABLE` that checks
//! the etag of each list it read: strictly serializable. In the other, reads are reads and a commit only writes: read
//! committed, with every transaction seen by those that begin after it was acknowledged.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use adya::{History, Opts, Valid, Workload as Kind};
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rowkeep_engine::conformance::{Answer, Subject};
use serde_json::{Value as Json, json};

use crate::append_order::strictly_serializable;
use crate::stage::{Ending, Workload, packed};

/// Lists in use at a time.
const LISTS: i64 = 6;
/// Transactions until others are used, so that lists stay short.
const LIFE: i64 = 150;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// Default commits, and reads that nothing is said of.
    ReadCommitted,
    Serializable,
}

impl Level {
    fn model(self) -> &'static str {
        match self {
            Self::ReadCommitted => "strong-read-committed",
            Self::Serializable => "strict-serializable",
        }
    }

    fn isolation(self) -> &'static str {
        match self {
            Self::ReadCommitted => "READ_COMMITTED",
            Self::Serializable => "SERIALIZABLE",
        }
    }
}

/// See the [module](self).
pub(crate) struct Appends {
    level: Level,
    clients: usize,
    /// Transactions so far; also where the next element comes from.
    next: AtomicI64,
    process: AtomicI64,
    /// By client: a process ends with an operation whose outcome is not known.
    processes: Vec<AtomicI64>,
    events: Mutex<Vec<String>>,
}

/// A list as a transaction saw it before its commit.
struct Seen {
    key: i64,
    items: Vec<i64>,
    /// None: it was not there.
    etag: Option<String>,
}

impl Appends {
    pub(crate) fn new(level: Level, clients: usize) -> Self {
        let processes = (0..clients as i64).map(AtomicI64::new).collect();
        let process = AtomicI64::new(clients as i64);
        Self { level, clients, next: AtomicI64::new(1), process, processes, events: Mutex::default() }
    }

    fn log(&self, kind: &str, process: i64, operations: &[Json]) {
        let event = json!({ "type": kind, "f": "txn", "process": process, "value": operations });
        self.events.lock().unwrap().push(event.to_string());
    }

    /// Reads lists, then appends to others or to the same, all in one transaction.
    fn transaction(&self, store: &Subject, reads: &[i64], appends: &[(i64, i64)]) -> (Ending, Vec<Json>) {
        let mut seen = Vec::new();
        for key in reads {
            match look(store, *key) {
                Some(list) => seen.push(list),
                None => return (Ending::Refused, Vec::new()),
            }
        }
        let request = json!({ "writes": self.writes(&seen, appends), "isolation": self.level.isolation() });
        let answer = store.try_call("Commit", &request);
        let ending = Ending::of(&answer);
        let Ok(Answer { body, .. }) = answer else { return (ending, Vec::new()) };
        let mut operations: Vec<Json> = seen.iter().map(|list| json!(["r", list.key, list.items])).collect();
        // The rows that a commit answers are reads of what it wrote.
        let results = body["results"].as_array().into_iter().flatten();
        let rows = results.filter(|result| result["row"].is_object());
        for ((key, item), result) in appends.iter().zip(rows) {
            operations.push(json!(["append", key, item]));
            operations.push(json!(["r", key, items(&result["row"])]));
        }
        (ending, operations)
    }

    fn writes(&self, seen: &[Seen], appends: &[(i64, i64)]) -> Vec<Json> {
        let checked = |key: i64| seen.iter().find(|list| list.key == key).filter(|_| self.level == Level::Serializable);
        let append = |(key, item): &(i64, i64)| {
            let transform = json!({ "field": "items", "appendMissing": format!("[\"{item}\"]") });
            let row = packed("Sequence", json!({ "id": key.to_string() }));
            let update = json!({ "row": row, "updateMask": "", "allowMissing": true, "transforms": [transform] });
            json!({ "update": update, "precondition": checked(*key).map_or(json!({}), precondition) })
        };
        let only_read = seen.iter().filter(|list| appends.iter().all(|(key, _)| *key != list.key));
        let checks = only_read.filter_map(|list| checked(list.key)).map(|list| {
            let row = packed("Sequence", json!({ "id": list.key.to_string() }));
            json!({ "check": row, "precondition": precondition(list) })
        });
        let mut writes: Vec<Json> = appends.iter().map(append).collect();
        writes.extend(checks);
        writes
    }
}

/// That a list is as it was seen.
fn precondition(seen: &Seen) -> Json {
    seen.etag.as_ref().map_or(json!({ "exists": false }), |etag| json!({ "etag": etag }))
}

fn look(store: &Subject, key: i64) -> Option<Seen> {
    match store.try_call("GetSequence", &json!({ "id": key.to_string() })) {
        Ok(answer) => Some(Seen { key, items: items(&answer.body), etag: answer.etag }),
        Err(failure) if failure.reason == "NOT_FOUND" => Some(Seen { key, items: Vec::new(), etag: None }),
        Err(_) => None,
    }
}

fn items(row: &Json) -> Vec<i64> {
    let items = row["items"].as_array().map_or(&[][..], Vec::as_slice);
    items.iter().map(|item| item.as_str().unwrap().parse().unwrap()).collect()
}

impl Workload for Appends {
    fn name(&self) -> &'static str {
        match self.level {
            Level::ReadCommitted => "appends at read committed",
            Level::Serializable => "appends at serializable",
        }
    }

    fn clients(&self) -> usize {
        self.clients
    }

    fn prepare(&self, _: &Subject) {}

    fn step(&self, store: &Subject, client: usize, random: &mut StdRng) -> bool {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let apart = if self.level == Level::Serializable { 1_000_000 } else { 0 };
        let first = apart + number / LIFE * LISTS;
        let mut keys: Vec<i64> = (first..first + LISTS).collect();
        keys.shuffle(random);
        let (reads, appends) = (random.random_range(0..=2_usize), random.random_range(0..=2_usize));
        // Of lists that are read some are appended to as well.
        let from = if random.random_bool(0.5) { 0 } else { reads };
        let appends: Vec<(i64, i64)> =
            keys[from..].iter().take(appends.max(usize::from(reads == 0))).map(|key| (*key, number)).collect();
        let reads = &keys[..reads];
        let process = self.processes[client].load(Ordering::Relaxed);
        let planned: Vec<Json> = reads.iter().map(|key| json!(["r", key, null])).collect();
        let planned_appends = appends.iter().map(|(key, item)| json!(["append", key, item]));
        let planned: Vec<Json> = planned.into_iter().chain(planned_appends).collect();
        self.log("invoke", process, &planned);
        let (ending, operations) = self.transaction(store, reads, &appends);
        match ending {
            Ending::Done => self.log("ok", process, &operations),
            Ending::Refused => self.log("fail", process, &planned),
            Ending::Unknown => {
                self.log("info", process, &planned);
                self.processes[client].store(self.process.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
            }
        }
        ending == Ending::Done
    }

    fn check(&self, _: &Subject) -> Result<(), String> {
        let history = self.events.lock().unwrap().join("\n");
        check(&history, self.level.model())?;
        match self.level {
            Level::ReadCommitted => Ok(()),
            Level::Serializable => strictly_serializable(&history),
        }
    }
}

fn check(history: &str, model: &str) -> Result<(), String> {
    let parsed = History::from_json(history).map_err(|error| error.to_string())?;
    let report = adya::check(&parsed, Kind::ListAppend, &Opts { models: vec![model.to_owned()], ..Opts::default() });
    if report.valid == Valid::True {
        return Ok(());
    }
    let first = report.anomalies.values().flatten().next();
    let why = first.map(|anomaly| format!("{}: {}", anomaly.kind, anomaly.explanation)).unwrap_or_default();
    Err(format!("not {model}, but {:?}: {why}", report.anomaly_types))
}

#[test]
fn what_a_level_rules_out_is_found() {
    let event =
        |kind: &str, process: i64, operations: &Json| json!({ "type": kind, "process": process, "value": operations });
    let history = |transactions: &[(&str, Json)]| {
        let run = |(process, (kind, operations)): (usize, &(&str, Json))| {
            [event("invoke", process as i64, operations), event(kind, process as i64, operations)]
        };
        let events = transactions.iter().enumerate().flat_map(run);
        events.map(|event| event.to_string()).collect::<Vec<_>>().join("\n")
    };
    let found = |history: &str, model: &str, anomaly: &str| {
        let found = check(history, model).unwrap_err();
        assert!(found.contains(anomaly), "{found}");
    };
    let append = json!([["append", 1, 1]]);
    let fine = history(&[("ok", append.clone()), ("ok", json!([["r", 1, [1]], ["append", 1, 2], ["r", 1, [1, 2]]]))]);
    check(&fine, Level::Serializable.model()).unwrap();
    let aborted = history(&[("fail", append.clone()), ("ok", json!([["r", 1, [1]]]))]);
    found(&aborted, Level::ReadCommitted.model(), "G1a");
    let stale = history(&[
        ("ok", append),
        ("ok", json!([["append", 1, 2]])),
        ("ok", json!([["r", 1, [1]]])),
        ("ok", json!([["r", 1, [1, 2]]])),
    ]);
    check(&stale, "serializable").unwrap();
    found(&stale, Level::Serializable.model(), "realtime");
}

#[test]
fn both_judges_say_the_same() {
    use adya::sim::{Isolation, SimOpts, run};
    let levels = [
        Isolation::Serializable,
        Isolation::SnapshotIsolation,
        Isolation::ReadCommitted,
        Isolation::ReadUncommitted,
        Isolation::LostUpdate,
    ];
    let mut valid = 0;
    for (isolation, seed) in levels.into_iter().flat_map(|level| (0..20).map(move |seed| (level, seed))) {
        // Short enough that some of the weaker levels get by.
        let history = run(&SimOpts { isolation, seed, txns: 5 + 10 * seed as usize, ..SimOpts::default() });
        let (adya, own) = (check(&history, Level::Serializable.model()), strictly_serializable(&history));
        assert_eq!(adya.is_ok(), own.is_ok(), "{isolation:?} {seed}: {adya:?}, {own:?}");
        valid += usize::from(own.is_ok());
    }
    assert!((21..60).contains(&valid), "{valid} of 100 are valid");
}

#[test]
fn a_database_that_is_none_of_what_it_says_is_found() {
    use adya::sim::{Isolation, SimOpts, run};
    let simulated = |isolation, seed| run(&SimOpts { isolation, seed, txns: 600, ..SimOpts::default() });
    for seed in 0..3 {
        let random = StdRng::seed_from_u64(seed).random();
        check(&simulated(Isolation::Serializable, random), Level::Serializable.model()).unwrap();
        check(&simulated(Isolation::LostUpdate, random), Level::Serializable.model()).unwrap_err();
        check(&simulated(Isolation::SnapshotIsolation, random), Level::Serializable.model()).unwrap_err();
        check(&simulated(Isolation::ReadCommitted, random), Level::Serializable.model()).unwrap_err();
        check(&simulated(Isolation::ReadCommitted, random), Level::ReadCommitted.model()).unwrap();
        check(&simulated(Isolation::ReadUncommitted, random), Level::ReadCommitted.model()).unwrap_err();
    }
}
