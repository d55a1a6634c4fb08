//! Rows on their way into the server: of those who ask this process for one at once, one goes for it, and the others take what it
//! brings.
//!
//! ## Why nobody is given what is too old for them
//! A flight looks at its shard, and at the storage, after it has begun, and what it brings contains all that this process's readers had been
//! told by then. A commit ends the flights of its rows, once the shard was told and before readers are: who has been told it
//! joins none that began before. So does a write of this process, before its writer is answered. Who had joined before takes
//! what comes, as if the answer had been on its way already.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quick_cache::DefaultHashBuilder;
use rowkeep_schema::EntityId;

use crate::near::{Flight, Landed, Part, RowKey};

/// Parts by the hash of a key. As many as make it unlikely that two cores meet.
const PARTS: usize = 64;

/// Those of a process.
pub(super) struct Flights {
    parts: Box<[Mutex<OnTheirWay>]>,
    hasher: DefaultHashBuilder,
}

type OnTheirWay = HashMap<RowKey, Arc<Flight>, DefaultHashBuilder>;

/// What a reader does who found nothing.
pub(super) enum Way {
    /// Goes for the row.
    Lead(Lead),
    /// Waits for who does.
    Join(Arc<Flight>),
}

/// A flight in the hands of who makes it. Dropped, it ends, and who waits for it is told that nobody brings the row.
pub(super) struct Lead {
    flights: Arc<Flights>,
    key: RowKey,
    flight: Arc<Flight>,
}

impl Flights {
    pub(super) fn new() -> Arc<Self> {
        let hasher = DefaultHashBuilder::default();
        let part = |_| Mutex::new(HashMap::with_hasher(hasher.clone()));
        Arc::new(Self { parts: (0..PARTS).map(part).collect(), hasher })
    }

    /// The row's flight, or a new one.
    pub(super) fn board(self: &Arc<Self>, key: &RowKey) -> Way {
        let mut part = self.part(key);
        if let Some(flight) = part.get(key) {
            return Way::Join(Arc::clone(flight));
        }
        let lead = Lead { flights: Arc::clone(self), key: key.clone(), flight: Arc::default() };
        part.insert(key.clone(), Arc::clone(&lead.flight));
        Way::Lead(lead)
    }

    /// These rows were changed, as all readers are about to be told.
    pub(super) fn end<'a>(&self, keys: impl IntoIterator<Item = &'a RowKey>) {
        for key in keys {
            self.part(key).remove(key);
        }
    }

    /// Rows of these entities were changed in ways that are not known.
    pub(super) fn end_of(&self, entities: &[EntityId]) {
        if !entities.is_empty() {
            self.retain(|key| !entities.contains(&key.entity));
        }
    }

    /// These rows were written by this process. Which values led to them before is not known.
    pub(super) fn end_written(&self, keys: &[RowKey]) {
        self.end(keys);
        let mut entities: Vec<EntityId> = keys.iter().map(|key| key.entity).collect();
        entities.dedup();
        for entity in entities {
            let is_lookup = |key: &RowKey| key.entity == entity && matches!(key.part, Part::Index(_));
            self.lookups(entity).retain(|key, _| !is_lookup(key));
        }
    }

    /// This one takes too long: who comes from now on begins another.
    pub(super) fn leave(&self, key: &RowKey, flight: &Arc<Flight>) {
        let mut part = self.part(key);
        // It may have been ended, and another begun.
        if part.get(key).is_some_and(|other| Arc::ptr_eq(other, flight)) {
            part.remove(key);
        }
    }

    /// Another history begins.
    pub(super) fn end_all(&self) {
        self.retain(|_| false);
    }

    fn retain(&self, keep: impl Fn(&RowKey) -> bool) {
        for part in &self.parts {
            let mut part = part.lock().unwrap_or_else(PoisonError::into_inner);
            if !part.is_empty() {
                part.retain(|key, _| keep(key));
            }
        }
    }

    fn part(&self, key: &RowKey) -> MutexGuard<'_, OnTheirWay> {
        match key.part {
            Part::Index(_) => self.lookups(key.entity),
            Part::Row | Part::Live => self.part_of(key),
        }
    }

    /// Where all lookups of an entity are: a write ends them together.
    fn lookups(&self, entity: EntityId) -> MutexGuard<'_, OnTheirWay> {
        self.part_of(entity)
    }

    fn part_of(&self, hashed: impl Hash) -> MutexGuard<'_, OnTheirWay> {
        // The low bits choose the place within a table, and the high ones are compared there.
        let hash = self.hasher.hash_one(hashed) >> 24;
        // Nothing panics while it is locked.
        self.parts[hash as usize % PARTS].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lead {
    pub(super) fn flight(&self) -> Arc<Flight> {
        Arc::clone(&self.flight)
    }

    /// Tells those who wait, and those who come until it is dropped.
    pub(super) fn land(&self, landed: Landed) {
        self.flight.land(landed);
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        self.flights.leave(&self.key, &self.flight);
        self.flight.land(Landed::Given);
    }
}
