//! The shard of a cache server, as its [port](crate::remote::Remote) says, with one slot.

use super::world::{At, Rule};
use crate::remote::Heard;

/// What the server has. A copy of it may take its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Shard {
    pub(super) horizon: Option<Horizon>,
    pub(super) slot: Slot,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Horizon {
    pub(super) incarnation: u8,
    pub(super) history: u8,
    pub(super) told: At,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Slot {
    Empty,
    Lease(u8),
    Entry { incarnation: u8, value: At },
}

/// Changes up to one, in the hands of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Telling {
    pub(super) incarnation: u8,
    pub(super) from: At,
    pub(super) to: At,
}

/// A row for a lease, in the hands of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Fill {
    pub(super) token: u8,
    pub(super) incarnation: u8,
    pub(super) value: At,
}

impl Shard {
    pub(super) const NEW: Self = Self { horizon: None, slot: Slot::Empty };

    /// A change of the row drops its slot. `covers`: whether one place has all of another.
    pub(super) fn tell(&mut self, telling: Telling, covers: impl Fn(At, At) -> bool, without: Option<Rule>) -> Heard {
        let Some(horizon) = &mut self.horizon else { return Heard::Other };
        if horizon.incarnation != telling.incarnation {
            return Heard::Other;
        }
        if !covers(horizon.told, telling.from) && without != Some(Rule::Chain) {
            return Heard::Behind;
        }
        if covers(horizon.told, telling.to) {
            return Heard::Told;
        }
        horizon.told = telling.to;
        match self.slot {
            _ if telling.from.row() == telling.to.row() => {}
            Slot::Lease(_) if without == Some(Rule::Void) => {}
            Slot::Entry { .. } if without == Some(Rule::Drop) => {}
            _ => self.slot = Slot::Empty,
        }
        Heard::Told
    }

    /// The entry, if it is of this incarnation.
    pub(super) fn entry(&self, without: Option<Rule>) -> Option<(Horizon, At)> {
        match (self.horizon, self.slot) {
            (Some(horizon), Slot::Entry { incarnation, value })
                if incarnation == horizon.incarnation || without == Some(Rule::Anew) =>
            {
                Some((horizon, value))
            }
            _ => None,
        }
    }

    pub(super) fn fill(&mut self, fill: Fill) {
        if self.slot == Slot::Lease(fill.token) {
            self.slot = Slot::Entry { incarnation: fill.incarnation, value: fill.value };
        }
    }
}
