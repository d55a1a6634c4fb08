//! What a part of a cache knows that is not of one row.

use crate::Version;

/// What one shard was told, kept and lost together with its slots.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Horizon {
    applied: Version,
    /// The highest floor of slots that were forgotten before the shard was told of it.
    forgotten: Version,
    is_told: bool,
}

impl Horizon {
    /// Of a shard that is new or has lost what it had. It has no entries and gives no leases until it was
    /// [told](Self::advance) where the log is.
    pub const fn untold() -> Self {
        Self { applied: Version::ZERO, forgotten: Version::ZERO, is_told: false }
    }

    /// All changes up to this one were told to every slot that has to know. The sender goes on from [`Self::applied`] after
    /// an interruption; to a new shard it first tells where it is, and changes from there on.
    pub fn advance(&mut self, to: Version) {
        if !self.is_told {
            // Which rows changed before is not known here any more.
            self.forgotten = self.forgotten.max(to);
            self.is_told = true;
        }
        self.applied = self.applied.max(to);
    }

    /// What was told. A sender goes on from here.
    pub const fn applied(&self) -> Version {
        self.applied
    }

    /// Whether leases are given.
    pub const fn is_told(&self) -> bool {
        self.is_told
    }

    /// There is a new primary, whose log begins at `from`, of the new epoch. Every slot is dropped together with this call, in
    /// one step for readers: rows that were read from the old primary may show changes that the new one never received.
    /// That is so for changes that were never told, too: they were shown, and who read them may have brought them.
    pub fn begin(&mut self, from: Version) {
        self.applied = self.applied.max(from);
        self.forgotten = self.forgotten.max(from);
        self.is_told = true;
    }

    /// A floor at or below [`Self::applied`] need not be remembered: every lease from now on asks for more.
    pub(crate) fn forget(&mut self, floor: Version) {
        if floor > self.applied {
            self.forgotten = self.forgotten.max(floor);
        }
    }

    pub(crate) const fn forgotten(&self) -> Version {
        self.forgotten
    }

    #[cfg(test)]
    pub(crate) fn without_memory(&mut self) {
        self.forgotten = Version::ZERO;
        self.is_told = true;
    }
}
