//! What a change means to who watches with a filter.

use rowkeep_record::query::{Filter, matches};
use rowkeep_record::{Key, Record};
use rowkeep_schema::{Entity, EntityId};

use kit_core::Error;

use super::WatchEvent;
use crate::commit::is_expired;
use crate::engine::Shared;
use crate::{RowChange, Stored};

/// A change, judged.
#[derive(Debug, PartialEq)]
pub(super) struct Verdict {
    pub(super) event: WatchEvent,
    /// Of which row.
    pub(super) key: Key,
    /// The state that is told: the version of the row if it is there, else that of the one that went. 0 without versions.
    pub(super) version: u64,
    /// The state told is the end of that version, not its beginning.
    pub(super) is_end: bool,
}

/// Judges changes of one entity.
pub(super) struct Judge<'a> {
    pub(super) shared: &'a Shared,
    pub(super) entity: EntityId,
    pub(super) filter: Option<&'a Filter>,
}

impl Judge<'_> {
    /// What is to be told of a change: nothing, one event, or two if its key changed.
    ///
    /// # Errors
    /// `INTERNAL` if a row cannot be encoded.
    pub(super) fn judge(&self, change: &RowChange) -> Result<Vec<Verdict>, Error> {
        let before = change.before.as_ref().filter(|row| self.matches(row));
        let after = change.after.as_ref().filter(|row| self.matches(row) && !self.is_expired(row));
        let mut verdicts = Vec::with_capacity(1);
        if let Some(gone) = before.filter(|before| after.is_none_or(|after| self.key(after) != self.key(before))) {
            verdicts.push(self.gone(gone, change.after.as_ref()));
        }
        if let Some(row) = after {
            let event = WatchEvent::Changed(self.record(row)?);
            verdicts.push(Verdict { event, key: self.key(row), version: row.version, is_end: false });
        }
        Ok(verdicts)
    }

    fn gone(&self, row: &Stored, after: Option<&Stored>) -> Verdict {
        let key = self.key(row);
        // The same row with other values is a state of its own.
        let now = after.filter(|after| self.key(after) == key);
        Verdict {
            event: WatchEvent::Deleted(key.clone()),
            key,
            version: now.unwrap_or(row).version,
            is_end: now.is_none(),
        }
    }

    fn matches(&self, row: &Stored) -> bool {
        row.deleted_at.is_none() && self.filter.is_none_or(|filter| matches(filter, self.entity(), &row.values))
    }

    fn is_expired(&self, row: &Stored) -> bool {
        self.entity().expire.is_some() && is_expired(self.entity(), &row.values, self.shared.now())
    }

    fn record(&self, row: &Stored) -> Result<Record, Error> {
        self.shared.codec(self.entity).encode(&row.values, row.version)
    }

    fn key(&self, row: &Stored) -> Key {
        self.shared.codec(self.entity).key_of(&row.values)
    }

    fn entity(&self) -> &Entity {
        self.shared.entity(self.entity)
    }
}
