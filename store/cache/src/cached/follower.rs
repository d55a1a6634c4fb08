//! Follows the storage's log, and tells the cache.
//!
//! One commit is told in this order, and each step counts: leases that are given from now on ask for the commit, so that what
//! they bring contains it; slots are told of its rows, which drops what lacks it and ends the leases that were given before;
//! readers are told, and whoever has seen the commit may be answered from memory.

use std::sync::Arc;
use std::time::Duration;

use kit_core::Error;
use rowkeep_engine::{Begin, ChangeLog, ChangeStream, Committed, Since, Told};
use tokio::time::sleep;

use super::Shared;

/// Between two attempts.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(2);

/// Follows until it is dropped.
pub(super) async fn run(shared: Arc<Shared>, log: Arc<dyn ChangeLog>) {
    let mut follower = Follower { shared, number: 0 };
    let mut pause = FIRST_PAUSE;
    loop {
        let number = follower.number;
        let Err(error) = follower.follow(&*log).await;
        tracing::warn!(%error, reason = error.reason(), "the log of changes is not followed; the cache is passed by meanwhile");
        if error.reason() == "CHANGES_LOST" {
            follower.lose();
        }
        pause = if follower.number > number { FIRST_PAUSE } else { (pause * 2).min(LAST_PAUSE) };
        sleep(pause).await;
    }
}

/// The sender of changes.
struct Follower {
    shared: Arc<Shared>,
    /// Of the last change that was told.
    number: u64,
}

impl Follower {
    async fn follow(&mut self, log: &dyn ChangeLog) -> Result<std::convert::Infallible, Error> {
        // Wherever it begins, nothing is kept from before.
        let mut stream = log.follow(Since::Now).await?;
        loop {
            self.take(&mut *stream).await?;
        }
    }

    async fn take(&mut self, stream: &mut dyn ChangeStream) -> Result<(), Error> {
        for told in stream.next().await? {
            match told {
                Told::Begin(begin) => self.begin(begin),
                Told::Commit(committed) => self.commit(&committed),
                Told::Rewritten { entity, place } => {
                    let number = self.next();
                    self.shared.heard.ask(place.point);
                    self.shared.near.rewrite(entity, number);
                    self.shared.heard.tell(place.point);
                }
                Told::Current { moment, place } => {
                    self.shared.heard.ask(place.point);
                    self.shared.heard.tell(place.point);
                    self.shared.heard.current(moment);
                }
            }
        }
        Ok(())
    }

    fn commit(&mut self, committed: &Committed) {
        let number = self.next();
        let shared = &self.shared;
        shared.heard.ask(committed.place.point);
        shared.near.announce(number);
        for change in &committed.changes {
            let Some(policy) = shared.policy.of(change.entity) else { continue };
            for row in change.before.iter().chain(&change.after) {
                policy.keys(row, &mut |key| shared.near.invalidate(&key.probe(), number));
            }
        }
        if !committed.more {
            shared.heard.tell(committed.place.point);
        }
    }

    /// Everything that was kept goes, and what comes is of the new history.
    fn begin(&mut self, begin: Begin) {
        self.lose();
        self.shared.heard.begin(begin);
        let number = self.next();
        self.shared.near.begin(number);
    }

    fn lose(&mut self) {
        self.shared.heard.forget();
        let number = self.next();
        self.shared.near.lose(number);
    }

    fn next(&mut self) -> u64 {
        self.number += 1;
        self.number
    }
}
