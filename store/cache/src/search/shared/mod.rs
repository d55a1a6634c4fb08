//! The same for a cache server that two processes share: each follows the log and tells the shard by itself, messages are late or
//! lost, a process starts again, and an earlier copy of the shard takes its place.
//!
//! The shard is what its [port](crate::remote::Remote) says. What a process makes of it is what a tier does.

mod process;
mod reader;
mod shard;
mod world;

use super::is_safe;
use world::{Rule, Size, World};

impl Size {
    /// Two processes, and a replica to bring rows from.
    const QUIET: Self = Self {
        processes: 2,
        replicas: true,
        changes: 1,
        reads: [1, 0],
        joins: 2,
        copies: 0,
        losses: 0,
        failovers: 0,
        restarts: 0,
    };
    const LOST: Self = Self { joins: 3, losses: 1, ..Self::QUIET };
    const SWITCHED: Self = Self { failovers: 1, ..Self::QUIET };
    const STARTED_AGAIN: Self = Self { restarts: 1, ..Self::QUIET };
    /// One process, whose readers find what others of it brought.
    const ALONE: Self = Self { processes: 1, replicas: false, reads: [1, 1], ..Self::QUIET };
    const ALONE_ROLLED_BACK: Self = Self { changes: 2, copies: 1, ..Self::ALONE };
    const ALONE_LOST: Self = Self { losses: 1, ..Self::ALONE };
    const ALONE_SWITCHED: Self = Self { failovers: 1, ..Self::ALONE };
}

#[test]
fn no_order_of_events_leaves_a_stale_row_in_a_shared_shard() {
    is_safe(World::new(Size::QUIET), 10_000);
    is_safe(World::new(Size::STARTED_AGAIN), 20_000);
    is_safe(World::new(Size::ALONE), 5_000);
}

#[test]
fn no_shard_that_is_lost_or_a_copy_leaves_a_stale_row() {
    is_safe(World::new(Size::LOST), 100_000);
    is_safe(World::new(Size::ALONE_LOST), 20_000);
    is_safe(World::new(Size { copies: 1, ..Size::ALONE }), 20_000);
    is_safe(World::new(Size { reads: [1, 0], ..Size::ALONE_ROLLED_BACK }), 10_000);
}

#[test]
fn no_new_primary_leaves_a_stale_row_in_a_shared_shard() {
    is_safe(World::new(Size::SWITCHED), 100_000);
    is_safe(World::new(Size::ALONE_SWITCHED), 20_000);
}

#[test]
#[ignore = "long: twenty million states"]
fn no_order_of_events_leaves_a_stale_row_where_more_changes() {
    is_safe(World::new(Size { changes: 2, copies: 1, ..Size::QUIET }), 1_000_000);
    is_safe(World::new(Size { changes: 2, ..Size::LOST }), 1_000_000);
    is_safe(World::new(Size { changes: 2, ..Size::SWITCHED }), 1_000_000);
    is_safe(World::new(Size::ALONE_ROLLED_BACK), 1_000_000);
    is_safe(World::new(Size { changes: 2, ..Size::ALONE_SWITCHED }), 1_000_000);
}

needed! {
    a_change_drops_the_entry_of_a_shared_shard: ALONE without Drop, "an entry lacks a change that the shard was told"
    a_change_ends_the_lease_in_a_shared_shard: ALONE without Void, "an entry lacks a change that the shard was told"
    the_shard_is_told_before_readers_are: ALONE without Order, "an answer lacks what its process was told"
    a_shard_is_told_behind_what_it_was_told: ALONE_ROLLED_BACK without Chain,
        "an entry lacks a change that the shard was told"
    a_hit_has_all_that_its_process_told: ALONE_ROLLED_BACK without Watermark, "an answer lacks what its process was told"
    entries_of_another_incarnation_do_not_exist: ALONE_LOST without Anew,
        "an entry lacks a change that the shard was told"
    a_shard_of_another_history_is_not_joined: ALONE_SWITCHED without History,
        "an answer has a change that its process knows to be lost"
    what_is_brought_has_what_the_shard_was_told: QUIET without Asked, "an entry lacks a change that the shard was told"
}
