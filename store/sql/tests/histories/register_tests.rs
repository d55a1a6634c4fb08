//! The checker of registers against histories that are wrong, and against a search.

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::{FOREVER, Kind, Op, Version, linearizable};
use crate::stage::Ending;

fn op(kind: Kind, value: i64, version: Version, began: u64, ended: u64) -> Op {
    Op { key: 1, kind, value, version: Some(version), began, ended, ending: Ending::Done }
}

fn refused(history: &[Op], why: &str) {
    let found = linearizable(history).unwrap_err();
    assert!(found.contains(why), "{found}");
}

#[test]
fn a_register_that_is_one_is_let_pass() {
    let open = Op { version: None, ended: FOREVER, ending: Ending::Unknown, ..op(Kind::Write, 3, 0, 6, 0) };
    let history = [
        op(Kind::Write, 1, 10, 0, 1),
        op(Kind::Swap(10), 2, 20, 2, 5),
        // Beside the swap: either value may be read, the new one first seen and never left again.
        op(Kind::Read, 1, 10, 3, 4),
        op(Kind::Read, 2, 20, 3, 4),
        // A write without an answer may happen long after it was given up.
        open,
        op(Kind::Read, 2, 20, 7, 8),
        op(Kind::Read, 3, 30, 9, 10),
    ];
    linearizable(&history).unwrap();
}

#[test]
fn what_no_register_does_is_found() {
    let first = op(Kind::Write, 1, 10, 0, 1);
    let second = op(Kind::Write, 2, 20, 2, 3);
    refused(&[first, second, op(Kind::Read, 1, 10, 4, 5)], "ended before");
    refused(&[first, op(Kind::Read, 7, 15, 4, 5)], "nobody wrote");
    let never = Op { ending: Ending::Refused, version: None, ended: FOREVER, ..second };
    refused(&[first, never, op(Kind::Read, 2, 20, 4, 5)], "nobody wrote");
    refused(&[first, second, op(Kind::Swap(10), 3, 30, 4, 5)], "compared with 10");
    refused(&[first, op(Kind::Read, 1, 11, 4, 5)], "one write, two versions");
    refused(&[first, op(Kind::Write, 2, 10, 2, 3)], "one version, two values");
    // Versions against time: a later write got an earlier version.
    refused(&[op(Kind::Write, 1, 10, 2, 3), op(Kind::Write, 2, 20, 0, 1)], "ended before");
    // Two reads beside a write, in the wrong order.
    let slow = op(Kind::Write, 2, 20, 2, 9);
    refused(&[first, slow, op(Kind::Read, 2, 20, 3, 4), op(Kind::Read, 1, 10, 5, 6)], "ended before");
}

#[test]
fn it_agrees_with_a_search_for_an_order() {
    let mut random = StdRng::seed_from_u64(7);
    let mut valid = 0;
    for round in 0..4000 {
        let history = history(&mut random);
        let (fast, slow) = (linearizable(&history), search(&history, &[], None));
        assert_eq!(fast.is_ok(), slow, "round {round}: {fast:?}\n{history:#?}");
        valid += usize::from(slow);
    }
    assert!((400..3600).contains(&valid), "{valid} of 4000 are valid: half of the question is not asked");
}

/// A few operations on a register that is one, of which every other history is then falsified.
fn history(random: &mut StdRng) -> Vec<Op> {
    let (mut history, mut value, mut version) = (vec![op(Kind::Write, 0, 1, 0, 0)], 0, 1);
    for at in 1..random.random_range(3..8_u64) {
        let moment = 10 * at;
        let (began, ended) = (moment - random.random_range(0..15).min(moment - 1), moment + random.random_range(0..15));
        let kind = match random.random_range(0..4) {
            0 => Kind::Write,
            1 => Kind::Swap(version),
            _ => Kind::Read,
        };
        if kind != Kind::Read {
            (value, version) = (at as i64, version + 1);
        }
        let mut made = op(kind, value, version, began, ended);
        if kind != Kind::Read && random.random_bool(0.3) {
            made = Op { version: None, ended: FOREVER, ending: Ending::Unknown, ..made };
        }
        history.push(made);
    }
    if random.random_bool(0.5) {
        let (at, other) = (random.random_range(1..history.len()), history[random.random_range(0..history.len())]);
        let changed = &mut history[at];
        match changed.kind {
            Kind::Read => (changed.value, changed.version) = (other.value, other.version.or(changed.version)),
            _ => (changed.began, changed.ended) = (changed.began + 20, changed.ended.saturating_add(20)),
        }
    }
    history
}

/// Tries every order that time allows. Writes without an answer may be left out.
fn search(history: &[Op], taken: &[usize], state: Option<(i64, Version)>) -> bool {
    let left: Vec<usize> = (0..history.len()).filter(|at| !taken.contains(at)).collect();
    if left.iter().all(|at| history[*at].ending == Ending::Unknown) {
        return true;
    }
    let first_end = left.iter().map(|at| history[*at].ended).min().unwrap_or(FOREVER);
    left.iter().filter(|at| history[**at].began <= first_end).any(|at| {
        let after = apply(history, &history[*at], state);
        after.is_some_and(|after| search(history, &[taken, &[*at]].concat(), Some(after)))
    })
}

/// The register after an operation, if it can be the next.
fn apply(history: &[Op], op: &Op, state: Option<(i64, Version)>) -> Option<(i64, Version)> {
    if op.kind == Kind::Read {
        return state.filter(|(value, version)| *value == op.value && Some(*version) == op.version);
    }
    let seen = |other: &&Op| other.kind == Kind::Read && other.value == op.value;
    let version = op.version.or_else(|| history.iter().find(seen).and_then(|read| read.version))?;
    let current = state.map_or(0, |(_, version)| version);
    let fits = match op.kind {
        Kind::Swap(expected) => expected == current,
        _ => true,
    };
    (fits && version > current).then_some((op.value, version))
}
