//! Whether what was sent is being answered.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::time::sleep;

/// A lane that has not been answered for so long is held up by a read.
const STALL: Duration = Duration::from_millis(50);

/// Whether a lane gets on.
pub(super) struct Pace {
    epoch: Instant,
    /// Milliseconds from `epoch` to the last answer, or to the beginning of what is not answered; 0: nothing is waited for.
    last: AtomicU64,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { epoch: Instant::now(), last: AtomicU64::new(0) }
    }

    /// Something was sent or answered.
    pub(super) fn step(&self) {
        self.last.store(self.now(), Ordering::Release);
    }

    /// Nothing is waited for.
    pub(super) fn rest(&self) {
        self.last.store(0, Ordering::Release);
    }

    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX).max(1)
    }

    /// Whether there was no answer for long.
    pub(super) fn is_stalled(&self) -> bool {
        let last = self.last.load(Ordering::Acquire);
        last > 0 && u128::from(self.now().saturating_sub(last)) > STALL.as_millis()
    }

    /// Ends when there was no answer for long, and somebody is held up by that.
    pub(super) async fn stalled(&self, holds_up: impl Fn() -> bool) {
        loop {
            let last = self.last.load(Ordering::Acquire);
            sleep(STALL).await;
            if last > 0 && self.last.load(Ordering::Acquire) == last && holds_up() {
                return;
            }
        }
    }
}
