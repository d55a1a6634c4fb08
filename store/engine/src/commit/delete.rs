//! Deletes, soft deletes and undeletes.

use kit_core::Error;
use rowkeep_record::{ColumnSet, Key};
use rowkeep_schema::EntityId;

use super::{Commit, Seen};
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
        let is_plain = entity.soft_delete.is_none() && entity.expire.is_none() && entity.referenced_by.is_empty();
        if is_plain && asked.is_empty() {
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
        self.store(id, key, &ColumnSet::new(), &row).await?;
        self.result(id, &row, false).await
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
                for column in &self.plan(id).references {
                    self.check_reference(id, *column, &row.values, path).await?;
                }
                row.deleted_at = None;
                self.stamp(id, &mut row);
                self.store(id, key, &ColumnSet::new(), &row).await?;
                self.result(id, &row, false).await
            }
            Seen::Live(_) => Err(self.shared.not_deleted(id, key)),
            seen => Err(self.absent(id, key, &seen)),
        }
    }
}

fn gone(key: &Key) -> WriteResult {
    WriteResult { record: None, key: key.clone(), created: false }
}
