//! What was acknowledged, and how far behind it a read is.
//!
//! Each row has one writer, which counts up. A read that began after a number was acknowledged and shows a lower one is
//! stale, by as long as the number above what it shows had been acknowledged when the read began.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// The writes of one row: numbers that were acknowledged, and when.
#[derive(Default)]
pub(crate) struct History(Mutex<Vec<(u64, Instant)>>);

impl History {
    /// A write was answered.
    pub(crate) fn acknowledged(&self, number: u64) {
        self.lock().push((number, Instant::now()));
    }

    /// Writes that were answered.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// How long what a read shows had been replaced when the read began.
    pub(crate) fn staleness(&self, shown: u64, began: Instant) -> Duration {
        let writes = self.lock();
        let next = writes.partition_point(|(number, _)| *number <= shown);
        writes.get(next).map_or(Duration::ZERO, |(_, acknowledged)| began.saturating_duration_since(*acknowledged))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(u64, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How old a stale read may be before it counts, in the columns of the result.
pub(crate) const BOUNDS: [Duration; 3] = [Duration::ZERO, Duration::from_millis(100), Duration::from_secs(1)];

/// Reads counted by how stale they were.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    pub(crate) reads: u64,
    pub(crate) failed: u64,
    /// Staler than each of [`BOUNDS`].
    pub(crate) stale: [u64; BOUNDS.len()],
    pub(crate) oldest: Duration,
}

impl Tally {
    pub(crate) fn read(&mut self, staleness: Duration) {
        self.reads += 1;
        self.oldest = self.oldest.max(staleness);
        for (count, bound) in self.stale.iter_mut().zip(BOUNDS) {
            *count += u64::from(staleness > bound);
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.reads += other.reads;
        self.failed += other.failed;
        self.oldest = self.oldest.max(other.oldest);
        for (count, others) in self.stale.iter_mut().zip(other.stale) {
            *count += others;
        }
    }

    /// Stale reads per million, by bound.
    pub(crate) fn per_million(&self) -> [f64; BOUNDS.len()] {
        self.stale.map(|count| count as f64 * 1e6 / self.reads.max(1) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_is_as_stale_as_the_next_write_was_old() {
        let history = History::default();
        let before = Instant::now();
        history.acknowledged(1);
        history.acknowledged(3);
        let after = Instant::now();
        assert_eq!(history.staleness(0, before), Duration::ZERO, "it began before the write was answered");
        let later = after + Duration::from_secs(5);
        assert!(history.staleness(0, later) >= Duration::from_secs(5));
        assert!(history.staleness(2, later) >= Duration::from_secs(5), "a write that was not answered may show");
        assert_eq!(history.staleness(3, later), Duration::ZERO);
        let mut tally = Tally::default();
        tally.read(Duration::ZERO);
        tally.read(Duration::from_millis(500));
        assert_eq!((tally.reads, tally.stale), (2, [1, 1, 0]));
        assert_eq!(tally.per_million(), [500_000.0, 500_000.0, 0.0]);
    }
}
