//! Row codecs and the list language.
//!
//! A row is protobuf wire bytes from the database driver to the client. The codecs here are compiled once per entity
//! from the checked schema and translate between wire bytes, stored [`Value`]s, JSON, XML and CSV without a message tree.

mod columns;
pub mod csv;
mod decimal;
pub mod etag;
mod fault;
mod frame;
pub mod json;
mod mask;
mod normal;
mod number;
pub mod query;
mod row;
mod scalar;
mod table;
pub mod text;
mod time;
mod value;
mod wire;

use std::sync::Arc;

use rowkeep_schema::{EntityId, Schema};

pub use columns::ColumnSet;
pub use decimal::{from_unscaled as decimal_from_unscaled, unscaled as decimal_unscaled};
pub use frame::{PREFIX, Record, RecordBatch};
pub use mask::{NestedPath, ReadMask, UpdateMask};
pub use row::{DecodedRow, RowCodec, RowWriter};
pub use time::Civil;
pub use value::{Key, Value, ValueRef};

/// The codecs of a whole schema.
#[derive(Debug, Clone)]
pub struct Codecs {
    /// JSON of every message.
    pub json: Arc<json::JsonCodec>,
    /// One per entity, in order.
    pub rows: Vec<Arc<RowCodec>>,
}

impl Codecs {
    /// Compiles them.
    pub fn new(schema: &Schema) -> Self {
        let json = Arc::new(json::JsonCodec::new(schema));
        let row = |entity: &rowkeep_schema::Entity| RowCodec::with_json(schema, entity.id, Arc::clone(&json));
        Self { rows: schema.entities.iter().map(row).map(Arc::new).collect(), json }
    }

    /// The row codec of an entity.
    pub fn row(&self, entity: EntityId) -> &Arc<RowCodec> {
        &self.rows[entity.index()]
    }
}
