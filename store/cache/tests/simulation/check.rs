//! What an answer may be.

use std::time::{Duration, Instant};

use rowkeep_engine::Freshness;

use crate::database::{State, World};

/// What a client may expect to see at least: this commit, of the history with this primary.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Floor {
    pub(crate) epoch: usize,
    pub(crate) at: usize,
}

impl Floor {
    /// What is left of it: a commit that a new primary lost is in nothing.
    pub(crate) fn now(self, world: &World) -> Self {
        let left = world.forks[self.epoch..].iter().fold(self.at, |at, fork| at.min(*fork));
        Self { epoch: world.epoch, at: left }
    }

    pub(crate) fn max(self, other: Self, world: &World) -> Self {
        let (one, other) = (self.now(world), other.now(world));
        Self { epoch: world.epoch, at: one.at.max(other.at) }
    }
}

/// What had been answered to writers by then.
pub(crate) fn answered_by(world: &World, by: Instant) -> Floor {
    let answered = |at: &usize| world.commits[*at].answered.is_some_and(|answered| answered <= by);
    Floor { epoch: world.epoch, at: (1..=world.last()).rev().find(answered).unwrap_or(0) }
}

/// A read that is about to begin.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected {
    /// At least this is seen.
    pub(crate) floor: Floor,
    /// The cache had been told of the history with this primary.
    told_epoch: Option<usize>,
}

impl Expected {
    pub(crate) fn of(world: &World, freshness: Freshness, client: Floor, now: Instant, max_lag: Duration) -> Self {
        let before = |age: Duration| now.checked_sub(age).map_or_else(Floor::default, |by| answered_by(world, by));
        let floor = match freshness {
            Freshness::Strong => answered_by(world, now),
            Freshness::Session => client.max(before(max_lag), world),
            Freshness::MaxStaleness(most) => before(most),
            // The storage itself promises nothing.
            Freshness::Eventual => Floor::default(),
        };
        Self { floor, told_epoch: world.told_epoch }
    }

    /// The first commit whose state an answer is of.
    pub(crate) fn matched(self, world: &World, is_it: impl Fn(&State) -> bool) -> Result<Floor, String> {
        let floor = self.floor.now(world);
        if let Some(at) = (floor.at..=world.last()).find(|at| is_it(&world.commits[*at].state)) {
            return Ok(Floor { epoch: world.epoch, at });
        }
        // A state that was lost may be shown until the cache is told of the primary that lost it.
        let lost = (self.told_epoch.unwrap_or(0)..world.epoch).find_map(|epoch| {
            let at = world.lost[epoch].iter().position(&is_it)?;
            Some(Floor { epoch, at: world.forks[epoch] + 1 + at })
        });
        lost.ok_or_else(|| format!("not a state since {floor:?} of {} commits", world.last()))
    }
}
