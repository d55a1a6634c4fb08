//! What happened, counted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::audit::AuditStats;

/// Counters of a cache, spread so that cores do not meet.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    cells: [Cells; SPREAD],
}

/// As many cores as count without meeting.
const SPREAD: usize = 16;

/// On lines of their own: two, as they are fetched.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Cells([AtomicU64; Count::ALL]);

/// What is counted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Count {
    Hit,
    NegativeHit,
    Miss,
    Joined,
    Bypass,
    Refused,
    AuditedRight,
    AuditedStale,
    AuditedUndecided,
    Unretracted,
    Unreadable,
    Trip,
    TripMicros,
    Failed,
}

impl Count {
    const ALL: usize = 14;
}

impl Counts {
    pub(crate) fn add(&self, count: Count) {
        self.add_many(count, 1);
    }

    pub(crate) fn add_many(&self, count: Count, many: u64) {
        self.cells[place()].0[count as usize].fetch_add(many, Ordering::Relaxed);
    }

    pub(crate) fn sum(&self, count: Count) -> u64 {
        self.cells.iter().map(|cells| cells.0[count as usize].load(Ordering::Relaxed)).sum()
    }
}

/// This thread's place.
fn place() -> usize {
    static THREADS: AtomicU64 = AtomicU64::new(0);
    thread_local! {
        static PLACE: u64 = THREADS.fetch_add(1, Ordering::Relaxed);
    }
    // At the end of a thread its number may be gone, and any place will do.
    let place = PLACE.try_with(|place| *place).unwrap_or(0);
    usize::try_from(place).unwrap_or(0) % SPREAD
}

/// What a cache did since it was made, and what it has now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Answers from memory, the negative ones included.
    pub hits: u64,
    /// Those that say that there is no such row.
    pub negative_hits: u64,
    /// Reads of the storage whose rows were to be kept.
    pub misses: u64,
    /// Reads that waited for one of those.
    pub joined: u64,
    /// Reads that went past the cache: strong ones, those of sessions that have seen what the log has not told yet, those that
    /// the log is too far behind for, and those of what is not cached.
    pub bypasses: u64,
    /// Rows that were read and not kept, because they changed meanwhile.
    pub refused: u64,
    /// Entries that made room for others.
    pub evictions: u64,
    /// Entries.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What came of holding entries against the storage while they were used.
    pub audits: AuditStats,
    /// How long ago everything that was acknowledged had been told; `None` if that is not known.
    pub lag: Option<Duration>,
    /// How many commits a session had seen that the log has not told, of all sources.
    pub behind: u64,
}
