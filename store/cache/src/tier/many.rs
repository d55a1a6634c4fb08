//! Several rows: those that the shards have from there, the others by one read.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use kit_core::Error;
use rowkeep_engine::{Position, Session, View};
use rowkeep_record::{Key, Record};
use rowkeep_schema::EntityId;
use tokio::sync::oneshot;

use super::Shared;
use super::bring::{Lease, Place, gone};
use super::entry::name;
use super::read::{Looked, Slot};
use crate::cached::start;
use crate::counts::Count;
use crate::near::RowKey;
use crate::now;
use crate::remote::{Looked as Answer, Name};

/// A row that is read for the others: where it is among those asked, and the lease for it.
struct Missing {
    at: usize,
    key: RowKey,
    lease: Option<(Lease, Place)>,
}

/// What was read, and what its readers have seen then.
type Brought = Result<(Vec<Option<Record>>, Position), Error>;

impl Shared {
    pub(super) async fn find_many(
        self: &Arc<Self>,
        entity: EntityId,
        keys: Vec<RowKey>,
        view: View,
        session: &Session,
    ) -> Result<Vec<Option<Record>>, Error> {
        let mut rows = vec![None; keys.len()];
        let looked = self.look_many(&keys, view).await;
        let mut missing = Vec::new();
        for ((at, key), looked) in keys.into_iter().enumerate().zip(looked) {
            match looked {
                Looked::Found(found) => rows[at] = self.hit(&key, found, session),
                Looked::Missing(slot) => missing.push((at, key, Some(slot))),
                Looked::Past => missing.push((at, key, None)),
            }
        }
        if missing.is_empty() {
            return Ok(rows);
        }
        let wishes = missing.into_iter().map(|(at, key, slot)| async move {
            let lease = match slot.and_then(|slot| Some((slot, self.place()?))) {
                Some((slot, place)) => self.lease(slot, view).await.map(|lease| (lease, place)),
                None => None,
            };
            if lease.is_none() {
                self.counts.add(Count::Bypass);
            }
            Missing { at, key, lease }
        });
        let missing = all(wishes).await;
        let places: Vec<usize> = missing.iter().map(|missing| missing.at).collect();
        let (answer, answered) = oneshot::channel();
        // Who waits may give up; the leases are for others as well.
        start(Arc::clone(self).fly_many(entity, missing, view, session.seen(), session.freshness(), answer));
        let (found, seen) = answered.await.unwrap_or_else(|_| Err(gone()))?;
        self.heard.saw(session, &seen);
        places.into_iter().zip(found).for_each(|(at, record)| rows[at] = record);
        Ok(rows)
    }

    /// Asks every shard once.
    async fn look_many(&self, keys: &[RowKey], view: View) -> Vec<Looked> {
        let mut shards: HashMap<usize, Vec<(usize, Name)>> = HashMap::new();
        for (at, key) in keys.iter().enumerate() {
            let (shard, name) = name(key, self.keepers.len());
            shards.entry(shard).or_default().push((at, name));
        }
        let asked = all(shards.into_iter().map(|(shard, names)| self.look_at(shard, names, view))).await;
        let mut looked: Vec<Looked> = keys.iter().map(|_| Looked::Past).collect();
        for (at, answer) in asked.into_iter().flatten() {
            looked[at] = answer;
        }
        looked
    }

    async fn look_at(&self, shard: usize, names: Vec<(usize, Name)>, view: View) -> Vec<(usize, Looked)> {
        // Taken before the shard is asked: what it was told until then has to be in what it answers.
        let Some(joined) = self.keepers[shard].link.joined() else { return Vec::new() };
        let asked = now();
        let looked = self.remote.get(shard, names.iter().map(|(_, name)| name.clone()).collect()).await;
        self.timed(asked, &looked);
        let Ok(Answer { horizon, entries }) = looked else { return Vec::new() };
        let slots = names.into_iter().map(|(at, name)| (at, Slot { shard, name, joined: joined.clone() }));
        match horizon {
            Some(horizon) if joined.is(&horizon) => {
                let found = |((at, slot), entry)| (at, self.found(slot, &horizon, entry, view));
                slots.zip(entries).map(found).collect()
            }
            _ => {
                self.keepers[shard].link.doubt(joined.number);
                Vec::new()
            }
        }
    }

    /// Reads rows for their leases, and for who asks.
    async fn fly_many(
        self: Arc<Self>,
        entity: EntityId,
        missing: Vec<Missing>,
        view: View,
        seen: Position,
        freshness: rowkeep_engine::Freshness,
        answer: oneshot::Sender<Brought>,
    ) {
        let leases: Vec<&Lease> = missing.iter().filter_map(|it| it.lease.as_ref().map(|(lease, _)| lease)).collect();
        // Without a lease only what the reader itself asks counts.
        let session = if leases.is_empty() { Session::new(freshness, seen) } else { self.session_of(&leases) };
        let keys: Vec<Key> = missing.iter().map(|missing| missing.key.key.clone()).collect();
        let found = self.rows.get_many(entity, &keys, view, &session).await;
        let seen = self.rows.position().unwrap_or_else(|| session.seen());
        let kept = found.as_ref().ok().cloned();
        // Who asked may have given up.
        let _ = answer.send(found.map(|records| (records, seen.clone())));
        let Some(records) = kept else {
            let leased = missing.into_iter().filter(|missing| missing.lease.is_some());
            let keys: Vec<RowKey> = leased.map(|missing| missing.key).collect();
            return self.empty(&keys).await;
        };
        let fills = missing.into_iter().zip(&records).filter_map(|(Missing { key, lease, .. }, record)| {
            let (lease, place) = lease?;
            let (shared, seen) = (&self, seen.clone());
            Some(async move {
                let (held, fresh) = shared.found_for(&key, record.as_ref(), seen, view);
                shared.fill(lease, &key, held, fresh).await;
                drop(place);
            })
        });
        all(fills).await;
    }
}

/// Waits for all of them together.
pub(super) async fn all<T: Send>(futures: impl Iterator<Item = impl Future<Output = T> + Send>) -> Vec<T> {
    let mut running: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut is_over = true;
        for (future, answer) in &mut running {
            if answer.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(ready) => *answer = Some(ready),
                    std::task::Poll::Pending => is_over = false,
                }
            }
        }
        if is_over { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    running.into_iter().filter_map(|(_, answer)| answer).collect()
}
