//! Follows the storage's log, and tells the cache.
//!
//! One commit is told in this order, and each step counts: leases that are given from now on ask for the commit, so that what
//! they bring contains it; slots are told of its rows, which drops what lacks it, or [puts what is told in its
//! place](crate::Has), and ends the leases that were given before; readers are told, and whoever has seen the commit may be
//! answered from memory.

use std::sync::Arc;

use rowkeep_engine::{Begin, ChangeLog, Committed, Place, Stored, Told};

use super::{Shared, jittered};
use crate::follow::{Follower, follow};
use crate::near::{Fresh, Held, Renewed};
use crate::now;
use crate::policy::EntityPolicy;

/// Changes of one commit that are looked through for others of the same row.
const FEW: usize = 32;

/// Follows until it is dropped.
pub(super) async fn run(shared: Arc<Shared>, log: Arc<dyn ChangeLog>) {
    follow(&*log, &mut Teller { shared, number: 0, inside: false }).await;
}

impl Shared {
    /// An entry of a row as it is told; `None` if it cannot be said how far its reader has seen.
    fn renewed(&self, policy: &EntityPolicy, row: &Stored, number: u64) -> Option<Renewed> {
        let record = policy.codec.encode(&row.values, row.version).ok()?;
        // All that was told, and this commit, which slots are being told of.
        let fresh = Fresh { seen: self.heard.asked()?, since: 0, expires: i64::MAX };
        Some((Held::Row(record), fresh, now() + jittered(policy.ttl, number)))
    }
}

/// The sender of changes.
struct Teller {
    shared: Arc<Shared>,
    /// Of the last change that was told.
    number: u64,
    /// Parts of a commit were told, and more follow.
    inside: bool,
}

impl Follower for Teller {
    fn take(&mut self, told: Told) {
        match told {
            Told::Begin(begin) => self.begin(begin),
            Told::Commit(committed) => self.commit(&committed),
            Told::Rewritten { entity, place, more } => {
                let number = self.next();
                self.shared.heard.ask(&place);
                self.shared.near.rewrite(entity, number);
                self.reach(&place, more);
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
        // Rows as they were between two changes of one commit were never to be seen.
        let is_whole = !committed.more && !self.inside && committed.changes.len() <= FEW;
        for (at, change) in committed.changes.iter().enumerate() {
            let Some(policy) = shared.policy.of(change.entity) else { continue };
            let renewed = if is_whole { policy.renewed(change) } else { None };
            let renewed =
                renewed.filter(|(key, _)| !committed.changes[at + 1..].iter().any(|later| policy.is_of(later, key)));
            let rows = change.before.iter().chain(&change.after);
            let Some((key, row)) = renewed else {
                rows.for_each(|row| policy.keys(row, &mut |key| shared.near.invalidate(&key.probe(), number)));
                continue;
            };
            policy.row_keys(&key, &mut |key| {
                shared.near.renew(&key.probe(), number, row.version, || shared.renewed(policy, row, number));
            });
            rows.for_each(|row| policy.index_keys(row, &mut |key| shared.near.invalidate(&key.probe(), number)));
        }
        self.reach(&committed.place, committed.more);
    }

    /// A part of a commit was told. Whoever has seen the commit may not be answered from memory before the last was.
    fn reach(&mut self, place: &Place, more: bool) {
        self.inside = more;
        if !more {
            self.shared.heard.tell(place);
        }
    }

    /// Everything that was kept goes, and what comes is of the new history.
    fn begin(&mut self, begin: Begin) {
        self.inside = false;
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
