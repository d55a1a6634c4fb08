//! What the methods of an entity need, resolved once from the schema.

use std::collections::HashMap;
use std::sync::Arc;

use kit_core::Error;
use rowkeep_engine::{Freshness, Operation, Precondition, Write};
use rowkeep_record::{Codecs, RowCodec};
use rowkeep_schema::{Auto, ColumnId, Entity, EntityId, Kind, MessageId, Schema};

use super::requests::non_empty;
use crate::context::default_of;
use crate::wire::Fields;

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
    /// How fresh answers are for those who do not say.
    pub(crate) freshness: Freshness,
    /// Number of the field that shows the etag, if the message has one.
    etag: Option<u32>,
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
            freshness: default_of(entity),
            etag: entity
                .columns
                .iter()
                .find(|column| column.auto == Some(Auto::Etag))
                .map(|column| fields[column.id.index()].number),
        }
    }

    pub(super) fn write(&self, operation: Operation, precondition: Precondition, path: String) -> Write {
        Write { entity: self.id, operation, precondition, path }
    }

    /// The etag that a row carries in its message (AIP-154): whoever writes back what was read means that version.
    pub(super) fn etag_in(&self, row: &[u8]) -> Result<Option<String>, Error> {
        let (Some(number), mut found) = (self.etag, None) else { return Ok(None) };
        let mut fields = Fields::new(row);
        while let Some((field, payload)) = fields.next()? {
            if field == number {
                found = non_empty(payload.text("etag")?);
            }
        }
        Ok(found)
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
