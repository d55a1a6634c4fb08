//! What a cache has of one row.

use crate::{Horizon, Version};

/// One row's place in a shard: nothing, a value, or only the memory of its last change.
///
/// A value may say that there is no such row.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Slot<V> {
    entry: Option<Entry<V>>,
    /// The last change that was told.
    floor: Version,
    lease: Option<u64>,
}

/// A value and what it contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Entry<V> {
    /// The row as it was read.
    pub value: V,
    /// All changes of the row up to this one are in the value, and maybe more.
    pub version: Version,
}

/// The right to bring a row that is not there.
///
/// The row is read after the lease was given, outside of any transaction that was open before. On the primary nothing else
/// is needed. A replica is asked, on the same connection, whether it contains [`at`](Self::at), and read if it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lease {
    /// What the row that is brought has to contain.
    pub at: Version,
    /// Names this lease among those of its slot.
    pub token: u64,
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

/// Why a row that was brought is not kept. It may be answered to who asked for it all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// It changed since the lease was given.
    Changed,
    /// The lease was given to another, or is of a slot that was forgotten.
    Expired,
}

impl<V> Default for Slot<V> {
    fn default() -> Self {
        Self { entry: None, floor: Version::ZERO, lease: None }
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
            _ if self.lease.is_some() => Answer::Awaited,
            _ => {
                self.lease = Some(token);
                let at = horizon.applied().max(horizon.forgotten()).max(self.floor).max(least);
                Answer::Miss(Lease { at, token })
            }
        }
    }

    /// The row was changed. Told by the log, in its order, and early by who made the change. Twice does no harm.
    pub fn invalidate(&mut self, change: Version) {
        self.floor = self.floor.max(change);
        if self.entry.as_ref().is_some_and(|entry| entry.version < change) {
            self.entry = None;
        }
    }

    /// Takes what was brought for a lease.
    ///
    /// # Errors
    /// If it may lack a change, or the lease is not the slot's; it is not kept then.
    pub fn fill(&mut self, horizon: &Horizon, lease: Lease, value: V) -> Result<(), Refused> {
        if self.lease != Some(lease.token) {
            return Err(Refused::Expired);
        }
        self.lease = None;
        if lease.at < self.floor.max(horizon.forgotten()) {
            return Err(Refused::Changed);
        }
        self.entry = Some(Entry { value, version: lease.at });
        Ok(())
    }

    /// Whoever had the lease does not bring the row, or not in time.
    pub fn expire(&mut self, token: u64) {
        if self.lease == Some(token) {
            self.lease = None;
        }
    }

    /// The value makes room for others.
    pub fn evict(&mut self) {
        self.entry = None;
    }

    /// The slot makes room for others, with all that it remembers.
    pub fn forget(self, horizon: &mut Horizon) {
        horizon.forget(self.floor);
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
