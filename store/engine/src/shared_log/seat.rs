//! What waits for one follower.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kit_core::Error;
use tokio::sync::Notify;

use super::copy;
use super::reach::Reach;
use crate::{Place, Told};

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Seat {
    queue: Mutex<Queue>,
    changed: Notify,
    kept: usize,
}

#[derive(Debug)]
struct Queue {
    /// With their weights.
    items: VecDeque<(Told, usize)>,
    bytes: usize,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Nothing is told to it before the log is between two commits.
    Awaiting,
    Following,
    /// Too much waited: nothing does any more.
    Behind,
    /// The log is not followed any more, for this reason.
    Ended(Error),
}

/// What a follower is told.
#[derive(Debug)]
pub(super) enum Taken {
    Told(Vec<Told>),
    /// It is too far behind.
    Behind,
}

impl Seat {
    /// One that is told a beginning first.
    pub(super) fn awaiting(kept: usize) -> Self {
        let queue = Queue { items: VecDeque::new(), bytes: 0, state: State::Awaiting };
        Self { queue: Mutex::new(queue), changed: Notify::new(), kept }
    }

    /// Begins here, if the log is between two commits.
    pub(super) fn begin(&self, reach: &Reach) {
        let mut queue = self.queue();
        if matches!(queue.state, State::Awaiting) && !reach.is_inside {
            queue.state = State::Following;
            queue.items.push_back((Told::Begin(reach.begin()), 0));
            let current = |moment| (Told::Current { moment, place: reach.place.clone() }, 0);
            queue.items.extend(reach.moment.map(current));
        }
    }

    /// Keeps an item that takes so many bytes, if there is room for it.
    pub(super) fn offer(&self, told: &Told, bytes: usize) {
        let mut queue = self.queue();
        if !matches!(queue.state, State::Following) {
            return;
        }
        if queue.bytes + bytes > self.kept && !queue.items.is_empty() {
            queue.give_up();
            return;
        }
        queue.bytes += bytes;
        queue.items.push_back((told.clone(), bytes));
    }

    pub(super) fn end(&self, why: &Error) {
        let mut queue = self.queue();
        if !matches!(queue.state, State::Behind) {
            queue.state = State::Ended(copy(why));
        }
    }

    /// There may be something.
    pub(super) fn wake(&self) {
        self.changed.notify_one();
    }

    /// Waits for something. Given up half way, nothing is lost.
    ///
    /// # Errors
    /// Why there will be nothing more.
    pub(super) async fn next(&self) -> Result<Taken, Error> {
        loop {
            if let Some(taken) = self.take()? {
                return Ok(taken);
            }
            // A wake that came before is remembered.
            self.changed.notified().await;
        }
    }

    fn take(&self) -> Result<Option<Taken>, Error> {
        let mut queue = self.queue();
        if !queue.items.is_empty() {
            // A beginning is a piece of its own.
            let is_beginning = matches!(queue.items.front(), Some((Told::Begin(_), _)));
            let many = if is_beginning { 1 } else { queue.items.len() };
            return Ok(Some(Taken::Told(queue.draw(many))));
        }
        match &queue.state {
            State::Awaiting | State::Following => Ok(None),
            State::Behind => Ok(Some(Taken::Behind)),
            State::Ended(why) => Err(copy(why)),
        }
    }

    /// Drops everything up to this place of the same log, if that is where something that waits ends.
    pub(super) fn pass(&self, place: &Place) -> bool {
        let mut queue = self.queue();
        let found = queue.items.iter().rposition(|(told, _)| told.end().is_some_and(|end| end.meets(place)));
        found.is_some_and(|at| queue.draw(at + 1).len() > at)
    }

    /// Nothing more will wait here.
    pub(super) fn is_given_up(&self) -> bool {
        matches!(self.queue().state, State::Behind | State::Ended(_))
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// Keeps nothing any more but a beginning that comes first: behind it the follower goes on.
    fn give_up(&mut self) {
        let is_begun = matches!(self.items.front(), Some((Told::Begin(_), _)));
        self.items.truncate(usize::from(is_begun));
        (self.bytes, self.state) = (0, State::Behind);
    }

    /// Takes the first items out.
    fn draw(&mut self, many: usize) -> Vec<Told> {
        let drawn: Vec<(Told, usize)> = self.items.drain(..many).collect();
        self.bytes -= drawn.iter().map(|(_, bytes)| bytes).sum::<usize>();
        drawn.into_iter().map(|(told, _)| told).collect()
    }
}
