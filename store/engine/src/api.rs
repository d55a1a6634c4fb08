//! What surfaces ask of the engine.

use kit_core::Error;
use rowkeep_record::{Key, Record, Value};
use rowkeep_schema::{ColumnId, EntityId};

/// A list as asked; text still unchecked.
#[derive(Debug, Clone, Default)]
pub struct ListRequest {
    /// 0: the default; above the maximum: the maximum; below 0 is refused.
    pub page_size: i32,
    /// From the page before.
    pub page_token: String,
    /// AIP-160 subset.
    pub filter: String,
    /// `a, b desc`.
    pub order_by: String,
    /// Soft-deleted rows too.
    pub show_deleted: bool,
    /// Count all matches.
    pub include_total_size: bool,
    /// A list that is still looking for rows by then is given up with `DEADLINE_EXCEEDED`.
    pub deadline: Option<std::time::Instant>,
}

/// A page.
#[derive(Debug, Clone)]
pub struct ListPage {
    /// The rows.
    pub records: Vec<Record>,
    /// Empty at the end.
    pub next_page_token: String,
    /// If it was asked for.
    pub total_size: Option<u64>,
}

/// One write of a commit.
#[derive(Debug, Clone)]
pub struct Write {
    /// The entity.
    pub entity: EntityId,
    /// What to do.
    pub operation: Operation,
    /// What must hold of the current row.
    pub precondition: Precondition,
    /// Prefix of field paths in violations: `user.`, `requests[3].user.`, `writes[0].create.`.
    pub path: String,
}

/// What a write does. Rows are in wire form, as received.
#[derive(Debug, Clone)]
pub enum Operation {
    /// Adds the row.
    Create {
        /// Wire form.
        row: bytes::Bytes,
    },
    /// Changes fields of the row that `row`'s key names.
    Update {
        /// Wire form; key and new values.
        row: bytes::Bytes,
        /// Paths to write; `None`: the fields set in `row`; `*`: all.
        mask: Option<Vec<String>>,
        /// Creates the row if there is none.
        allow_missing: bool,
        /// Applied after the mask.
        transforms: Vec<Transform>,
    },
    /// Removes the row, or hides it where the entity says soft delete.
    Delete {
        /// Its key.
        key: Key,
        /// A missing row is fine.
        allow_missing: bool,
    },
    /// Shows a soft-deleted row again.
    Undelete {
        /// Its key.
        key: Key,
    },
    /// Only checks the precondition.
    Check {
        /// Its key.
        key: Key,
    },
}

/// A change that depends on the current value.
#[derive(Debug, Clone, PartialEq)]
pub struct Transform {
    /// Field name in proto.
    pub field: String,
    /// How.
    pub change: Change,
}

/// The kinds of [`Transform`]; texts are parsed by the column's storage.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Adds.
    Increment(String),
    /// Keeps the larger.
    Maximum(String),
    /// Keeps the smaller.
    Minimum(String),
    /// The commit's time.
    CommitTime,
    /// Appends the items (JSON array) that are missing.
    AppendMissing(String),
    /// Removes the items (JSON array).
    RemoveAll(String),
}

/// What must hold of the current row for a write to happen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Precondition {
    /// It exists, or not.
    pub exists: Option<bool>,
    /// Its etag (with or without quotes; `*` = any existing row).
    pub etag: Option<String>,
    /// A filter it matches.
    pub condition: Option<String>,
}

/// What a commit promises beside others that run at the same time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Isolation {
    /// Only what was committed is seen, and a row stays as it was seen until the commit that relies on it has ended.
    #[default]
    ReadCommitted,
    /// Commits happen as if one ran after the other; one that was answered before another was sent comes first.
    Serializable,
}

/// A list of writes, applied all or none.
#[derive(Debug, Clone, Default)]
pub struct CommitRequest {
    /// In order; no two of one row.
    pub writes: Vec<Write>,
    /// Idempotency key.
    pub request_id: Option<String>,
    /// Hash of the request as received, so that a repetition with other content is refused.
    pub fingerprint: [u8; 32],
    /// Check only.
    pub validate_only: bool,
    /// Refused with `ISOLATION_UNSUPPORTED` if the storage cannot hold it.
    pub isolation: Isolation,
    /// A commit that has not begun by then is refused with `DEADLINE_EXCEEDED` and leaves no trace.
    pub deadline: Option<std::time::Instant>,
}

/// What became of a write.
#[derive(Debug, Clone, PartialEq)]
pub struct WriteResult {
    /// The row after it; `None` for hard deletes and checks.
    pub record: Option<Record>,
    /// Its key.
    pub key: Key,
    /// The row was created (an update with `allow_missing` may).
    pub created: bool,
}

/// Rows for a bulk load, parsed from a file.
#[derive(Debug)]
pub struct LoadRequest {
    /// The entity.
    pub entity: EntityId,
    /// Values by column; NULL or zero where the file has none.
    pub rows: Vec<Vec<Value>>,
    /// The columns the file sets.
    pub columns: Vec<ColumnId>,
    /// What to do with rows that exist.
    pub on_conflict: crate::OnConflict,
    /// Store nothing of the batch if a row breaks a rule; else such rows are left out and reported.
    pub all_or_none: bool,
    /// Kept with the rows, in the same transaction.
    pub checkpoint: Option<LoadCheckpoint>,
    /// Further requests of the same load follow.
    pub more: bool,
}

/// Where a load is up to, kept with its rows so that a later one goes on exactly behind them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadCheckpoint {
    /// Name it is asked for by.
    pub id: String,
    /// The loader's own.
    pub state: Vec<u8>,
    /// How long it is kept.
    pub keep_for: std::time::Duration,
}

/// What became of the rows of a load.
#[derive(Debug, Default)]
pub struct LoadReport {
    /// Rows stored.
    pub stored: u64,
    /// Rows left out, by place in the request, and why.
    pub rejected: Vec<(usize, Error)>,
}
