//! The cache in the process: entries in a table that readers share, leases apart from them.
//!
//! ## Versions
//! Changes are numbered as the log tells them to this process. A history that begins gets a number of its own, so that what
//! was numbered before is below it, and one number is all there is to a [`Version`].
//!
//! ## Where the protocol is
//! A [`Slot`](crate::Slot) is in two places. Its value is in a table that gives room to what is used, under locks of the
//! table's own, so that a hit takes nothing else. What it remembers for those who bring rows ([`Fills`](crate::Fills)) is in a shard, and
//! only while somebody has a lease: when the lease ends, or the row changes, it is [forgotten](crate::Fills::forget). That is free,
//! because in the process leases ask for a change ([`Near::announce`]) before slots are told of it ([`Near::invalidate`]).
//! A change that is told while a row is brought therefore ends the lease, and who asks from then on begins anew.
//!
//! A value is put into the table, and taken out for a change or [replaced](crate::Has), under the lock of its shard. What this process
//! writes leaves a remark where there was an entry, so that the row takes its place when it is told. Eviction needs no lock: it loses
//! a value, and nothing that was remembered. What is of no use to anybody since a history began, or since an entity was
//! rewritten, is told by its number, in one step for all readers, and leaves by the way.

mod flight;
mod kept;
mod key;
mod shard;
mod ticket;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle};
use rowkeep_schema::EntityId;

pub(crate) use flight::{Flight, Landed};
pub(crate) use kept::{Fresh, Held, Kept};
pub(crate) use key::{Part, Probe, RowKey};
pub(crate) use ticket::Ticket;

use crate::{Has, Version};
use kept::{Content, Weights};
use shard::Shards;

/// Entries and leases.
pub(crate) struct Near {
    entries: Cache<RowKey, Content, Weights, DefaultHashBuilder, Evictions>,
    shards: Shards,
    /// Leases ask for every change up to this one.
    announced: AtomicU64,
    /// The log is known. Unset, no leases are given.
    told: AtomicBool,
    /// Entries below are of a history that ended.
    begun: AtomicU64,
    /// Entries of an entity below its number may lack something that the log did not show.
    rewritten: Box<[AtomicU64]>,
    /// Rows of an entity that this process wrote.
    retracted: Box<[AtomicU64]>,
    tokens: AtomicU64,
    leases: AtomicUsize,
    most_leases: usize,
    evicted: Arc<AtomicU64>,
}

/// What a reader may do who found nothing.
pub(crate) enum Way {
    /// Bring it.
    Lead(Ticket),
    /// Wait for who is bringing it.
    Join(Arc<Flight>),
    /// Read it, and leave it.
    Past,
    /// Nothing: it has come meanwhile.
    Kept,
}

/// What an entry is made of that the log tells, and when it is read again.
pub(crate) type Renewed = (Held, Fresh, Instant);

/// A value of some hundred bytes, for the size of the table.
const USUAL: u64 = 512;

impl Near {
    /// With room for so many bytes, and at most so many leases at a time.
    pub(crate) fn new(bytes: u64, entities: usize, most_leases: usize) -> Arc<Self> {
        let (evicted, hasher) = (Arc::new(AtomicU64::new(0)), DefaultHashBuilder::default());
        let expected = usize::try_from(bytes / USUAL).unwrap_or(usize::MAX).max(16);
        Arc::new(Self {
            entries: Cache::with(expected, bytes, Weights, hasher.clone(), Evictions(Arc::clone(&evicted))),
            shards: Shards::new(hasher),
            announced: AtomicU64::new(0),
            told: AtomicBool::new(false),
            begun: AtomicU64::new(0),
            rewritten: (0..entities).map(|_| AtomicU64::new(0)).collect(),
            retracted: (0..entities).map(|_| AtomicU64::new(0)).collect(),
            tokens: AtomicU64::new(0),
            leases: AtomicUsize::new(0),
            most_leases,
            evicted,
        })
    }

    /// What is kept, and of use.
    pub(crate) fn get(&self, probe: &Probe<'_>) -> Option<Kept> {
        match self.entries.get(probe)? {
            Content::Kept(kept) if kept.version >= self.least(probe.entity) => Some(kept),
            Content::Kept(_) | Content::Written { .. } => None,
        }
    }

    /// A row is not there: who brings it? Nobody, if what was kept meanwhile is `of_use`.
    pub(crate) fn lease(self: &Arc<Self>, key: RowKey, of_use: impl FnOnce(&Kept) -> bool) -> Way {
        let mut shard = self.shards.lock(&key.probe());
        if !self.sync(&mut shard) {
            return Way::Past;
        }
        // Whose read began before a write may not have seen it. A row's is ended by name; which values led to the row before
        // it was written is not known.
        let retracted = match key.part {
            Part::Index(_) => self.retracted[key.entity.index()].load(Ordering::Acquire),
            Part::Row | Part::Live => 0,
        };
        if let Some(flight) = shard.flight(&key, at(self.least(key.entity)), retracted) {
            return Way::Join(flight);
        }
        // A flight may have ended since the reader looked. It put the row in under this lock.
        if self.get(&key.probe()).is_some_and(|kept| of_use(&kept)) {
            return Way::Kept;
        }
        if self.leases.fetch_add(1, Ordering::AcqRel) >= self.most_leases {
            self.leases.fetch_sub(1, Ordering::AcqRel);
            return Way::Past;
        }
        let token = self.tokens.fetch_add(1, Ordering::Relaxed);
        match shard.lease(&key, token, retracted) {
            Some((lease, flight)) => Way::Lead(Ticket::new(Arc::clone(self), key, lease, flight)),
            None => {
                self.leases.fetch_sub(1, Ordering::AcqRel);
                Way::Past
            }
        }
    }

    /// Leases that are given from now on ask for this change. Before slots are told of it.
    pub(crate) fn announce(&self, change: u64) {
        self.announced.fetch_max(change, Ordering::AcqRel);
    }

    /// A row was changed, as the log tells.
    pub(crate) fn invalidate(&self, probe: &Probe<'_>, change: u64) {
        let mut shard = self.shards.lock(probe);
        self.sync(&mut shard);
        shard.invalidate(probe, at(change));
        self.entries.remove(probe);
    }

    /// A row was changed, as the log tells, and its own version became greater: if there is an entry that lacks the change, or was
    /// one that this process wrote since, the row that is told takes its place. `row`: makes the entry, if it can.
    pub(crate) fn renew(&self, probe: &Probe<'_>, change: u64, to: u64, row: impl FnOnce() -> Option<Renewed>) {
        let mut shard = self.shards.lock(probe);
        self.sync(&mut shard);
        shard.invalidate(probe, at(change));
        let Some(content) = self.entries.peek(probe) else { return };
        match content.has().filter(|_| content.version() >= self.least(probe.entity)) {
            Some(has) if !has.gives_way(to) => {}
            Some(_) if let Some((held, fresh, until)) = row() => {
                self.put(probe.to_key(), Kept { held, version: change, fresh, until });
            }
            _ => drop(self.entries.remove(probe)),
        }
    }

    /// A row was changed by this process, which has yet to be told of it. `written`: the row's own version since, if it is
    /// known.
    pub(crate) fn retract(&self, probe: &Probe<'_>, written: Option<u64>) {
        self.retracted[probe.entity.index()].fetch_add(1, Ordering::AcqRel);
        let mut shard = self.shards.lock(probe);
        shard.retract(probe);
        let before = self.entries.peek(probe).and_then(|content| content.has());
        let Some((before, written)) = before.zip(written) else { return drop(self.entries.remove(probe)) };
        let Has::Written(row) = before.retracted(written) else { return };
        let version = self.announced.load(Ordering::Acquire);
        let key = probe.to_key();
        self.entries.insert_with_lifecycle(key.clone(), Content::Written { row, version }, &mut PutIn(Some(key)));
    }

    /// A history begins, with this number: nothing that was kept is of use.
    pub(crate) fn begin(&self, number: u64) {
        self.announce(number);
        self.begun.fetch_max(number, Ordering::AcqRel);
        self.told.store(true, Ordering::Release);
    }

    /// The log is lost; this number is above all that was told. Nothing that was kept is of use, and nothing is kept until a
    /// history [begins](Self::begin).
    pub(crate) fn lose(&self, number: u64) {
        self.told.store(false, Ordering::Release);
        self.announce(number);
        self.begun.fetch_max(number, Ordering::AcqRel);
    }

    /// Rows of an entity, or of all, changed in ways that are not known.
    pub(crate) fn rewrite(&self, entity: Option<EntityId>, number: u64) {
        self.announce(number);
        let Some(entity) = entity else {
            self.begun.fetch_max(number, Ordering::AcqRel);
            return;
        };
        self.rewritten[entity.index()].fetch_max(number, Ordering::AcqRel);
    }

    /// Puts an entry in.
    fn put(&self, key: RowKey, kept: Kept) {
        self.entries.insert_with_lifecycle(key.clone(), Content::Kept(kept), &mut PutIn(Some(key)));
    }

    /// How many entries there are, the useless ones included.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Their bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.entries.weight()
    }

    /// How many made room for others.
    pub(crate) fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    /// The least version of entries that are of use.
    fn least(&self, entity: EntityId) -> u64 {
        self.begun.load(Ordering::Acquire).max(self.rewritten[entity.index()].load(Ordering::Acquire))
    }

    /// Tells a shard what all were told. Answers whether the log is known.
    fn sync(&self, shard: &mut shard::Shard) -> bool {
        let told = self.told.load(Ordering::Acquire);
        shard.sync(told, at(self.begun.load(Ordering::Acquire)), at(self.announced.load(Ordering::Acquire)));
        told
    }
}

/// The change with a number.
const fn at(number: u64) -> Version {
    Version { epoch: 0, number }
}

/// Counts what makes room.
#[derive(Debug, Clone)]
struct Evictions(Arc<AtomicU64>);

/// What is put in. An entry of the same key makes room for nobody.
#[derive(Debug, Default)]
struct PutIn(Option<RowKey>);

impl Lifecycle<RowKey, Content> for Evictions {
    type RequestState = PutIn;

    fn on_evict(&self, put_in: &mut PutIn, key: RowKey, _: Content) {
        if put_in.0.as_ref() != Some(&key) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use rowkeep_engine::Position;
    use rowkeep_record::Value;

    use super::*;

    fn key() -> RowKey {
        RowKey { entity: EntityId(0), part: Part::Row, key: rowkeep_record::Key::one(Value::Int(1)) }
    }

    #[test]
    fn a_reader_who_comes_between_a_flight_and_its_entry_begins_no_other() {
        let near = Near::new(1 << 20, 1, 10);
        near.begin(1);
        let Way::Lead(ticket) = near.lease(key(), |_| true) else { panic!("nothing is there") };
        assert!(matches!(near.lease(key(), |_| true), Way::Join(_)));
        let fresh = Fresh { seen: Position::default(), since: 0, expires: i64::MAX };
        ticket.keep(Held::Absent, fresh, Instant::now() + Duration::from_secs(60)).unwrap();
        ticket.land(Landed::Given);
        // It found nothing before.
        assert!(matches!(near.lease(key(), |kept| matches!(kept.held, Held::Absent)), Way::Kept));
        assert!(matches!(near.lease(key(), |_| false), Way::Lead(_)), "of no use to it");
        near.invalidate(&key().probe(), 2);
        assert!(matches!(near.lease(key(), |_| true), Way::Lead(_)));
    }
}
