//! What a cache has of one row.

use crate::{Fills, Has, Horizon, Lease, Refused, Version};

/// One row's place in a shard: nothing, a value, or only the memory of its last change.
///
/// A value may say that there is no such row.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Slot<V> {
    entry: Option<Entry<V>>,
    /// There was an entry, and its writer gave the row this version.
    written: Option<u64>,
    fills: Fills,
}

/// A value and what it contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Entry<V> {
    /// The row as it was read.
    pub value: V,
    /// All changes of the row up to this one are in the value, and maybe more.
    pub version: Version,
}

/// What a reader gets.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer<'a, V> {
    /// The value, and what the reader has seen with it.
    Hit(&'a V, Version),
    /// There is none that will do: read the row, and bring it.
    Miss(Lease),
    /// Somebody else is bringing it.
    Awaited,
    /// The shard does not know where the log is: read the row, and leave it.
    Untold,
}

impl<V> Default for Slot<V> {
    fn default() -> Self {
        Self { entry: None, written: None, fills: Fills::default() }
    }
}

impl<V> Slot<V> {
    /// Looks for a value that contains every change up to `least`. `token`: of the lease, if one is given; it was never used
    /// before in this shard.
    pub fn get(&mut self, horizon: &Horizon, least: Version, token: u64) -> Answer<'_, V> {
        let held = self.entry.as_ref().map(|entry| entry.version.max(horizon.applied()));
        match (&self.entry, held) {
            (Some(entry), Some(seen)) if seen >= least => Answer::Hit(&entry.value, seen),
            _ if !horizon.is_told() => Answer::Untold,
            _ => self.fills.lease(horizon, least, token).map_or(Answer::Awaited, Answer::Miss),
        }
    }

    /// The row was changed. Told by the log, in its order, and early by who made the change. Twice does no harm.
    pub fn invalidate(&mut self, change: Version) {
        self.fills.invalidate(change);
        if self.entry.as_ref().is_some_and(|entry| entry.version < change) {
            self.entry = None;
        }
        self.written = None;
    }

    /// The row was changed by somebody who does not know the change's version; see [`Fills::retract`].
    pub fn retract(&mut self) {
        self.fills.retract();
        (self.entry, self.written) = (None, None);
    }

    /// The same, by somebody who knows which version of its own the row was given; `of` says which one a value has.
    pub fn retract_to(&mut self, written: u64, of: impl Fn(&V) -> u64) {
        self.fills.retract();
        match self.has(of).map(|has| has.retracted(written)) {
            Some(Has::Row(_)) => {}
            Some(Has::Written(version)) => (self.entry, self.written) = (None, Some(version)),
            None => (self.entry, self.written) = (None, None),
        }
    }

    /// The row was changed, and is this now: it takes the place of what gives way to it. The change made the row's own version
    /// greater, to `to`; `of` says which one a value has.
    pub fn renew(&mut self, change: Version, to: u64, value: V, of: impl Fn(&V) -> u64) {
        self.fills.invalidate(change);
        if self.has(of).is_some_and(|has| has.gives_way(to)) {
            (self.entry, self.written) = (Some(Entry { value, version: change }), None);
        }
    }

    fn has(&self, of: impl Fn(&V) -> u64) -> Option<Has> {
        self.entry.as_ref().map(|entry| Has::Row(of(&entry.value))).or(self.written.map(Has::Written))
    }

    /// Takes what was brought for a lease.
    ///
    /// # Errors
    /// If it may lack a change, or the lease is not the slot's; it is not kept then.
    pub fn fill(&mut self, horizon: &Horizon, lease: Lease, value: V) -> Result<(), Refused> {
        let version = self.fills.settle(horizon, lease)?;
        (self.entry, self.written) = (Some(Entry { value, version }), None);
        Ok(())
    }

    /// Whoever had the lease does not bring the row, or not in time.
    pub fn expire(&mut self, token: u64) {
        self.fills.expire(token);
    }

    /// The value makes room for others.
    pub fn evict(&mut self) {
        (self.entry, self.written) = (None, None);
    }

    /// The slot makes room for others, with all that it remembers.
    pub fn forget(self, horizon: &mut Horizon) {
        self.fills.forget(horizon);
    }

    /// What is held.
    pub fn entry(&self) -> Option<&Entry<V>> {
        self.entry.as_ref()
    }

    #[cfg(test)]
    pub(crate) fn set(&mut self, entry: Entry<V>) {
        self.entry = Some(entry);
    }
}
