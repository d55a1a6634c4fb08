//! New rows, and what stands in their way.

use std::collections::BTreeMap;

use kit_core::Error;
use rowkeep_record::{ColumnSet, Key, Value};
use rowkeep_schema::{ColumnId, EntityId};

use super::{Commit, Seen, is_expired};
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
        if let (Some(column), Some(number)) = (counted, self.insert_over_expired(entity, path, row).await?) {
            let storage = self.entity(entity).column(column).storage;
            row.values[column.index()] = number::to_value(storage, number.into())
                .ok_or_else(|| Error::internal("a counted number is not one of its column"))?;
        }
        Ok(())
    }

    async fn insert_over_expired(&mut self, entity: EntityId, path: &str, row: &Stored) -> Result<Option<i64>, Error> {
        self.check_references(entity, &row.values, path).await?;
        match self.tx.insert(entity, row).await {
            Ok(number) => return Ok(number),
            Err(WriteError::Other(error)) => return Err(error),
            Err(WriteError::Duplicate(met)) => self.make_way(entity, None, row, met).await?,
        }
        // What went with the expired row may be what this one names.
        self.check_references(entity, &row.values, path).await?;
        self.tx.insert(entity, row).await.map_err(|error| self.in_the_way(entity, error))
    }

    /// Writes a changed row, with the same rule about expired ones.
    pub(super) async fn store(
        &mut self,
        entity: EntityId,
        path: &str,
        key: &Key,
        changed: &ColumnSet,
        row: &mut Stored,
    ) -> Result<(), Error> {
        match self.write(entity, key, changed, row).await {
            Ok(()) => return Ok(()),
            Err(WriteError::Other(error)) => return Err(error),
            Err(WriteError::Duplicate(met)) => self.make_way(entity, Some(key), row, met).await?,
        }
        self.look_again(entity, path, key, changed, row).await?;
        self.rewrite(entity, key, changed, row).await
    }

    /// Writes a row that nothing can be in the way of, because its unique values are free or its own already.
    pub(super) async fn rewrite(
        &mut self,
        entity: EntityId,
        key: &Key,
        changed: &ColumnSet,
        row: &Stored,
    ) -> Result<(), Error> {
        self.write(entity, key, changed, row).await.map_err(|error| self.in_the_way(entity, error))
    }

    /// What is still in the way can only be about a time that the store keeps and a unique index has.
    fn in_the_way(&self, entity: EntityId, error: WriteError) -> Error {
        match error {
            WriteError::Other(error) => error,
            WriteError::Duplicate(index) => self.shared.clash(entity, index),
        }
    }

    async fn write(
        &mut self,
        entity: EntityId,
        key: &Key,
        changed: &ColumnSet,
        row: &Stored,
    ) -> Result<(), WriteError> {
        let plan = self.plan(entity);
        let mut columns: Vec<ColumnId> = changed.iter().filter(|id| Some(*id) != plan.delete_time).collect();
        columns.extend(plan.update_times.iter().filter(|id| !changed.contains(**id)));
        self.verified.clear();
        self.tx.update(entity, key, &columns, row).await
    }

    /// An expired row was removed for the sake of this one: what went with it may be this row, or a row it names.
    async fn look_again(
        &mut self,
        entity: EntityId,
        path: &str,
        key: &Key,
        changed: &ColumnSet,
        row: &mut Stored,
    ) -> Result<(), Error> {
        let found = match self.see(entity, key).await? {
            Seen::Live(found) => found,
            seen => return Err(self.absent(entity, key, &seen)),
        };
        for column in &self.plan(entity).references {
            if changed.contains(*column) {
                self.check_reference(entity, *column, &row.values, path).await?;
            } else {
                row.values[column.index()].clone_from(&found.values[column.index()]);
            }
        }
        Ok(())
    }

    /// Removes the expired rows that hold the key or unique values of a row. `own`: the row's key if it is stored.
    ///
    /// All of them are looked for, whichever the database met, so that the answer does not depend on its order.
    async fn make_way(&mut self, id: EntityId, own: Option<&Key>, row: &Stored, met: Option<u16>) -> Result<(), Error> {
        let entity = self.entity(id);
        if entity.expire.is_none() {
            let hides = entity.soft_delete.is_some();
            let holder = if hides { self.holder(id, row, met).await? } else { None };
            return Err(self.taken(id, row, met, holder.as_ref()));
        }
        let mut expired = BTreeMap::new();
        let unique = (0..).zip(&entity.indexes).filter(|(_, index)| index.unique).map(|(at, _)| Some(at));
        for index in [met, None].into_iter().chain(unique) {
            let Some(holder) = self.holder(id, row, index).await? else { continue };
            let key = self.shared.codec(id).key_of(&holder.values);
            if is_expired(entity, &holder.values, self.now) {
                expired.insert(key, holder);
            } else if own != Some(&key) {
                return Err(self.taken(id, row, index, Some(&holder)));
            }
        }
        for (key, holder) in expired {
            self.remove(id, &key, holder).await?;
        }
        Ok(())
    }

    /// The row that has the key (`None`) or the unique values of another.
    async fn holder(&mut self, id: EntityId, row: &Stored, index: Option<u16>) -> Result<Option<Stored>, Error> {
        let Some(index) = index else {
            return self.tx.get(id, &self.shared.codec(id).key_of(&row.values)).await;
        };
        let columns: Vec<ColumnId> =
            self.entity(id).indexes[usize::from(index)].columns.iter().map(|(column, _)| *column).collect();
        let values: Vec<Value> = columns.iter().map(|column| row.values[column.index()].clone()).collect();
        if values.iter().any(Value::is_null) {
            return Ok(None);
        }
        Ok(self.tx.find(id, &columns, &values, 1).await?.pop())
    }

    fn taken(&self, id: EntityId, row: &Stored, index: Option<u16>, holder: Option<&Stored>) -> Error {
        let hidden = holder.is_some_and(|holder| holder.deleted_at.is_some());
        match index {
            Some(index) => self.shared.duplicate(id, index, &row.values, hidden),
            None => self.shared.already_exists(id, &self.shared.codec(id).key_of(&row.values), hidden),
        }
    }
}
