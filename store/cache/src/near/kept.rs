//! What is kept of a row.

use std::sync::Arc;
use std::time::Instant;

use rowkeep_engine::{Position, View};
use rowkeep_record::{Key, Record};

use super::key::{RowKey, heap_bytes};
use crate::Has;

/// What the table has under a key. Copying it allocates nothing.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// An entry.
    Kept(Kept),
    /// There was one, and this process wrote the row: what is told of the write takes its place, if the row is not read before.
    Written {
        /// The row's own version since.
        row: u64,
        /// All changes up to this one had been told.
        version: u64,
    },
}

impl Content {
    pub(super) fn version(&self) -> u64 {
        match self {
            Self::Kept(kept) => kept.version,
            Self::Written { version, .. } => *version,
        }
    }

    /// What there is of a row; `None` for what no row takes the place of.
    pub(super) fn has(&self) -> Option<Has> {
        match self {
            Self::Kept(Kept { held: Held::Row(record), .. }) => Some(Has::Row(record.version())),
            Self::Kept(_) => None,
            Self::Written { row, .. } => Some(Has::Written(*row)),
        }
    }
}

/// An entry. Copying it allocates nothing.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub(crate) held: Held,
    /// All changes up to this one are in it: the number of its lease.
    pub(crate) version: u64,
    pub(crate) fresh: Fresh,
    /// It is read again then, whatever the log says.
    pub(crate) until: Instant,
}

/// What somebody found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Held {
    /// A row.
    Row(Record),
    /// Where the row with some unique values is, and the version it had when it was found there.
    Pointer(Arc<Key>, u64),
    /// That there is none.
    Absent,
}

/// For whom an entry will do, its version aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fresh {
    /// No row that its reader was shown is behind this; what an entry shows may be newer than its version.
    pub(crate) seen: Position,
    /// It was read as of this time (microseconds since 1970; 0 where nothing expires).
    pub(crate) since: i64,
    /// From this time on the row does not exist.
    pub(crate) expires: i64,
}

impl Kept {
    /// Whether it is what a reader with this view would be shown.
    pub(crate) fn suits(&self, view: View, now: Instant) -> bool {
        self.fresh.suits(view) && now < self.until
    }

    /// Whether it is the same entry, and not another one of the same row.
    pub(crate) fn is(&self, other: &Self) -> bool {
        // Of two that were brought for leases with one number, each has a time of its own.
        self.version == other.version && self.until == other.until
    }
}

impl Fresh {
    /// Whether it is what a reader with this view would be shown.
    pub(crate) fn suits(&self, view: View) -> bool {
        self.since <= view.now && view.now < self.expires
    }
}

/// Bytes of an entry, with its share of the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weights;

/// What a table has for an entry besides key and value: its hash, its place in two lists, and room that is not used.
const OVERHEAD: usize = 64;

impl quick_cache::Weighter<RowKey, Content> for Weights {
    fn weight(&self, key: &RowKey, content: &Content) -> u64 {
        let held = match content {
            Content::Kept(Kept { held: Held::Row(record), .. }) => record.framed().len() + COUNTED,
            Content::Kept(Kept { held: Held::Pointer(key, _), .. }) => size_of::<Key>() + heap_bytes(key) + COUNTED,
            Content::Kept(Kept { held: Held::Absent, .. }) | Content::Written { .. } => 0,
        };
        (size_of::<RowKey>() + size_of::<Content>() + OVERHEAD + heap_bytes(&key.key) + held) as u64
    }
}

/// Of memory that is counted by who uses it.
const COUNTED: usize = 32;
