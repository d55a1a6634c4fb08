//! Commits that a shard is told.

use rowkeep_schema::EntityId;

use super::stage::{Stage, entry, name, place, places, runs, telling};
use crate::remote::{Heard, Leased, Name, Telling};

pub fn who_tells_first_drops_the_slots_and_who_comes_later_finds_it_done(stage: &Stage) {
    let (changed, other) = (name("changed"), name("other"));
    stage.one.begun(11, 5);
    stage.one.bring(&changed, 1, b"old");
    let kept = stage.one.bring(&other, 2, b"kept");
    let commit = telling(11, 5, 6, &[&changed]);
    assert_eq!(stage.one.tell(&commit), Heard::Told);
    assert_eq!(stage.other.get(&[changed.clone(), other.clone()]).entries, [None, Some(kept)]);
    let brought = stage.other.bring(&changed, 3, b"new");
    assert_eq!(stage.other.tell(&commit), Heard::Told);
    assert_eq!(stage.one.entry(&changed), Some(brought), "it was read after the commit was told");
    assert_eq!(stage.one.horizon().unwrap().told, place(6));
}

pub fn a_telling_ends_the_leases_of_its_slots(stage: &Stage) {
    let (changed, other) = (name("changed"), name("other"));
    stage.one.begun(11, 5);
    let of_changed = stage.one.leased(&changed, 1);
    let of_other = stage.one.leased(&other, 2);
    assert_eq!(stage.other.tell(&telling(11, 5, 6, &[&changed])), Heard::Told);
    assert!(!stage.one.fill(&changed, 1, &entry(&of_changed, &changed, b"old")));
    assert_eq!(stage.one.entry(&changed), None);
    assert!(stage.one.fill(&other, 2, &entry(&of_other, &other, b"as it is")));
    assert_eq!(stage.one.leased(&changed, 3).told, place(6));
}

pub fn a_telling_without_slots_is_one_too(stage: &Stage) {
    let row = name("1");
    stage.one.begun(11, 5);
    let kept = stage.one.bring(&row, 1, b"kept");
    assert_eq!(stage.one.tell(&telling(11, 5, 900, &[])), Heard::Told);
    assert_eq!(stage.one.horizon().unwrap().told, place(900));
    assert_eq!(stage.one.entry(&row), Some(kept));
}

pub fn commits_may_be_told_in_batches_that_overlap(stage: &Stage) {
    let (early, late) = (name("early"), name("late"));
    stage.one.begun(11, 5);
    stage.one.bring(&early, 1, b"old");
    stage.one.bring(&late, 2, b"old");
    assert_eq!(stage.one.tell(&telling(11, 5, 7, &[&early])), Heard::Told);
    let brought = stage.one.bring(&early, 3, b"new");
    // All of it is dropped again: which of the slots are of commits that were told is not known.
    assert_eq!(stage.other.tell(&telling(11, 6, 9, &[&early, &late])), Heard::Told);
    assert_eq!(stage.one.get(&[early.clone(), late]).entries, [None, None], "{brought:?}");
    assert_eq!(stage.one.tell(&telling(11, 7, 8, &[&early])), Heard::Told);
    assert_eq!(stage.one.horizon().unwrap().told, place(9));
}

pub fn who_joined_another_incarnation_is_told_so(stage: &Stage) {
    let row = name("1");
    stage.one.begun(11, 5);
    let kept = stage.one.bring(&row, 1, b"kept");
    for incarnation in [0, 10, 12, 11 + (1 << 32), u64::MAX] {
        assert_eq!(stage.other.tell(&telling(incarnation, 5, 6, &[&row])), Heard::Other);
    }
    assert_eq!(stage.one.entry(&row), Some(kept));
    assert_eq!(stage.one.horizon().unwrap().told, place(5));
}

pub fn a_shard_that_has_forgotten_says_so(stage: &Stage) {
    let row = name("1");
    let before = stage.one.begun(11, 5);
    let kept = stage.one.bring(&row, 1, b"kept");
    assert_eq!(stage.one.tell(&telling(11, 6, 7, &[&row])), Heard::Behind);
    let elsewhere = Telling { from: places(&[(1, 1)]), to: places(&[(1, 2)]), ..telling(11, 5, 6, &[&row]) };
    assert_eq!(stage.one.tell(&elsewhere), Heard::Behind);
    assert_eq!(stage.one.horizon(), Some(before), "nothing was done");
    assert_eq!(stage.one.entry(&row), Some(kept));
}

pub fn a_telling_of_very_many_slots_is_one(stage: &Stage) {
    let names: Vec<Name> = (0..20_000).map(|number| name(&format!("many-{number}"))).collect();
    stage.one.begun(11, 5);
    let (first, last) = (&names[0], &names[names.len() - 1]);
    stage.one.bring(first, 1, b"old");
    let lease = stage.one.leased(last, 2);
    assert_eq!(stage.one.tell(&telling(11, 5, 6, &names.iter().collect::<Vec<_>>())), Heard::Told);
    assert_eq!(stage.one.entry(first), None);
    assert!(!stage.one.fill(last, 2, &entry(&lease, last, b"old")));
    assert_eq!(stage.one.horizon().unwrap().told, place(6));
}

pub fn sources_are_told_apart(stage: &Stage) {
    let row = name("1");
    stage.one.begin(&places(&[(1, 10), (2, 20)]), Some(11)).unwrap();
    stage.one.bring(&row, 1, b"old");
    let mut commit = Telling { from: places(&[(2, 20)]), to: places(&[(2, 21)]), ..telling(11, 0, 0, &[&row]) };
    assert_eq!(stage.one.tell(&commit), Heard::Told);
    assert_eq!(stage.one.entry(&row), None);
    assert_eq!(stage.one.horizon().unwrap().told, places(&[(1, 10), (2, 21)]));
    // A source that comes up later: nothing of it was told before.
    (commit.from, commit.to) = (places(&[]), places(&[(3, 1), (1, 12)]));
    stage.one.bring(&row, 2, b"old");
    assert_eq!(stage.one.tell(&commit), Heard::Told);
    assert_eq!(stage.one.entry(&row), None);
    let told = places(&[(1, 12), (2, 21), (3, 1)]);
    assert_eq!(stage.one.horizon().unwrap().told, told);
    // Only one of them is new: the slots are dropped.
    (commit.from, commit.to) = (told, places(&[(1, 12), (2, 22)]));
    stage.one.bring(&row, 3, b"old");
    assert_eq!(stage.other.tell(&commit), Heard::Told);
    assert_eq!(stage.one.entry(&row), None);
    assert_eq!(stage.one.horizon().unwrap().told, places(&[(1, 12), (2, 22), (3, 1)]));
}

pub fn an_entity_that_was_rewritten_loses_all_its_slots(stage: &Stage) {
    let of = |entity: u16, bytes: &str| Name { entity: EntityId(entity), ..name(bytes) };
    let (filled, leased, other) = (of(258, "filled"), of(258, "leased"), of(1, "filled"));
    stage.one.begun(11, 5);
    stage.one.bring(&filled, 1, b"old");
    let kept = stage.one.bring(&other, 2, b"kept");
    let before = stage.one.leased(&leased, 3);
    let rewriting = Telling { rewritten: vec![EntityId(258)], ..telling(11, 5, 6, &[]) };
    assert_eq!(stage.one.tell(&rewriting), Heard::Told);
    let looked = stage.other.get(&[filled.clone(), leased.clone(), other.clone()]);
    assert_eq!(looked.entries, [None, None, Some(kept.clone())]);
    assert_eq!(looked.horizon.unwrap().rewritten, [(EntityId(258), 1)]);
    assert!(!stage.one.fill(&leased, 3, &entry(&before, &leased, b"old")));
    assert_eq!(stage.one.lease(&other, 4), Leased::Filled(stage.one.horizon().unwrap(), kept.clone()));
    let brought = stage.one.bring(&filled, 5, b"new");
    assert_eq!(brought.generation, 1);
    assert_eq!(stage.other.tell(&rewriting), Heard::Told);
    assert_eq!(stage.other.entry(&filled), Some(brought), "it was told before");
    let both = Telling { rewritten: vec![EntityId(1), EntityId(258)], ..telling(11, 6, 7, &[]) };
    assert_eq!(stage.other.tell(&both), Heard::Told);
    assert_eq!(stage.one.get(&[filled, leased, other]).entries, [None, None, None]);
    assert_eq!(stage.one.horizon().unwrap().rewritten, [(EntityId(258), 2), (EntityId(1), 1)]);
}

pub fn thousands_of_slots_are_dropped_with_one_telling(stage: &Stage) {
    let names: Vec<_> = (0..9000).map(|number| name(&format!("row {number}"))).collect();
    stage.one.begun(11, 5);
    let kept = [0, 1, 255, 999, 1000, 1001, 4095, 7999, 8000, 8999].map(|at| &names[at]);
    for (token, name) in (1..).zip(kept) {
        stage.one.bring(name, token, b"old");
    }
    let all: Vec<_> = names.iter().collect();
    assert_eq!(stage.one.tell(&telling(11, 5, 6, &all)), Heard::Told);
    assert_eq!(stage.one.get(&kept.map(Name::clone)).entries, vec![None; kept.len()]);
    assert_eq!(stage.one.horizon().unwrap().told, place(6));
}

pub fn a_commit_that_counts_below_others_is_told(stage: &Stage) {
    let row = name("1");
    let tell = |client: &super::stage::Client, from: &[(u64, u64)], to: &[(u64, u64)]| {
        client.tell(&Telling { from: runs(from), to: runs(to), ..telling(11, 0, 0, &[&row]) })
    };
    stage.one.begin(&runs(&[(1, 100), (1000, 1009)]), Some(11)).unwrap();
    stage.one.bring(&row, 1, b"old");
    // In a hole of the beginning, and not the first of it.
    assert_eq!(tell(&stage.one, &[(1, 100), (1000, 1009)], &[(102, 102)]), Heard::Told);
    assert_eq!(stage.one.entry(&row), None);
    assert_eq!(stage.one.horizon().unwrap().told, runs(&[(1, 100), (1000, 1009), (102, 102)]));
    stage.one.bring(&row, 2, b"old");
    assert_eq!(tell(&stage.one, &[(102, 102)], &[(1, 102)]), Heard::Told);
    assert_eq!(stage.one.entry(&row), None);
    let told = runs(&[(1, 102), (1000, 1009)]);
    assert_eq!(stage.one.horizon().unwrap().told, told);
    // Another process finds either done, and who has told what the shard was not told finds it behind.
    let kept = stage.one.bring(&row, 3, b"new");
    assert_eq!(tell(&stage.other, &[(1, 100)], &[(102, 102)]), Heard::Told);
    assert_eq!(tell(&stage.other, &[(1, 100), (102, 102)], &[(1, 102)]), Heard::Told);
    assert_eq!(tell(&stage.other, &[(1, 103)], &[(1, 104)]), Heard::Behind);
    assert_eq!(tell(&stage.other, &[(999, 1009)], &[(1, 104)]), Heard::Behind);
    assert_eq!((stage.one.entry(&row), stage.one.horizon().unwrap().told), (Some(kept), told));
    assert_eq!(stage.other.begin(&runs(&[(1, 101), (1001, 1003)]), Some(12)).unwrap().incarnation, 11);
    assert_eq!(stage.other.begin(&runs(&[(1, 104)]), Some(13)).unwrap().incarnation, 13);
}
