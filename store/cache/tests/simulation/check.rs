//! What an answer may be.

use std::time::Instant;

use rowkeep_engine::Freshness;

use crate::MAX_LAG;
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

/// A read that is about to begin.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected {
    /// What its client has seen.
    floor: Floor,
    /// Writes that were answered by then are seen.
    answered_by: Option<(Instant, usize)>,
    /// The cache had been told of the history with this primary.
    told_epoch: Option<usize>,
}

impl Expected {
    /// By what the session asks. `is_alone`: this process forgets what it writes, and one copy shows what was answered, so
    /// that every reader sees it.
    pub(crate) fn of(world: &World, process: usize, freshness: Freshness, client: Floor, is_alone: bool) -> Self {
        let now = tokio::time::Instant::now().into_std();
        let answered_by = match freshness {
            // The clock stands while several things happen; those that were answered are counted.
            _ if is_alone => Some((now, world.answers)),
            Freshness::Strong => Some((now, world.answers)),
            Freshness::Session => now.checked_sub(MAX_LAG).map(|by| (by, 0)),
            Freshness::MaxStaleness(most) => now.checked_sub(most).map(|by| (by, 0)),
            // The storage itself promises nothing.
            Freshness::Eventual => None,
        };
        let floor = if freshness == Freshness::Session { client } else { Floor::default() };
        Self { floor, answered_by, told_epoch: world.told_epochs[process] }
    }

    /// The first commit whose state an answer is of.
    pub(crate) fn matched<T: PartialEq>(
        self,
        world: &World,
        answer: &T,
        show: impl Fn(&State) -> T,
    ) -> Result<Floor, String> {
        let floor = self.floor.now(world).at.max(self.answered(world, &show));
        let at = (floor..=world.last()).find(|at| show(&world.commits[*at].state) == *answer);
        let there = at.map(|at| Floor { epoch: world.epoch, at });
        // A state that was lost may be shown until the cache is told of the primary that lost it.
        let lost = (self.told_epoch.unwrap_or(0)..world.epoch).find_map(|epoch| {
            let at = world.lost[epoch].iter().position(|state| show(state) == *answer)?;
            Some(Floor { epoch, at: world.forks[epoch] + 1 + at })
        });
        // Of two that show the same, the one that says less of what was seen.
        let least = there.into_iter().chain(lost).min_by_key(|floor| floor.now(world).at);
        least.ok_or_else(|| format!("not a state since {floor} of {} commits", world.last()))
    }

    /// The last commit that changed what is shown and whose writer was answered in time. One before it whose writer still
    /// waits may be seen or not.
    fn answered<T: PartialEq>(self, world: &World, show: &impl Fn(&State) -> T) -> usize {
        let Some(by) = self.answered_by else { return 0 };
        let is_answered = |at: usize| world.commits[at].answered.is_some_and(|answered| answered <= by);
        let changes = |at: usize| show(&world.commits[at].state) != show(&world.commits[at - 1].state);
        (1..=world.last()).rev().find(|at| is_answered(*at) && changes(*at)).unwrap_or(0)
    }
}
