//! What a cache has of one row, for whoever wants to know whether it is right.

use std::time::Duration;

use rowkeep_record::{Key, Record};
use rowkeep_schema::EntityId;

use super::Cached;
use crate::near::{Held, Kept, Probe};
use crate::now;

/// An entry as it is at one moment.
#[derive(Debug, Clone)]
pub struct InspectedEntry {
    kept: Kept,
}

impl InspectedEntry {
    /// The row; `None` says that there is no such row.
    pub fn record(&self) -> Option<&Record> {
        match &self.kept.held {
            Held::Row(record) => Some(record),
            Held::Absent | Held::Pointer(..) => None,
        }
    }

    /// How long it is kept if nothing changes.
    pub fn left(&self) -> Duration {
        self.kept.until.saturating_duration_since(now())
    }

    /// Whether it is this entry still, and not another one of the same row.
    pub fn is(&self, other: &Self) -> bool {
        self.kept.is(&other.kept)
    }
}

impl Cached {
    /// Whether rows of an entity are kept at all.
    pub fn keeps(&self, entity: EntityId) -> bool {
        self.shared.policy.of(entity).is_some()
    }

    /// What readers who do not ask for deleted rows would be answered, if there is anything. Counts as no read.
    pub fn inspect(&self, entity: EntityId, key: &Key) -> Option<InspectedEntry> {
        let policy = self.shared.policy.of(entity)?;
        let probe = Probe { entity, part: policy.part(rowkeep_engine::View { now: 0, deleted: false }), key };
        self.shared.entry(&probe).map(|kept| InspectedEntry { kept })
    }

    /// How long ago everything that was acknowledged had been told; `None` if that is not known, and nothing is answered.
    pub fn lag(&self) -> Option<Duration> {
        self.shared.heard.lag(now())
    }
}
