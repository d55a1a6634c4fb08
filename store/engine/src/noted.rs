//! A transaction that tells somebody which rows are written in it.

use std::sync::Arc;

use kit_core::{Error, Reply};
use rowkeep_record::{Key, Value};
use rowkeep_schema::{ColumnId, EntityId, Schema};

use crate::{Remembered, Stored, Tx, WriteError, number};

/// Is told which rows a program writes, while it does: a cache that is to forget them before the program is answered. What a
/// run wrote that was undone is told as well.
pub trait Notes: Send + Sync {
    /// A row is written. `row`: as it will be, complete; `None` if it is deleted.
    fn wrote(&self, entity: EntityId, key: &Key, row: Option<&Stored>);
}

/// See the [module](self).
pub(crate) struct NotingTx<'t> {
    pub(crate) tx: &'t mut dyn Tx,
    pub(crate) notes: Vec<Arc<dyn Notes>>,
    pub(crate) schema: Arc<Schema>,
}

impl NotingTx<'_> {
    fn note(&self, entity: EntityId, key: &Key, row: Option<&Stored>) {
        self.notes.iter().for_each(|notes| notes.wrote(entity, key, row));
    }

    /// Notes a row once its number is known, if the storage gives it one.
    fn note_added(
        &self,
        entity: EntityId,
        row: &Stored,
    ) -> impl FnOnce(&Result<Option<i64>, WriteError>) + Send + 'static {
        let (notes, schema, mut row) = (self.notes.clone(), Arc::clone(&self.schema), row.clone());
        move |added| {
            let Ok(given) = added else { return };
            let entity = schema.entity(entity);
            for id in &entity.primary_key {
                let value = &mut row.values[id.index()];
                if let (true, Some(given)) = (value.is_null(), given) {
                    *value = number::to_value(entity.column(*id).storage, (*given).into()).unwrap_or_default();
                }
            }
            let key = entity.primary_key.iter().map(|id| row.values[id.index()].clone()).collect();
            notes.iter().for_each(|notes| notes.wrote(entity.id, &key, Some(&row)));
        }
    }
}

impl Tx for NotingTx<'_> {
    fn get<'a>(&'a mut self, entity: EntityId, key: &'a Key) -> Reply<'a, Result<Option<Stored>, Error>> {
        self.tx.get(entity, key)
    }

    fn find<'a>(
        &'a mut self,
        entity: EntityId,
        columns: &'a [ColumnId],
        values: &'a [Value],
        limit: u32,
    ) -> Reply<'a, Result<Vec<Stored>, Error>> {
        self.tx.find(entity, columns, values, limit)
    }

    fn insert<'a>(&'a mut self, entity: EntityId, row: &'a Stored) -> Reply<'a, Result<Option<i64>, WriteError>> {
        let note = self.note_added(entity, row);
        self.tx.insert(entity, row).map(move |added| {
            note(&added);
            added
        })
    }

    fn update<'a>(
        &'a mut self,
        entity: EntityId,
        key: &'a Key,
        changed: &'a [ColumnId],
        row: &'a Stored,
    ) -> Reply<'a, Result<(), WriteError>> {
        self.note(entity, key, Some(row));
        self.tx.update(entity, key, changed, row)
    }

    fn delete<'a>(&'a mut self, entity: EntityId, key: &'a Key) -> Reply<'a, Result<bool, Error>> {
        self.note(entity, key, None);
        self.tx.delete(entity, key)
    }

    fn recall<'a>(&'a mut self, request_id: &'a str) -> Reply<'a, Result<Option<Remembered>, Error>> {
        self.tx.recall(request_id)
    }

    fn remember<'a>(&'a mut self, request_id: &'a str, remembered: &'a Remembered) -> Reply<'a, Result<(), Error>> {
        self.tx.remember(request_id, remembered)
    }
}
