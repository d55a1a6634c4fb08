//! The log of changes: a table of the store's own, written in the transaction of the rows.
//!
//! ## What a row of it is
//! One transaction, with the number that [`Position`](rowkeep_engine::Position) gives it. Programs that shared a
//! transaction are seen by readers at once, and are told at once. What they changed lies in one compact value
//! ([`encoding`]); it is gathered in memory ([`recorder`]) and written behind the last program, so that the log costs one
//! row per transaction, whatever the number of its writes.
//!
//! ## What is not told row by row
//! Loads, and transactions that change more than [`MAX_BYTES`](recorder::MAX_BYTES): of these the log says which tables
//! they touched, and whoever follows one of them takes it anew.
//!
//! ## How long it is kept
//! As long as [`ChangeOptions`] says ([`trim`]). A change of the schema begins a new log, because rows are kept by the
//! place of their columns; so does a copy of the file, which goes on differently.

mod encoding;
mod follow;
mod recorder;
mod table;
#[cfg(test)]
mod tests;
mod trim;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kit_core::Error;
use rowkeep_schema::Schema;
use rusqlite::Connection;
use tokio::sync::Notify;

pub(super) use follow::SqliteChanges;
pub(super) use recorder::{Mark, Recorder};
pub(super) use table::{TABLE, forget_log};

use super::errors::failed;
use super::meta;

/// How much of the log is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangeOptions {
    /// Changes are kept for so long.
    pub retention: Duration,
    /// The log is cut off at its beginning once it is larger; 0: there is no log, and nothing can be followed.
    pub max_bytes: u64,
}

impl Default for ChangeOptions {
    fn default() -> Self {
        Self { retention: Duration::from_secs(3600), max_bytes: 64 << 20 }
    }
}

/// What the writer and the followers of a log share.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) options: ChangeOptions,
    id: Arc<[u8]>,
    /// The last commit that is not kept any more.
    forgotten: AtomicU64,
    pub(super) committed: Notify,
}

/// Commits are counted from another start in each run, so that none has a number that was told before: what of a run came
/// behind the last commit on disk is not known after a crash. A run has 2^42 of them.
const RUN: u64 = 1 << 42;

impl Log {
    /// Opens the log of a file for this run; with the number that the run counts on from.
    ///
    /// # Errors
    /// What the disk says.
    pub(super) fn open(
        connection: &Connection,
        schema: &Schema,
        options: ChangeOptions,
        floor: u64,
    ) -> Result<(Self, u64), Error> {
        let opened = table::in_transaction(connection, || {
            let before = meta::number(connection, meta::POSITION)?;
            let start = before.map_or(floor, |before| floor.max(before + RUN));
            meta::set_number(connection, meta::POSITION, start)?;
            let (id, forgotten) = table::log_of(connection, schema.fingerprint, options.max_bytes > 0, start)?;
            Ok((id, forgotten, start))
        });
        let (id, forgotten, start) = opened.map_err(failed)?;
        let log = Self { options, id: id.into(), forgotten: AtomicU64::new(forgotten), committed: Notify::new() };
        Ok((log, start))
    }

    /// Whether changes are kept at all.
    pub(super) fn is_kept(&self) -> bool {
        self.options.max_bytes > 0
    }

    fn forgotten(&self) -> u64 {
        self.forgotten.load(Ordering::Acquire)
    }
}
