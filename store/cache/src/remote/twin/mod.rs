//! A cache server in memory, short enough to be seen to be right: what adapters and the tier are held against.
//!
//! It answers at once and never fails. It can be lost, and go back to an earlier state, as servers do whose copy was behind.

mod shard;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kit_core::Reply;

use super::{Beginning, Entry, Failed, Heard, Horizon, Leased, Looked, Name, Remote, Telling};
use crate::now;
use shard::Shard;

/// A cache server in memory. Its time is tokio's, which tests may stop.
#[derive(Debug)]
pub struct MemoryRemote {
    shards: Box<[Mutex<Shard>]>,
}

/// A shard as it was.
#[derive(Debug, Clone)]
pub struct Saved(Shard);

impl MemoryRemote {
    /// One with so many shards, none of which has a horizon.
    ///
    /// # Panics
    /// If there is none.
    pub fn new(shards: usize) -> Self {
        assert!(shards > 0, "a server has at least one shard");
        Self { shards: (0..shards).map(|_| Mutex::default()).collect() }
    }

    /// The shard forgets everything.
    pub fn lose(&self, shard: usize) {
        *self.shard(shard) = Shard::default();
    }

    /// The shard forgets one slot, as for want of room.
    pub fn evict(&self, shard: usize, name: &Name) {
        self.shard(shard).drop_slot(name);
    }

    /// The shard forgets its horizon and keeps its slots, as for want of room.
    pub fn evict_horizon(&self, shard: usize) {
        self.shard(shard).horizon = None;
    }

    /// What a copy of the shard has that receives nothing from now on.
    pub fn save(&self, shard: usize) -> Saved {
        Saved(self.shard(shard).clone())
    }

    /// The copy takes the shard's place.
    pub fn restore(&self, shard: usize, saved: &Saved) {
        *self.shard(shard) = saved.0.clone();
    }

    /// What the shard knows, apart from any step.
    pub fn horizon(&self, shard: usize) -> Option<Horizon> {
        self.shard(shard).horizon.clone()
    }

    fn shard(&self, shard: usize) -> MutexGuard<'_, Shard> {
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Remote for MemoryRemote {
    fn shards(&self) -> usize {
        self.shards.len()
    }

    fn begin(&self, shard: usize, beginning: Beginning) -> Reply<'_, Result<Option<Horizon>, Failed>> {
        Reply::ready(Ok(self.shard(shard).begin(beginning)))
    }

    fn tell(&self, shard: usize, telling: Telling) -> Reply<'_, Result<Heard, Failed>> {
        Reply::ready(Ok(self.shard(shard).tell(&telling)))
    }

    fn get(&self, shard: usize, names: Vec<Name>) -> Reply<'_, Result<Looked, Failed>> {
        Reply::ready(Ok(self.shard(shard).get(&names, now())))
    }

    fn lease(&self, shard: usize, name: Name, token: u128, time: Duration) -> Reply<'_, Result<Leased, Failed>> {
        Reply::ready(Ok(self.shard(shard).lease(name, token, now(), time)))
    }

    fn fill(
        &self,
        shard: usize,
        name: Name,
        token: u128,
        entry: Entry,
        time: Duration,
    ) -> Reply<'_, Result<bool, Failed>> {
        Reply::ready(Ok(self.shard(shard).fill(name, token, entry, now(), time)))
    }

    fn retract(&self, shard: usize, names: Vec<Name>) -> Reply<'_, Result<(), Failed>> {
        let mut shard = self.shard(shard);
        names.iter().for_each(|name| shard.drop_slot(name));
        Reply::ready(Ok(()))
    }
}
