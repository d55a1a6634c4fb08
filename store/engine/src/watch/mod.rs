//! Watching the rows of an entity: what is there, if it is asked for, and then every change.
//!
//! ## The promise
//! After a snapshot, every row that matches was told at least once; from then on each later state of each row is told, in
//! the order of commits, and none that is older than one told before. A row that stops to match, by a change of its own, by
//! a delete, a soft delete, or because it expired and was removed from disk, is told as deleted. A row may be told as
//! deleted that was never told before: it came and went while the snapshot was taken. (In a table without versions,
//! changes that are made while the snapshot is taken may be told once more after it.)
//!
//! ## Going on
//! A token says how far a watcher has come: the place in the storage's log, and how many of the changes behind it were
//! told. Whoever goes on from it misses nothing and is told nothing twice. Before the snapshot is complete there is no token:
//! what was told by then is of several moments.
//!
//! ## One follower
//! All watchers of a process share one follower of the log ([`run`]), which keeps what it was told last. A watcher that
//! comes with a token, or is slower than that memory is long, reads the log by itself ([`feed`]) until it meets the others. One
//! that does not come nearer is ended with `WATCHER_TOO_SLOW`; what is kept for a watcher is a place, never a queue.
//!
//! ## When the log does not tell
//! Loads, emptied tables, a failover that lost commits: the watcher is ended with `ABORTED` `CHANGES_LOST`, and its client
//! takes a new snapshot. It is not done for it, because which of the rows that it holds are gone is known to it alone.

mod feed;
mod hub;
mod judge;
mod ring;
mod run;
mod snapshot;
mod token;
mod watcher;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kit_core::{Code, Error};
use rowkeep_record::{Key, Record, query};
use rowkeep_schema::{Entity, EntityId};

use crate::engine::Shared;
use crate::{Changes, Engine};
pub(crate) use hub::Hub;
use token::Resume;
pub use watcher::Watcher;

/// Limits of watching.
#[derive(Debug, Clone)]
pub struct WatchOptions {
    /// Watchers at the same time.
    pub max_watchers: usize,
    /// Bytes of changes that are kept for watchers who are a little behind.
    pub kept_bytes: usize,
    /// A watcher that has nothing to be told is told so this often.
    pub heartbeat: Duration,
    /// How long a watcher may take to come up with the others, beside the age of what it begins with.
    pub patience: Duration,
}

impl Default for WatchOptions {
    fn default() -> Self {
        Self {
            max_watchers: 10_000,
            kept_bytes: 8 << 20,
            heartbeat: Duration::from_secs(10),
            patience: Duration::from_secs(60),
        }
    }
}

/// What is to be watched.
#[derive(Debug, Clone, Default)]
pub struct WatchRequest {
    /// As of a list. Any filter will do without a snapshot; with one it needs the index that a list does.
    pub filter: String,
    /// Where to begin.
    pub since: WatchSince,
}

/// Where a watch begins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum WatchSince {
    /// With what is committed from now on.
    #[default]
    Now,
    /// With every row there is.
    Snapshot,
    /// Behind what was told with this token.
    Token(String),
}

/// What a watcher is told.
#[derive(Debug, Clone, PartialEq)]
pub enum WatchEvent {
    /// The row is so: it is new, has changed, or was there when the snapshot was taken.
    Changed(Record),
    /// There is no such row any more, or it does not match.
    Deleted(Key),
    /// Every row that was there has been told.
    SnapshotComplete,
    /// Nothing happened for a while.
    Heartbeat,
}

/// An event, and where to go on behind it.
#[derive(Debug, Clone, PartialEq)]
pub struct Watched {
    /// What happened.
    pub event: WatchEvent,
    /// `None` until the snapshot is complete.
    pub token: Option<String>,
}

/// What is counted of watchers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WatchStats {
    /// Watchers now.
    pub watchers: u64,
    /// Rows told, as changed or deleted.
    pub events: u64,
    /// Watchers that fell behind what is kept and read the log by themselves.
    pub fell_behind: u64,
    /// Watchers ended because they were too slow.
    pub too_slow: u64,
    /// Whether the log is followed for watchers: 1 or 0, however many there are.
    pub followers: u64,
    /// How often it was begun to be followed for them.
    pub runs: u64,
}

/// The counters behind [`WatchStats`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    watchers: AtomicU64,
    events: AtomicU64,
    fell_behind: AtomicU64,
    too_slow: AtomicU64,
    runs: AtomicU64,
}

impl Counters {
    fn read(&self) -> WatchStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        WatchStats {
            watchers: read(&self.watchers),
            events: read(&self.events),
            fell_behind: read(&self.fell_behind),
            too_slow: read(&self.too_slow),
            followers: 0,
            runs: read(&self.runs),
        }
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Engine {
    /// Watches the rows of an entity.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` for a bad filter or token; `FAILED_PRECONDITION` `NO_CHANGE_LOG` where changes cannot be
    /// followed, `NO_INDEX` if a snapshot needs one; `ABORTED` `CHANGES_LOST` if the log does not reach back to the token;
    /// `RESOURCE_EXHAUSTED` `TOO_MANY_WATCHERS`; `UNAVAILABLE` once watches are [ended](Self::end_watches); what the storage
    /// says.
    pub async fn watch(&self, entity: EntityId, request: WatchRequest) -> Result<Watcher, Error> {
        let shared = &self.shared;
        let log = shared.rows.changes().ok_or_else(|| no_change_log(shared.entity(entity)))?;
        if shared.rows.capabilities().changes == Changes::LogPerShard {
            return Err(several_logs(shared.entity(entity)));
        }
        let filter = query::filter(&shared.schema, shared.entity(entity), &request.filter, "filter")?;
        let binding = token::binding(shared, shared.entity(entity), &request.filter);
        let resume = match &request.since {
            WatchSince::Token(text) => Some(Resume::open(shared, &binding, text)?),
            WatchSince::Now | WatchSince::Snapshot => None,
        };
        let filter = filter.map(Arc::new);
        let snapshot = match request.since {
            WatchSince::Snapshot => Some(snapshot::Snapshot::new(shared, entity, filter.clone())?),
            WatchSince::Now | WatchSince::Token(_) => None,
        };
        let feed = shared.hub.feed(log, entity, resume.as_ref()).await?;
        let skip = resume.map_or(0, |resume| resume.told);
        Ok(Watcher::new(Arc::clone(shared), entity, filter, binding, feed, snapshot, skip))
    }

    /// Ends every watch with `UNAVAILABLE`, and begins no new one.
    pub fn end_watches(&self) {
        self.shared.hub.close();
    }

    /// What is counted of watchers.
    pub fn watch_stats(&self) -> WatchStats {
        self.shared.hub.stats()
    }
}

impl Shared {
    fn counters(&self) -> &Counters {
        self.hub.counters()
    }
}

fn no_change_log(entity: &Entity) -> Error {
    let message = format!(
        "the storage of {} has no log of changes that can be followed (the server's log says what it lacks); list by the \
         time of the last update instead",
        entity.name
    );
    Error::new(Code::FailedPrecondition, "NO_CHANGE_LOG", message).with("entity", &entity.full_name)
}

/// A token counts what was told of the commit behind its place, and which that is only one log says.
fn several_logs(entity: &Entity) -> Error {
    let message = format!(
        "{} lies in several shards, whose logs do not say which of them goes on first, so that no watch could go on where it \
         ended; list by the time of the last update instead",
        entity.name
    );
    Error::new(Code::FailedPrecondition, "NO_CHANGE_LOG", message).with("entity", &entity.full_name)
}

/// Watchers hear of a lost log what to do; the code is that of a state that changed under them.
fn for_watchers(error: Error) -> Error {
    if error.reason() == "CHANGES_LOST" { changes_lost().with_source(error) } else { error }
}

fn changes_lost() -> Error {
    let message =
        "changes happened that cannot be told: watch again with a snapshot, and drop the rows that are not in it";
    // The place is gone for good: a client that repeats the request by itself should stop.
    Error::new(Code::Aborted, "CHANGES_LOST", message).with_http_status(410)
}

fn ended() -> Error {
    let message = "the server ends its watches; go on from the last resume token";
    Error::new(Code::Unavailable, "WATCHES_ENDED", message).with_retry_after(Duration::from_secs(1))
}
