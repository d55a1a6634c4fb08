//! Follows the storage's log, and tells the cache.
//!
//! One commit is told in this order, and each step counts: leases that are given from now on ask for the commit, so that what
//! they bring contains it; slots are told of its rows, which drops what lacks it and ends the leases that were given before;
//! readers are told, and whoever has seen the commit may be answered from memory.

use std::sync::Arc;

use rowkeep_engine::{Begin, ChangeLog, Committed, Point, Told};

use super::Shared;
use crate::follow::{Follower, follow};

/// Follows until it is dropped.
pub(super) async fn run(shared: Arc<Shared>, log: Arc<dyn ChangeLog>) {
    follow(&*log, &mut Teller { shared, number: 0, open: None }).await;
}

/// The sender of changes.
struct Teller {
    shared: Arc<Shared>,
    /// Of the last change that was told.
    number: u64,
    /// Of the commit of which parts are missing: whoever has seen it may not be answered from memory before the last.
    open: Option<Point>,
}

impl Follower for Teller {
    fn take(&mut self, told: Told) {
        match told {
            Told::Begin(begin) => self.begin(begin),
            Told::Commit(committed) => self.commit(&committed),
            Told::Rewritten { entity, place } => {
                let number = self.next();
                self.shared.heard.ask(&place);
                self.shared.near.rewrite(entity, number);
                if self.open != Some(place.point) {
                    self.shared.heard.tell(&place);
                }
            }
            Told::Current { moment, place } => {
                self.shared.heard.ask(&place);
                self.shared.heard.tell(&place);
                self.shared.heard.current(moment);
            }
        }
    }

    fn lose(&mut self) {
        self.shared.heard.forget();
        let number = self.next();
        self.shared.near.lose(number);
    }
}

impl Teller {
    fn commit(&mut self, committed: &Committed) {
        let number = self.next();
        let shared = &self.shared;
        shared.heard.ask(&committed.place);
        shared.near.announce(number);
        for change in &committed.changes {
            let Some(policy) = shared.policy.of(change.entity) else { continue };
            for row in change.before.iter().chain(&change.after) {
                policy.keys(row, &mut |key| shared.near.invalidate(&key.probe(), number));
            }
        }
        self.open = committed.more.then_some(committed.place.point);
        if !committed.more {
            shared.heard.tell(&committed.place);
        }
    }

    /// Everything that was kept goes, and what comes is of the new history.
    fn begin(&mut self, begin: Begin) {
        self.open = None;
        self.lose();
        self.shared.heard.begin(begin);
        let number = self.next();
        self.shared.near.begin(number);
    }

    fn next(&mut self) -> u64 {
        self.number += 1;
        self.number
    }
}
