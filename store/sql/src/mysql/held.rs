//! Rows that a transaction has locked, and has not written since: nobody else can change them, so they are read once.
//!
//! Only rows of tables with versions are kept: rowkeep made those for itself. Others may have triggers, which change any row
//! when one is written, and texts that are found by another spelling than theirs. A write to such a table forgets all rows.

use std::collections::BTreeMap;

use rowkeep_engine::{Needs, Stored};
use rowkeep_record::Key;
use rowkeep_schema::EntityId;

#[derive(Default)]
pub(super) struct HeldRows {
    /// Not read yet.
    needs: Needs,
    /// With those that are not there.
    rows: BTreeMap<(EntityId, Key), Option<Stored>>,
}

impl HeldRows {
    /// Nothing is held, and these rows are going to be asked for.
    pub(super) fn expecting(needs: Needs) -> Self {
        Self { needs, rows: BTreeMap::new() }
    }

    pub(super) fn get(&self, id: &(EntityId, Key)) -> Option<&Option<Stored>> {
        self.rows.get(id)
    }

    /// Whether this row was there.
    pub(super) fn has(&self, entity: EntityId, key: &Key) -> bool {
        self.rows.get(&(entity, key.clone())).is_some_and(Option::is_some)
    }

    /// All rows that are going to be asked for, in the order of their keys, if this is one of them.
    pub(super) fn needs_with(&mut self, id: &(EntityId, Key)) -> Option<Needs> {
        self.needs.contains_key(id).then(|| std::mem::take(&mut self.needs))
    }

    pub(super) fn keep(&mut self, id: (EntityId, Key), row: Option<Stored>) {
        self.rows.insert(id, row);
    }

    /// A row is written. What the table makes of its values, or which number it counts, is known only when it is read.
    pub(super) fn forget(&mut self, entity: EntityId, key: Option<&Key>) {
        match key {
            Some(key) => _ = self.rows.remove(&(entity, key.clone())),
            None => self.rows.retain(|(of, _), row| *of != entity || row.is_some()),
        }
    }

    pub(super) fn clear(&mut self) {
        self.rows.clear();
    }
}
