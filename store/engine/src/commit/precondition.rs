//! Whether what a write asks of its row holds.

use kit_core::Error;
use rowkeep_record::{Key, query};
use rowkeep_schema::EntityId;

use super::{Commit, Seen};
use crate::Stored;
use crate::prepare::{Etag, PreparedPrecondition};

impl Commit<'_> {
    /// Checks a precondition. An etag or a condition needs the row, so its absence is `NOT_FOUND`.
    pub(super) fn check(
        &self,
        entity: EntityId,
        key: &Key,
        asked: &PreparedPrecondition,
        seen: &Seen,
    ) -> Result<(), Error> {
        match seen {
            Seen::Live(row) if asked.exists != Some(false) => self.check_row(entity, key, asked, row),
            Seen::Live(_) => Err(self.shared.already_exists(entity, key, false)),
            _ if asked.exists == Some(true) || asked.etag.is_some() || asked.condition.is_some() => {
                Err(self.absent(entity, key, seen))
            }
            _ => Ok(()),
        }
    }

    /// Checks etag and condition on a row.
    pub(super) fn check_row(
        &self,
        entity: EntityId,
        key: &Key,
        asked: &PreparedPrecondition,
        row: &Stored,
    ) -> Result<(), Error> {
        if let Some(Etag::Is(text, version)) = &asked.etag {
            let found = self.record(entity, row)?.version();
            if *version != Some(found) {
                return Err(self.shared.etag_mismatch(entity, key, found, text));
            }
        }
        if let Some((filter, text)) = &asked.condition
            && !query::matches(filter, self.entity(entity), &row.values)
        {
            return Err(self.shared.condition_failed(entity, key, text));
        }
        Ok(())
    }

    pub(super) fn absent(&self, entity: EntityId, key: &Key, seen: &Seen) -> Error {
        if matches!(seen, Seen::Hidden(_)) {
            self.shared.deleted(entity, key)
        } else {
            self.shared.not_found(entity, key)
        }
    }
}
