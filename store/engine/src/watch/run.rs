//! The one follower of the log that all watchers of a process share.
//!
//! It runs on a thread of its own, from the first watcher until a while after the last, and puts what it is told into a
//! [`Ring`], from where each watcher takes what is about its entity at its own pace. If it fails, all who take from it
//! are told why; whoever comes next starts another.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kit_core::Error;
use rowkeep_schema::EntityId;
use tokio::sync::Notify;

use super::for_watchers;
use super::ring::{Heard, Ring};
use crate::shared_log::copy;
use crate::{Begin, ChangeLog, Since, Told};

/// How long the follower goes on for nobody: a watcher that lost its connection finds what it missed.
const LINGER: Duration = Duration::from_secs(30);

/// One follower, from its beginning to its end.
pub(super) struct Run {
    state: Mutex<State>,
    /// Something was told of an entity.
    told: Box<[Notify]>,
    /// It began, said how far it is, or ended.
    pub(super) moved: Notify,
    shares: AtomicU64,
    max_bytes: usize,
}

/// Where a run is.
pub(super) enum State {
    /// Its log has not been opened yet.
    Starting,
    Following(Ring),
    Ended(Error),
}

/// A watcher's share in a run, which goes on as long as somebody has one.
pub(super) struct Share {
    pub(super) run: Arc<Run>,
}

impl Share {
    /// A share in a run that has not ended.
    pub(super) fn of(run: &Arc<Run>) -> Option<Self> {
        // Under the lock: a run ends only while it sees that nobody has a share.
        let state = run.state();
        let is_ended = matches!(*state, State::Ended(_));
        (!is_ended).then(|| {
            run.shares.fetch_add(1, Ordering::AcqRel);
            Self { run: Arc::clone(run) }
        })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.run.shares.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Run {
    /// Starts to follow, with the first share in it.
    ///
    /// # Errors
    /// What the system says of a thread more.
    pub(super) fn start(
        log: Arc<dyn ChangeLog>,
        entities: usize,
        max_bytes: usize,
    ) -> Result<(Arc<Self>, Share), Error> {
        let run = Arc::new(Self {
            state: Mutex::new(State::Starting),
            told: (0..entities).map(|_| Notify::new()).collect(),
            moved: Notify::new(),
            shares: AtomicU64::new(1),
            max_bytes,
        });
        let share = Share { run: Arc::clone(&run) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::internal)?;
        let own = Arc::clone(&run);
        let body = move || {
            let ended = runtime.block_on(own.follow(log));
            own.end(ended);
        };
        std::thread::Builder::new().name("rowkeep-watch".to_owned()).spawn(body).map_err(Error::internal)?;
        Ok((run, share))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn told(&self, entity: EntityId) -> &Notify {
        &self.told[entity.index()]
    }

    pub(super) fn is_ended(&self) -> bool {
        matches!(*self.state(), State::Ended(_))
    }

    /// Waits until it follows.
    ///
    /// # Errors
    /// Why it does not.
    pub(super) async fn begun(&self) -> Result<(), Error> {
        loop {
            let mut moved = std::pin::pin!(self.moved.notified());
            moved.as_mut().enable();
            match &*self.state() {
                State::Starting => {}
                State::Following(_) => return Ok(()),
                State::Ended(error) => return Err(copy(error)),
            }
            moved.await;
        }
    }

    /// Follows until nobody wants it any more.
    async fn follow(&self, log: Arc<dyn ChangeLog>) -> Result<(), Error> {
        let mut stream = log.follow(Since::Now).await?;
        let mut wanted = Instant::now();
        loop {
            // Something comes every second.
            for told in stream.next().await? {
                self.take(told);
            }
            if self.is_ended() {
                return Ok(());
            }
            if self.shares.load(Ordering::Acquire) > 0 {
                wanted = Instant::now();
            } else if wanted.elapsed() > LINGER && self.end_unwanted() {
                return Ok(());
            }
        }
    }

    /// Ends, as all watches do.
    pub(super) fn close(&self) {
        *self.state() = State::Ended(super::ended());
    }

    /// Ends, unless somebody came at the last moment.
    fn end_unwanted(&self) -> bool {
        let mut state = self.state();
        let is_unwanted = self.shares.load(Ordering::Acquire) == 0;
        if is_unwanted {
            *state = State::Ended(super::ended());
        }
        is_unwanted
    }

    fn end(&self, ended: Result<(), Error>) {
        // A storage that is closed under it, once watches have ended, is no failure.
        if let Err(error) = ended
            && !self.is_ended()
        {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the log of changes cannot be followed for watchers"
            );
            *self.state() = State::Ended(for_watchers(error));
        }
        self.told.iter().for_each(Notify::notify_waiters);
        self.moved.notify_waiters();
    }

    fn take(&self, told: Told) {
        match told {
            Told::Begin(begin) => self.begin(begin),
            Told::Commit(commit) => self.push(Heard::Commit(commit)),
            Told::Rewritten { entity: of, place, more } => self.push(Heard::Rewritten { of, place, more }),
            Told::Current { moment, place } => {
                if let State::Following(ring) = &mut *self.state() {
                    ring.reached.place = place;
                    ring.reached.moment = Some(moment);
                }
                self.moved.notify_waiters();
            }
        }
    }

    /// A history begins: the first, or that of another primary, which may not have what was told of the one before.
    fn begin(&self, begin: Begin) {
        let mut state = self.state();
        match &mut *state {
            State::Following(ring) if !begin.contained.contains(ring.reached.place.point) => {
                drop(state);
                self.push(Heard::Rewritten { of: None, place: begin.place, more: false });
            }
            State::Following(_) | State::Ended(_) => {}
            State::Starting => {
                *state = State::Following(Ring::new(self.told.len(), self.max_bytes, begin.place));
                drop(state);
                self.moved.notify_waiters();
            }
        }
    }

    fn push(&self, heard: Heard) {
        let State::Following(ring) = &mut *self.state() else { return };
        ring.push(heard.clone());
        match &heard {
            Heard::Rewritten { of: None, .. } => self.told.iter().for_each(Notify::notify_waiters),
            Heard::Rewritten { of: Some(entity), .. } => self.told(*entity).notify_waiters(),
            Heard::Commit(commit) => {
                let mut last = None;
                for change in &commit.changes {
                    if last.replace(change.entity) != Some(change.entity) {
                        self.told(change.entity).notify_waiters();
                    }
                }
            }
        }
    }
}
