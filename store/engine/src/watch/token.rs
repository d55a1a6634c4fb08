//! Resume tokens: page tokens of another kind, sealed with the same key and bound to entity, filter and schema.

use std::sync::Arc;

use kit_core::Error;
use rowkeep_record::Value;
use rowkeep_schema::Entity;

use crate::engine::Shared;
use crate::{Place, Point};

/// Where a watcher goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Resume {
    /// Everything up to here was told.
    pub(super) place: Place,
    /// And so many of the entity's changes behind it: the first part of a commit.
    pub(super) told: u64,
}

/// What a token is good for, and for nothing else.
pub(super) fn binding(shared: &Shared, entity: &Entity, filter: &str) -> Vec<u8> {
    let mut binding = b"watch".to_vec();
    binding.extend_from_slice(&shared.schema.fingerprint.to_be_bytes());
    for text in [&entity.full_name, filter] {
        binding.extend_from_slice(&(text.len() as u64).to_be_bytes());
        binding.extend_from_slice(text.as_bytes());
    }
    binding
}

impl Resume {
    pub(super) fn seal(&self, shared: &Shared, binding: &[u8]) -> String {
        let point = self.place.point;
        let values = [
            Value::Blob(self.place.base.as_ref().into()),
            Value::Blob(point.source.to_be_bytes().as_slice().into()),
            Value::Uint(point.number),
            Value::Uint(self.told),
        ];
        shared.tokens.seal(binding, &values, seconds(shared))
    }

    /// # Errors
    /// `INVALID_ARGUMENT` if it is of another watch, another schema, another store, or too old.
    pub(super) fn open(shared: &Shared, binding: &[u8], token: &str) -> Result<Self, Error> {
        let values = shared.tokens.open(binding, token, seconds(shared)).map_err(|_| refused())?;
        match values.as_slice() {
            [Value::Blob(base), Value::Blob(source), Value::Uint(number), Value::Uint(told)] => {
                let source = u128::from_be_bytes(source.as_ref().try_into().map_err(|_| refused())?);
                let point = Point { source, number: *number };
                let place = Place { base: Arc::from(base.as_ref()), point, first: point.number };
                Ok(Self { place, told: *told })
            }
            _ => Err(refused()),
        }
    }
}

fn refused() -> Error {
    let description = "is not a token of a watch of this entity with this filter, or the schema has changed since, or it \
                       has expired; watch again with a snapshot";
    Error::invalid_field("resume_token", "INVALID_RESUME_TOKEN", description)
}

fn seconds(shared: &Shared) -> u64 {
    u64::try_from(shared.now() / 1_000_000).unwrap_or(0)
}
