//! Asks a shard for what readers may be answered from it.

use std::sync::Arc;
use std::time::Instant;

use kit_core::Error;
use rowkeep_engine::{Session, View};
use rowkeep_record::Record;

use super::Shared;
use super::entry::{Found, name};
use super::link::Joined;
use crate::cached::Read;
use crate::counts::Count;
use crate::near::{Held, RowKey};
use crate::now;
use crate::remote::{Entry, Failed, Horizon, Name};

/// How often a slot is looked at before the storage is asked past it: what was on its way may not have come.
const LOOKS: usize = 2;

/// A slot of a shard that was joined when it was asked.
pub(super) struct Slot {
    pub(super) shard: usize,
    pub(super) name: Name,
    pub(super) joined: Joined,
}

/// What a shard says of a slot.
pub(super) enum Looked {
    /// What is there is what a reader with this view is shown.
    Found(Found),
    /// Nothing that would do; it can be brought.
    Missing(Slot),
    /// The shard is passed by.
    Past,
}

impl Shared {
    pub(super) fn admits(&self, session: &Session) -> bool {
        self.heard.admits(session, self.options.max_lag, now())
    }

    /// Finds a row, by its primary key or by unique values.
    pub(super) async fn find(
        self: &Arc<Self>,
        key: RowKey,
        read: Read,
        view: View,
        session: &Session,
    ) -> Result<Option<Record>, Error> {
        for _ in 0..LOOKS {
            let found = match self.look(&key, view).await {
                Looked::Found(found) => found,
                Looked::Missing(slot) => match self.bring(slot, &key, read, view, session).await {
                    Some(answer) => return answer,
                    None => continue,
                },
                Looked::Past => break,
            };
            return match &found.held {
                Held::Row(_) | Held::Absent => Ok(self.hit(&key, found, session)),
                Held::Pointer(..) => self.follow(&key, read, found, view, session).await,
            };
        }
        self.read_past(&key, read, view, session).await
    }

    /// Follows a pointer to its row, which has to be what the pointer was found with.
    async fn follow(
        self: &Arc<Self>,
        pointer: &RowKey,
        read: Read,
        found: Found,
        view: View,
        session: &Session,
    ) -> Result<Option<Record>, Error> {
        let Held::Pointer(key, version) = &found.held else { return Ok(self.hit(pointer, found, session)) };
        let part = self.policy.of(pointer.entity).map_or(pointer.part, |policy| policy.part(view));
        let row = RowKey { entity: pointer.entity, part, key: (**key).clone() };
        if let Some(record) = self.row_of(&row, *version, view, session).await? {
            self.heard.saw(session, &found.fresh.seen);
            return Ok(Some(record));
        }
        // One of the two is newer than what was told, or the row was written since.
        self.empty(std::slice::from_ref(pointer)).await;
        self.read_past(pointer, read, view, session).await
    }

    /// The row that a pointer leads to, if it is what the pointer was found with.
    async fn row_of(
        self: &Arc<Self>,
        row: &RowKey,
        version: u64,
        view: View,
        session: &Session,
    ) -> Result<Option<Record>, Error> {
        let is_same = |record: &Record| record.version() == version;
        for _ in 0..LOOKS {
            match self.look(row, view).await {
                Looked::Found(Found { held: Held::Row(record), fresh }) if is_same(&record) => {
                    return Ok(self.hit(row, Found { held: Held::Row(record), fresh }, session));
                }
                // It is brought to where the next lookup finds it.
                Looked::Missing(slot) => {
                    if let Some(brought) = self.bring(slot, row, Read::Row, view, session).await {
                        return Ok(brought?.filter(is_same));
                    }
                }
                Looked::Found(_) | Looked::Past => return Ok(None),
            }
        }
        Ok(self.read_past(row, Read::Row, view, session).await?.filter(is_same))
    }

    /// An answer from the server.
    pub(super) fn hit(&self, key: &RowKey, found: Found, session: &Session) -> Option<Record> {
        self.sampler.offer(&key.probe());
        let record = match found.held {
            Held::Row(record) => Some(record),
            Held::Absent | Held::Pointer(..) => None,
        };
        self.counts.add(if record.is_some() { Count::Hit } else { Count::NegativeHit });
        self.heard.saw(session, &found.fresh.seen);
        record
    }

    pub(super) async fn read_past(
        &self,
        key: &RowKey,
        read: Read,
        view: View,
        session: &Session,
    ) -> Result<Option<Record>, Error> {
        match read {
            Read::Row => self.past().get(key.entity, &key.key, view, session).await,
            Read::Lookup(index) => self.past().lookup(key.entity, index, &key.key, view, session).await,
        }
    }

    pub(super) async fn look(&self, key: &RowKey, view: View) -> Looked {
        let (shard, name) = name(key, self.keepers.len());
        // Taken before the shard is asked: what it was told until then has to be in what it answers.
        let Some(joined) = self.keepers[shard].link.joined() else { return Looked::Past };
        let asked = now();
        let looked = self.remote.get(shard, vec![name.clone()]).await;
        self.timed(asked, &looked);
        let Ok(looked) = looked else { return Looked::Past };
        let slot = Slot { shard, name, joined };
        let entry = looked.entries.into_iter().next().flatten();
        match looked.horizon {
            Some(horizon) if slot.joined.is(&horizon) => self.found(slot, &horizon, entry, view),
            _ => {
                self.doubt(&slot);
                Looked::Past
            }
        }
    }

    /// What an entry says, if it counts.
    pub(super) fn found(&self, slot: Slot, horizon: &Horizon, entry: Option<Entry>, view: View) -> Looked {
        let Some(entry) = entry.filter(|entry| Joined::counts(horizon, &slot.name, entry)) else {
            return Looked::Missing(slot);
        };
        match Found::decode(entry.value) {
            Some(found) if found.fresh.suits(view) => Looked::Found(found),
            // A reader whose clock is behind, or a row that has expired.
            Some(_) => Looked::Past,
            None => {
                self.counts.add(Count::Unreadable);
                Looked::Past
            }
        }
    }

    pub(super) fn doubt(&self, slot: &Slot) {
        self.keepers[slot.shard].link.doubt(slot.joined.number);
    }

    /// Counts a round trip that began then.
    pub(super) fn timed<T>(&self, begun: Instant, answer: &Result<T, Failed>) {
        self.counts.add(Count::Trip);
        let micros = now().saturating_duration_since(begun).as_micros();
        self.counts.add_many(Count::TripMicros, u64::try_from(micros).unwrap_or(u64::MAX));
        if answer.is_err() {
            self.counts.add(Count::Failed);
        }
    }
}
