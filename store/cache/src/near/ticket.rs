//! A lease in the hands of who brings the row.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::{Flight, Fresh, Held, Kept, Landed, Near, RowKey};
use crate::{Lease, Refused};

/// A lease. Dropped, it ends, and who waits for the row is told that nobody brings it.
pub(crate) struct Ticket {
    near: Arc<Near>,
    key: RowKey,
    lease: Lease,
    flight: Arc<Flight>,
}

impl Ticket {
    pub(super) fn new(near: Arc<Near>, key: RowKey, lease: Lease, flight: Arc<Flight>) -> Self {
        Self { near, key, lease, flight }
    }

    /// The row that it is for.
    pub(crate) fn key(&self) -> &RowKey {
        &self.key
    }

    /// Those who wait.
    pub(crate) fn flight(&self) -> Arc<Flight> {
        Arc::clone(&self.flight)
    }

    /// Names the lease.
    pub(crate) fn token(&self) -> u64 {
        self.lease.token
    }

    /// The row was read, after the lease was given. Kept until then, if it may be.
    ///
    /// # Errors
    /// Why it is not kept.
    pub(crate) fn keep(&self, held: Held, fresh: Fresh, until: Instant) -> Result<(), Refused> {
        let near = &self.near;
        let mut shard = near.shards.lock(&self.key.probe());
        near.sync(&mut shard);
        let version = shard.settle(&self.key, self.lease)?.number;
        if version < near.least(self.key.entity) {
            return Err(Refused::Changed);
        }
        near.put(self.key.clone(), Kept { held, version, fresh, until });
        Ok(())
    }

    /// The row could not be read.
    pub(crate) fn fail(self, error: &Arc<kit_core::Error>) {
        self.land(Landed::Failed(Arc::clone(error)));
    }

    /// Tells those who wait.
    pub(crate) fn land(self, landed: Landed) {
        self.flight.land(landed);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.near.shards.lock(&self.key.probe()).expire(&self.key, self.lease.token);
        self.near.leases.fetch_sub(1, Ordering::AcqRel);
        self.flight.land(Landed::Given);
    }
}
