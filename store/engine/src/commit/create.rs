//! New rows, and what stands in their way.

use kit_core::Error;
use rowkeep_record::{ColumnSet, Key, Value};
use rowkeep_schema::{ColumnId, EntityId};

use super::{Commit, is_expired};
use crate::number;
use crate::prepare::NewRow;
use crate::{Stored, WriteError, WriteResult};

impl Commit<'_> {
    pub(super) async fn create(
        &mut self,
        entity: EntityId,
        path: &str,
        new: &mut NewRow,
    ) -> Result<WriteResult, Error> {
        let NewRow { row, counted } = new;
        // A number of an earlier run of this program, which was rolled back.
        if let Some(column) = counted {
            row.values[column.index()] = Value::Null;
        }
        self.insert(entity, path, row, *counted).await?;
        self.result(entity, row, true).await
    }

    /// Inserts a row that is complete but for times, version and a number the database counts.
    pub(super) async fn insert(
        &mut self,
        entity: EntityId,
        path: &str,
        row: &mut Stored,
        counted: Option<ColumnId>,
    ) -> Result<(), Error> {
        for column in &self.plan(entity).create_times {
            row.values[column.index()] = Value::Int(self.now);
        }
        (row.version, row.deleted_at) = (0, None);
        self.stamp(entity, row);
        for column in &self.plan(entity).references {
            self.check_reference(entity, *column, &row.values, path).await?;
        }
        if let (Some(column), Some(number)) = (counted, self.insert_over_expired(entity, row).await?) {
            let storage = self.entity(entity).column(column).storage;
            row.values[column.index()] = number::to_value(storage, number.into())
                .ok_or_else(|| Error::internal("a counted number is not one of its column"))?;
        }
        Ok(())
    }

    async fn insert_over_expired(&mut self, entity: EntityId, row: &Stored) -> Result<Option<i64>, Error> {
        // Each round removes an expired row that holds the key or one of the unique values.
        for _ in 0..=self.entity(entity).indexes.len() + 1 {
            match self.tx.insert(entity, row).await {
                Ok(number) => return Ok(number),
                Err(WriteError::Other(error)) => return Err(error),
                Err(WriteError::Duplicate(index)) => self.remove_expired(entity, row, index).await?,
            }
        }
        Err(Error::internal("a unique index reports a row that is not there"))
    }

    /// Writes a changed row, with the same rule about expired ones.
    pub(super) async fn store(
        &mut self,
        entity: EntityId,
        key: &Key,
        changed: &ColumnSet,
        row: &Stored,
    ) -> Result<(), Error> {
        let plan = self.plan(entity);
        let mut columns: Vec<ColumnId> = changed.iter().filter(|id| Some(*id) != plan.delete_time).collect();
        columns.extend(plan.update_times.iter().filter(|id| !changed.contains(**id)));
        self.verified.clear();
        for _ in 0..=self.entity(entity).indexes.len() + 1 {
            match self.tx.update(entity, key, &columns, row).await {
                Ok(()) => return Ok(()),
                Err(WriteError::Other(error)) => return Err(error),
                Err(WriteError::Duplicate(index)) => self.remove_expired(entity, row, index).await?,
            }
        }
        Err(Error::internal("a unique index reports a row that is not there"))
    }

    /// Removes the row that has the key (`None`) or the unique values of `row`, if it is expired.
    async fn remove_expired(&mut self, id: EntityId, row: &Stored, index: Option<u16>) -> Result<(), Error> {
        let (entity, codec) = (self.entity(id), self.shared.codec(id));
        let holder = if entity.expire.is_none() && entity.soft_delete.is_none() {
            None
        } else if let Some(index) = index {
            let columns: Vec<_> =
                entity.indexes[usize::from(index)].columns.iter().map(|(column, _)| *column).collect();
            let values: Vec<_> = columns.iter().map(|column| row.values[column.index()].clone()).collect();
            self.tx.find(id, &columns, &values, 1).await?.pop()
        } else {
            self.tx.get(id, &codec.key_of(&row.values)).await?
        };
        if let Some(holder) = &holder
            && is_expired(entity, &holder.values, self.now)
        {
            self.tx.delete(id, &codec.key_of(&holder.values)).await?;
            return Ok(());
        }
        let hidden = holder.is_some_and(|holder| holder.deleted_at.is_some());
        Err(match index {
            Some(index) => self.shared.duplicate(id, index, &row.values, hidden),
            None => self.shared.already_exists(id, &codec.key_of(&row.values), hidden),
        })
    }
}
