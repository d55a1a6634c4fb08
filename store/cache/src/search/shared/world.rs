//! What happens around a shard, step by step.

use super::super::{State, Step};
use super::process::Process;
use super::reader::Reader;
use super::shard::{Fill, Horizon, Shard, Slot, Telling};
use crate::remote::Heard;

/// What keeps answers right, each to be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// A change drops the entry.
    Drop,
    /// And the lease.
    Void,
    /// The shard is told before the process's own readers: those who have seen what only they were told go past it.
    Order,
    /// What is told is told behind what the shard was told before.
    Chain,
    /// A hit counts if the shard has all that the process told it.
    Watermark,
    /// Entries of another incarnation do not exist.
    Anew,
    /// Only a shard of the history that is followed is joined.
    History,
    /// What is brought contains what the shard was told, not only what the process was.
    Asked,
}

/// How much may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Size {
    /// Processes, at most two.
    pub(super) processes: usize,
    /// Rows may be read from the replica.
    pub(super) replicas: bool,
    /// Changes on one primary after the other, numbered from 1: of the row, of another one, of the row, ...
    pub(super) changes: u8,
    /// Reads of the readers.
    pub(super) reads: [u8; 2],
    /// How often processes join.
    pub(super) joins: u8,
    /// Copies of the shard that take its place later.
    pub(super) copies: u8,
    /// How often the shard's horizon is lost.
    pub(super) losses: u8,
    /// Replicas of the database that take the primary's place.
    pub(super) failovers: u8,
    /// Processes that start again.
    pub(super) restarts: u8,
}

/// A place in the history of commits, and the row there: how many changes there are, and of which primary the last is. What
/// both have in common is the first one's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct At {
    pub(super) epoch: u8,
    pub(super) number: u8,
}

impl At {
    pub(super) const ZERO: Self = Self { epoch: 0, number: 0 };

    /// How many changes the row has.
    pub(super) const fn row(self) -> u8 {
        self.number.div_ceil(2)
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
    pub(super) shard: Shard,
    /// As it was some time ago.
    copy: Option<Shard>,
    incarnations: u8,
    pub(super) processes: [Process; 2],
    pub(super) readers: [Reader; 2],
    /// Rows on their way into the shard.
    pub(super) fills: [Option<Fill>; 2],
}

/// What a step does, or what is wrong then.
pub(super) type Change<'a> = &'a dyn Fn(&mut World) -> Result<(), String>;

impl State for World {
    type Rule = Rule;

    fn steps(&self, without: Option<Rule>) -> Vec<Step<Self>> {
        let mut steps = Vec::new();
        let mut step = |name: String, change: &dyn Fn(&mut Self) -> Result<(), String>| {
            let mut next = self.clone();
            let changed = change(&mut next).and_then(|()| next.check(without));
            steps.push((name, changed.map(|()| next)));
        };
        self.database_steps(&mut step);
        self.server_steps(&mut step);
        for at in 0..self.size.processes {
            Process::steps(self, at, without, &mut step);
        }
        for at in 0..self.readers.len() {
            Reader::steps(self, at, without, &mut step);
            if let Some(fill) = self.fills[at] {
                step(format!("what reader {at} brought arrives"), &|world| {
                    world.fills[at] = None;
                    world.shard.fill(fill);
                    Ok(())
                });
            }
        }
        steps
    }
}

impl World {
    pub(super) fn new(size: Size) -> Self {
        Self {
            size,
            epoch: 0,
            fork: u8::MAX,
            logged: 0,
            shown: 0,
            replicated: 0,
            shard: Shard::NEW,
            copy: None,
            incarnations: 0,
            processes: [Process::NEW; 2],
            readers: size.reads.map(Reader::new),
            fills: [None; 2],
        }
    }

    fn database_steps(&self, step: &mut dyn FnMut(String, Change<'_>)) {
        // A change that is in the log and not shown is told of by nobody: the gate is not what is tried here.
        if self.logged < self.size.changes {
            step(format!("the primary shows change {}", self.logged + 1), &|world| {
                world.logged += 1;
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
                (world.epoch, world.fork) = (1, world.replicated);
                (world.logged, world.shown) = (world.fork, world.fork);
                world.readers.iter_mut().for_each(Reader::lose_primary);
                Ok(())
            });
        }
    }

    fn server_steps(&self, step: &mut dyn FnMut(String, Change<'_>)) {
        if self.shard.slot != Slot::Empty {
            step("the slot is emptied".to_owned(), &|world| {
                world.shard.slot = Slot::Empty;
                Ok(())
            });
        }
        if self.size.losses > 0 && self.shard.horizon.is_some() {
            step("the horizon is lost".to_owned(), &|world| {
                world.size.losses -= 1;
                world.shard.horizon = None;
                Ok(())
            });
        }
        match self.copy {
            None if self.size.copies > 0 && self.shard.horizon.is_some() => {
                step("the shard is copied".to_owned(), &|world| {
                    world.size.copies -= 1;
                    world.copy = Some(world.shard);
                    Ok(())
                });
            }
            Some(copy) if copy != self.shard => step("the copy takes the shard's place".to_owned(), &|world| {
                (world.shard, world.copy) = (copy, None);
                Ok(())
            }),
            _ => {}
        }
    }

    pub(super) fn epoch(&self) -> u8 {
        self.epoch
    }

    /// Where the history of the second primary begins.
    pub(super) fn forked(&self) -> At {
        self.value(self.fork)
    }

    /// What a server shows that has so many changes.
    pub(super) fn value(&self, changes: u8) -> At {
        At { epoch: if changes > self.fork { self.epoch } else { 0 }, number: changes }
    }

    /// The next change in the log of the primary with this history.
    pub(super) fn next_change(&self, history: u8, told: At) -> Option<At> {
        (history == self.epoch && told.number < self.shown).then(|| self.value(told.number + 1))
    }

    /// Whether one place has all of another.
    pub(super) fn covers(&self, one: At, other: At) -> bool {
        match (one.epoch, other.epoch) {
            _ if other.number == 0 => true,
            (1, 0) => other.number <= self.fork,
            (0, 1) => false,
            _ => one.number >= other.number,
        }
    }

    /// What something contains that contains this place: changes that were lost are in nothing.
    pub(super) fn left_of(&self, place: At) -> At {
        let number = if place.epoch < self.epoch { place.number.min(self.fork) } else { place.number };
        At { number, ..place }
    }

    /// Whether a row has a change that only the first primary had.
    pub(super) fn is_lost(&self, value: At) -> bool {
        value.row() > self.left_of(value).row()
    }

    /// Whether who has seen this may be answered by the shard, as a process knows.
    pub(super) fn is_told(&self, process: &Process, seen: At) -> bool {
        self.covers(process.heard, seen)
    }

    /// Whether the replica has all of this.
    pub(super) fn replica_contains(&self, place: At) -> bool {
        self.left_of(place) == place && self.replicated >= place.number
    }

    pub(super) fn tell(&mut self, telling: Telling, without: Option<Rule>) -> Heard {
        let mut shard = self.shard;
        let heard = shard.tell(telling, |one, other| self.covers(one, other), without);
        self.shard = shard;
        heard
    }

    /// What was in the slot stays there, and counts for nothing.
    pub(super) fn make_anew(&mut self, history: u8, told: At) -> u8 {
        self.incarnations += 1;
        self.shard.horizon = Some(Horizon { incarnation: self.incarnations, history, told });
        self.incarnations
    }

    fn check(&self, without: Option<Rule>) -> Result<(), String> {
        let Some((horizon, value)) = self.shard.entry(without) else { return Ok(()) };
        if horizon.history == self.epoch && value.row() < self.left_of(horizon.told).row() {
            return Err("an entry lacks a change that the shard was told".to_owned());
        }
        if self.is_lost(value) && horizon.history == self.epoch {
            return Err("an entry has a change that was lost".to_owned());
        }
        Ok(())
    }
}
