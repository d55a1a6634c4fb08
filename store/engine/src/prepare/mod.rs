//! Checks a commit before its transaction: everything that does not depend on stored rows, with all mistakes of all
//! writes answered at once. What is left is a [`Program`] of decoded rows.

mod entity;
mod precondition;
mod transform;
mod write;

use std::collections::BTreeMap;
use std::sync::Arc;

use kit_core::{Error, FieldViolation};
use rowkeep_record::{ColumnSet, DecodedRow, Key, UpdateMask};
use rowkeep_schema::{ColumnId, EntityId};

pub(crate) use entity::{EntityPlan, plans};
pub(crate) use precondition::{Etag, PreparedPrecondition};
pub(crate) use transform::{PreparedChange, PreparedTransform, split_items};

use crate::engine::Shared;
use crate::errors::{batch_too_large, isolation_unsupported};
use crate::program::Request;
use crate::{CommitRequest, Isolation, Program, Stored};

/// A checked write.
pub(crate) struct PreparedWrite {
    pub(crate) entity: EntityId,
    pub(crate) path: String,
    pub(crate) precondition: PreparedPrecondition,
    pub(crate) operation: PreparedOperation,
}

pub(crate) enum PreparedOperation {
    Create(NewRow),
    Update(Key, Box<RowChange>),
    Delete(Key, AllowMissing),
    Undelete(Key),
    Check(Key),
    /// Of a row that has expired; no request asks for it.
    Expire(Key),
}

/// Whether a missing row is fine.
pub(crate) type AllowMissing = bool;

/// A row to insert, complete but for the commit's time and version.
pub(crate) struct NewRow {
    pub(crate) row: Stored,
    /// The column whose number the database counts.
    pub(crate) counted: Option<ColumnId>,
}

/// What an update does to its row.
pub(crate) struct RowChange {
    pub(crate) row: DecodedRow,
    /// Without the key and without columns that requests cannot set.
    pub(crate) mask: UpdateMask,
    pub(crate) allow_missing: AllowMissing,
    pub(crate) transforms: Vec<PreparedTransform>,
}

/// Violations answered at most, so that an answer stays smaller than its request.
const MAX_VIOLATIONS: usize = 1000;

/// Checks a commit.
///
/// # Errors
/// `INVALID_ARGUMENT` with all that is wrong.
pub(crate) fn program(shared: &Arc<Shared>, request: CommitRequest) -> Result<Program, Error> {
    let capabilities = shared.rows.capabilities();
    if request.isolation == Isolation::Serializable && !capabilities.serializable {
        return Err(isolation_unsupported(capabilities.name));
    }
    let max = shared.options.max_batch.min(capabilities.max_writes);
    if request.writes.len() > max {
        return Err(batch_too_large("writes", request.writes.len(), max));
    }
    let id = request.request_id.filter(|id| !id.is_empty());
    if let Some(id) = &id {
        check_request_id(id)?;
    }
    let mut preparation = Preparation { shared, violations: Vec::new() };
    let mut writes = Vec::with_capacity(request.writes.len());
    for write in request.writes {
        writes.extend(preparation.write(write)?);
    }
    if writes.len() > 1 {
        preparation.refuse_two_writes_of_one_row(&writes);
    }
    if !preparation.violations.is_empty() {
        preparation.violations.truncate(MAX_VIOLATIONS);
        return Err(Error::invalid(preparation.violations));
    }
    Ok(Program {
        shared: Arc::clone(shared),
        writes,
        request: id.map(|id| Request { id, fingerprint: request.fingerprint }),
        validate_only: request.validate_only,
        isolation: request.isolation,
        deadline: request.deadline,
        version: None,
        notes: Vec::new(),
    })
}

/// The removal of a row that has expired.
pub(crate) fn expiry(shared: &Arc<Shared>, entity: EntityId, key: Key) -> Program {
    let (path, precondition, operation) =
        (String::new(), PreparedPrecondition::default(), PreparedOperation::Expire(key));
    let writes = vec![PreparedWrite { entity, path, precondition, operation }];
    let shared = Arc::clone(shared);
    let isolation = Isolation::ReadCommitted;
    Program {
        shared,
        writes,
        request: None,
        validate_only: false,
        isolation,
        deadline: None,
        version: None,
        notes: Vec::new(),
    }
}

/// A UUID or any other short visible text.
fn check_request_id(id: &str) -> Result<(), Error> {
    if id.len() <= 128 && id.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    let description = "must be a UUID, or at most 128 visible ASCII characters without spaces";
    Err(Error::invalid_field("request_id", "INVALID_REQUEST_ID", description))
}

/// A commit on its way to a program.
struct Preparation<'a> {
    shared: &'a Shared,
    violations: Vec<FieldViolation>,
}

impl Preparation<'_> {
    fn violation(&mut self, field: String, reason: &'static str, description: impl Into<String>) {
        self.violations.push(FieldViolation { field, reason, description: description.into() });
    }

    /// Keeps an error's violations for the answer about all writes; errors without any are answered at once.
    fn keep<T>(&mut self, result: Result<T, Error>) -> Result<Option<T>, Error> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.fields().is_empty() => Err(error),
            Err(error) => {
                self.violations.extend_from_slice(error.fields());
                Ok(None)
            }
        }
    }

    fn refuse_two_writes_of_one_row(&mut self, writes: &[PreparedWrite]) {
        let mut seen: BTreeMap<(EntityId, Key), &str> = BTreeMap::new();
        for write in writes {
            let Some(key) = write.key(self.shared) else { continue };
            let text = self.shared.subject(write.entity, &key);
            if let Some(first) = seen.insert((write.entity, key), &write.path) {
                let place = |path: &str| path.trim_end_matches('.').to_owned();
                let description = format!("writes {text}, as {} does; a commit writes a row once", place(first));
                self.violation(place(&write.path), "DUPLICATE_WRITE", description);
            }
        }
    }
}

impl PreparedWrite {
    /// The row's key; `None` if the database is going to make it.
    fn key(&self, shared: &Shared) -> Option<Key> {
        match &self.operation {
            PreparedOperation::Create(new) if new.counted.is_some() => None,
            PreparedOperation::Create(new) => Some(shared.codec(self.entity).key_of(&new.row.values)),
            PreparedOperation::Update(key, _)
            | PreparedOperation::Delete(key, _)
            | PreparedOperation::Undelete(key)
            | PreparedOperation::Check(key)
            | PreparedOperation::Expire(key) => Some(key.clone()),
        }
    }
}

/// The path of a field beside the row: `etag` for `user.`, `requests[3].etag` for `requests[3].user.` (and for
/// `requests[3].`, which names no row), `writes[0].update.update_mask` for `writes[0].update.row.`.
fn beside(path: &str, field: &str) -> String {
    let row = path.trim_end_matches('.');
    let parent = if row.ends_with(']') { path } else { row.rfind('.').map_or("", |dot| &path[..=dot]) };
    format!("{parent}{field}")
}

/// The path of a field of the precondition: beside the operation in a commit, beside the row elsewhere.
pub(crate) fn precondition_path(path: &str, field: &str) -> String {
    if path.starts_with("writes[") {
        let write = path.find("].").map_or(path, |end| &path[..end + 2]);
        return format!("{write}precondition.{field}");
    }
    beside(path, field)
}

/// All columns of a set that are not in another.
fn without(set: &ColumnSet, other: &ColumnSet) -> ColumnSet {
    set.iter().filter(|column| !other.contains(*column)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_fields_beside_the_row_are_found() {
        assert_eq!(beside("user.", "update_mask"), "update_mask");
        assert_eq!(beside("requests[3].user.", "transforms[0]"), "requests[3].transforms[0]");
        assert_eq!(beside("writes[0].update.row.", "update_mask"), "writes[0].update.update_mask");
        assert_eq!(precondition_path("requests[3].", "etag"), "requests[3].etag");
        assert_eq!(precondition_path("writes[12].create.", "exists"), "writes[12].precondition.exists");
        assert_eq!(precondition_path("", "etag"), "etag");
    }

    #[test]
    fn request_ids_are_short_and_visible() {
        assert!(check_request_id("6f1f3d0e-4a1b-4c1e-9d3e-0a1b2c3d4e5f").is_ok());
        assert!(check_request_id(&"x".repeat(128)).is_ok());
        for id in ["has space", "tab\t", "ümlaut", &"x".repeat(129)] {
            assert_eq!(check_request_id(id).unwrap_err().fields()[0].field, "request_id");
        }
    }
}
