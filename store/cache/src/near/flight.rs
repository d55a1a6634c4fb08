//! A row on its way, and those who wait for it.

use std::sync::OnceLock;

use kit_core::{Code, Error};
use rowkeep_record::Record;
use tokio::sync::Notify;

use super::kept::Fresh;

/// One read of the storage that several wait for.
#[derive(Debug, Default)]
pub(crate) struct Flight {
    landed: OnceLock<Landed>,
    arrived: Notify,
}

/// How it ended.
#[derive(Debug, Clone)]
pub(crate) enum Landed {
    /// The row, or that there is none.
    Found(Option<Record>, Fresh),
    /// What the storage said.
    Failed(Failed),
    /// Nobody brings it any more.
    Given,
}

/// An error, for more than one.
#[derive(Debug, Clone)]
pub(crate) struct Failed {
    code: Code,
    reason: &'static str,
    message: String,
    retry_after: Option<std::time::Duration>,
}

impl Flight {
    /// Tells all who wait. The first word counts.
    pub(crate) fn land(&self, landed: Landed) {
        let _ = self.landed.set(landed);
        self.arrived.notify_waiters();
    }

    /// How it ended, if it has.
    pub(crate) fn landed(&self) -> Option<&Landed> {
        self.landed.get()
    }

    /// Waits for its end.
    pub(crate) async fn wait(&self) -> &Landed {
        loop {
            // Made before looking: who lands in between wakes it.
            let arrived = self.arrived.notified();
            if let Some(landed) = self.landed.get() {
                return landed;
            }
            arrived.await;
        }
    }
}

impl From<&Error> for Failed {
    fn from(error: &Error) -> Self {
        Self {
            code: error.code(),
            reason: error.reason(),
            message: error.message().to_owned(),
            retry_after: error.retry_after(),
        }
    }
}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Self {
        let error = Self::new(failed.code, failed.reason, failed.message);
        match failed.retry_after {
            Some(delay) => error.with_retry_after(delay),
            None => error,
        }
    }
}
