//! Several rows: those that are kept from memory, the others by one read.

use std::sync::Arc;

use kit_core::{Error, Reply};
use rowkeep_engine::{Session, View};
use rowkeep_record::{Key, Record};
use rowkeep_schema::EntityId;
use tokio::sync::oneshot;

use super::Shared;
use super::bring::start;
use crate::counts::Count;
use crate::near::{Held, Kept, Probe, Ticket, Way};
use crate::now;

/// What was found, and what its readers have seen then.
type Found = Result<(Vec<Option<Record>>, rowkeep_engine::Position), Error>;

impl Shared {
    pub(super) fn get_many<'a>(
        self: &'a Arc<Self>,
        entity: EntityId,
        keys: &[Key],
        view: View,
        session: &'a Session,
    ) -> Reply<'a, Result<Vec<Option<Record>>, Error>> {
        let now = now();
        let Some(policy) = self.policy.of(entity).filter(|_| self.admits(session, now)) else {
            return self.past().get_many(entity, keys, view, session);
        };
        let part = policy.part(view);
        let mut rows = Vec::with_capacity(keys.len());
        let mut missing = Vec::new();
        for (at, key) in keys.iter().enumerate() {
            let probe = Probe { entity, part, key };
            rows.push(match self.kept(&probe, view, now) {
                Some(Kept { held: Held::Row(record), fresh, .. }) => self.hit(Some(record), &fresh, session),
                Some(Kept { held: Held::Absent, fresh, .. }) => self.hit(None, &fresh, session),
                _ => {
                    missing.push((at, probe.to_key()));
                    None
                }
            });
        }
        if missing.is_empty() {
            return Reply::ready(Ok(rows));
        }
        let places: Vec<usize> = missing.iter().map(|(at, _)| *at).collect();
        let keys: Vec<Key> = missing.iter().map(|(_, key)| key.key.clone()).collect();
        let tickets = missing.into_iter().map(|(_, key)| self.ticket(key)).collect();
        let (answer, mut answered) = oneshot::channel();
        start(Arc::clone(self).fly_many(entity, keys, tickets, view, answer));
        let put = move |found: Found| {
            let (found, seen) = found?;
            self.heard.saw(session, &seen);
            places.into_iter().zip(found).for_each(|(at, record)| rows[at] = record);
            Ok(rows)
        };
        if let Ok(found) = answered.try_recv() {
            return Reply::ready(put(found));
        }
        Reply::later(async move { put(answered.await.unwrap_or_else(|_| Err(gone()))) })
    }

    /// The lease for a row that several others are read with. Nobody waits here for who has it already: one read for all that
    /// are missing is cheaper than to wait for some of them.
    fn ticket(self: &Arc<Self>, key: crate::near::RowKey) -> Option<Ticket> {
        match self.near.lease(key, |_| false) {
            Way::Lead(ticket) => {
                self.counts.add(Count::Miss);
                Some(ticket)
            }
            Way::Join(_) | Way::Past | Way::Kept => {
                self.counts.add(Count::Bypass);
                None
            }
        }
    }

    /// Reads rows for their leases.
    async fn fly_many(
        self: Arc<Self>,
        entity: EntityId,
        keys: Vec<Key>,
        tickets: Vec<Option<Ticket>>,
        view: View,
        answer: oneshot::Sender<Found>,
    ) {
        let session = self.session_of_a_fill();
        let found = self.rows.get_many(entity, &keys, view, &session).await;
        let seen = self.rows.position().unwrap_or_else(|| session.seen());
        match found {
            Ok(records) => {
                for (ticket, record) in tickets.into_iter().zip(&records) {
                    if let Some(ticket) = ticket {
                        self.keep(ticket, record.clone(), view, &session);
                    }
                }
                // Who asked may have given up.
                let _ = answer.send(Ok((records, seen)));
            }
            Err(error) => {
                let error = Arc::new(error);
                for ticket in tickets.into_iter().flatten() {
                    ticket.fail(&error);
                }
                let _ = answer.send(Err(error.share()));
            }
        }
    }
}

fn gone() -> Error {
    Error::new(kit_core::Code::Unavailable, "SHUTTING_DOWN", "the server is shutting down; try again elsewhere")
}
