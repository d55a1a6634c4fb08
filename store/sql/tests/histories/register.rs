//! Registers that are read, written and compared-and-set by their etags: each is linearizable.
//!
//! A row's version grows with every write, so the order of the writes is known, and with it the only order the operations
//! can have: of each version its write, then its reads. The history is linearizable if no operation ended before one that
//! has its place in front of it began. Sorting is all there is to do, whatever the length; a search for an order, which knows
//! nothing of versions, agrees on short histories.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use rand::Rng as _;
use rand::rngs::StdRng;
use rowkeep_engine::conformance::{Answer, Subject};
use rowkeep_record::etag;
use serde_json::json;

use crate::stage::{Ending, Workload, number, read};

const KEYS: i64 = 10;
const FOREVER: u64 = u64::MAX;

type Version = u64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Read,
    Write,
    /// A write of a row that had this version.
    Swap(Version),
}

/// An operation that may have happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Op {
    pub(crate) key: i64,
    pub(crate) kind: Kind,
    /// What was read, or is written by this operation and no other.
    pub(crate) value: i64,
    /// The row's, as the answer says.
    pub(crate) version: Option<Version>,
    pub(crate) began: u64,
    /// Whoever has no answer is never done.
    pub(crate) ended: u64,
    pub(crate) ending: Ending,
}

/// See the [module](self).
pub(crate) struct Registers {
    clock: Instant,
    next: AtomicI64,
    history: Mutex<Vec<Op>>,
    /// By client and key: the version that it saw last.
    seen: Vec<Mutex<BTreeMap<i64, String>>>,
}

impl Registers {
    pub(crate) fn new(clients: usize) -> Self {
        let seen = (0..clients).map(|_| Mutex::default()).collect();
        Self { clock: Instant::now(), next: AtomicI64::new(1), history: Mutex::default(), seen }
    }

    fn now(&self) -> u64 {
        self.clock.elapsed().as_nanos().try_into().unwrap()
    }

    fn read(&self, store: &Subject, key: i64, began: u64) -> Option<Answer> {
        let answer = store.try_call("GetRegister", &json!({ "id": key.to_string() })).ok()?;
        self.keep_read(key, began, &answer);
        Some(answer)
    }

    fn keep_read(&self, key: i64, began: u64, answer: &Answer) {
        let (value, version) = (number(&answer.body["value"]), version(answer));
        let op = Op { key, kind: Kind::Read, value, version, began, ended: self.now(), ending: Ending::Done };
        self.history.lock().unwrap().push(op);
    }

    fn write(&self, store: &Subject, key: i64, etag: Option<&String>, began: u64) -> Option<Answer> {
        let value = self.next.fetch_add(1, Ordering::Relaxed);
        let register = json!({ "id": key.to_string(), "value": value.to_string() });
        let request = json!({ "register": register, "updateMask": "value", "etag": etag.map_or("", String::as_str) });
        let answer = store.try_call("UpdateRegister", &request);
        let ending = Ending::of(&answer);
        let ended = if ending == Ending::Done { self.now() } else { FOREVER };
        let kind = etag.map_or(Kind::Write, |etag| Kind::Swap(etag::parse(etag).unwrap()));
        let version = answer.as_ref().ok().and_then(version);
        self.history.lock().unwrap().push(Op { key, kind, value, version, began, ended, ending });
        answer.ok()
    }
}

fn version(answer: &Answer) -> Option<Version> {
    answer.etag.as_deref().and_then(etag::parse)
}

impl Workload for Registers {
    fn name(&self) -> &'static str {
        "registers"
    }

    fn clients(&self) -> usize {
        self.seen.len()
    }

    fn prepare(&self, store: &Subject) {
        for key in 1..=KEYS {
            let began = self.now();
            let value = self.next.fetch_add(1, Ordering::Relaxed);
            let register = json!({ "id": key.to_string(), "value": value.to_string() });
            let answer = store.answer("CreateRegister", json!({ "register": register }));
            let (kind, version, ending) = (Kind::Write, version(&answer), Ending::Done);
            let op = Op { key, kind, value, version, began, ended: self.now(), ending };
            self.history.lock().unwrap().push(op);
        }
    }

    fn step(&self, store: &Subject, client: usize, random: &mut StdRng) -> bool {
        let key = random.random_range(1..=KEYS);
        let mut seen = self.seen[client].lock().unwrap();
        let began = self.now();
        let answer = match random.random_range(0..4) {
            0 => self.write(store, key, None, began),
            1 => self.write(store, key, seen.get(&key), began),
            _ => self.read(store, key, began),
        };
        if let Some(etag) = answer.as_ref().and_then(|answer| answer.etag.clone()) {
            seen.insert(key, etag);
        }
        answer.is_some()
    }

    fn check(&self, store: &Subject) -> Result<(), String> {
        for key in 1..=KEYS {
            let began = self.now();
            let answer = read(store, "GetRegister", &json!({ "id": key.to_string() }));
            self.keep_read(key, began, &answer);
        }
        linearizable(&self.history.lock().unwrap())
    }
}

/// What is known of a version.
#[derive(Default)]
struct Group<'a> {
    write: Option<&'a Op>,
    reads: Vec<&'a Op>,
}

/// Whether every key is a linearizable register.
///
/// # Errors
/// What contradicts it.
pub(crate) fn linearizable(history: &[Op]) -> Result<(), String> {
    let mut keys: BTreeMap<i64, Vec<&Op>> = BTreeMap::new();
    for op in history {
        keys.entry(op.key).or_default().push(op);
    }
    keys.values().try_for_each(|ops| in_order(&groups(ops)?))
}

fn groups<'a>(ops: &[&'a Op]) -> Result<BTreeMap<Version, Group<'a>>, String> {
    let writers: BTreeMap<i64, &Op> = ops.iter().filter(|op| op.kind != Kind::Read).map(|op| (op.value, *op)).collect();
    let mut groups: BTreeMap<Version, Group<'a>> = BTreeMap::new();
    let mut version_of: BTreeMap<i64, Version> = BTreeMap::new();
    for op in ops {
        let Some(version) = op.version else { continue };
        let Some(writer) = writers.get(&op.value).filter(|writer| writer.ending != Ending::Refused) else {
            return Err(format!("nobody wrote what was read, or was told that it did not happen: {op:?}"));
        };
        if *version_of.entry(op.value).or_insert(version) != version {
            return Err(format!("one write, two versions: {op:?}, {writer:?}"));
        }
        let group = groups.entry(version).or_default();
        if group.write.is_some_and(|other| other.value != op.value) {
            return Err(format!("one version, two values: {op:?}, {:?}", group.write));
        }
        group.write = Some(writer);
        if op.kind == Kind::Read {
            group.reads.push(op);
        }
    }
    Ok(groups)
}

/// The operations of one key, in the only order there is.
fn in_order(groups: &BTreeMap<Version, Group<'_>>) -> Result<(), String> {
    let mut before: Option<Version> = None;
    // Of all that have their place so far, the one that began last.
    let mut last: Option<&Op> = None;
    for (version, group) in groups {
        let write = group.write.ok_or("a version without a write")?;
        if let Kind::Swap(expected) = write.kind
            && before != Some(expected)
        {
            return Err(format!("compared with {expected} and took the place of {before:?}: {write:?}"));
        }
        not_before(write, last)?;
        last = later(last, write);
        group.reads.iter().try_for_each(|read| not_before(read, last))?;
        last = group.reads.iter().fold(last, |last, read| later(last, read));
        before = Some(*version);
    }
    Ok(())
}

fn not_before(op: &Op, last: Option<&Op>) -> Result<(), String> {
    match last {
        Some(last) if op.ended < last.began => Err(format!("ended before what it comes after began: {op:?}, {last:?}")),
        _ => Ok(()),
    }
}

fn later<'a>(last: Option<&'a Op>, op: &'a Op) -> Option<&'a Op> {
    Some(last.filter(|last| last.began >= op.began).unwrap_or(op))
}

#[path = "register_tests.rs"]
mod tests;
