//! What a shard knows, and who makes it anew.

use rowkeep_engine::Runs;

use super::stage::{HISTORY, Stage, entry, name, place, places, telling};
use crate::remote::{Heard, Horizon, Leased, Looked, Telling};

pub fn a_shard_that_nobody_has_begun_answers_nothing(stage: &Stage) {
    let row = name("1");
    assert_eq!(stage.one.get(std::slice::from_ref(&row)), Looked { horizon: None, entries: vec![None] });
    assert_eq!(stage.one.lease(&row, 1), Leased::Untold);
    assert_eq!(stage.one.begin(&place(5), None), None);
    assert_eq!(stage.one.tell(&telling(1, 0, 5, &[&row])), Heard::Other);
    stage.one.retract(&[row]);
    assert_eq!(stage.one.horizon(), None);
}

pub fn who_begins_makes_the_shard_and_others_find_it(stage: &Stage) {
    let made = Horizon { incarnation: 11, history: HISTORY, told: place(5), rewritten: Vec::new() };
    assert_eq!(stage.one.begin(&place(5), Some(11)), Some(made.clone()));
    assert_eq!(stage.other.begin(&place(5), Some(12)), Some(made.clone()), "it fits as it is");
    assert_eq!(stage.other.begin(&place(4), Some(13)), Some(made.clone()), "it was told more than is asked for");
    assert_eq!(stage.other.begin(&Runs::default(), Some(14)), Some(made.clone()), "everything contains nothing");
    assert_eq!(stage.other.horizon(), Some(made));
}

pub fn a_shard_that_was_told_too_little_is_left_alone_or_made_anew(stage: &Stage) {
    let row = name("1");
    let old = stage.one.begun(11, 5);
    let kept = stage.one.bring(&row, 1, b"kept");
    assert_eq!(stage.other.begin(&place(6), None), Some(old));
    assert_eq!(stage.other.entry(&row), Some(kept));
    let made = stage.other.begin(&place(6), Some(12)).unwrap();
    assert_eq!((made.incarnation, made.told), (12, place(6)));
    assert_eq!(stage.one.entry(&row), None);
}

pub fn a_shard_of_another_history_is_left_alone_or_made_anew(stage: &Stage) {
    let row = name("1");
    let old = stage.one.begun(11, 5);
    let kept = stage.one.bring(&row, 1, b"kept");
    assert_eq!(stage.other.begin_with(HISTORY + 1, &place(5), None), Some(old));
    assert_eq!(stage.other.entry(&row), Some(kept));
    let made = stage.other.begin_with(HISTORY + 1, &place(5), Some(12)).unwrap();
    assert_eq!((made.incarnation, made.history), (12, HISTORY + 1));
    assert_eq!(stage.one.entry(&row), None);
    assert_eq!(stage.one.tell(&telling(11, 5, 6, &[])), Heard::Other, "its own shard is gone");
    assert_eq!(stage.one.horizon(), Some(made));
}

pub fn of_a_shard_that_is_made_anew_nothing_is_left(stage: &Stage) {
    let (filled, leased) = (name("filled"), name("leased"));
    stage.one.begun(11, 5);
    stage.one.bring(&filled, 1, b"old");
    let before = stage.one.leased(&leased, 2);
    stage.other.begin(&place(6), Some(12));
    assert_eq!(stage.one.get(&[filled.clone(), leased.clone()]).entries, [None, None]);
    assert!(!stage.one.fill(&leased, 2, &entry(&before, &leased, b"old")), "the lease is of the shard that was");
    assert_eq!(stage.one.entry(&leased), None);
    assert_eq!(stage.other.leased(&leased, 3).incarnation, 12);
    assert_eq!(stage.other.leased(&filled, 4).incarnation, 12);
    let rewriting = Telling { rewritten: vec![filled.entity], ..telling(12, 6, 7, &[]) };
    assert_eq!(stage.one.tell(&rewriting), Heard::Told);
    assert_eq!(stage.other.begin(&place(8), Some(13)).unwrap().rewritten, []);
}

pub fn a_place_of_many_sources_is_contained_if_each_of_them_is(stage: &Stage) {
    let told = places(&[(1, 10), (2, 20), (u128::MAX, 30)]);
    let made = stage.one.begin(&told, Some(11)).unwrap();
    assert_eq!(made.told, told);
    for within in [&[(2, 20)][..], &[(u128::MAX, 29), (1, 10)], &[(1, 1), (2, 2), (u128::MAX, 3)]] {
        assert_eq!(stage.other.begin(&places(within), Some(12)).unwrap().incarnation, 11, "{within:?}");
    }
    for beyond in [&[(2, 21)][..], &[(1, 10), (3, 1)], &[(1, 10), (2, 20), (u128::MAX, 31)], &[(0, 0)]] {
        assert_eq!(stage.other.begin(&places(beyond), None), Some(made.clone()), "{beyond:?}");
        assert_eq!(stage.other.begin(&places(beyond), Some(12)).unwrap().incarnation, 12, "{beyond:?}");
        stage.one.begin_with(0, &Runs::default(), Some(1));
        assert_eq!(stage.one.begin(&told, Some(11)), Some(made.clone()));
    }
}

/// Where numbers of 64 bits are kept in halves, in signed ones or in floats, something gives way here.
pub fn numbers_are_compared_to_the_last_digit(stage: &Stage) {
    let edges = [1 << 8, 1 << 31, 1 << 32, 1 << 53, (1 << 53) + 2, 1 << 63, u64::MAX];
    for (at, edge) in edges.into_iter().enumerate() {
        let incarnation = u64::MAX - u64::try_from(at).unwrap() * 2;
        let below = edge - 1;
        stage.one.begun(incarnation, below);
        assert_eq!(stage.one.begin(&place(edge), None).unwrap().told, place(below));
        assert_eq!(stage.one.tell(&telling(incarnation, edge, edge, &[])), Heard::Behind, "{edge}");
        assert_eq!(stage.one.tell(&telling(incarnation, below, edge, &[])), Heard::Told, "{edge}");
        assert_eq!(stage.one.horizon().unwrap().told, place(edge), "it is told now");
        assert_eq!(stage.one.tell(&telling(incarnation, edge, below, &[])), Heard::Told, "{edge}");
        assert_eq!(stage.one.horizon().unwrap().told, place(edge), "it does not go back");
        // Another history, so that the next one is made anew.
        stage.one.begin_with(0, &Runs::default(), Some(1));
    }
}

pub fn shards_are_of_their_own(stage: &Stage) {
    let last = stage.one.shard();
    if last == 0 {
        return;
    }
    let (first, row) = (stage.one.at(0), name("1"));
    stage.one.begun(11, 5);
    assert_eq!(first.horizon(), None);
    assert_eq!(first.begun(12, 7).told, place(7));
    let kept = stage.one.bring(&row, 1, b"kept");
    assert_eq!(first.entry(&row), None);
    let own = first.bring(&row, 2, b"own");
    assert_eq!(first.tell(&telling(12, 7, 8, &[&row])), Heard::Told);
    first.begin_with(0, &place(0), Some(13));
    assert_ne!(own, kept);
    assert_eq!(stage.one.entry(&row), Some(kept));
    assert_eq!(stage.one.horizon().unwrap().told, place(5));
}
