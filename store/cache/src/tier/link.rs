//! What readers know of a shard: whether it was joined, and how far.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rowkeep_engine::Runs;
use tokio::sync::{Notify, oneshot};

use crate::remote::{Entry, Horizon, Name};

/// A shard as its readers and its keeper share it.
#[derive(Debug, Default)]
pub(super) struct Link {
    state: Mutex<State>,
    /// Somebody doubts that the shard is what was joined.
    pub(super) doubted: Notify,
}

#[derive(Debug, Default)]
struct State {
    joined: Option<Joined>,
}

/// A shard that this process has joined.
#[derive(Debug, Clone)]
pub(super) struct Joined {
    /// Tells one joining from another.
    pub(super) number: u64,
    pub(super) incarnation: u64,
    pub(super) history: u128,
    /// All that this process told the shard, and knows to have arrived.
    pub(super) told: Runs,
}

/// Commits that a shard is told together.
#[derive(Debug, Default, Clone)]
pub(super) struct Batch {
    pub(super) to: Runs,
    pub(super) names: Vec<Name>,
    pub(super) rewritten: Vec<rowkeep_schema::EntityId>,
}

/// What a keeper is to do.
#[derive(Debug)]
pub(super) enum Order {
    /// A history begins that contains this.
    Begin { history: u128, place: Runs, done: oneshot::Sender<()> },
    /// Tell the shard. Done once it has been told, or is passed by.
    Tell { batch: Batch, done: oneshot::Sender<()> },
    /// What the shard was told is not enough: nobody is to join it as it is.
    Raze { done: oneshot::Sender<()> },
    /// The log is lost.
    Lose { done: oneshot::Sender<()> },
}

impl Link {
    /// What is joined. Everything that this process's readers know to be told was told to it.
    pub(super) fn joined(&self) -> Option<Joined> {
        self.state().joined.clone()
    }

    pub(super) fn is_on(&self) -> bool {
        self.state().joined.is_some()
    }

    pub(super) fn join(&self, joined: Joined) {
        self.state().joined = Some(joined);
    }

    pub(super) fn told(&self, told: &Runs) {
        if let Some(joined) = &mut self.state().joined {
            joined.told = told.clone();
        }
    }

    pub(super) fn leave(&self) {
        self.state().joined = None;
    }

    /// The shard showed a horizon that is not what was joined: it is passed by until it was joined again.
    pub(super) fn doubt(&self, number: u64) {
        let mut state = self.state();
        if state.joined.as_ref().is_some_and(|joined| joined.number == number) {
            state.joined = None;
            self.doubted.notify_one();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Joined {
    /// Whether the shard is what was joined, and has all that this process told it before it asked.
    pub(super) fn is(&self, horizon: &Horizon) -> bool {
        horizon.incarnation == self.incarnation
            && horizon.history == self.history
            && horizon.told.contains_all(&self.told)
    }

    /// Whether an entry is of the shard as it is.
    pub(super) fn counts(horizon: &Horizon, name: &Name, entry: &Entry) -> bool {
        entry.incarnation == horizon.incarnation && entry.generation == generation(horizon, name)
    }
}

/// How often the entity of a name was rewritten.
pub(super) fn generation(horizon: &Horizon, name: &Name) -> u64 {
    horizon.rewritten.iter().find(|(entity, _)| *entity == name.entity).map_or(0, |(_, count)| *count)
}
