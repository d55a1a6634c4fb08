//! What entries are found by.

use quick_cache::Equivalent;
use rowkeep_record::{Key, Value};
use rowkeep_schema::EntityId;

/// Which of the things that are kept of an entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Part {
    /// A row by primary key, also if it is soft-deleted.
    Row,
    /// A row by primary key, unless it is soft-deleted. Used where rows can be.
    Live,
    /// The primary key of the row with these values, by the unique index at this place in `Entity::indexes`.
    Index(u16),
}

/// Names an entry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct RowKey {
    pub(crate) entity: EntityId,
    pub(crate) part: Part,
    pub(crate) key: Key,
}

/// The same, borrowed: what a reader has.
#[derive(Debug, Clone, Copy, Hash)]
pub(crate) struct Probe<'a> {
    pub(crate) entity: EntityId,
    pub(crate) part: Part,
    pub(crate) key: &'a Key,
}

impl Probe<'_> {
    pub(crate) fn to_key(self) -> RowKey {
        RowKey { entity: self.entity, part: self.part, key: self.key.clone() }
    }
}

impl RowKey {
    pub(crate) fn probe(&self) -> Probe<'_> {
        Probe { entity: self.entity, part: self.part, key: &self.key }
    }
}

impl Equivalent<RowKey> for Probe<'_> {
    fn equivalent(&self, key: &RowKey) -> bool {
        self.entity == key.entity && self.part == key.part && *self.key == key.key
    }
}

/// Bytes that a key has outside of itself.
pub(crate) fn heap_bytes(key: &Key) -> usize {
    let values = key.values();
    let apart = if values.len() > 2 { size_of_val(values) } else { 0 };
    let texts = values.iter().map(|value| match value {
        Value::Text(text) => text.len(),
        Value::Blob(bytes) => bytes.len(),
        Value::Null | Value::Int(_) | Value::Uint(_) | Value::Real(_) => 0,
    });
    apart + texts.sum::<usize>()
}
