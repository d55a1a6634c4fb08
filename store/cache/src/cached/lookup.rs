//! Lookups by unique values: the values lead to a primary key, and that to the row.
//!
//! Both are kept apart, so that a row is kept once, and a write need only forget the row. What was followed is verified: the
//! row must be the one that was found by the values, in the version that it was found in. If it is another, one of the two is
//! newer than what was told, or the row was written since, and the storage is asked.

use std::sync::Arc;

use kit_core::{Error, Reply};
use rowkeep_engine::{Session, View};
use rowkeep_record::{Key, Record};
use rowkeep_schema::EntityId;

use super::Shared;
use super::bring::Read;
use crate::near::{Fresh, Held, Kept, Part, Probe};
use crate::now;

impl Shared {
    pub(super) fn lookup<'a>(
        self: &'a Arc<Self>,
        entity: EntityId,
        index: u16,
        values: &Key,
        view: View,
        session: &'a Session,
    ) -> Reply<'a, Result<Option<Record>, Error>> {
        let now = now();
        let policy = self.policy.of(entity).filter(|policy| policy.has_index(index, view, values));
        let Some(policy) = policy.filter(|_| self.admits(session, now)) else {
            return self.past().lookup(entity, index, values, view, session);
        };
        let probe = Probe { entity, part: Part::Index(index), key: values };
        let (key, version, fresh) = match self.kept(&probe, view, now) {
            Some(Kept { held: Held::Pointer(key, version), fresh, .. }) => (key, version, fresh),
            Some(Kept { held: Held::Absent, fresh, .. }) => return Reply::ready(Ok(self.hit(None, &fresh, session))),
            _ => return self.bring(probe.to_key(), Read::Lookup(index), view, session),
        };
        let row = Probe { entity, part: policy.part(view), key: &key };
        match self.kept(&row, view, now) {
            Some(Kept { held: Held::Row(record), fresh: of_row, .. }) if record.version() == version => {
                self.heard.saw(session, &of_row.seen);
                Reply::ready(Ok(self.hit(Some(record), &fresh, session)))
            }
            // It is on its way to where the next lookup finds it.
            None => self.follow(&probe, &row, (version, fresh), view, session),
            Some(_) => self.ask_again(&probe, index, view, session),
        }
    }

    /// Brings the row that a pointer leads to.
    fn follow<'a>(
        self: &'a Arc<Self>,
        pointer: &Probe<'_>,
        row: &Probe<'_>,
        (version, fresh): (u64, Fresh),
        view: View,
        session: &'a Session,
    ) -> Reply<'a, Result<Option<Record>, Error>> {
        let pointer = pointer.to_key();
        match self.bring(row.to_key(), Read::Row, view, session).try_now() {
            Ok(found) => match self.verified(found, version, &fresh, session) {
                Some(answer) => Reply::ready(answer),
                None => self.ask_again(&pointer.probe(), index_of(pointer.part), view, session),
            },
            Err(later) => Reply::later(async move {
                let found = later.await;
                match self.verified(found, version, &fresh, session) {
                    Some(answer) => answer,
                    None => self.ask_again(&pointer.probe(), index_of(pointer.part), view, session).await,
                }
            }),
        }
    }

    /// What was brought, if it is what the pointer was found with.
    fn verified(
        &self,
        found: Result<Option<Record>, Error>,
        version: u64,
        fresh: &Fresh,
        session: &Session,
    ) -> Option<Result<Option<Record>, Error>> {
        match found {
            Ok(Some(record)) if record.version() == version => {
                self.heard.saw(session, &fresh.seen);
                Some(Ok(Some(record)))
            }
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        }
    }

    /// A pointer does not fit its row: it is brought again.
    fn ask_again<'a>(
        self: &'a Arc<Self>,
        pointer: &Probe<'_>,
        index: u16,
        view: View,
        session: &'a Session,
    ) -> Reply<'a, Result<Option<Record>, Error>> {
        self.bring_anew(pointer.to_key(), Read::Lookup(index), view, session)
    }
}

fn index_of(part: Part) -> u16 {
    match part {
        Part::Index(index) => index,
        // Pointers are of indexes alone.
        Part::Row | Part::Live => 0,
    }
}
