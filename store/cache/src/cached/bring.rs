//! Reads what is not there, and keeps it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use kit_core::{Error, Reply};
use rowkeep_engine::{Freshness, Session, View};
use rowkeep_record::{Key, Record};
use rowkeep_schema::EntityId;
use tokio::runtime::Handle;

use super::Shared;
use crate::counts::Count;
use crate::near::{Flight, Fresh, Landed, RowKey, Ticket, Way};
use crate::now;

/// How a row is read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Read {
    /// By primary key.
    Row,
    /// By the unique index at this place.
    Lookup(u16),
}

impl Shared {
    /// Brings a row that is not there, or waits for who is bringing it.
    pub(super) fn bring<'a>(
        self: &'a Arc<Self>,
        key: RowKey,
        read: Read,
        view: View,
        session: &'a Session,
    ) -> Reply<'a, Result<Option<Record>, Error>> {
        let wanted = key.key.clone();
        let entity = key.entity;
        let now = now();
        match self.near.lease(key, |kept| kept.suits(view, now)) {
            Way::Kept => match read {
                Read::Row => self.row(entity, &wanted, view, session),
                Read::Lookup(index) => self.lookup(entity, index, &wanted, view, session),
            },
            way => self.travel(way, (entity, &wanted), read, view, session),
        }
    }

    /// The same, whatever is there.
    pub(super) fn bring_anew<'a>(
        self: &'a Arc<Self>,
        key: RowKey,
        read: Read,
        view: View,
        session: &'a Session,
    ) -> Reply<'a, Result<Option<Record>, Error>> {
        let wanted = key.key.clone();
        let entity = key.entity;
        let way = self.near.lease(key, |_| false);
        self.travel(way, (entity, &wanted), read, view, session)
    }

    fn travel<'a>(
        self: &'a Arc<Self>,
        way: Way,
        (entity, wanted): (EntityId, &Key),
        read: Read,
        view: View,
        session: &'a Session,
    ) -> Reply<'a, Result<Option<Record>, Error>> {
        let (flight, patience) = match way {
            Way::Lead(ticket) => {
                let flight = ticket.flight();
                self.counts.add(Count::Miss);
                start(Arc::clone(self).fly(ticket, read, view));
                (flight, None)
            }
            Way::Join(flight) => {
                self.counts.add(Count::Joined);
                (flight, Some(self.options.patience))
            }
            Way::Past | Way::Kept => return self.read(read, entity, wanted, view, session),
        };
        let wanted = wanted.clone();
        if let Some(answer) = flight.landed().and_then(|landed| self.take(landed, view, session)) {
            return Reply::ready(answer);
        }
        Reply::later(async move {
            match self.arrival(&flight, patience, view, session).await {
                Some(answer) => answer,
                None => self.read(read, entity, &wanted, view, session).await,
            }
        })
    }

    /// Waits for a row that is on its way; `None` if that takes too long, or is not what a reader with this view is shown.
    async fn arrival(
        &self,
        flight: &Flight,
        patience: Option<Duration>,
        view: View,
        session: &Session,
    ) -> Option<Result<Option<Record>, Error>> {
        let landed = match patience {
            None => flight.wait().await,
            Some(patience) => tokio::time::timeout(patience, flight.wait()).await.ok()?,
        };
        self.take(landed, view, session)
    }

    /// The answer of a read that somebody made for all who ask.
    fn take(&self, landed: &Landed, view: View, session: &Session) -> Option<Result<Option<Record>, Error>> {
        match landed {
            Landed::Found(record, fresh) if fresh.suits(view) => {
                self.heard.saw(session, &fresh.seen);
                Some(Ok(record.clone()))
            }
            Landed::Failed(error) => Some(Err(error.share())),
            Landed::Found(..) | Landed::Given => None,
        }
    }

    /// Reads a row for a lease.
    async fn fly(self: Arc<Self>, ticket: Ticket, read: Read, view: View) {
        // Made after the lease was given: it asks for all that slots had been told of by then.
        let session = self.session_of_a_fill();
        let RowKey { entity, key, .. } = ticket.key();
        let found = match read {
            Read::Row => self.rows.get(*entity, key, view, &session).await,
            Read::Lookup(index) => self.rows.lookup(*entity, index, key, view, &session).await,
        };
        match found {
            Err(error) => ticket.land(Landed::Failed(error.into())),
            Ok(found) => self.keep(ticket, found, view, &session),
        }
    }

    /// Keeps what was read, if it may be kept, and answers those who wait.
    pub(super) fn keep(&self, ticket: Ticket, found: Option<Record>, view: View, session: &Session) {
        let found = found.map(|record| record.compact());
        let seen = self.rows.position().unwrap_or_else(|| session.seen());
        let mut fresh = Fresh { seen, since: view.now, expires: i64::MAX };
        let key = ticket.key();
        let policy = self.policy.of(key.entity);
        if let Some((policy, (held, expires))) = policy.and_then(|it| Some((it, it.held(key.part, found.as_ref())?))) {
            fresh.expires = expires;
            let until = now() + jittered(policy.ttl, ticket.token());
            if ticket.keep(held, fresh.clone(), until).is_err() {
                self.counts.add(Count::Refused);
            }
        }
        ticket.land(Landed::Found(found, fresh));
    }

    /// The session of a read whose answer is kept: from the primary, or from a copy that contains what slots were told of.
    pub(super) fn session_of_a_fill(&self) -> Session {
        match self.heard.asked() {
            Some(asked) if self.rows.capabilities().replicas => Session::new(Freshness::Session, asked),
            _ => Session::strong(),
        }
    }

    /// Reads past the cache.
    fn read<'a>(
        &'a self,
        read: Read,
        entity: EntityId,
        key: &Key,
        view: View,
        session: &'a Session,
    ) -> Reply<'a, Result<Option<Record>, Error>> {
        match read {
            Read::Row => self.past().get(entity, key, view, session),
            Read::Lookup(index) => self.past().lookup(entity, index, key, view, session),
        }
    }
}

/// Runs what its caller may give up on: to its end at once, if nothing has to be waited for, else in a task of its own.
pub(crate) fn start(work: impl Future<Output = ()> + Send + 'static) {
    let mut work: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(work);
    // Whoever polls it next leaves a waker of their own.
    if work.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
        return;
    }
    // On the runtime of who asks, where the storage may have its connections. Without one nobody could have waited.
    if let Ok(runtime) = Handle::try_current() {
        drop(runtime.spawn(work));
    }
}

/// Up to a tenth less, so that what came together does not go together.
pub(crate) fn jittered(ttl: Duration, token: u64) -> Duration {
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
    let tenth = ttl / 10;
    let share = (token.wrapping_mul(GOLDEN) >> 32) as u32;
    ttl - Duration::from_secs_f64(tenth.as_secs_f64() * f64::from(share) / f64::from(u32::MAX))
}
