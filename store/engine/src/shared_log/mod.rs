//! One following of a log for all who follow it from now on.
//!
//! What following costs a storage (of MySQL and MariaDB two connections to the primary) is paid once: a [`SharedLog`] follows
//! the other log from the first follower until none is left, and hands what it is told to each. Items are shared, not copied.
//!
//! ## Who comes later
//! is told a [beginning](crate::Begin) of its own: behind all that was told so far, and so behind nothing that a read may not show yet.
//! Between two parts of one commit nobody begins; the commit could be seen before its first part was told, so that who comes
//! then begins behind its last one.
//!
//! ## Who is slow
//! holds up nobody. For each follower no more than [`KEPT`] bytes are kept; whoever falls further behind goes on alone, by a
//! following of its own behind what it has taken, and comes back once it is where the others were told to be. Whoever begins at
//! a [`Place`](crate::Place) is such a one from the beginning: nothing is kept for those who may come.
//!
//! ## Order
//! Each follower is told everything in the log's order. Which of two is told first is left open: who follows derives from the
//! log alone, never from what another follower has made of it.

mod reach;
mod run;
mod seat;
mod stream;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};

use kit_core::{Code, Error, Reply};
use tokio::runtime::Handle;

use crate::{ChangeLog, ChangeStream, Since};
use run::Run;
use seat::Seat;
use stream::Stream;

/// Bytes of items that may wait for one follower.
pub(crate) const KEPT: usize = 16 << 20;

/// A log of changes that follows another one once, for all who follow it from now on. A slow follower holds up nobody: it is
/// told by a following of its own, begins anew there ([`Told::Begin`](crate::Told::Begin)) and misses nothing.
#[derive(Clone)]
pub struct SharedLog {
    log: Arc<dyn ChangeLog>,
    runtime: Handle,
    kept: usize,
    run: Arc<Mutex<Arc<Run>>>,
}

impl SharedLog {
    /// Shares a log. It is followed on this runtime.
    pub fn new(log: Arc<dyn ChangeLog>, runtime: &Handle) -> Self {
        Self::keeping(log, runtime, KEPT)
    }

    fn keeping(log: Arc<dyn ChangeLog>, runtime: &Handle, kept: usize) -> Self {
        let nobody = Arc::new(Run::ended(nobody_followed()));
        Self { log, runtime: runtime.clone(), kept, run: Arc::new(Mutex::new(nobody)) }
    }

    /// A seat in the run that is under way, or in a new one.
    fn join(&self) -> (Arc<Run>, Arc<Seat>) {
        let mut current = self.run.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(seat) = current.join(self.kept) {
            return (Arc::clone(&current), seat);
        }
        let (run, seat) = Run::start(Arc::clone(&self.log), &self.runtime, self.kept);
        *current = Arc::clone(&run);
        (run, seat)
    }

    /// A seat in the run that is under way, if there is one.
    fn meet(&self) -> Option<Arc<Seat>> {
        self.run.lock().unwrap_or_else(PoisonError::into_inner).join(self.kept)
    }
}

impl ChangeLog for SharedLog {
    fn follow(&self, since: Since) -> Reply<'static, Result<Box<dyn ChangeStream>, Error>> {
        let shared = self.clone();
        Reply::later(async move {
            let stream = match since {
                Since::Now => {
                    let (run, seat) = shared.join();
                    run.opened().await?;
                    Stream::together(shared, seat)
                }
                Since::Place(place) => {
                    let alone = shared.log.follow(Since::Place(place)).await?;
                    Stream::alone(shared, alone)
                }
            };
            Ok(Box::new(stream) as Box<dyn ChangeStream>)
        })
    }
}

fn nobody_followed() -> Error {
    Error::new(Code::Unavailable, "LOG_NOT_FOLLOWED", "the log of changes is not followed any more; follow it again")
}

/// The same failure for another follower.
pub(crate) fn copy(error: &Error) -> Error {
    let same =
        Error::new(error.code(), error.reason(), error.message().to_owned()).with_http_status(error.http_status());
    match error.retry_after() {
        Some(delay) => same.with_retry_after(delay),
        None => same,
    }
}
