//! What a tier did, and whether it is in use.

use std::time::Duration;

use super::Tier;
use crate::audit::AuditStats;
use crate::counts::Count;

/// What a tier did since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TierStats {
    /// Answers from the server, the negative ones included.
    pub hits: u64,
    /// Those that say that there is no such row.
    pub negative_hits: u64,
    /// Leases that were given: reads of the storage whose rows were to be kept.
    pub misses: u64,
    /// Reads that waited for a row that somebody else was bringing.
    pub awaited: u64,
    /// Reads that went past the server.
    pub bypasses: u64,
    /// Rows that were brought and not taken, because they changed meanwhile or took too long.
    pub refused: u64,
    /// Writers who were answered though slots may not have been emptied yet.
    pub unretracted: u64,
    /// Entries that could not be read.
    pub unreadable: u64,
    /// Requests to the server, those of keepers aside.
    pub trips: u64,
    /// How long they took together.
    pub trip_time: Duration,
    /// Those that were not answered, or refused.
    pub failed: u64,
    /// What came of holding entries against the storage while they were used.
    pub audits: AuditStats,
    /// Shards that are in use.
    pub shards_on: u64,
    /// All shards.
    pub shards: u64,
}

impl Tier {
    /// What it did, and what is in use.
    pub fn stats(&self) -> TierStats {
        let (counts, keepers) = (&self.shared.counts, &self.shared.keepers);
        TierStats {
            hits: counts.sum(Count::Hit) + counts.sum(Count::NegativeHit),
            negative_hits: counts.sum(Count::NegativeHit),
            misses: counts.sum(Count::Miss),
            awaited: counts.sum(Count::Joined),
            bypasses: counts.sum(Count::Bypass),
            refused: counts.sum(Count::Refused),
            unretracted: counts.sum(Count::Unretracted),
            unreadable: counts.sum(Count::Unreadable),
            trips: counts.sum(Count::Trip),
            trip_time: Duration::from_micros(counts.sum(Count::TripMicros)),
            failed: counts.sum(Count::Failed),
            audits: AuditStats::of(counts),
            shards_on: keepers.iter().filter(|kept| kept.link.is_on()).count() as u64,
            shards: keepers.len() as u64,
        }
    }
}
