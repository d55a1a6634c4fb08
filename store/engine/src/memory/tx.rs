//! A transaction: a copy of the state.

use kit_core::{Code, Error, Reply};
use rowkeep_record::{Key, Value};
use rowkeep_schema::{ColumnId, Entity, EntityId, Generated, Schema};

use super::table::{State, key_of};
use crate::commit::is_expired;
use crate::number;
use crate::{Remembered, RowChange, Stored, Tx, WriteError};

pub(super) struct MemoryTx<'a> {
    pub(super) schema: &'a Schema,
    pub(super) state: State,
    /// What it changed, for the log.
    pub(super) changes: Vec<RowChange>,
}

impl MemoryTx<'_> {
    fn add(&mut self, id: EntityId, row: &Stored) -> Result<Option<i64>, WriteError> {
        let entity = self.schema.entity(id);
        let mut row = row.clone().as_kept(entity);
        let counted = counted(entity);
        let given = counted.filter(|column| row.values[column.index()].is_null());
        if let Some(column) = given {
            let next = self.state.table(id).last_number + 1;
            let storage = entity.column(column).storage;
            row.values[column.index()] = number::to_value(storage, next).ok_or_else(|| used_up(entity))?;
        }
        let key = key_of(entity, &row);
        if self.state.table(id).rows.contains_key(&key) {
            return Err(WriteError::Duplicate(None));
        }
        let stored = counted.and_then(|column| number::from_value(&row.values[column.index()])).unwrap_or(0);
        let number = i64::try_from(stored).map_err(|_| used_up(entity));
        self.put(id, key, row)?;
        let table = self.state.table_mut(id);
        table.last_number = table.last_number.max(stored);
        Ok(if given.is_some() { Some(number?) } else { None })
    }

    /// Stores a row under a key, unless a unique index forbids it.
    fn put(&mut self, id: EntityId, key: Key, row: Stored) -> Result<(), WriteError> {
        if let Some(index) = self.state.table(id).clash(self.schema.entity(id), &key, &row) {
            return Err(WriteError::Duplicate(Some(index)));
        }
        self.state.version = self.state.version.max(row.version);
        let before = self.state.table_mut(id).rows.insert(key, row.clone());
        self.changes.push(RowChange { entity: id, before, after: Some(row) });
        Ok(())
    }

    fn remove(&mut self, id: EntityId, key: &Key) -> bool {
        let before = self.state.table_mut(id).rows.remove(key);
        let is_gone = before.is_some();
        self.changes.extend(before.map(|before| RowChange { entity: id, before: Some(before), after: None }));
        is_gone
    }

    fn change(&mut self, id: EntityId, key: &Key, changed: &[ColumnId], row: &Stored) -> Result<(), WriteError> {
        let entity = self.schema.entity(id);
        let Some(current) = self.state.table(id).rows.get(key) else {
            return Err(WriteError::Other(Error::internal("an update of a row that does not exist")));
        };
        let next = current.clone().updated(changed, row).as_kept(entity);
        self.put(id, key.clone(), next)
    }

    /// Stores a row of a bulk load; the index it clashes in, if it does.
    pub(super) fn load(&mut self, id: EntityId, row: &Stored, replace: bool) -> Result<Option<Option<u16>>, Error> {
        let entity = self.schema.entity(id);
        let key = key_of(entity, row);
        let stored = match self.state.table(id).rows.get(&key) {
            Some(current) if replace => {
                let version = row.version.max(current.version + 1);
                self.put(id, key, Stored { version, ..row.clone() }.as_kept(entity))
            }
            _ => self.add(id, row).map(drop),
        };
        match stored {
            Ok(()) => Ok(None),
            Err(WriteError::Duplicate(index)) => Ok(Some(index)),
            Err(WriteError::Other(error)) => Err(error),
        }
    }

    /// Removes what is expired and not referred to, a bounded number of rows per table. Answers how many.
    pub(super) fn sweep(&mut self, now: i64, limit: usize) -> u64 {
        let mut removed = 0;
        for entity in self.schema.entities.iter().filter(|entity| entity.referenced_by.is_empty()) {
            let rows = &self.state.table(entity.id).rows;
            let expired = rows.iter().filter(|(_, row)| is_expired(entity, &row.values, now));
            let keys: Vec<Key> = expired.map(|(key, _)| key.clone()).take(limit).collect();
            for key in &keys {
                self.remove(entity.id, key);
            }
            removed += keys.len() as u64;
        }
        let forgotten = self.state.requests.iter().filter(|(_, remembered)| remembered.forget_at <= now);
        let ids: Vec<String> = forgotten.map(|(id, _)| id.clone()).take(limit).collect();
        for id in &ids {
            self.state.requests_mut().remove(id);
        }
        removed + ids.len() as u64
    }
}

impl Tx for MemoryTx<'_> {
    fn get<'a>(&'a mut self, entity: EntityId, key: &'a Key) -> Reply<'a, Result<Option<Stored>, Error>> {
        Reply::ready(Ok(self.state.table(entity).rows.get(key).cloned()))
    }

    fn find<'a>(
        &'a mut self,
        entity: EntityId,
        columns: &'a [ColumnId],
        values: &'a [Value],
        limit: u32,
    ) -> Reply<'a, Result<Vec<Stored>, Error>> {
        Reply::ready(Ok(self.state.table(entity).find(columns, values).take(limit as usize).cloned().collect()))
    }

    fn insert<'a>(&'a mut self, entity: EntityId, row: &'a Stored) -> Reply<'a, Result<Option<i64>, WriteError>> {
        Reply::ready(self.add(entity, row))
    }

    fn update<'a>(
        &'a mut self,
        entity: EntityId,
        key: &'a Key,
        changed: &'a [ColumnId],
        row: &'a Stored,
    ) -> Reply<'a, Result<(), WriteError>> {
        Reply::ready(self.change(entity, key, changed, row))
    }

    fn delete<'a>(&'a mut self, entity: EntityId, key: &'a Key) -> Reply<'a, Result<bool, Error>> {
        Reply::ready(Ok(self.remove(entity, key)))
    }

    fn recall<'a>(&'a mut self, request_id: &'a str) -> Reply<'a, Result<Option<Remembered>, Error>> {
        Reply::ready(Ok(self.state.requests.get(request_id).cloned()))
    }

    fn remember<'a>(&'a mut self, request_id: &'a str, remembered: &'a Remembered) -> Reply<'a, Result<(), Error>> {
        self.state.requests_mut().insert(request_id.to_owned(), remembered.clone());
        Reply::ready(Ok(()))
    }
}

/// The column whose NULL is replaced by the next number.
fn counted(entity: &Entity) -> Option<ColumnId> {
    entity.columns.iter().find(|column| column.generated == Some(Generated::AutoIncrement)).map(|column| column.id)
}

fn used_up(entity: &Entity) -> Error {
    let message = format!("the numbers of {} are used up", entity.full_name);
    Error::new(Code::ResourceExhausted, "NUMBERS_USED_UP", message)
}
