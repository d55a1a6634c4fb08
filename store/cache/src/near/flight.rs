//! A row on its way, and those who wait for it.

use std::sync::{Arc, OnceLock};

use kit_core::Error;
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
    Failed(Arc<Error>),
    /// Nobody brings it any more.
    Given,
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
