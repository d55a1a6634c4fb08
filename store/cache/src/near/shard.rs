//! Who is bringing which row.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quick_cache::DefaultHashBuilder;

use super::flight::Flight;
use super::key::{Probe, RowKey};
use crate::{Fills, Horizon, Lease, Refused, Version};

/// Shards by the hash of a key. As many as make it unlikely that two cores meet.
const SHARDS: usize = 64;

pub(super) struct Shards {
    shards: Box<[Mutex<Shard>]>,
    hasher: DefaultHashBuilder,
}

/// One of them.
pub(super) struct Shard {
    horizon: Horizon,
    begun: Version,
    bringing: HashMap<RowKey, Bringing, DefaultHashBuilder>,
}

/// A row that somebody has a lease for.
struct Bringing {
    fills: Fills,
    lease: Lease,
    /// How many writes had been made when it began.
    retracted: u64,
    flight: Arc<Flight>,
}

impl Shards {
    pub(super) fn new(hasher: DefaultHashBuilder) -> Self {
        let shard = || Shard {
            horizon: Horizon::untold(),
            begun: Version::ZERO,
            bringing: HashMap::with_hasher(hasher.clone()),
        };
        Self { shards: (0..SHARDS).map(|_| Mutex::new(shard())).collect(), hasher }
    }

    pub(super) fn lock(&self, probe: &Probe<'_>) -> MutexGuard<'_, Shard> {
        // The low bits choose the place within a table, and the high ones are compared there.
        let hash = self.hasher.hash_one(probe) >> 24;
        let shard = &self.shards[hash as usize % SHARDS];
        // A panic leaves at worst a lease that nobody has, which the next change ends.
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    /// Takes in what was told to all shards since the last time.
    pub(super) fn sync(&mut self, told: bool, begun: Version, announced: Version) {
        if begun > self.begun {
            self.begun = begun;
            self.horizon.begin(begun);
            // Who leads them brings nothing that could be kept, and who comes now may have to see more.
            self.bringing.clear();
        }
        if told {
            self.horizon.advance(announced);
        }
    }

    /// The row's way here, if it is on it, contains as much as this, and began after the last write.
    pub(super) fn flight(&self, key: &RowKey, least: Version, retracted: u64) -> Option<Arc<Flight>> {
        let bringing = self.bringing.get(key).filter(|it| it.lease.at >= least && it.retracted == retracted)?;
        Some(Arc::clone(&bringing.flight))
    }

    /// Gives a lease. One that was given before ends; it was of no use.
    pub(super) fn lease(&mut self, key: &RowKey, token: u64, retracted: u64) -> Option<(Lease, Arc<Flight>)> {
        let (mut fills, flight) = (Fills::default(), Arc::<Flight>::default());
        let lease = fills.lease(&self.horizon, Version::ZERO, token)?;
        self.bringing.insert(key.clone(), Bringing { fills, lease, retracted, flight: Arc::clone(&flight) });
        Some((lease, flight))
    }

    pub(super) fn invalidate(&mut self, probe: &Probe<'_>, change: Version) {
        if let Some(mut bringing) = self.take(probe) {
            bringing.fills.invalidate(change);
            bringing.fills.forget(&mut self.horizon);
        }
    }

    pub(super) fn retract(&mut self, probe: &Probe<'_>) {
        if let Some(mut bringing) = self.take(probe) {
            bringing.fills.retract();
            bringing.fills.forget(&mut self.horizon);
        }
    }

    /// Ends a lease: the version of what was brought.
    pub(super) fn settle(&mut self, key: &RowKey, lease: Lease) -> Result<Version, Refused> {
        let mut bringing = self.end(key, lease.token).ok_or(Refused::Expired)?;
        let settled = bringing.fills.settle(&self.horizon, lease);
        bringing.fills.forget(&mut self.horizon);
        settled
    }

    /// Ends a lease for which nothing was brought.
    pub(super) fn expire(&mut self, key: &RowKey, token: u64) {
        if let Some(mut bringing) = self.end(key, token) {
            bringing.fills.expire(token);
            bringing.fills.forget(&mut self.horizon);
        }
    }

    fn end(&mut self, key: &RowKey, token: u64) -> Option<Bringing> {
        if self.bringing.get(key)?.lease.token != token {
            return None;
        }
        self.bringing.remove(key)
    }

    fn take(&mut self, probe: &Probe<'_>) -> Option<Bringing> {
        if self.bringing.is_empty() {
            return None;
        }
        self.bringing.remove(&probe.to_key())
    }
}
