//! Moving the write-ahead log into the data file without stalling writes.
//!
//! The bulk is done by a thread of its own beside reads and writes (`PASSIVE`). A log that is written without pause
//! never gets to its end that way, and only a log that is wholly in the data file, with no snapshot open on it, can be
//! started over. So once it is large the writer itself does the rest between two groups: little is left, nothing is
//! appended meanwhile, and idle readers' snapshots are ended.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_channel::{Receiver, Sender};
use rusqlite::Connection;

use super::Shared;
use super::connect::{Role, connect};
use super::writer::Job;

/// Pages behind the last checkpoint that are worth one: 4 MiB.
const STEP: u64 = 1000;
/// Pages from which on the log is to be started over: 32 MiB.
const LARGE: u64 = 8000;

/// Tells the checkpointer how long the log is.
pub(super) struct Checkpoints {
    wake: Sender<()>,
    /// Pages of the log that are in the data file.
    done: AtomicU64,
}

impl Checkpoints {
    pub(super) fn new() -> (Self, Receiver<()>) {
        let (wake, woken) = crossbeam_channel::bounded(1);
        (Self { wake, done: AtomicU64::new(0) }, woken)
    }

    /// Lets the checkpointer look up.
    pub(super) fn wake(&self) {
        let _ = self.wake.try_send(());
    }

    /// After a commit, with the pages in the log.
    pub(super) fn look(&self, pages: u64) {
        let done = self.done.load(Ordering::Relaxed);
        if pages < done {
            // It was started over.
            self.done.store(0, Ordering::Relaxed);
        } else if pages - done >= STEP {
            let _ = self.wake.try_send(());
        }
    }
}

/// The checkpointer's thread.
pub(super) fn run(shared: &Arc<Shared>, path: &Path, woken: &Receiver<()>) {
    let connection = match connect(path, Role::Checkpointer) {
        Ok(connection) => connection,
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "no checkpoints: the log will grow");
            return;
        }
    };
    while woken.recv().is_ok() {
        if shared.is_stopping() {
            break;
        }
        shared.readers.release();
        let large = passive(shared, &connection) >= LARGE;
        if large {
            shared.queue.hint(Job::Checkpoint);
        }
    }
}

/// On the writer: brings the rest of the log into the data file, so that the next write starts it over.
pub(super) fn finish(shared: &Shared, connection: &Connection) {
    passive(shared, connection);
    // Snapshots taken from here on do not touch the log, as long as nothing is written.
    shared.position.fetch_add(1, Ordering::Release);
    shared.readers.release();
}

/// Pages in the log after it.
fn passive(shared: &Shared, connection: &Connection) -> u64 {
    let result = checkpoint(connection, "PASSIVE");
    match result {
        Ok((pages, done)) => {
            shared.counters.checkpoints.fetch_add(1, Ordering::Relaxed);
            shared.checkpoints.done.store(done, Ordering::Relaxed);
            pages
        }
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "a checkpoint failed; it is tried again");
            0
        }
    }
}

/// Empties the log, at the end.
pub(super) fn truncate(connection: &Connection) -> rusqlite::Result<()> {
    checkpoint(connection, "TRUNCATE").map(drop)
}

fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<(u64, u64)> {
    let number = |value: i64| u64::try_from(value).unwrap_or(0);
    connection
        .query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| Ok((number(row.get(1)?), number(row.get(2)?))))
}
