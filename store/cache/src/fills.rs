//! Who brings a row that is not there, and what it has to contain.

use crate::{Horizon, Version};

/// What a [`Slot`](crate::Slot) has besides its value. A cache that keeps values elsewhere needs it only while a lease is
/// given, and [forgets](Self::forget) it then.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Fills {
    /// The last change that was told.
    floor: Version,
    lease: Option<u64>,
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

/// Why a row that was brought is not kept. It may be answered to who asked for it all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// It changed since the lease was given.
    Changed,
    /// The lease was given to another, or is of a slot that was forgotten.
    Expired,
}

impl Fills {
    /// Gives the lease, unless somebody else has it. The row has to contain every change up to `least`, too. `token` was
    /// never used before in this shard.
    pub fn lease(&mut self, horizon: &Horizon, least: Version, token: u64) -> Option<Lease> {
        if self.lease.is_some() {
            return None;
        }
        self.lease = Some(token);
        let at = horizon.applied().max(horizon.forgotten()).max(self.floor).max(least);
        Some(Lease { at, token })
    }

    /// The row was changed.
    pub fn invalidate(&mut self, change: Version) {
        self.floor = self.floor.max(change);
    }

    /// The row was changed by somebody who is about to be answered, and who does not know the change's version. What was
    /// read before must not be kept, so whoever is bringing the row loses the lease.
    ///
    /// The floor stays: a lease that is given later is filled by a read that begins later, and the primary shows the change
    /// by then. A replica may not; the row that it shows is kept until the change is told, as it would be if somebody in
    /// another process had made the change, and whoever must see the change says so and does not take it from the cache.
    pub fn retract(&mut self) {
        self.lease = None;
    }

    /// Ends a lease: what was brought may be kept, as the version that is answered.
    ///
    /// # Errors
    /// If it may lack a change, or the lease is another's.
    pub fn settle(&mut self, horizon: &Horizon, lease: Lease) -> Result<Version, Refused> {
        if self.lease != Some(lease.token) {
            return Err(Refused::Expired);
        }
        self.lease = None;
        if lease.at < self.floor.max(horizon.forgotten()) {
            return Err(Refused::Changed);
        }
        Ok(lease.at)
    }

    /// Whoever had the lease does not bring the row, or not in time.
    pub fn expire(&mut self, token: u64) {
        if self.lease == Some(token) {
            self.lease = None;
        }
    }

    /// Makes room for others. What was told is left to the shard, where that is needed.
    pub fn forget(self, horizon: &mut Horizon) {
        horizon.forget(self.floor);
    }
}
