//! What one watcher takes its changes from: the shared follower, or the log itself until it has come up with that.
//!
//! ## How the two meet
//! While a watcher reads the log by itself it knows a place that the shared follower has just told, and from where on the
//! ring has everything. Both are told the same commits in the same order, so once its own reading comes to that place, it
//! goes on with the ring. If it does not come there before the ring has moved on, it looks for another such place.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use kit_core::Error;
use rowkeep_schema::EntityId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::for_watchers;
use super::hub::{Closing, Seat};
use super::ring::{Heard, Next, Reached};
use super::run::{Share, State};
use super::token::Resume;
use crate::shared_log::copy;
use crate::{ChangeLog, ChangeStream, Place, Since, Told};

/// Where a watcher's changes come from.
pub(super) struct Feed {
    share: Share,
    _seat: Seat,
    closing: Arc<Closing>,
    log: Arc<dyn ChangeLog>,
    readers: Arc<Semaphore>,
    entity: EntityId,
    from: From,
    /// How far it has told.
    pub(super) reached: Reached,
    behind: Option<Behind>,
}

enum From {
    /// The ring, from this item on.
    Ring(u64),
    /// The log, from here on, once there is a place at it.
    Waiting(Place),
    Own(Own),
}

/// A reading of the log for one watcher.
struct Own {
    stream: Box<dyn ChangeStream>,
    told: VecDeque<Told>,
    /// A place that the shared follower has told, and where the ring goes on behind it.
    meet: Option<(Place, u64)>,
    _permit: OwnedSemaphorePermit,
}

/// Since when a watcher is not where the others are.
#[derive(Debug, Clone, Copy)]
struct Behind {
    since: Instant,
    /// The age of the first commit it read by itself.
    age: Option<Duration>,
}

impl Feed {
    pub(super) fn new(
        share: Share,
        seat: Seat,
        closing: Arc<Closing>,
        log: Arc<dyn ChangeLog>,
        readers: Arc<Semaphore>,
        entity: EntityId,
        resume: Option<&Resume>,
    ) -> Result<Self, Error> {
        let (from, reached, behind) = match &*share.run.state() {
            State::Following(ring) => match resume {
                // Its first parts are told: how many of its changes are behind the place could not be said.
                None if ring.reached.is_inside => Self::waiting(&ring.reached.place),
                None => (From::Ring(ring.end()), ring.reached.clone(), None),
                Some(resume) => match ring.find(&resume.place) {
                    Some(at) => (From::Ring(at), at_place(&resume.place), None),
                    None => Self::waiting(&resume.place),
                },
            },
            State::Ended(error) => return Err(copy(error)),
            State::Starting => return Err(Error::internal("a watcher came before the log was opened")),
        };
        Ok(Self { share, _seat: seat, closing, log, readers, entity, from, reached, behind })
    }

    fn waiting(place: &Place) -> (From, Reached, Option<Behind>) {
        let behind = Behind { since: Instant::now(), age: None };
        (From::Waiting(place.clone()), at_place(place), Some(behind))
    }

    /// Opens the log where the ring does not reach back, so that a place that is lost is known at the beginning; unless it
    /// takes longer than that to have a turn.
    ///
    /// # Errors
    /// `ABORTED` `CHANGES_LOST`; what the log says.
    pub(super) async fn begin(&mut self, until: Instant) -> Result<(), Error> {
        if matches!(self.from, From::Waiting(_)) {
            self.next(until, true).await?;
        }
        Ok(())
    }

    /// Goes on behind a place by a reading of its own.
    pub(super) fn fall_back(&mut self, place: &Place) {
        (self.from, self.reached, self.behind) = Self::waiting(place);
    }

    /// Whether it has been reading by itself for longer than `patience` and the time it had to make up for.
    pub(super) fn is_too_slow(&self, patience: Duration) -> bool {
        self.behind.is_some_and(|behind| behind.since.elapsed() > patience + behind.age.unwrap_or_default())
    }

    /// Its slowness so far does not count.
    pub(super) fn forgive(&mut self) {
        if self.behind.is_some() {
            self.behind = Some(Behind { since: Instant::now(), age: None });
        }
    }

    /// What comes next, until a moment. `hurried`: that it is farther than before is worth waking up for.
    ///
    /// # Errors
    /// `UNAVAILABLE` when watches are ended; what the log says.
    pub(super) async fn next(&mut self, until: Instant, hurried: bool) -> Result<Step, Error> {
        self.closing.check()?;
        let closing = Arc::clone(&self.closing);
        let mut closed = std::pin::pin!(closing.changed.notified());
        closed.as_mut().enable();
        self.closing.check()?;
        tokio::select! {
            biased;
            () = &mut closed => Err(super::ended()),
            step = self.step(until, hurried) => step,
        }
    }

    async fn step(&mut self, until: Instant, hurried: bool) -> Result<Step, Error> {
        match &mut self.from {
            From::Ring(_) => self.step_ring(until, hurried).await,
            From::Waiting(_) => self.open(until).await,
            From::Own(_) => self.step_own(until).await,
        }
    }

    async fn step_ring(&mut self, until: Instant, hurried: bool) -> Result<Step, Error> {
        let run = Arc::clone(&self.share.run);
        loop {
            let mut told = std::pin::pin!(run.told(self.entity).notified());
            told.as_mut().enable();
            let mut moved = std::pin::pin!(run.moved.notified());
            moved.as_mut().enable();
            if let Some(step) = self.look()? {
                return Ok(step);
            }
            if until <= Instant::now() {
                return Ok(Step::Waited);
            }
            let timer = tokio::time::sleep_until(until.into());
            tokio::select! {
                () = told => {}
                () = moved, if hurried => {}
                () = timer => return Ok(self.look()?.unwrap_or(Step::Waited)),
            }
        }
    }

    /// What the ring has; `None` if there is nothing that was not known.
    fn look(&mut self) -> Result<Option<Step>, Error> {
        let From::Ring(at) = &mut self.from else { return Ok(None) };
        let state = self.share.run.state();
        let ring = match &*state {
            State::Following(ring) => ring,
            State::Starting => return Ok(None),
            State::Ended(error) => return Err(copy(error)),
        };
        Ok(match ring.next(self.entity, at) {
            Next::Item(item) => {
                if let Some(place) = item.place() {
                    self.reached.place = place.clone();
                }
                self.reached.is_inside = item.place().is_none();
                Some(Step::Item(item))
            }
            Next::Dropped => Some(Step::Dropped),
            Next::Nothing => {
                let has_moved = self.reached.moment != ring.reached.moment || self.reached.place != ring.reached.place;
                self.reached = ring.reached.clone();
                has_moved.then_some(Step::Moved)
            }
        })
    }

    async fn open(&mut self, until: Instant) -> Result<Step, Error> {
        let From::Waiting(place) = &self.from else { return Ok(Step::Moved) };
        let place = place.clone();
        let permit = within(until, Arc::clone(&self.readers).acquire_owned()).await;
        let Some(permit) = permit else { return Ok(Step::Waited) };
        let permit = permit.map_err(Error::internal)?;
        let stream = self.log.follow(Since::Place(place)).await.map_err(for_watchers)?;
        let meet = self.meeting();
        self.from = From::Own(Own { stream, told: VecDeque::new(), meet, _permit: permit });
        Ok(Step::Moved)
    }

    /// Where the shared follower is now, if it is between two commits.
    fn meeting(&self) -> Option<(Place, u64)> {
        match &*self.share.run.state() {
            State::Following(ring) if !ring.reached.is_inside => Some((ring.reached.place.clone(), ring.end())),
            _ => None,
        }
    }

    async fn step_own(&mut self, until: Instant) -> Result<Step, Error> {
        let From::Own(own) = &mut self.from else { return Ok(Step::Moved) };
        if own.told.is_empty() {
            // Given up half way, nothing is lost.
            match within(until, own.stream.next()).await {
                Some(told) => own.told.extend(told.map_err(for_watchers)?),
                None => return Ok(Step::Waited),
            }
        }
        let Some(told) = own.told.pop_front() else { return Ok(Step::Moved) };
        Ok(self.take(told))
    }

    fn take(&mut self, told: Told) -> Step {
        let heard = match told {
            Told::Begin(begin) if !begin.contained.contains(self.reached.place.point) => {
                Heard::Rewritten { of: None, place: begin.place, more: false }
            }
            Told::Begin(_) => return Step::Moved,
            Told::Current { moment, place } => {
                self.reached = Reached { place, moment: Some(moment), is_inside: false };
                let met = self.meet();
                if !met {
                    self.arrange();
                }
                return Step::Moved;
            }
            Told::Commit(commit) => {
                self.age(commit.at);
                Heard::Commit(commit)
            }
            Told::Rewritten { entity: of, place, more } => Heard::Rewritten { of, place, more },
        };
        if let Some(place) = heard.place() {
            self.reached.place = place.clone();
        }
        self.reached.is_inside = heard.place().is_none();
        self.meet();
        if heard.is_about(self.entity) { Step::Item(heard) } else { Step::Moved }
    }

    /// Goes on with the ring if this is the place to.
    fn meet(&mut self) -> bool {
        let From::Own(Own { meet: Some((place, at)), .. }) = &self.from else { return false };
        let is_met = place.meets(&self.reached.place) && !self.reached.is_inside;
        if is_met {
            self.from = From::Ring(*at);
            self.behind = None;
        }
        is_met
    }

    /// Another place to meet at: the last one was not come by.
    fn arrange(&mut self) {
        let meeting = self.meeting();
        if let From::Own(own) = &mut self.from {
            own.meet = meeting;
        }
        self.meet();
    }

    fn age(&mut self, at: i64) {
        if let Some(Behind { age: age @ None, .. }) = &mut self.behind {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let at = Duration::from_micros(u64::try_from(at).unwrap_or(0));
            *age = Some(now.saturating_sub(at));
        }
    }
}

/// What is ready until a moment. If that has passed, what is ready at once: a timer takes a millisecond at least.
async fn within<F: Future>(until: Instant, work: F) -> Option<F::Output> {
    let mut work = std::pin::pin!(work);
    if until > Instant::now() {
        return tokio::time::timeout_at(until.into(), work).await.ok();
    }
    std::future::poll_fn(|context| {
        Poll::Ready(match work.as_mut().poll(context) {
            Poll::Ready(done) => Some(done),
            Poll::Pending => None,
        })
    })
    .await
}

/// What a feed has come to.
pub(super) enum Step {
    Item(Heard),
    /// It knows of itself to be farther than before.
    Moved,
    /// Nothing happened until the time was up.
    Waited,
    /// The ring has dropped what would be next.
    Dropped,
}

fn at_place(place: &Place) -> Reached {
    Reached { place: place.clone(), moment: None, is_inside: false }
}
