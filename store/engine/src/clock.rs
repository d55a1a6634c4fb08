//! Time, and the versions and ids that are made of it.
//!
//! Versions are hybrid: the wall clock in microseconds, but always above the last one given and above the storage's
//! floor. A clock that is set back therefore never makes a version smaller than one that was seen; it only makes
//! versions count on by ones until the clock has caught up.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// The wall clock.
pub trait Clock: Send + Sync + 'static {
    /// Microseconds since 1970.
    fn now_micros(&self) -> i64;
}

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_micros(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    }
}

/// A clock that a test sets.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that stands.
    pub fn at(micros: i64) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(micros)))
    }

    /// Sets it, also back.
    pub fn set(&self, micros: i64) {
        self.0.store(micros, Ordering::SeqCst);
    }

    /// Moves it.
    pub fn advance(&self, micros: i64) {
        self.0.fetch_add(micros, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now_micros(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// Gives versions. See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct Versions {
    last: AtomicU64,
}

impl Versions {
    /// A version above every one given before and above `floor`, at `now` if that is later.
    pub(crate) fn next(&self, now_micros: i64, floor: u64) -> u64 {
        let at_least = u64::try_from(now_micros).unwrap_or(0).max(floor.saturating_add(1));
        advance(&self.last, at_least)
    }

    /// Gives no version up to this one any more: a row that is written twice in one commit (by a request, and by the
    /// delete of what it refers to) is ahead of the commit's own, and the next row with its key must not come to have the
    /// same.
    pub(crate) fn seen(&self, version: u64) {
        self.last.fetch_max(version, Ordering::AcqRel);
    }
}

/// Stores and answers the larger of `at_least` and the last value plus one.
pub(crate) fn advance(last: &AtomicU64, at_least: u64) -> u64 {
    let step = |last: u64| Some(at_least.max(last.saturating_add(1)));
    let before = last.fetch_update(Ordering::AcqRel, Ordering::Acquire, step).unwrap_or_else(|last| last);
    at_least.max(before.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_follow_the_clock_and_never_repeat_when_it_is_set_back() {
        let versions = Versions::default();
        assert_eq!(versions.next(1000, 0), 1000);
        assert_eq!(versions.next(1000, 0), 1001);
        assert_eq!(versions.next(10, 0), 1002);
        assert_eq!(versions.next(5000, 0), 5000);
        assert_eq!(versions.next(5000, 9000), 9001);
        assert_eq!(versions.next(-1, 0), 9002);
    }

    #[test]
    fn a_version_that_was_seen_is_not_given() {
        let versions = Versions::default();
        assert_eq!(versions.next(1000, 0), 1000);
        versions.seen(1001);
        versions.seen(7);
        assert_eq!(versions.next(1000, 0), 1002);
    }
}
