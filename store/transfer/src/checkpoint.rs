//! Where a load is up to.

use rowkeep_schema::Entity;
use serde::{Deserialize, Serialize};

/// Kept in the store with the rows it speaks of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    /// Bytes of the file whose rows are stored or rejected.
    pub(crate) offset: u64,
    /// Lines of these bytes.
    pub(crate) line: u64,
}

impl Checkpoint {
    /// The name a load's checkpoint is kept under: the entity and what identifies the file to the caller.
    pub(crate) fn id(entity: &Entity, file: &str) -> String {
        format!("load:{}:{file}", entity.full_name)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        // Numbers alone cannot fail to be written.
        serde_json::to_vec(self).unwrap_or_default()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}
