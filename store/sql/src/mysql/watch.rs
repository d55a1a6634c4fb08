//! Who waits for a write, and for how long.
//!
//! A write goes on to its end whether or not its caller waits. A caller with a deadline is answered then, whatever the
//! write waits for: a connection, a lock, a server that says nothing. The answer stays true: who is told that nothing was
//! written is told before a commit is sent, and then none is sent; once one was sent, nobody knows.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Instant;

use kit_core::{Applied, Code, Error};
use tokio::time::timeout_at;

/// Nothing happened so far.
const OPEN: u8 = 0;
/// A commit was sent.
const SENT: u8 = 1;
/// The caller was told that nothing was written.
const CLOSED: u8 = 2;

/// Between a write and who waits for it.
pub(super) struct Watch {
    state: AtomicU8,
    deadline: Option<Instant>,
}

/// What a commit that is refused is undone to.
pub(super) struct Before(u8);

impl Watch {
    pub(super) fn until(deadline: Option<Instant>) -> Self {
        Self { state: AtomicU8::new(OPEN), deadline }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Called before a commit is sent. `None` if none may be: its caller was told so.
    pub(super) fn commits(&self) -> Option<Before> {
        match self.state.compare_exchange(OPEN, SENT, Ordering::AcqRel, Ordering::Acquire) {
            Ok(before) => Some(Before(before)),
            Err(SENT) => Some(Before(SENT)),
            Err(_) => None,
        }
    }

    /// The commit did not happen, nor did anything else unless an earlier one may have.
    pub(super) fn undone(&self, before: &Before) {
        // A caller who was told in between that it may have happened was told enough.
        self.state.store(before.0, Ordering::Release);
    }

    /// Waits for the write's answer, up to the deadline.
    pub(super) async fn wait<T>(&self, answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let Some(deadline) = self.deadline else { return answer.await };
        match timeout_at(deadline.into(), answer).await {
            Ok(answer) => answer,
            Err(_) => Err(self.leave()),
        }
    }

    fn leave(&self) -> Error {
        match self.state.compare_exchange(OPEN, CLOSED, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) | Err(CLOSED) => late(),
            Err(_) => unknown(),
        }
    }
}

/// The deadline passed before a commit was sent.
pub(super) fn late() -> Error {
    let message = "the deadline passed before the write could be committed; nothing was written";
    Error::new(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", message)
}

fn unknown() -> Error {
    let message = "the deadline passed while the write was committed; whether it happened is not known: read, or send the \
         request again with the request id it had";
    Error::new(Code::DeadlineExceeded, "COMMIT_UNKNOWN", message).with_applied(Applied::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn soon() -> Watch {
        Watch::until(Some(Instant::now() + Duration::from_millis(5)))
    }

    async fn never(watch: &Watch) -> Error {
        watch.wait(std::future::pending::<Result<(), Error>>()).await.unwrap_err()
    }

    #[tokio::test]
    async fn nothing_is_committed_for_a_caller_who_was_told_so() {
        let watch = soon();
        let error = never(&watch).await;
        assert_eq!((error.reason(), error.applied()), ("DEADLINE_EXCEEDED", Applied::No));
        assert!(watch.commits().is_none());
    }

    #[tokio::test]
    async fn a_commit_that_was_sent_is_not_known() {
        let watch = soon();
        assert!(watch.commits().is_some());
        let error = never(&watch).await;
        assert_eq!((error.reason(), error.applied()), ("COMMIT_UNKNOWN", Applied::Unknown));
        assert!(watch.commits().is_some(), "it is looked up by its request id");
    }

    #[tokio::test]
    async fn a_commit_that_was_refused_did_not_happen_unless_an_earlier_one_may_have() {
        let watch = soon();
        let first = watch.commits().unwrap();
        watch.undone(&first);
        watch.commits().unwrap();
        let third = watch.commits().unwrap();
        watch.undone(&third);
        assert_eq!(never(&watch).await.applied(), Applied::Unknown);
    }

    #[tokio::test]
    async fn who_has_no_deadline_waits() {
        assert!(Watch::until(None).wait(async { Ok(7) }).await.is_ok());
    }
}
