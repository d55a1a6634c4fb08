//! Deletes, soft deletes and undeletes.

use kit_core::Error;
use rowkeep_record::{ColumnSet, Key};
use rowkeep_schema::{Entity, EntityId};

use super::{Commit, Seen, is_expired};
use crate::prepare::PreparedPrecondition;
use crate::{Stored, WriteResult};

impl Commit<'_> {
    pub(super) async fn delete(
        &mut self,
        id: EntityId,
        key: &Key,
        asked: &PreparedPrecondition,
        allow_missing: bool,
    ) -> Result<WriteResult, Error> {
        let entity = self.entity(id);
        if deletes_unseen(entity, asked) {
            self.verified.clear();
            let existed = self.tx.delete(id, key).await?;
            return if existed || allow_missing { Ok(gone(key)) } else { Err(self.shared.not_found(id, key)) };
        }
        match self.see(id, key).await? {
            Seen::Live(row) => {
                self.check_row(id, key, asked, &row)?;
                if entity.soft_delete.is_some() {
                    return self.hide(id, key, row).await;
                }
                self.remove(id, key, row).await?;
                Ok(gone(key))
            }
            seen if !allow_missing || asked.exists == Some(true) => Err(self.absent(id, key, &seen)),
            Seen::Hidden(row) => self.result(id, &row, false).await,
            _ => Ok(gone(key)),
        }
    }

    async fn hide(&mut self, id: EntityId, key: &Key, mut row: Stored) -> Result<WriteResult, Error> {
        row.deleted_at = Some(self.now);
        self.stamp(id, &mut row);
        self.rewrite(id, key, &ColumnSet::new(), &row).await?;
        self.result(id, &row, false).await
    }

    /// Removes a row that has expired, as if it were deleted: what refers to it is treated alike, and if that keeps it
    /// the error says so. A row that has not expired, or is gone, is left as it is.
    pub(super) async fn expire(&mut self, id: EntityId, key: &Key) -> Result<WriteResult, Error> {
        if let Some(row) = self.tx.get(id, key).await?
            && is_expired(self.entity(id), &row.values, self.now)
        {
            self.remove(id, key, row).await?;
        }
        Ok(gone(key))
    }

    pub(super) async fn undelete(
        &mut self,
        id: EntityId,
        path: &str,
        key: &Key,
        asked: &PreparedPrecondition,
    ) -> Result<WriteResult, Error> {
        match self.see(id, key).await? {
            Seen::Hidden(mut row) => {
                self.check_row(id, key, asked, &row)?;
                self.check_references(id, &row.values, path).await?;
                row.deleted_at = None;
                self.stamp(id, &mut row);
                self.rewrite(id, key, &ColumnSet::new(), &row).await?;
                self.result(id, &row, false).await
            }
            Seen::Live(_) => Err(self.shared.not_deleted(id, key)),
            seen => Err(self.absent(id, key, &seen)),
        }
    }
}

/// Whether a row is removed whatever it holds, and need not be read.
pub(crate) fn deletes_unseen(entity: &Entity, asked: &PreparedPrecondition) -> bool {
    let is_plain = entity.soft_delete.is_none() && entity.expire.is_none() && entity.referenced_by.is_empty();
    is_plain && asked.is_empty()
}

fn gone(key: &Key) -> WriteResult {
    WriteResult { record: None, key: key.clone(), created: false }
}
