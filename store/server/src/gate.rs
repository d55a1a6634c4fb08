//! Lets requests in, or has them wait while what they need is exchanged.
//!
//! Entering costs an atomic addition to a counter of the worker's own, so workers do not share a cache line. Whoever
//! closes the gate sets the flag and then reads the counters; whoever enters counts and then reads the flag. With
//! sequentially consistent operations at least one of the two sees the other, so nobody is inside whom the closer
//! does not wait for.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

/// How often the closer looks whether everybody has left.
const LOOK: Duration = Duration::from_millis(1);

pub(crate) struct Gate {
    closed: AtomicBool,
    opened: Notify,
    inside: Box<[Inside]>,
}

/// One worker's count, alone on its cache line.
#[derive(Default)]
#[repr(align(128))]
struct Inside(AtomicUsize);

/// A request that is inside; it leaves when this is dropped.
pub(crate) struct Entered<'a>(&'a AtomicUsize);

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Gate {
    pub(crate) fn new(workers: usize) -> Self {
        let inside = (0..workers.max(1)).map(|_| Inside::default()).collect();
        Self { closed: AtomicBool::new(false), opened: Notify::new(), inside }
    }

    /// Enters; waits while the gate is closed. `None` if it stays closed for longer than `patience`.
    pub(crate) async fn enter(&self, worker: usize, patience: Duration) -> Option<Entered<'_>> {
        match self.try_enter(worker) {
            Some(entered) => Some(entered),
            None => timeout(patience, self.wait(worker)).await.ok(),
        }
    }

    #[cold]
    async fn wait(&self, worker: usize) -> Entered<'_> {
        loop {
            let opened = self.opened.notified();
            if let Some(entered) = self.try_enter(worker) {
                return entered;
            }
            opened.await;
        }
    }

    fn try_enter(&self, worker: usize) -> Option<Entered<'_>> {
        let count = &self.inside[worker % self.inside.len()].0;
        count.fetch_add(1, Ordering::SeqCst);
        let entered = Entered(count);
        (!self.closed.load(Ordering::SeqCst)).then_some(entered)
    }

    /// Closes the gate and waits until everybody has left, `bound` at most. Answers how many are still inside.
    pub(crate) async fn close(&self, bound: Duration) -> usize {
        self.closed.store(true, Ordering::SeqCst);
        let until = Instant::now() + bound;
        loop {
            let inside = self.inside.iter().map(|count| count.0.load(Ordering::SeqCst)).sum();
            if inside == 0 || Instant::now() >= until {
                return inside;
            }
            sleep(LOOK).await;
        }
    }

    pub(crate) fn open(&self) {
        self.closed.store(false, Ordering::SeqCst);
        self.opened.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn a_closed_gate_waits_for_those_inside_and_holds_those_outside() {
        let gate = Arc::new(Gate::new(2));
        let inside = gate.enter(0, LONG).await.unwrap();
        let closing = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.close(LONG).await }
        });
        tokio::task::yield_now().await;
        assert!(gate.enter(1, Duration::from_secs(1)).await.is_none(), "the gate is closed");
        assert!(!closing.is_finished(), "somebody is inside");
        drop(inside);
        assert_eq!(closing.await.unwrap(), 0);
        let waiting = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.enter(1, LONG).await.is_some() }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        gate.open();
        assert!(waiting.await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_leave_is_counted_after_the_bound() {
        let gate = Gate::new(1);
        let _inside = gate.enter(0, LONG).await.unwrap();
        assert_eq!(gate.close(Duration::from_secs(5)).await, 1);
    }
}
