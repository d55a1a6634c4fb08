//! What all watchers of a process share: the follower of the log, their number and their end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use kit_core::{Code, Error};
use rowkeep_schema::EntityId;
use tokio::sync::{Notify, Semaphore};

use super::feed::Feed;
use super::run::{Run, Share};
use super::token::Resume;
use super::{Counters, WatchOptions, WatchStats, count, ended};
use crate::ChangeLog;

/// Watchers who read the log by themselves at the same time; others wait for their turn.
const READERS: usize = 16;
/// How long a watcher waits for its turn before it is told that it watches.
const BEGINNING: Duration = Duration::from_secs(2);

/// See the [module](self).
pub(crate) struct Hub {
    run: Mutex<Option<Arc<Run>>>,
    entities: usize,
    options: WatchOptions,
    counters: Arc<Counters>,
    readers: Arc<Semaphore>,
    closing: Arc<Closing>,
}

/// Whether watches have to end.
#[derive(Default)]
pub(super) struct Closing {
    is_closed: AtomicBool,
    pub(super) changed: Notify,
}

impl Closing {
    /// # Errors
    /// `UNAVAILABLE` once they have.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.is_closed.load(Ordering::Acquire) { Err(ended()) } else { Ok(()) }
    }
}

/// A watcher's place among those that there may be.
pub(super) struct Seat(Arc<Counters>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.watchers.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Hub {
    pub(crate) fn new(entities: usize, options: &WatchOptions) -> Self {
        Self {
            run: Mutex::default(),
            entities,
            options: options.clone(),
            counters: Arc::default(),
            readers: Arc::new(Semaphore::new(READERS)),
            closing: Arc::default(),
        }
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(super) fn close(&self) {
        self.closing.is_closed.store(true, Ordering::Release);
        self.closing.changed.notify_waiters();
        if let Some(run) = self.run.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            run.close();
        }
    }

    pub(super) fn stats(&self) -> WatchStats {
        let run = self.run.lock().unwrap_or_else(PoisonError::into_inner);
        let is_followed = run.as_ref().is_some_and(|run| !run.is_ended());
        WatchStats { followers: is_followed.into(), ..self.counters.read() }
    }

    /// What a watcher takes its changes from: those behind the token, or those that come.
    ///
    /// # Errors
    /// As of [`Engine::watch`](crate::Engine::watch).
    pub(super) async fn feed(
        &self,
        log: Arc<dyn ChangeLog>,
        entity: EntityId,
        resume: Option<&Resume>,
    ) -> Result<Feed, Error> {
        self.closing.check()?;
        let seat = self.seat()?;
        let share = self.share(&log)?;
        share.run.begun().await?;
        let readers = Arc::clone(&self.readers);
        let mut feed = Feed::new(share, seat, Arc::clone(&self.closing), log, readers, entity, resume)?;
        feed.begin(Instant::now() + BEGINNING).await?;
        Ok(feed)
    }

    fn seat(&self) -> Result<Seat, Error> {
        let before = self.counters.watchers.fetch_add(1, Ordering::AcqRel);
        let seat = Seat(Arc::clone(&self.counters));
        if before < self.options.max_watchers as u64 { Ok(seat) } else { Err(too_many(self.options.max_watchers)) }
    }

    /// A share in the run that is under way, or in a new one.
    fn share(&self, log: &Arc<dyn ChangeLog>) -> Result<Share, Error> {
        let mut current = self.run.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = current.as_ref().and_then(Share::of) {
            return Ok(share);
        }
        let (run, share) = Run::start(Arc::clone(log), self.entities, self.options.kept_bytes)?;
        count(&self.counters.runs);
        *current = Some(run);
        Ok(share)
    }
}

fn too_many(max: usize) -> Error {
    let message = format!("{max} watchers are all that this server takes; try again later, or at another one");
    Error::new(Code::ResourceExhausted, "TOO_MANY_WATCHERS", message)
        .with("max", max.to_string())
        .with_retry_after(Duration::from_secs(5))
}
