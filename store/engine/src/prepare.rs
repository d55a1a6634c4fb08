//! Checks a commit before its transaction.

use std::sync::Arc;

use kit_core::{Code, Error};
use rowkeep_record::Codecs;
use rowkeep_schema::Schema;

use crate::engine::Shared;
use crate::{CommitRequest, Program};

/// What the writes of an entity need, made once at start.
pub(crate) struct EntityPlan {}

pub(crate) fn plans(schema: &Schema, _codecs: &Codecs) -> Result<Vec<EntityPlan>, Error> {
    Ok(schema.entities.iter().map(|_| EntityPlan {}).collect())
}

pub(crate) fn program(_shared: &Arc<Shared>, _request: CommitRequest) -> Result<Program, Error> {
    Err(Error::new(Code::Unimplemented, "NOT_BUILT", "not built yet"))
}
