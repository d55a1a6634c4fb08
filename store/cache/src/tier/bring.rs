//! Reads what is not in the server, for the lease of one process among all, and puts it there.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kit_core::{Code, Error};
use rowkeep_engine::{Freshness, Point, Position, Session, View};
use rowkeep_record::Record;
use tokio::time::{Instant, sleep, timeout};

use super::Shared;
use super::entry::Found;
use super::flights::{Lead, Way};
use super::link::generation;
use super::read::{Looked, Slot};
use crate::cached::{Read, jittered, start};
use crate::counts::Count;
use crate::near::{Fresh, Held, Landed, RowKey};
use crate::now;
use crate::remote::{Entry, Horizon, Leased};

/// How long a lease is another process's to wait for. A read of the storage takes less, or is given up.
const LEASE: Duration = Duration::from_secs(1);
/// Between two looks at a row that another process brings.
const LOOKS: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));
/// Entries of more bytes are not kept: they would hold up whoever asks the server next.
const MOST_BYTES: usize = 1 << 20;

/// A lease, and what brings the row may lack.
pub(super) struct Lease {
    slot: Slot,
    token: u128,
    horizon: Horizon,
}

/// One of those that may be under way at a time.
pub(super) struct Place(Arc<Shared>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fills.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What became of the wish for a lease.
enum Wish {
    Given(Lease),
    Found(Found),
    Past,
}

impl Shared {
    /// Brings a row, or waits for who is bringing it. `None`: the slot is to be looked at again, as nobody brings the row any
    /// more, or not in time, or another process brought a pointer.
    pub(super) async fn bring(
        self: &Arc<Self>,
        slot: Slot,
        key: &RowKey,
        read: Read,
        view: View,
        session: &Session,
    ) -> Option<Result<Option<Record>, Error>> {
        match self.flights.board(key) {
            Way::Lead(lead) => self.lead(lead, slot, key, read, view, session).await,
            Way::Join(flight) => {
                self.counts.add(Count::Joined);
                // Longer than who leads waits for another process, and then reads for all.
                match timeout(self.options.patience * 2, flight.wait()).await {
                    Ok(landed) => self.take(landed, key, read, view, session).await,
                    Err(_) => {
                        self.flights.leave(key, &flight);
                        None
                    }
                }
            }
        }
    }

    /// Brings a row for all of this process who ask for it.
    async fn lead(
        self: &Arc<Self>,
        lead: Lead,
        mut slot: Slot,
        key: &RowKey,
        read: Read,
        view: View,
        session: &Session,
    ) -> Option<Result<Option<Record>, Error>> {
        // Whoever joins may have been told more than this reader had been when it looked.
        let (joined, place) = (self.keepers[slot.shard].link.joined(), self.place());
        let wish = match joined.filter(|_| place.is_some()) {
            Some(joined) => {
                slot.joined = joined;
                self.wish(slot, view, self.options.patience).await
            }
            None => Wish::Past,
        };
        let lease = match wish {
            Wish::Given(lease) => place.map(|place| (lease, place)),
            Wish::Past => {
                self.counts.add(Count::Bypass);
                None
            }
            Wish::Found(found) => {
                let record = match &found.held {
                    Held::Row(record) => Some(record.clone()),
                    Held::Absent => None,
                    Held::Pointer(..) => return None,
                };
                lead.land(Landed::Found(record, found.fresh.clone()));
                return Some(Ok(self.hit(key, found, session)));
            }
        };
        let (flight, has_lease) = (lead.flight(), lease.is_some());
        let fly = Arc::clone(self).fly(lead, lease, key.clone(), read, view);
        if has_lease {
            start(fly);
        } else {
            // Nothing is lost if its reader gives up: another one of those who wait begins anew.
            Box::pin(fly).await;
        }
        match flight.wait().await {
            Landed::Given => Some(Err(gone())),
            landed => self.take(landed, key, read, view, session).await,
        }
    }

    /// The answer of a flight, if it is what a reader with this view is shown.
    async fn take(
        &self,
        landed: &Landed,
        key: &RowKey,
        read: Read,
        view: View,
        session: &Session,
    ) -> Option<Result<Option<Record>, Error>> {
        match landed {
            Landed::Found(record, fresh) if fresh.suits(view) => {
                self.heard.saw(session, &fresh.seen);
                Some(Ok(record.clone()))
            }
            Landed::Failed(error) => Some(Err(error.share())),
            Landed::Found(..) => Some(self.read_past(key, read, view, session).await),
            Landed::Given => None,
        }
    }

    /// A place among those who bring rows, if there is one.
    pub(super) fn place(self: &Arc<Self>) -> Option<Place> {
        if self.fills.fetch_add(1, Ordering::AcqRel) >= self.options.max_fills {
            self.fills.fetch_sub(1, Ordering::AcqRel);
            return None;
        }
        Some(Place(Arc::clone(self)))
    }

    /// Gets the lease, or what somebody else brings in this time.
    async fn wish(&self, mut slot: Slot, view: View, patience: Duration) -> Wish {
        let (token, until, mut pause) = (rand::random(), Instant::now() + patience, LOOKS.0);
        let mut has_waited = false;
        loop {
            let asked = now();
            let leased = self.remote.lease(slot.shard, slot.name.clone(), token, LEASE).await;
            self.timed(asked, &leased);
            match leased {
                Ok(Leased::Given(horizon)) if slot.joined.is(&horizon) => {
                    self.counts.add(Count::Miss);
                    return Wish::Given(Lease { slot, token, horizon });
                }
                Ok(Leased::Filled(horizon, entry)) if slot.joined.is(&horizon) => {
                    match self.found(slot, &horizon, Some(entry), view) {
                        Looked::Found(found) => return Wish::Found(found),
                        // It was dropped since, as far as this process knows.
                        Looked::Missing(again) if Instant::now() < until => slot = again,
                        Looked::Missing(_) | Looked::Past => return Wish::Past,
                    }
                }
                Ok(Leased::Given(_) | Leased::Filled(..) | Leased::Untold) => {
                    self.doubt(&slot);
                    return Wish::Past;
                }
                Ok(Leased::Awaited) if Instant::now() < until => {}
                Ok(Leased::Awaited) | Err(_) => return Wish::Past,
            }
            if !std::mem::replace(&mut has_waited, true) {
                self.counts.add(Count::Joined);
            }
            sleep(pause).await;
            pause = (pause * 2).min(LOOKS.1);
            // What was told meanwhile has to be in what is found now.
            match self.keepers[slot.shard].link.joined() {
                Some(joined) => slot.joined = joined,
                None => return Wish::Past,
            }
        }
    }

    /// A lease, if it is to be had at once.
    pub(super) async fn lease(&self, slot: Slot, view: View) -> Option<Lease> {
        match self.wish(slot, view, Duration::ZERO).await {
            Wish::Given(lease) => Some(lease),
            Wish::Found(_) | Wish::Past => None,
        }
    }

    /// Reads a row for its lease, answers who asked, and puts it in. Without a lease it is only answered.
    async fn fly(self: Arc<Self>, lead: Lead, lease: Option<(Lease, Place)>, key: RowKey, read: Read, view: View) {
        let leases: Vec<&Lease> = lease.iter().map(|(lease, _)| lease).collect();
        let session = self.session_of(&leases);
        let found = match read {
            Read::Row => self.rows.get(key.entity, &key.key, view, &session).await,
            Read::Lookup(index) => self.rows.lookup(key.entity, index, &key.key, view, &session).await,
        };
        match found {
            Ok(found) => {
                let seen = self.rows.position().unwrap_or_else(|| session.seen());
                let (held, fresh) = self.found_for(&key, found.as_ref(), seen, view);
                lead.land(Landed::Found(found, fresh.clone()));
                // Who comes meanwhile takes the same.
                if let Some((lease, _place)) = lease {
                    self.fill(lease, &key, held, fresh).await;
                }
            }
            Err(error) => {
                lead.land(Landed::Failed(error.into()));
                // Who comes from now on tries again, and others need not wait for the lease.
                drop(lead);
                if lease.is_some() {
                    self.empty(&[key]).await;
                }
            }
        }
    }

    /// What may be kept of what was read, and for whom it will do.
    pub(super) fn found_for(
        &self,
        key: &RowKey,
        found: Option<&Record>,
        seen: Position,
        view: View,
    ) -> (Option<Held>, Fresh) {
        let held = self.policy.of(key.entity).and_then(|policy| policy.held(key.part, found));
        let (held, expires) = held.map_or((None, i64::MAX), |(held, expires)| (Some(held), expires));
        (held, Fresh { seen, since: view.now, expires })
    }

    /// Puts what was read for a lease in its slot, if it may be kept.
    pub(super) async fn fill(&self, lease: Lease, key: &RowKey, held: Option<Held>, fresh: Fresh) {
        let Some(policy) = self.policy.of(key.entity) else { return };
        let (since, expires) = (fresh.since, fresh.expires);
        let kept = held.and_then(|held| Found { held, fresh }.encode().filter(|value| value.len() <= MOST_BYTES));
        let Lease { slot, token, horizon } = lease;
        let Some(value) = kept else { return self.empty(std::slice::from_ref(key)).await };
        #[expect(clippy::cast_possible_truncation, reason = "any bits of a random number will do")]
        let time = jittered(policy.ttl, token as u64).min(until(expires, since));
        let entry = Entry { incarnation: horizon.incarnation, generation: generation(&horizon, &slot.name), value };
        let asked = now();
        let filled = self.remote.fill(slot.shard, slot.name, token, entry, time).await;
        self.timed(asked, &filled);
        if filled == Ok(false) {
            self.counts.add(Count::Refused);
        }
    }

    /// The session of a read for leases: from the primary, or from a copy that contains what the shards and this process's
    /// readers were told.
    pub(super) fn session_of(&self, leases: &[&Lease]) -> Session {
        let Some(asked) = self.heard.asked().filter(|_| self.rows.capabilities().replicas) else {
            return Session::strong();
        };
        let mut points: Vec<Point> = asked.points().to_vec();
        for lease in leases {
            let told = lease.horizon.told.position();
            let further: Vec<Point> = told.points().iter().filter(|point| !points.contains(point)).copied().collect();
            points.extend(further);
        }
        Session::new(Freshness::Session, Position::of(&points))
    }
}

/// From one time to another, in microseconds; a moment if it has come.
fn until(expires: i64, now: i64) -> Duration {
    let micros = u64::try_from(expires.saturating_sub(now)).unwrap_or(0);
    Duration::from_micros(micros).max(Duration::from_millis(1))
}

pub(super) fn gone() -> Error {
    Error::new(Code::Unavailable, "SHUTTING_DOWN", "the server is shutting down; try again elsewhere")
}
