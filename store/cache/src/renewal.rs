//! When the row that the log tells takes the place of what a cache has of it.
//!
//! A change that is told could only drop what it finds. The row would be read again at once, if it is one that many ask for;
//! and the log has it. But the log is behind: what a cache has may be newer than what is told, read since or written by the
//! process itself, and must not give way to something older. The rows themselves say which it is, by versions that every
//! write makes greater. Of a change that makes the version no greater, as one in SQL may, nothing can be said, and it drops
//! what it finds.
//!
//! That what is newer by its version does contain the change needs no more than that. Take an entry that lacks changes, and
//! of those the first that is told. The entry is the row as it was before that change. So if the change makes the version
//! greater, the entry's is smaller, and it gives way; if not, it is dropped. No change is told before that one.

/// What a cache has of a row, by the version that the row has in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Has {
    /// The row with this version.
    Row(u64),
    /// Only that its writer, who was answered, gave it this version.
    Written(u64),
}

impl Has {
    /// What is left of it when somebody who gave the row this version is answered. The log may have told of the write before, and
    /// writers are not answered in the order of their writes: what there is may have this one, and a later one.
    #[must_use]
    pub fn retracted(self, version: u64) -> Self {
        match self {
            Self::Row(before) if before >= version => self,
            Self::Row(before) | Self::Written(before) => Self::Written(before.max(version)),
        }
    }

    /// Whether this gives way to the row with a version that the change told of has made greater.
    pub fn gives_way(self, to: u64) -> bool {
        match self {
            Self::Row(version) => version < to,
            Self::Written(version) => version <= to,
        }
    }
}
