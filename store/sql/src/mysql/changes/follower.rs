//! One follower: a task that reads, and the end at which its news are taken out.
//!
//! The task runs on the store's own runtime, whatever becomes of whoever waits: what it has read is in the channel or is not
//! read yet, so that a wait that is given up loses nothing.

use std::sync::Arc;

use kit_core::{Code, Error, Reply};
use rowkeep_binlog::Error as LogError;
use rowkeep_changes::{Event, Source};
use rowkeep_engine::{Begin, ChangeStream, Committed, RowChange, Told};
use rowkeep_schema::EntityId;
use tokio::sync::mpsc;

use super::points::{place, runs};
use super::tables::Tables;
use crate::mysql::servers::{Servers, hashed};

/// News, or why there are no more.
type News = Result<Vec<Told>, Error>;

/// Batches that wait to be taken out. More would only take memory.
const BATCHES: usize = 1;

/// The end at which news are taken out.
pub(super) struct Stream(mpsc::Receiver<News>);

impl Stream {
    /// With the end at which news are put in.
    pub(super) fn new() -> (mpsc::Sender<News>, Self) {
        let (sender, receiver) = mpsc::channel(BATCHES);
        (sender, Self(receiver))
    }
}

impl ChangeStream for Stream {
    fn next(&mut self) -> Reply<'_, Result<Vec<Told>, Error>> {
        Reply::later(async move { self.0.recv().await.unwrap_or_else(|| Err(stopped())) })
    }
}

pub(super) fn stopped() -> Error {
    Error::new(Code::Unavailable, "STOPPED", "the store is shutting down")
}

/// Begins to read. `promotions`: how often a server had been made the primary when the source was connected to it.
pub(super) fn start(servers: Arc<Servers>, promotions: u64, source: Source<Tables>) -> Stream {
    let (sender, stream) = Stream::new();
    tokio::spawn(run(servers, promotions, source, sender));
    stream
}

async fn run(servers: Arc<Servers>, mut promotions: u64, mut source: Source<Tables>, sender: mpsc::Sender<News>) {
    loop {
        let news = tokio::select! {
            biased;
            () = sender.closed() => return,
            (primary, now) = servers.promoted(promotions) => {
                promotions = now;
                source.go_on_at(primary.connector.address().clone());
                continue;
            }
            events = source.next() => events,
        };
        let news = news.map(|events| events.into_iter().map(told).collect()).map_err(|error| failed(&error));
        let is_last = news.is_err();
        if sender.send(news).await.is_err() || is_last {
            return;
        }
    }
}

/// What one log told, or why it tells no more.
pub(super) type Events = Result<Vec<Event<EntityId, RowChange>>, LogError>;

/// Reads one log for somebody who takes it in together with others.
pub(super) async fn read(mut source: Source<Tables>, sender: mpsc::Sender<Events>) {
    loop {
        let events = tokio::select! {
            biased;
            () = sender.closed() => return,
            events = source.next() => events,
        };
        let is_last = events.is_err();
        if sender.send(events).await.is_err() || is_last {
            return;
        }
    }
}

fn told(event: Event<EntityId, RowChange>) -> Told {
    match event {
        Event::Begin { place: at, told, server } => {
            Told::Begin(Begin { place: place(&at), contained: runs(&told), history: hashed(&server) })
        }
        Event::Commit { place: at, more, at: time, rows } => {
            Told::Commit(Arc::new(Committed { place: place(&at), more, at: time, changes: rows }))
        }
        Event::Rewritten { table, place: at, more } => Told::Rewritten { entity: table, place: place(&at), more },
        Event::Current { moment, place: at } => Told::Current { moment, place: place(&at) },
    }
}

/// Why a log cannot be followed, as callers understand it.
pub(super) fn failed(error: &LogError) -> Error {
    match error {
        LogError::Purged(_) | LogError::Diverged(_) | LogError::OtherDialect(_) => lost(&error.to_string()),
        error if error.is_transient() => {
            Error::new(Code::Unavailable, "STORAGE_UNREACHABLE", format!("the log of changes: {error}"))
        }
        LogError::Configuration(_) | LogError::NotAllowed(_) => {
            Error::new(Code::FailedPrecondition, "CHANGES_REFUSED", format!("the log of changes: {error}"))
        }
        error => Error::new(Code::Internal, "CHANGES_UNREADABLE", format!("the log of changes: {error}")),
    }
}

/// Something is missing between what was told and what there is.
pub(super) fn lost(why: &str) -> Error {
    let message = format!("the changes since that place are not known: {why}; what was derived has to be made anew");
    Error::new(Code::DataLoss, "CHANGES_LOST", message)
}
