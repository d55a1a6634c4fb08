//! What the engine asks of storage. Adapters are thin: semantics live above the ports, once.

use std::sync::Arc;
use std::time::Instant;

use kit_core::{Error, Reply};
use rowkeep_record::query::{Filter, OrderBy};
use rowkeep_record::{Key, Record, Value};
use rowkeep_schema::{ColumnId, Entity, EntityId};

use crate::{Capabilities, ChangeLog, Position, Program, Session};

/// How a read sees rows.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// Rows whose expiry is at or before this time (microseconds since 1970) do not exist.
    pub now: i64,
    /// Soft-deleted rows are seen.
    pub deleted: bool,
}

/// A bounded, ordered read.
#[derive(Debug, Clone)]
pub struct Scan {
    /// The entity.
    pub entity: EntityId,
    /// Which rows.
    pub filter: Option<Arc<Filter>>,
    /// In which order; the primary key is always part of it, so the order is total.
    pub order: Arc<OrderBy>,
    /// Start behind this row: its values of the order columns, in order. NULL sorts first (ascending).
    pub after: Option<Vec<Value>>,
    /// Rows at most.
    pub limit: u32,
    /// The read may end after the row with which the wire forms reach this many bytes: memory stays bounded whatever
    /// the rows' size.
    pub max_bytes: usize,
    /// What the planner found to serve filter and order; adapters with a planner of their own may ignore it.
    pub access: Access,
    /// What is seen.
    pub view: View,
    /// A read that takes until then may end with `DEADLINE_EXCEEDED`; a short one need not look at the clock.
    pub deadline: Option<Instant>,
}

/// How a scan finds its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// Where it walks.
    pub path: AccessPath,
    /// How many leading columns of the path the filter binds by equality (to one value or a few).
    pub bound: u16,
    /// The path gives the rows in the scan's order; if not, they must be sorted.
    pub sorted: bool,
    /// The path is walked from its end.
    pub backward: bool,
}

/// What a scan walks along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessPath {
    /// The primary key.
    Primary,
    /// The index at this place in `Entity::indexes`; rows with equal values follow by primary key.
    Index(u16),
}

/// Storage of rows.
///
/// Reads answer committed state, as fresh as their session asks, and tell it what they were answered from; storage that
/// keeps one copy of its rows need do neither. All methods may be called from any thread; a ready [`Reply`] is preferred where the
/// answer needs no waiting.
pub trait Rows: Send + Sync + 'static {
    /// What this storage can do.
    fn capabilities(&self) -> &Capabilities;

    /// Called on a thread that will read much, inside the runtime that drives it until the storage is stopped: the storage
    /// may keep there what reads need.
    fn attach(&self) {}

    /// One row by primary key.
    fn get<'a>(
        &'a self,
        entity: EntityId,
        key: &Key,
        view: View,
        session: &'a Session,
    ) -> Reply<'a, Result<Option<Record>, Error>>;

    /// Rows by primary key, in the order asked.
    fn get_many<'a>(
        &'a self,
        entity: EntityId,
        keys: &[Key],
        view: View,
        session: &'a Session,
    ) -> Reply<'a, Result<Vec<Option<Record>>, Error>>;

    /// One row by the unique index at this place in `Entity::indexes`.
    fn lookup<'a>(
        &'a self,
        entity: EntityId,
        index: u16,
        values: &Key,
        view: View,
        session: &'a Session,
    ) -> Reply<'a, Result<Option<Record>, Error>>;

    /// Rows in order.
    fn scan<'a>(&'a self, scan: &Scan, session: &'a Session) -> Reply<'a, Result<Vec<Record>, Error>>;

    /// How many rows match, order and limit aside.
    fn count<'a>(&'a self, scan: &Scan, session: &'a Session) -> Reply<'a, Result<u64, Error>>;

    /// Runs a program in one transaction and answers when it is durable.
    ///
    /// The program's error rolls its own changes back and is answered as it is; so does an outcome with
    /// [`Outcome::keep`](crate::Outcome::keep) unset. A failure of the commit itself says through `Error::applied`
    /// whether it may have happened. Programs may be run again after a conflict.
    fn transact(&self, program: Program) -> Reply<'static, Result<crate::Outcome, Error>>;

    /// Stores many rows fast: prepared by the engine, no references checked by the storage.
    fn load(&self, batch: LoadBatch) -> Reply<'static, Result<LoadOutcome, Error>>;

    /// What a load remembered under this id.
    fn recall(&self, id: &str) -> Reply<'_, Result<Option<Remembered>, Error>>;

    /// Removes from disk what no read sees any more and nothing refers to: expired rows of entities without
    /// `referenced_by`, forgotten request ids; a bounded number per call. Answers how many, 0 once nothing is left.
    /// Other expired rows are the engine's, which deletes them by programs ([`Sweep`](crate::Sweep)).
    fn sweep(&self, now: i64) -> Reply<'static, Result<u64, Error>>;

    /// No version up to this one may be given to a new write.
    fn version_floor(&self) -> u64;

    /// Where everything is answered from now, if this storage keeps one copy of its rows; `None` if it tells sessions what
    /// each answer came from.
    fn position(&self) -> Option<Position>;

    /// Its log of changes, if it has one that can be followed.
    fn changes(&self) -> Option<Arc<dyn ChangeLog>> {
        None
    }
}

/// A row inside a transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// One value per column, in column order; `Auto::Etag` columns are NULL.
    pub values: Vec<Value>,
    /// Its version; 0 where the table has none.
    pub version: u64,
    /// When it was soft-deleted, microseconds since 1970 (kept in the declared column or the hidden one).
    pub deleted_at: Option<i64>,
}

impl Stored {
    /// The row with nothing that its table does not keep, as a read of it shows it: a log of changes tells rows so.
    #[must_use]
    pub fn as_kept(mut self, entity: &Entity) -> Self {
        if !entity.versioned {
            self.version = 0;
        }
        match entity.soft_delete {
            None => self.deleted_at = None,
            Some(soft) => {
                if let Some(column) = soft.column {
                    self.values[column.index()] = self.deleted_at.map_or(Value::Null, Value::Int);
                }
            }
        }
        self
    }

    /// The row after an update that lists these columns: they, the version and the time of deletion are those of `row`.
    #[must_use]
    pub fn updated(mut self, changed: &[ColumnId], row: &Self) -> Self {
        for column in changed {
            self.values[column.index()].clone_from(&row.values[column.index()]);
        }
        self.version = row.version;
        self.deleted_at = row.deleted_at;
        self
    }
}

/// Why a write inside a transaction did not happen.
#[derive(Debug)]
pub enum WriteError {
    /// Another row has the same primary key (`None`) or the same values in the unique index at this place.
    Duplicate(Option<u16>),
    /// Anything else.
    Other(Error),
}

impl From<Error> for WriteError {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

/// One transaction, in the hands of a [`Program`]. Rows read are locked for it; expired and soft-deleted rows are seen.
///
/// Storage may answer a write before it is made, and remember before it does. If that fails then, it undoes what the program
/// wrote and runs the program again, and this time answers each write as it was made. What the program answered the first
/// time, be it an error, counts only if all such writes were made.
pub trait Tx: Send {
    /// One row by primary key.
    fn get<'a>(&'a mut self, entity: EntityId, key: &'a Key) -> Reply<'a, Result<Option<Stored>, Error>>;

    /// Rows whose columns have these values, `limit` at most.
    fn find<'a>(
        &'a mut self,
        entity: EntityId,
        columns: &'a [ColumnId],
        values: &'a [Value],
        limit: u32,
    ) -> Reply<'a, Result<Vec<Stored>, Error>>;

    /// Adds a row. A NULL in an auto-increment column is replaced by the next number, which is answered.
    fn insert<'a>(&'a mut self, entity: EntityId, row: &'a Stored) -> Reply<'a, Result<Option<i64>, WriteError>>;

    /// Replaces the listed columns, the version and the time of deletion of the row with this key.
    fn update<'a>(
        &'a mut self,
        entity: EntityId,
        key: &'a Key,
        changed: &'a [ColumnId],
        row: &'a Stored,
    ) -> Reply<'a, Result<(), WriteError>>;

    /// Removes the row. Answers whether there was one.
    fn delete<'a>(&'a mut self, entity: EntityId, key: &'a Key) -> Reply<'a, Result<bool, Error>>;

    /// What was remembered under a request id.
    fn recall<'a>(&'a mut self, request_id: &'a str) -> Reply<'a, Result<Option<Remembered>, Error>>;

    /// Remembers an answer under a request id, in the same transaction.
    fn remember<'a>(&'a mut self, request_id: &'a str, remembered: &'a Remembered) -> Reply<'a, Result<(), Error>>;
}

/// What is kept of an answered request so that its repetition is answered alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// Hash of the request.
    pub fingerprint: [u8; 32],
    /// The encoded outcome.
    pub outcome: Vec<u8>,
    /// When it may be forgotten, microseconds since 1970.
    pub forget_at: i64,
}

/// Rows to be stored at once.
#[derive(Debug)]
pub struct LoadBatch {
    /// The entity.
    pub entity: EntityId,
    /// The rows, checked and complete.
    pub rows: Vec<Stored>,
    /// What to do with a row whose key or unique values exist.
    pub on_conflict: OnConflict,
    /// Remembered under this id in the same transaction, replacing what was there.
    pub remember: Option<(String, Remembered)>,
    /// Further batches follow: what is cheaper done once, as making indexes, may wait for the batch without it, or for
    /// the store's end or next start if that batch never comes. Reads and conflicts are right in between.
    pub more: bool,
}

/// What a load does with a row that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnConflict {
    /// The row is reported; nothing of the batch is stored.
    Fail,
    /// The row is left out and reported.
    Skip,
    /// The row with the same primary key is replaced.
    Replace,
}

/// What became of a batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadOutcome {
    /// Rows stored.
    pub stored: u64,
    /// Places in the batch of rows that were not, with the unique index they clash in (`None`: primary key).
    pub conflicts: Vec<(usize, Option<u16>)>,
}
