//! Bulk loads: row by row, because a row may lie in several tables.

use std::collections::BTreeSet;

use kit_core::Error;
use rowkeep_engine::{LoadBatch, LoadOutcome, OnConflict, Stored, WriteError};
use rowkeep_mysql::Param;
use rowkeep_schema::{ColumnId, EntityId};

use super::Shards;
use crate::mysql::meta;
use crate::mysql::tx::MySqlTx;

impl Shards {
    /// Stores rows; those that clash are told.
    pub(in crate::mysql) async fn load(&self, tx: &mut MySqlTx<'_>, batch: &LoadBatch) -> Result<LoadOutcome, Error> {
        let mut outcome = LoadOutcome::default();
        for (at, row) in batch.rows.iter().enumerate() {
            let stored = match batch.on_conflict {
                OnConflict::Fail | OnConflict::Skip => self.insert(tx, batch.entity, row).await.map(drop),
                OnConflict::Replace => self.replace(tx, batch.entity, row).await,
            };
            match stored {
                Ok(()) => outcome.stored += 1,
                Err(WriteError::Duplicate(index)) => outcome.conflicts.push((at, index)),
                Err(WriteError::Other(error)) => return Err(error),
            }
        }
        if let Some((id, remembered)) = &batch.remember {
            let params = [
                Param::Bytes(id.as_bytes()),
                Param::Bytes(&remembered.fingerprint),
                Param::Bytes(&remembered.outcome),
                Param::Int(remembered.forget_at),
            ];
            tx.execute(meta::REMEMBER_OVER, &params, |_| Ok(())).await?;
        }
        Ok(outcome)
    }

    async fn replace(&self, tx: &mut MySqlTx<'_>, id: EntityId, row: &Stored) -> Result<(), WriteError> {
        let key = self.key_of(id, row);
        let named = key.values().iter().all(|value| !value.is_null());
        let Some(found) = (if named { tx.row(id, &key).await? } else { None }) else {
            return self.insert(tx, id, row).await.map(drop);
        };
        // A load may carry a version from before the row's last change; versions never go back.
        let row = Stored { version: row.version.max(found.version + 1), ..row.clone() };
        let all: BTreeSet<ColumnId> = tx.shared().sql(id).written.iter().map(|selected| selected.column).collect();
        self.update(tx, id, &key, &all.into_iter().collect::<Vec<_>>(), &row).await
    }
}
