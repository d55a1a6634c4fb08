//! Every order of events at a small size: one row, a primary, a replica that may take its place, a log, readers.
//!
//! The cache's part is the code itself. Around it, [`World`] holds what the protocol asks of others: who tells of changes and
//! when, and how readers read. After each step the invariant and every answer are checked. [`Rule`]s can be left out one at a
//! time; the search then finds an order in which that goes wrong, or the rule would not be needed.

/// A test for each rule: without it there is an order that goes wrong.
macro_rules! needed {
    ($($test:ident: $size:ident without $rule:ident, $wrong:literal)*) => {$(
        #[test]
        fn $test() {
            let searched = crate::search::search(World::new(Size::$size), Some(Rule::$rule));
            let (wrong, steps) = searched.found.expect("an order that goes wrong");
            println!("{wrong}\n  {}", steps.join("\n  "));
            assert_eq!(wrong, $wrong);
        }
    )*};
}

mod reader;
mod shared;
mod world;

use std::collections::HashSet;
use std::hash::{BuildHasher as _, Hash, RandomState};

use world::{Rule, Size, World};

/// A step's name, and where it leads or what is wrong there.
type Step<W> = (String, Result<W, String>);

/// Worlds that lead to each other.
trait State: Clone + Eq + Hash {
    /// What keeps them right.
    type Rule: Copy;

    /// Everything that can happen next, with a rule left out or none.
    fn steps(&self, without: Option<Self::Rule>) -> Vec<Step<Self>>;
}

/// How a search ended.
struct Searched {
    states: usize,
    /// What went wrong first, and the steps that led there.
    found: Option<(String, Vec<String>)>,
}

/// Breadth first, so that what is found is as short as can be. Of worlds that were looked at only the way to them is kept, and
/// 128 bits of hash that they are known by: that two of ten million have the same is less likely than one of 10^24.
fn search<W: State>(start: W, without: Option<W::Rule>) -> Searched {
    let hashers = [RandomState::new(), RandomState::new()];
    let name = |world: &W| hashers.each_ref().map(|hasher| hasher.hash_one(world));
    let mut known = HashSet::from([name(&start)]);
    // From which one, by which of its steps.
    let mut ways = vec![(0, 0)];
    let (mut first, mut worlds) = (0, vec![start.clone()]);
    while !worlds.is_empty() {
        let mut next_worlds = Vec::new();
        for (at, world) in (first..).zip(&worlds) {
            for (number, (step, next)) in world.steps(without).into_iter().enumerate() {
                match next {
                    Ok(next) if known.insert(name(&next)) => {
                        ways.push((at, number));
                        next_worlds.push(next);
                    }
                    Ok(_) => {}
                    Err(wrong) => {
                        let mut steps = way(start, &ways, at, without);
                        steps.push(step);
                        return Searched { states: ways.len(), found: Some((wrong, steps)) };
                    }
                }
            }
        }
        first += worlds.len();
        worlds = next_worlds;
    }
    Searched { states: ways.len(), found: None }
}

/// The steps to a world.
fn way<W: State>(start: W, ways: &[(usize, usize)], mut at: usize, without: Option<W::Rule>) -> Vec<String> {
    let mut numbers = Vec::new();
    while at > 0 {
        let (before, number) = ways[at];
        numbers.push(number);
        at = before;
    }
    let (mut world, mut steps) = (start, Vec::new());
    for number in numbers.into_iter().rev() {
        let (step, next) = world.steps(without).swap_remove(number);
        steps.push(step);
        world = next.expect("it was come by");
    }
    steps
}

fn is_safe<W: State>(start: W, least: usize) {
    let searched = search(start, None);
    assert!(searched.found.is_none(), "{:#?}", searched.found);
    println!("{} states", searched.states);
    assert!(searched.states > least, "{} states are too few to have seen everything", searched.states);
}

#[test]
fn no_order_of_events_leaves_a_stale_row() {
    is_safe(World::new(Size { failovers: 0, ..Size::SMALL }), 500_000);
}

#[test]
fn no_order_of_three_changes_leaves_a_stale_row_to_three_who_read() {
    let size = Size { changes: 3, reads: [1, 1, 1], losses: 0, failovers: 0, evicts: false, ..Size::SMALL };
    is_safe(World::new(size), 700_000);
}

#[test]
fn no_new_primary_leaves_a_stale_row() {
    is_safe(World::new(Size { losses: 0, reads: [1, 1, 0], ..Size::SMALL }), 300_000);
}

#[test]
#[ignore = "long: six million states"]
fn no_new_primary_leaves_a_stale_row_to_who_reads_again() {
    is_safe(World::new(Size { losses: 0, ..Size::SMALL }), 5_000_000);
}

#[test]
fn no_order_of_events_leaves_a_stale_row_in_the_process() {
    is_safe(World::new(Size { failovers: 0, ..Size::NEAR }), 300_000);
    is_safe(World::new(Size::ALONE), 50_000);
}

#[test]
fn no_new_primary_leaves_a_stale_row_in_the_process() {
    is_safe(World::new(Size { reads: [2, 0, 0], ..Size::NEAR }), 100_000);
}

#[test]
#[ignore = "long: four million states"]
fn no_new_primary_leaves_a_stale_row_in_the_process_to_two_who_read() {
    is_safe(World::new(Size { reads: [1, 1, 0], ..Size::NEAR }), 3_000_000);
}

needed! {
    changes_are_told_once_the_primary_shows_them: SMALL without Gate, "an entry lacks a change that was told"
    a_change_drops_what_lacks_it: SMALL without Drop, "an entry lacks a change that was told"
    what_was_read_before_a_change_is_not_kept: SMALL without Floor, "an entry lacks a change that was told"
    what_is_forgotten_leaves_its_floor: SMALL without Forget, "an entry lacks a change that was told"
    a_shard_is_told_where_the_log_is_before_it_is_filled: SMALL without Told, "an entry lacks a change that was told"
    a_replica_is_asked_what_it_contains: SMALL without Ask, "an answer lacks what its reader has seen"
    a_replica_is_asked_before_it_is_read: SMALL without Order, "an answer lacks what its reader has seen"
    a_hit_contains_what_its_reader_has_seen: SMALL without Least, "an answer lacks what its reader has seen"
    a_lease_asks_for_what_its_reader_has_seen: SMALL without Stamp, "an answer lacks what its reader has seen"
    a_new_primary_counts_above_the_old_one: SMALL without Epoch, "an entry lacks a change that was told"
    what_a_new_primary_may_lack_is_dropped: SMALL without Begin, "an entry has a change that was lost"
    who_makes_a_change_drops_the_row: ALONE without Early, "an entry lacks a change whose writer was answered"
    who_makes_a_change_takes_the_lease: ALONE without Void, "an entry lacks a change whose writer was answered"
    who_has_seen_what_was_not_told_does_not_ask: NEAR without Bypass, "an answer lacks what its reader has seen"
    a_hit_tells_what_its_row_may_show: NEAR without Seen, "a reader was shown an older row than before"
    a_near_cache_is_told_what_the_primary_shows: NEAR without Gate, "an entry lacks a change that was told"
    a_near_cache_asks_replicas: NEAR without Ask, "an entry lacks a change that was told"
    a_near_cache_asks_replicas_first: NEAR without Order, "an entry lacks a change that was told"
    a_near_cache_keeps_nothing_below_a_floor: NEAR without Floor, "an entry lacks a change that was told"
    a_near_cache_drops_what_a_change_was_told_of: NEAR without Drop, "an entry lacks a change that was told"
    what_is_told_replaces_only_what_lacks_it: ALONE without Older, "an entry lacks a change whose writer was answered"
    what_is_told_replaces_what_was_written_only_by_it: ALONE without Written, "an entry lacks a change whose writer was answered"
    what_is_told_does_not_replace_what_a_late_writer_dropped: ALONE without Late, "an entry lacks a change whose writer was answered"
    a_near_cache_drops_what_a_new_primary_may_lack: NEAR without Begin, "an entry has a change that was lost"
}
