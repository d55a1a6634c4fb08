//! Leases and entries.

use std::time::Duration;

use bytes::Bytes;

use super::stage::{HOUR, Stage, entry, name, place, telling, until};
use crate::remote::{Entry, Leased};

/// Short, and long enough that a lease is there when it is asked for at once.
const SOON: Duration = Duration::from_millis(300);

pub fn what_was_brought_is_found_by_everybody(stage: &Stage) {
    let row = name("1");
    let horizon = stage.one.begun(11, 5);
    assert_eq!(stage.one.lease(&row, 1), Leased::Given(horizon.clone()));
    assert_eq!(stage.other.entry(&row), None, "a lease is nothing to a reader");
    let brought = entry(&horizon, &row, b"value");
    assert!(stage.one.fill(&row, 1, &brought));
    for client in [&stage.one, &stage.other] {
        let looked = client.get(std::slice::from_ref(&row));
        assert_eq!(looked.horizon.as_ref(), Some(&horizon));
        assert_eq!(looked.entries, [Some(brought.clone())]);
    }
    assert_eq!(stage.other.lease(&row, 2), Leased::Filled(horizon, brought));
}

pub fn one_of_all_who_want_a_lease_has_it(stage: &Stage) {
    let row = name("1");
    let horizon = stage.one.begun(11, 5);
    assert_eq!(stage.one.lease(&row, 1), Leased::Given(horizon.clone()));
    assert_eq!(stage.other.lease(&row, 2), Leased::Awaited);
    assert_eq!(stage.one.lease(&row, 3), Leased::Awaited);
    assert_eq!(stage.one.lease(&row, 1), Leased::Given(horizon.clone()), "the answer may have been lost");
    let brought = entry(&horizon, &row, b"value");
    assert!(!stage.other.fill(&row, 2, &brought), "it has no lease");
    assert!(stage.one.fill(&row, 1, &brought));
    assert!(!stage.one.fill(&row, 1, &brought), "a lease is used once");
    assert_eq!(stage.one.entry(&row), Some(brought));
}

pub fn a_lease_is_for_its_own_slot(stage: &Stage) {
    let (row, other) = (name("1"), name("2"));
    let horizon = stage.one.begun(11, 5);
    stage.one.leased(&row, 1);
    assert!(!stage.one.fill(&other, 1, &entry(&horizon, &other, b"value")));
    assert_eq!(stage.one.get(&[row, other]).entries, [None, None]);
}

pub fn tokens_differ_by_a_single_bit(stage: &Stage) {
    let row = name("1");
    let horizon = stage.one.begun(11, 5);
    let token = u128::MAX / 5;
    let brought = entry(&horizon, &row, b"value");
    stage.one.leased(&row, token);
    for bit in 0..128 {
        assert!(!stage.one.fill(&row, token ^ (1 << bit), &brought), "bit {bit}");
    }
    assert!(stage.one.fill(&row, token, &brought));
}

pub fn what_is_brought_for_another_shard_or_generation_is_refused(stage: &Stage) {
    let row = name("1");
    let horizon = stage.one.begun(11, 5);
    stage.one.leased(&row, 1);
    let brought = entry(&horizon, &row, b"value");
    assert!(!stage.one.fill(&row, 1, &Entry { incarnation: 12, ..brought.clone() }));
    assert!(!stage.one.fill(&row, 1, &Entry { generation: 1, ..brought.clone() }));
    assert_eq!(stage.one.entry(&row), None);
    assert!(stage.one.fill(&row, 1, &brought));
}

pub fn a_slot_that_is_emptied_has_neither_entry_nor_lease(stage: &Stage) {
    let (filled, leased, other) = (name("filled"), name("leased"), name("other"));
    let horizon = stage.one.begun(11, 5);
    stage.one.bring(&filled, 1, b"old");
    stage.one.leased(&leased, 2);
    let kept = stage.one.bring(&other, 3, b"kept");
    stage.other.retract(&[filled.clone(), leased.clone(), name("absent")]);
    stage.other.retract(&[]);
    assert_eq!(stage.one.get(&[filled.clone(), other]).entries, [None, Some(kept)]);
    assert!(!stage.one.fill(&leased, 2, &entry(&horizon, &leased, b"old")));
    assert_eq!(stage.one.leased(&filled, 4), horizon);
    assert_eq!(stage.one.leased(&leased, 5), horizon);
}

pub fn a_lease_runs_out(stage: &Stage) {
    let row = name("1");
    let horizon = stage.one.begun(11, 5);
    assert_eq!(stage.one.lease_for(&row, 1, SOON), Leased::Given(horizon.clone()));
    until("a lease to run out", || stage.other.lease(&row, 2) == Leased::Given(horizon.clone()));
    assert!(!stage.one.fill(&row, 1, &entry(&horizon, &row, b"late")));
    assert!(stage.other.fill(&row, 2, &entry(&horizon, &row, b"value")));
}

pub fn an_entry_runs_out(stage: &Stage) {
    let row = name("1");
    let horizon = stage.one.begun(11, 5);
    // It has the entry's time from then on, not the lease's.
    assert_eq!(stage.one.lease_for(&row, 1, HOUR), Leased::Given(horizon.clone()));
    assert!(stage.one.fill_for(&row, 1, &entry(&horizon, &row, b"value"), SOON));
    until("an entry to run out", || stage.other.entry(&row).is_none());
    assert_eq!(stage.other.leased(&row, 2), horizon);
}

pub fn a_moment_is_enough_for_a_lease_that_nobody_uses(stage: &Stage) {
    let row = name("1");
    stage.one.begun(11, 5);
    assert!(matches!(stage.one.lease_for(&row, 1, Duration::from_nanos(1)), Leased::Given(_)));
    until("a lease to run out", || matches!(stage.one.lease(&row, 2), Leased::Given(_)));
}

pub fn a_shard_that_was_told_of_other_rows_keeps_its_leases(stage: &Stage) {
    let row = name("1");
    let horizon = stage.one.begun(11, 5);
    stage.one.leased(&row, 1);
    stage.other.tell(&telling(11, 5, 6, &[&name("2")]));
    let brought = entry(&horizon, &row, b"value");
    assert!(stage.one.fill(&row, 1, &brought));
    assert_eq!(stage.one.entry(&row), Some(brought));
    assert_eq!(stage.one.horizon().unwrap().told, place(6));
}

pub fn values_are_any_bytes(stage: &Stage) {
    let horizon = stage.one.begun(11, 5);
    let every: Vec<u8> = (0..=255).collect();
    let large: Vec<u8> = (0_u32..1 << 20).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let values = [&b""[..], b"\0", b"\r\n$5\r\n*1", &every, &[0; 1000], &large];
    for (token, value) in (1..).zip(values) {
        let row = name(&format!("{token}"));
        stage.one.leased(&row, token);
        let brought = Entry { value: Bytes::copy_from_slice(value), ..entry(&horizon, &row, b"") };
        assert!(stage.one.fill(&row, token, &brought));
        assert!(stage.other.entry(&row) == Some(brought), "{} bytes", value.len());
    }
}
