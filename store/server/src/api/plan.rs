//! What the methods of an entity need, resolved once from the schema.

use std::collections::HashMap;
use std::sync::Arc;

use rowkeep_engine::{Operation, Precondition, Write};
use rowkeep_record::{Codecs, RowCodec};
use rowkeep_schema::{ColumnId, Entity, EntityId, Kind, MessageId, Schema};

/// One entity.
#[derive(Debug)]
pub(crate) struct EntityPlan {
    pub(crate) id: EntityId,
    pub(crate) full_name: String,
    /// Field name of a row in requests: `user`.
    pub(crate) singular: String,
    /// The message of a row.
    pub(crate) message: MessageId,
    pub(crate) codec: Arc<RowCodec>,
    /// The primary key, in order.
    pub(crate) key: Vec<KeyField>,
    /// Columns of each index.
    pub(crate) lookups: Vec<Vec<ColumnId>>,
    /// Deleted rows stay and are answered.
    pub(crate) soft_delete: bool,
}

/// A column of a primary key.
#[derive(Debug)]
pub(crate) struct KeyField {
    pub(crate) column: ColumnId,
    /// Number in the message of a row.
    pub(crate) row_number: u32,
    pub(crate) kind: Kind,
}

/// All entities.
#[derive(Debug)]
pub(crate) struct Plans {
    entities: Vec<EntityPlan>,
    by_message: HashMap<String, EntityId>,
}

impl EntityPlan {
    fn new(schema: &Schema, entity: &Entity, codecs: &Codecs) -> Self {
        let fields = &schema.message(entity.message).fields;
        let key = |column: &ColumnId| {
            let field = &fields[column.index()];
            KeyField { column: *column, row_number: field.number, kind: field.kind }
        };
        let columns = |index: &rowkeep_schema::Index| index.columns.iter().map(|(id, _)| *id).collect();
        Self {
            id: entity.id,
            full_name: entity.full_name.clone(),
            singular: entity.singular.clone(),
            message: entity.message,
            codec: Arc::clone(codecs.row(entity.id)),
            key: entity.primary_key.iter().map(key).collect(),
            lookups: entity.indexes.iter().map(columns).collect(),
            soft_delete: entity.soft_delete.is_some(),
        }
    }

    pub(super) fn write(&self, operation: Operation, precondition: Precondition, path: String) -> Write {
        Write { entity: self.id, operation, precondition, path }
    }

    /// `requests[3].user.`
    pub(super) fn row_prefix(&self, prefix: &str) -> String {
        format!("{prefix}{}.", self.singular)
    }
}

impl Plans {
    pub(crate) fn new(schema: &Schema, codecs: &Codecs) -> Self {
        let entities: Vec<_> = schema.entities.iter().map(|entity| EntityPlan::new(schema, entity, codecs)).collect();
        let by_message = entities.iter().map(|plan| (plan.full_name.clone(), plan.id)).collect();
        Self { entities, by_message }
    }

    pub(crate) fn get(&self, id: EntityId) -> &EntityPlan {
        &self.entities[id.index()]
    }

    pub(crate) fn by_message(&self, full_name: &str) -> Option<&EntityPlan> {
        self.by_message.get(full_name).map(|id| self.get(*id))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &EntityPlan> {
        self.entities.iter()
    }
}
