//! What happens around a cache, step by step.

use super::reader::{Reader, Source};
use super::{State, Step};
use crate::{Answer, Entry, Horizon, Slot, Version};

/// What keeps the cache right, each to be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// A change is told once the primary shows it.
    Gate,
    /// A change drops an entry that lacks it.
    Drop,
    /// A row for a lease below the row's floor is not kept.
    Floor,
    /// A slot that is forgotten leaves its floor to the shard.
    Forget,
    /// A new shard gives no lease before it was told where the log is.
    Told,
    /// A replica is asked whether it contains the lease.
    Ask,
    /// And asked before it is read.
    Order,
    /// A hit contains what its reader has seen.
    Least,
    /// So does what a reader brings.
    Stamp,
    /// A new primary's changes are above the old one's.
    Epoch,
    /// What was read from the old primary is dropped.
    Begin,
    /// In the process: who made a change drops the row before being answered.
    Early,
    /// And takes the lease from who is bringing it.
    Void,
    /// Who has seen what was not told does not ask the cache.
    Bypass,
    /// A hit tells what the row may show, not what it must.
    Seen,
    /// What is told takes the place of what lacks it only.
    Older,
    /// And of what its writer dropped only if it has what was written.
    Written,
    /// And all that was there when the writer dropped it.
    Late,
}

/// How much may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Size {
    /// Changes of the row on one primary after the other, numbered from 1.
    pub(super) changes: u8,
    /// Reads of the readers.
    pub(super) reads: [u8; 3],
    /// Shards that are lost.
    pub(super) losses: u8,
    /// Replicas that take the primary's place.
    pub(super) failovers: u8,
    /// Values are evicted, and slots forgotten.
    pub(super) evicts: bool,
    /// Rows may be read from the replica.
    pub(super) replicas: bool,
    /// The cache is in the process: what its readers have seen is not comparable with its versions, only with what was
    /// told.
    pub(super) near: bool,
}

impl Size {
    pub(super) const SMALL: Self =
        Self { changes: 2, reads: [2, 1, 0], losses: 1, failovers: 1, evicts: true, replicas: true, near: false };
    pub(super) const NEAR: Self = Self { losses: 0, near: true, ..Self::SMALL };
    /// Where a row that its writer dropped is surely not read again as it was.
    pub(super) const ALONE: Self = Self { failovers: 0, replicas: false, ..Self::NEAR };
}

/// A row's value: how many changes it has, and of which primary the last is. What both have in common is the first one's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Value {
    pub(super) epoch: u8,
    pub(super) changes: u8,
}

impl Value {
    /// What its reader has seen.
    pub(super) fn version(self) -> Version {
        version(self.epoch, self.changes)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct World {
    pub(super) size: Size,
    /// Of the primary.
    epoch: u8,
    /// Changes that the first primary had replicated when the second took its place.
    fork: u8,
    /// Changes in the primary's log, those that it shows, and those that the replica shows.
    logged: u8,
    pub(super) shown: u8,
    pub(super) replicated: u8,
    /// Of whom the log is read, up to which change slots were told, and the shard.
    teller: u8,
    told: u8,
    advanced: u8,
    /// In the process: what readers are told that the cache contains, and the last change whose writer dropped the row.
    admitted: u8,
    retracted: u8,
    pub(super) horizon: Horizon,
    pub(super) slot: Slot<Value>,
    pub(super) readers: [Reader; 3],
}

/// What a step does, or what is wrong then.
pub(super) type Change<'a> = &'a dyn Fn(&mut World) -> Result<(), String>;

impl State for World {
    type Rule = Rule;

    fn steps(&self, without: Option<Rule>) -> Vec<Step<Self>> {
        self.all_steps(without)
    }
}

impl World {
    pub(super) fn new(size: Size) -> Self {
        let mut horizon = Horizon::untold();
        horizon.advance(Version::ZERO);
        Self {
            size,
            epoch: 0,
            fork: u8::MAX,
            logged: 0,
            shown: 0,
            replicated: 0,
            teller: 0,
            told: 0,
            advanced: 0,
            admitted: 0,
            retracted: 0,
            horizon,
            slot: Slot::default(),
            readers: size.reads.map(Reader::new),
        }
    }

    fn all_steps(&self, without: Option<Rule>) -> Vec<Step<Self>> {
        let mut steps = Vec::new();
        let mut step = |name: String, change: &dyn Fn(&mut Self) -> Result<(), String>| {
            let mut next = self.clone();
            let changed = change(&mut next).and_then(|()| next.check());
            steps.push((name, changed.map(|()| next)));
        };
        if self.logged < self.size.changes && self.shown == self.logged {
            step(format!("change {} is in the log", self.logged + 1), &|world| {
                world.logged += 1;
                Ok(())
            });
        }
        if self.shown < self.logged {
            step(format!("the primary shows change {}", self.logged), &|world| {
                world.shown = world.logged;
                Ok(())
            });
        }
        if self.replicated < self.logged {
            step(format!("the replica shows change {}", self.replicated + 1), &|world| {
                world.replicated += 1;
                Ok(())
            });
        }
        if self.epoch < self.size.failovers {
            step("the replica takes the primary's place".to_owned(), &|world| {
                world.fail_over();
                Ok(())
            });
        }
        self.tell(without, &mut step);
        self.retract(without, &mut step);
        if self.size.evicts && self.slot != Slot::default() {
            step("the value is evicted".to_owned(), &|world| {
                world.slot.evict();
                Ok(())
            });
            step("the slot is forgotten".to_owned(), &|world| {
                let slot = std::mem::take(&mut world.slot);
                if without != Some(Rule::Forget) {
                    slot.forget(&mut world.horizon);
                }
                Ok(())
            });
        }
        if self.size.losses > 0 {
            step("the shard is lost".to_owned(), &|world| {
                world.size.losses -= 1;
                (world.horizon, world.slot) = (Horizon::untold(), Slot::default());
                if without == Some(Rule::Told) {
                    world.horizon.without_memory();
                }
                Ok(())
            });
        }
        for at in 0..self.readers.len() {
            Reader::steps(self, at, without, &mut step);
        }
        steps
    }

    /// Changes are told to slots, and then where the log is to the shard.
    fn tell(&self, without: Option<Rule>, step: &mut dyn FnMut(String, Change<'_>)) {
        let tells_of = if without == Some(Rule::Epoch) { 0 } else { self.teller };
        let may = if without == Some(Rule::Gate) { self.logged } else { self.shown };
        // In the process, leases ask for a change before slots are told of it.
        let (may_tell, may_advance) = if self.size.near { (self.advanced, may) } else { (may, self.told) };
        if self.teller == self.epoch && self.told < may_tell {
            let change = version(tells_of, self.told + 1);
            step(format!("{change:?} is told"), &|world| {
                let kept = world.slot.entry().copied();
                world.slot.invalidate(change);
                if let (Some(Rule::Drop), Some(kept)) = (without, kept) {
                    world.slot.set(kept);
                }
                world.told += 1;
                Ok(())
            });
        }
        if self.size.near && self.teller == self.epoch && self.told < may_tell {
            let change = version(tells_of, self.told + 1);
            step(format!("{change:?} is told with its row"), &|world| {
                let row = world.value(world.told + 1);
                let own = |value: &Value| u64::from(value.changes);
                match without {
                    Some(Rule::Older) => world.slot.renew(change, own(&row), row, |_| 0),
                    // All that was written gives way.
                    Some(Rule::Written) => world
                        .slot
                        .renew(change, u64::MAX, row, |value| if own(value) < own(&row) { 0 } else { u64::MAX }),
                    _ => world.slot.renew(change, own(&row), row, own),
                }
                world.told += 1;
                Ok(())
            });
        }
        let to = if self.size.near { may_advance.min(self.told + 1) } else { may_advance };
        let is_behind = self.advanced < to || self.horizon.applied() < version(tells_of, to);
        if self.teller == self.epoch && (is_behind || !self.horizon.is_told()) {
            step("the shard is told".to_owned(), &|world| {
                world.horizon.advance(version(tells_of, to));
                world.advanced = to;
                Ok(())
            });
        }
        if self.size.near && self.teller == self.epoch && self.admitted < self.told {
            step("readers are told".to_owned(), &|world| {
                world.admitted = world.told;
                Ok(())
            });
        }
        if self.teller < self.epoch {
            step("the log of the new primary is read".to_owned(), &|world| {
                (world.teller, world.told, world.advanced) = (world.epoch, world.fork, world.fork);
                world.admitted = world.fork;
                let from = version(if without == Some(Rule::Epoch) { 0 } else { 1 }, world.fork);
                match without {
                    Some(Rule::Begin) => world.horizon.advance(from),
                    _ => {
                        world.slot = Slot::default();
                        world.horizon.begin(from);
                    }
                }
                Ok(())
            });
        }
    }

    /// Who made the last change, in this process, is about to be answered.
    fn retract(&self, without: Option<Rule>, step: &mut dyn FnMut(String, Change<'_>)) {
        if !self.size.near {
            return;
        }
        // Writers are not answered in the order of their writes.
        for change in 1..=self.shown {
            step(format!("who made change {change} drops the row"), &|world| {
                let own = |value: &Value| if without == Some(Rule::Late) { 0 } else { value.changes.into() };
                match without {
                    Some(Rule::Early) => {}
                    Some(Rule::Void) => world.slot.evict(),
                    _ => world.slot.retract_to(change.into(), own),
                }
                world.retracted = world.retracted.max(change);
                Ok(())
            });
        }
    }

    fn fail_over(&mut self) {
        (self.epoch, self.fork) = (1, self.replicated);
        (self.logged, self.shown) = (self.fork, self.fork);
        for reader in &mut self.readers {
            reader.lose(Source::Primary);
        }
    }

    /// What a server shows that has so many changes.
    pub(super) fn value(&self, changes: u8) -> Value {
        Value { epoch: if changes > self.fork { self.epoch } else { 0 }, changes }
    }

    /// The latest change that its writer was told of, as the writer knows it.
    pub(super) fn acknowledged(&self) -> Version {
        version(self.epoch, self.shown)
    }

    /// How many changes something has that contains this version: those that were lost are in nothing.
    pub(super) fn changes_until(&self, version: Version) -> u8 {
        let changes = u8::try_from(version.number).unwrap_or(u8::MAX);
        if version.epoch < u64::from(self.epoch) { changes.min(self.fork) } else { changes }
    }

    /// Whether who has seen this may ask a cache in the process.
    pub(super) fn is_told(&self, seen: Version) -> bool {
        let (epoch, teller) = (seen.epoch, u64::from(self.teller));
        let most = if epoch < teller { self.fork } else { self.admitted };
        epoch <= teller && seen.number <= u64::from(most)
    }

    /// Whether the replica has all of this.
    pub(super) fn replica_contains(&self, version: Version) -> bool {
        let is_lost = version.epoch < u64::from(self.epoch) && version.number > u64::from(self.fork);
        !is_lost && u64::from(self.replicated) >= version.number
    }

    fn check(&self) -> Result<(), String> {
        let Some(Entry { value, .. }) = self.slot.entry() else { return Ok(()) };
        if value.changes < self.told && self.teller == self.epoch {
            return Err("an entry lacks a change that was told".to_owned());
        }
        if !self.size.replicas && value.changes < self.retracted {
            return Err("an entry lacks a change whose writer was answered".to_owned());
        }
        let is_lost = value.epoch < self.epoch && value.changes > self.fork;
        if is_lost && self.horizon.applied().epoch == u64::from(self.epoch) {
            return Err("an entry has a change that was lost".to_owned());
        }
        Ok(())
    }

    /// What a reader finds.
    pub(super) fn get(&mut self, reader: usize, least: Version, without: Option<Rule>) -> Got {
        let asked = if without == Some(Rule::Least) || self.size.near { Version::ZERO } else { least };
        match self.slot.get(&self.horizon, asked, reader as u64) {
            Answer::Hit(value, _) if self.size.near && without != Some(Rule::Seen) => Got::Hit(*value, value.version()),
            Answer::Hit(value, seen) => Got::Hit(*value, seen),
            Answer::Miss(mut lease) => {
                if without == Some(Rule::Stamp) {
                    lease.at = lease.at.min(self.horizon.applied());
                }
                Got::Miss(lease)
            }
            Answer::Awaited | Answer::Untold => Got::Nothing,
        }
    }
}

pub(super) enum Got {
    Hit(Value, Version),
    Miss(crate::Lease),
    Nothing,
}

fn version(epoch: u8, number: u8) -> Version {
    Version { epoch: epoch.into(), number: number.into() }
}
