//! What is cached, and under which keys.
//!
//! An entry is found by the bytes of a key, so only what the database compares by bytes can be cached. That is so for all that
//! the store's own tables have but numbers with a fraction, whose form depends on who writes it. A text of an adopted table, or
//! of a type that the schema spells itself, may be found by another spelling than its own.

use std::sync::Arc;
use std::time::Duration;

use rowkeep_engine::{RowChange, Stored, View};
use rowkeep_record::{Codecs, Key, Record, RowCodec, Value};
use rowkeep_schema::{Column, ColumnId, Entity, EntityId, Generated, Schema, Storage};

use crate::near::{Held, Part, RowKey};

/// Of a whole schema.
pub(crate) struct Policy {
    entities: Vec<EntityPolicy>,
}

/// Of an entity.
pub(crate) struct EntityPolicy {
    id: EntityId,
    name: String,
    cached: bool,
    /// Where rows are that are not soft-deleted.
    live: Part,
    key: Vec<ColumnId>,
    /// The columns of unique indexes that are cached.
    indexes: Vec<Option<Vec<ColumnId>>>,
    expire: Option<(ColumnId, bool)>,
    /// A read shows what the log tells, at any time.
    is_plain: bool,
    /// An entry is read again after this time.
    pub(crate) ttl: Duration,
    pub(crate) codec: Arc<RowCodec>,
}

/// Without one in the schema. What the log tells keeps entries right; this bounds what a defect could do.
const TTL: Duration = Duration::from_secs(3600);

impl Policy {
    pub(crate) fn new(schema: &Schema, codecs: &Codecs) -> Self {
        let of = |entity: &Entity| EntityPolicy::new(entity, Arc::clone(codecs.row(entity.id)));
        Self { entities: schema.entities.iter().map(of).collect() }
    }

    /// How an entity is cached, if it is.
    pub(crate) fn of(&self, entity: EntityId) -> Option<&EntityPolicy> {
        self.entities.get(entity.index()).filter(|policy| policy.cached)
    }

    pub(crate) fn len(&self) -> usize {
        self.entities.len()
    }
}

impl EntityPolicy {
    fn new(entity: &Entity, codec: Arc<RowCodec>) -> Self {
        let bytewise = |columns: &[ColumnId]| columns.iter().all(|id| is_bytewise(entity, entity.column(*id)));
        let index = |index: &rowkeep_schema::Index| {
            let columns: Vec<ColumnId> = index.columns.iter().map(|(column, _)| *column).collect();
            (index.unique && bytewise(&columns)).then_some(columns)
        };
        let expire = entity.expire.map(|id| entity.column(id));
        // What is written elsewhere than in a table of this name, as in those below a view, the log does not show as its own.
        let is_told = !entity.read_only;
        let is_readable = expire.is_none_or(|column| !column.secret);
        Self {
            id: entity.id,
            name: entity.name.clone(),
            cached: !entity.cache.disabled && is_told && is_readable && bytewise(&entity.primary_key),
            live: if entity.soft_delete.is_some() { Part::Live } else { Part::Row },
            key: entity.primary_key.clone(),
            indexes: entity.indexes.iter().map(index).collect(),
            expire: expire.map(|column| (column.id, column.nullable)),
            is_plain: expire.is_none()
                && entity.columns.iter().all(|column| column.generated != Some(Generated::Computed)),
            ttl: entity.cache.ttl.unwrap_or(TTL),
            codec,
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Where a row is kept that is looked for with this view.
    pub(crate) fn part(&self, view: View) -> Part {
        if view.deleted { Part::Row } else { self.live }
    }

    /// Whether lookups by this unique index are cached, with this view and these values.
    pub(crate) fn has_index(&self, index: u16, view: View, values: &Key) -> bool {
        let cached = self.indexes.get(usize::from(index)).is_some_and(Option::is_some);
        cached && !view.deleted && !values.values().iter().any(Value::is_null)
    }

    /// When a row expires that has these values; `i64::MAX` if it does not.
    fn expires(&self, values: &[Value]) -> i64 {
        let Some((column, nullable)) = self.expire else { return i64::MAX };
        match values.get(column.index()) {
            // The zero of a column that cannot be NULL stands for none.
            Some(Value::Int(at)) if *at != 0 || nullable => *at,
            _ => i64::MAX,
        }
    }

    /// What is kept of what was read under a key with this part, and when it expires; `None` if a row cannot be read as its
    /// schema says.
    pub(crate) fn held(&self, part: Part, found: Option<&Record>) -> Option<(Held, i64)> {
        let Some(record) = found else { return Some((Held::Absent, i64::MAX)) };
        let is_pointer = matches!(part, Part::Index(_));
        if !is_pointer && self.expire.is_none() {
            return Some((Held::Row(record.clone()), i64::MAX));
        }
        let row = self.codec.decode(record.wire()).ok()?;
        let held = match is_pointer {
            true => Held::Pointer(Arc::new(self.codec.key_of(&row.values)), record.version()),
            false => Held::Row(record.clone()),
        };
        Some((held, self.expires(&row.values)))
    }

    /// What is kept of the row with this key.
    pub(crate) fn row_keys(&self, key: &Key, found: &mut impl FnMut(RowKey)) {
        let of = |part, key: &Key| RowKey { entity: self.id, part, key: key.clone() };
        found(of(Part::Row, key));
        if self.live != Part::Row {
            found(of(self.live, key));
        }
    }

    /// What is kept of a row that has, or had, these values, its unique ones included.
    pub(crate) fn keys(&self, row: &Stored, found: &mut impl FnMut(RowKey)) {
        if let Some(key) = values_of(&self.key, row) {
            self.row_keys(&key, found);
        }
        self.index_keys(row, found);
    }

    /// The key of a row that was changed, and its version of its own since, if the row as it is may take the place of what is
    /// kept: it is what a read shows, whoever reads, and the change made its version greater.
    pub(crate) fn renewed<'a>(&self, change: &'a RowChange) -> Option<(Key, &'a Stored)> {
        let (Some(before), Some(after)) = (&change.before, &change.after) else { return None };
        let is_plain = self.is_plain && before.deleted_at.is_none() && after.deleted_at.is_none();
        let key = values_of(&self.key, after)?;
        let is_same = values_of(&self.key, before).is_some_and(|before| before == key);
        (is_plain && is_same && before.version < after.version).then_some((key, after))
    }

    /// Whether a change is of the row with this key, be it before or after.
    pub(crate) fn is_of(&self, change: &RowChange, key: &Key) -> bool {
        let mut rows = change.before.iter().chain(&change.after);
        change.entity == self.id && rows.any(|row| values_of(&self.key, row).as_ref() == Some(key))
    }

    /// What lookups by its unique values are kept under.
    pub(crate) fn index_keys(&self, row: &Stored, found: &mut impl FnMut(RowKey)) {
        for (at, columns) in (0..).zip(&self.indexes) {
            if let Some(key) = columns.as_ref().and_then(|columns| values_of(columns, row)) {
                found(RowKey { entity: self.id, part: Part::Index(at), key });
            }
        }
    }
}

/// Values of a row; `None` if one is NULL, and the row is found by none.
fn values_of(columns: &[ColumnId], row: &Stored) -> Option<Key> {
    columns.iter().map(|id| row.values.get(id.index()).filter(|value| !value.is_null()).cloned()).collect()
}

fn is_bytewise(entity: &Entity, column: &Column) -> bool {
    if column.generated == Some(Generated::Computed) {
        return false;
    }
    match column.storage {
        Storage::Text => entity.versioned && column.sql_type.is_none(),
        Storage::Float | Storage::Double | Storage::Json => false,
        _ => true,
    }
}
