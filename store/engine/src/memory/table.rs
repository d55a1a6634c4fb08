//! What is stored.

use std::collections::BTreeMap;
use std::sync::Arc;

use rowkeep_record::{Key, Value};
use rowkeep_schema::{ColumnId, Entity, EntityId, Schema};

use crate::{Remembered, Stored};

/// Everything a commit makes visible at once.
#[derive(Debug, Clone)]
pub(super) struct State {
    tables: Vec<Arc<Table>>,
    pub(super) requests: Arc<BTreeMap<String, Remembered>>,
    /// The highest version written.
    pub(super) version: u64,
}

/// One entity's rows.
#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    /// By primary key, in its order.
    pub(super) rows: BTreeMap<Key, Stored>,
    /// The highest number given or stored in the column that is counted.
    pub(super) last_number: i128,
}

impl State {
    pub(super) fn new(schema: &Schema) -> Self {
        Self { tables: schema.entities.iter().map(|_| Arc::default()).collect(), requests: Arc::default(), version: 0 }
    }

    pub(super) fn table(&self, entity: EntityId) -> &Table {
        &self.tables[entity.index()]
    }

    pub(super) fn table_mut(&mut self, entity: EntityId) -> &mut Table {
        Arc::make_mut(&mut self.tables[entity.index()])
    }

    pub(super) fn requests_mut(&mut self) -> &mut BTreeMap<String, Remembered> {
        Arc::make_mut(&mut self.requests)
    }
}

impl Table {
    /// Rows whose columns have these values; NULL is a value here.
    pub(super) fn find<'a>(
        &'a self,
        columns: &'a [ColumnId],
        values: &'a [Value],
    ) -> impl Iterator<Item = &'a Stored> + 'a {
        let is_equal =
            move |row: &&Stored| columns.iter().zip(values).all(|(column, value)| row.values[column.index()] == *value);
        self.rows.values().filter(is_equal)
    }

    /// The unique index in which another row than the one with this key has the row's values. NULLs differ.
    pub(super) fn clash(&self, entity: &Entity, key: &Key, row: &Stored) -> Option<u16> {
        let clashes = |at: &u16| {
            let columns = unique_columns(entity, *at);
            let values: Vec<_> = columns.iter().map(|column| row.values[column.index()].clone()).collect();
            let has_null = values.iter().any(Value::is_null);
            !has_null && self.find(&columns, &values).any(|other| key_of(entity, other) != *key)
        };
        unique_indexes(entity).find(clashes)
    }
}

/// Places of the unique indexes.
fn unique_indexes(entity: &Entity) -> impl Iterator<Item = u16> + '_ {
    (0..).zip(&entity.indexes).filter(|(_, index)| index.unique).map(|(at, _)| at)
}

/// The columns of the index at a place.
pub(super) fn unique_columns(entity: &Entity, index: u16) -> Vec<ColumnId> {
    entity.indexes[usize::from(index)].columns.iter().map(|(column, _)| *column).collect()
}

pub(super) fn key_of(entity: &Entity, row: &Stored) -> Key {
    entity.primary_key.iter().map(|column| row.values[column.index()].clone()).collect()
}
