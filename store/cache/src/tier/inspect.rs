//! What the server has of one row, for whoever wants to know whether it is right.

use rowkeep_engine::View;
use rowkeep_record::{Key, Record};
use rowkeep_schema::EntityId;

use super::Tier;
use super::read::Looked;
use crate::near::{Held, RowKey};

/// A slot of the server, as readers find it at one moment.
#[derive(Debug, Clone)]
pub enum InspectedSlot {
    /// This row; or it is known that there is no such row.
    Kept(Option<Record>),
    /// Nothing that readers would be answered.
    Nothing,
    /// The server does not answer, or is not used because it has not been told everything.
    Away,
}

impl Tier {
    /// What readers who do not ask for deleted rows would be answered as of this time (microseconds since 1970). Counts as no hit.
    pub async fn inspect(&self, entity: EntityId, key: &Key, now: i64) -> InspectedSlot {
        let view = View { now, deleted: false };
        let Some(policy) = self.shared.policy.of(entity) else { return InspectedSlot::Nothing };
        let key = RowKey { entity, part: policy.part(view), key: key.clone() };
        match self.shared.look(&key, view).await {
            Looked::Found(found) => match found.held {
                Held::Row(record) => InspectedSlot::Kept(Some(record)),
                Held::Absent => InspectedSlot::Kept(None),
                Held::Pointer(..) => InspectedSlot::Nothing,
            },
            Looked::Missing(_) => InspectedSlot::Nothing,
            Looked::Past => InspectedSlot::Away,
        }
    }
}
