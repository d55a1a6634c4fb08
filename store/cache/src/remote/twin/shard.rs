//! What one shard holds, and each step as the port describes it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rowkeep_schema::EntityId;

use crate::remote::{Beginning, Entry, Heard, Horizon, Leased, Looked, Name, Telling};

#[derive(Debug, Clone, Default)]
pub(super) struct Shard {
    pub(super) horizon: Option<Horizon>,
    slots: HashMap<Name, Slot>,
}

#[derive(Debug, Clone)]
struct Slot {
    held: Held,
    until: Instant,
}

#[derive(Debug, Clone)]
enum Held {
    Lease { token: u128, incarnation: u64, generation: u64 },
    Entry(Entry),
}

impl Slot {
    /// Whether it is of the shard as it is: neither made anew nor rewritten since.
    fn counts(&self, horizon: &Horizon, entity: EntityId, now: Instant) -> bool {
        let (incarnation, generation) = match &self.held {
            Held::Lease { incarnation, generation, .. } => (*incarnation, *generation),
            Held::Entry(entry) => (entry.incarnation, entry.generation),
        };
        now < self.until && incarnation == horizon.incarnation && generation == generation_of(horizon, entity)
    }
}

fn generation_of(horizon: &Horizon, entity: EntityId) -> u64 {
    horizon.rewritten.iter().find(|(rewritten, _)| *rewritten == entity).map_or(0, |(_, count)| *count)
}

fn rewrite(horizon: &mut Horizon, entity: EntityId) {
    match horizon.rewritten.iter_mut().find(|(rewritten, _)| *rewritten == entity) {
        Some((_, count)) => *count += 1,
        None => horizon.rewritten.push((entity, 1)),
    }
}

impl Shard {
    pub(super) fn begin(&mut self, beginning: Beginning) -> Option<Horizon> {
        let fits =
            |horizon: &Horizon| horizon.history == beginning.history && horizon.told.contains_all(&beginning.place);
        match beginning.anew {
            Some(incarnation) if !self.horizon.as_ref().is_some_and(fits) => {
                self.slots.clear();
                self.horizon = Some(Horizon {
                    incarnation,
                    history: beginning.history,
                    told: beginning.place,
                    rewritten: Vec::new(),
                });
            }
            _ => {}
        }
        self.horizon.clone()
    }

    pub(super) fn tell(&mut self, telling: &Telling) -> Heard {
        let Some(horizon) = self.horizon.as_mut().filter(|horizon| horizon.incarnation == telling.incarnation) else {
            return Heard::Other;
        };
        if !horizon.told.contains_all(&telling.from) {
            return Heard::Behind;
        }
        if horizon.told.contains_all(&telling.to) {
            return Heard::Told;
        }
        horizon.told.add_all(&telling.to);
        telling.rewritten.iter().for_each(|entity| rewrite(horizon, *entity));
        telling.names.iter().for_each(|name| self.drop_slot(name));
        Heard::Told
    }

    pub(super) fn get(&self, names: &[Name], now: Instant) -> Looked {
        let entry = |name: &Name| match &self.slot(name, now)?.held {
            Held::Entry(entry) => Some(entry.clone()),
            Held::Lease { .. } => None,
        };
        Looked { horizon: self.horizon.clone(), entries: names.iter().map(entry).collect() }
    }

    pub(super) fn lease(&mut self, name: Name, token: u128, now: Instant, time: Duration) -> Leased {
        let Some(horizon) = self.horizon.clone() else { return Leased::Untold };
        match self.slot(&name, now).map(|slot| &slot.held) {
            Some(Held::Entry(entry)) => return Leased::Filled(horizon, entry.clone()),
            Some(Held::Lease { token: other, .. }) if *other != token => return Leased::Awaited,
            Some(Held::Lease { .. }) | None => {}
        }
        let (incarnation, generation) = (horizon.incarnation, generation_of(&horizon, name.entity));
        let held = Held::Lease { token, incarnation, generation };
        self.slots.insert(name, Slot { held, until: now + time });
        Leased::Given(horizon)
    }

    pub(super) fn fill(&mut self, name: Name, token: u128, entry: Entry, now: Instant, time: Duration) -> bool {
        let held = self.slot(&name, now).map(|slot| &slot.held);
        let is_there = match held {
            Some(Held::Lease { token: held, incarnation, generation }) => {
                (*held, *incarnation, *generation) == (token, entry.incarnation, entry.generation)
            }
            Some(Held::Entry(_)) | None => false,
        };
        if is_there {
            self.slots.insert(name, Slot { held: Held::Entry(entry), until: now + time });
        }
        is_there
    }

    pub(super) fn drop_slot(&mut self, name: &Name) {
        self.slots.remove(name);
    }

    /// What counts of a slot.
    fn slot(&self, name: &Name, now: Instant) -> Option<&Slot> {
        let horizon = self.horizon.as_ref()?;
        self.slots.get(name).filter(|slot| slot.counts(horizon, name.entity, now))
    }
}
