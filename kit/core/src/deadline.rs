//! When an answer stops being of use.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use crate::{Code, Error};

/// The moment after which nobody waits for the answer any more; or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// The caller waits for ever.
    pub const NONE: Self = Self(None);

    /// `timeout` from now. A timeout past what the clock can hold is none.
    pub fn after(timeout: Duration) -> Self {
        Self(Instant::now().checked_add(timeout))
    }

    /// At a moment.
    pub fn at(moment: Instant) -> Self {
        Self(Some(moment))
    }

    /// The moment.
    pub fn instant(self) -> Option<Instant> {
        self.0
    }

    /// The earlier of two.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        match (self.0, other.0) {
            (Some(a), Some(b)) => Self(Some(a.min(b))),
            (a, b) => Self(a.or(b)),
        }
    }

    /// Time left; `None` without a deadline, zero when it passed.
    pub fn remaining(self) -> Option<Duration> {
        self.0.map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// Whether it passed.
    pub fn is_expired(self) -> bool {
        self.0.is_some_and(|at| at <= Instant::now())
    }

    /// `DEADLINE_EXCEEDED` if it passed.
    ///
    /// # Errors
    /// When it passed.
    pub fn check(self) -> Result<(), Error> {
        if self.is_expired() { Err(exceeded()) } else { Ok(()) }
    }

    /// Awaits `work` until the deadline. The clock is armed only when the work is not ready at once.
    ///
    /// # Errors
    /// `DEADLINE_EXCEEDED` when the deadline passes first; the work is dropped then.
    pub async fn run<F: Future>(self, work: F) -> Result<F::Output, Error> {
        let mut work = pin!(work);
        if let Poll::Ready(done) = poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await {
            return Ok(done);
        }
        match self.0 {
            None => Ok(work.await),
            Some(at) => tokio::time::timeout_at(at.into(), work).await.map_err(|_| exceeded()),
        }
    }
}

fn exceeded() -> Error {
    Error::new(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", "the deadline passed before the answer was ready")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn work_that_takes_longer_is_given_up() {
        let deadline = Deadline::at(tokio::time::Instant::now().into_std() + Duration::from_millis(50));
        let error = deadline.run(tokio::time::sleep(Duration::from_secs(5))).await.unwrap_err();
        assert_eq!(error.code(), Code::DeadlineExceeded);
    }

    #[tokio::test]
    async fn work_that_is_ready_needs_no_clock_even_past_the_deadline() {
        let past = Deadline::after(Duration::ZERO);
        assert_eq!(past.run(async { 7 }).await.unwrap(), 7);
        assert!(past.check().is_err());
    }

    #[test]
    fn the_earlier_deadline_wins_and_none_is_later_than_any() {
        let now = Instant::now();
        let (soon, late) = (Deadline::at(now), Deadline::at(now + Duration::from_secs(1)));
        assert_eq!(soon.min(late), soon);
        assert_eq!(Deadline::NONE.min(late), late);
        assert_eq!(late.min(Deadline::NONE), late);
        assert_eq!(Deadline::after(Duration::MAX), Deadline::NONE);
    }
}
