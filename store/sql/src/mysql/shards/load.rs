//! Bulk loads: row by row, because a row may lie in several tables.

use std::ops::Range;

use kit_core::Error;
use rowkeep_engine::{LoadBatch, LoadOutcome, OnConflict, Stored, WriteError};
use rowkeep_mysql::Param;
use rowkeep_schema::{ColumnId, EntityId};

use super::{Shards, counted_value};
use crate::mysql::meta;
use crate::mysql::tx::MySqlTx;

impl Shards {
    /// Stores rows; those that clash are told.
    pub(in crate::mysql) async fn load(&self, tx: &mut MySqlTx<'_>, batch: &LoadBatch) -> Result<LoadOutcome, Error> {
        let mut outcome = LoadOutcome::default();
        let mut numbers = self.numbers_for(tx, batch).await?;
        for (at, row) in batch.rows.iter().enumerate() {
            let stored = match (self.uncounted(tx, batch.entity, row), batch.on_conflict) {
                (Some(column), _) => self.insert_counted(tx, batch.entity, row, column, numbers.next()).await,
                (None, OnConflict::Fail | OnConflict::Skip) => self.insert(tx, batch.entity, row).await.map(drop),
                (None, OnConflict::Replace) => self.replace(tx, batch.entity, row).await,
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

    /// The column in which the row has no number yet.
    fn uncounted(&self, tx: &MySqlTx<'_>, id: EntityId, row: &Stored) -> Option<ColumnId> {
        tx.shared().counted(id).filter(|column| row.values[column.index()].is_null())
    }

    /// One number for each row that has none, taken at once.
    async fn numbers_for(&self, tx: &mut MySqlTx<'_>, batch: &LoadBatch) -> Result<Range<u64>, Error> {
        let count = batch.rows.iter().filter(|row| self.uncounted(tx, batch.entity, row).is_some()).count() as u64;
        if count == 0 {
            return Ok(0..0);
        }
        let last = self.numbers.next(tx, batch.entity, count).await?;
        Ok(last - (count - 1)..last.saturating_add(1))
    }

    async fn insert_counted(
        &self,
        tx: &mut MySqlTx<'_>,
        id: EntityId,
        row: &Stored,
        column: ColumnId,
        number: Option<u64>,
    ) -> Result<(), WriteError> {
        let Some(number) = number else { return self.insert(tx, id, row).await.map(drop) };
        let mut numbered = row.clone();
        numbered.values[column.index()] = counted_value(tx.shared(), id, column, number)?;
        match self.add(tx, id, &numbered).await {
            // Somebody who does not count wrote that row: another number is taken.
            Err(WriteError::Duplicate(None)) => {
                self.numbers.catch_up(tx, id, column).await?;
                self.insert(tx, id, row).await.map(drop)
            }
            added => added,
        }
    }

    async fn replace(&self, tx: &mut MySqlTx<'_>, id: EntityId, row: &Stored) -> Result<(), WriteError> {
        let key = self.key_of(id, row);
        let named = key.values().iter().all(|value| !value.is_null());
        let Some(found) = (if named { tx.row(id, &key).await? } else { None }) else {
            return self.insert(tx, id, row).await.map(drop);
        };
        // A load may carry a version from before the row's last change; versions never go back.
        let row = Stored { version: row.version.max(found.version + 1), ..row.clone() };
        let all: Vec<ColumnId> = tx.shared().sql(id).written.iter().map(|selected| selected.column).collect();
        self.update(tx, id, &key, &all, &row).await
    }
}
