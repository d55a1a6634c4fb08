//! Elements that are added to a set: none that was acknowledged is lost, none is there that nobody added, and whoever is told
//! that an element is there already can rely on it.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use kit_core::Code;
use rand::rngs::StdRng;
use rowkeep_engine::conformance::Subject;
use serde_json::json;

use crate::stage::{Ending, Workload, number, rows};

/// Who adds an element, unique.
type Author = i64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answered {
    Added,
    IsThere,
    Refused,
    Unknown,
}

#[derive(Debug, Clone, Copy)]
struct Attempt {
    id: i64,
    author: Author,
    answered: Answered,
}

/// See the [module](self).
pub(crate) struct Set {
    clients: usize,
    next: AtomicI64,
    history: Mutex<Vec<Attempt>>,
}

impl Set {
    pub(crate) fn new(clients: usize) -> Self {
        Self { clients, next: AtomicI64::new(2), history: Mutex::default() }
    }
}

impl Workload for Set {
    fn name(&self) -> &'static str {
        "set"
    }

    fn clients(&self) -> usize {
        self.clients
    }

    fn prepare(&self, _: &Subject) {}

    fn step(&self, store: &Subject, _: usize, _: &mut StdRng) -> bool {
        let author = self.next.fetch_add(1, Ordering::Relaxed);
        // Of three elements one is added by two clients, at nearly the same time.
        let id = if author % 4 == 1 { author - 1 } else { author };
        let element = json!({ "id": id.to_string(), "author": author.to_string() });
        let answer = store.try_call("CreateElement", &json!({ "element": element }));
        let answered = match (&answer, Ending::of(&answer)) {
            (_, Ending::Done) => Answered::Added,
            (_, Ending::Unknown) => Answered::Unknown,
            (Err(failure), _) if failure.code == Code::AlreadyExists => Answered::IsThere,
            _ => Answered::Refused,
        };
        self.history.lock().unwrap().push(Attempt { id, author, answered });
        matches!(answered, Answered::Added | Answered::IsThere)
    }

    fn check(&self, store: &Subject) -> Result<(), String> {
        let left = rows(store, "Element", "ListElements");
        let left = left.iter().map(|row| (number(&row["id"]), number(&row["author"]))).collect();
        check(&self.history.lock().unwrap(), &left)
    }
}

fn check(history: &[Attempt], left: &BTreeMap<i64, Author>) -> Result<(), String> {
    let authors: BTreeMap<Author, &Attempt> = history.iter().map(|attempt| (attempt.author, attempt)).collect();
    for attempt in history {
        let author = left.get(&attempt.id);
        match attempt.answered {
            Answered::Added if author != Some(&attempt.author) => {
                return Err(format!("lost: {attempt:?}, there is {author:?}"));
            }
            Answered::IsThere if author.is_none() => return Err(format!("said to be there and is not: {attempt:?}")),
            _ => {}
        }
    }
    for (id, author) in left {
        let attempt = authors.get(author).filter(|attempt| attempt.id == *id);
        match attempt.map(|attempt| attempt.answered) {
            Some(Answered::Added | Answered::Unknown) => {}
            _ => return Err(format!("unexpected: {id} by {author}, of {attempt:?}")),
        }
    }
    Ok(())
}

#[test]
fn what_no_set_does_is_found() {
    let attempt = |id, author, answered| Attempt { id, author, answered };
    let added = attempt(1, 1, Answered::Added);
    let left = BTreeMap::from([(1, 1)]);
    let found = |history: &[Attempt], left: &BTreeMap<i64, Author>, why: &str| {
        let found = check(history, left).unwrap_err();
        assert!(found.contains(why), "{found}");
    };
    check(&[added, attempt(1, 2, Answered::IsThere), attempt(3, 3, Answered::Unknown)], &left).unwrap();
    check(&[attempt(1, 1, Answered::Unknown), attempt(2, 2, Answered::Refused)], &left).unwrap();
    found(&[added], &BTreeMap::new(), "lost");
    found(&[added, attempt(1, 2, Answered::Added)], &left, "lost");
    found(&[attempt(1, 1, Answered::Refused)], &left, "unexpected");
    found(&[attempt(1, 2, Answered::Unknown)], &left, "unexpected");
    found(&[attempt(2, 2, Answered::IsThere)], &BTreeMap::new(), "said to be there");
}
