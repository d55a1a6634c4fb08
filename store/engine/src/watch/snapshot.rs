//! The rows that are there, page by page, while the log is followed.
//!
//! ## How pages and changes fit together
//! The feed was opened before the first page is read, so no change is missed; but a page may show a row as it is after
//! changes that are told only later. [`Sent`] remembers in which version rows were sent, and what is not newer is not sent
//! again. A page's rows can be forgotten once everything has been told that the page could show: where commits are counted
//! that is known at once, else a second later. So what is remembered is a page or two, not the table.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use kit_core::Error;
use rowkeep_record::query::{Filter, OrderBy};
use rowkeep_record::{Key, Record, Value};
use rowkeep_schema::EntityId;

use super::judge::Verdict;
use super::ring::Reached;
use crate::engine::Shared;
use crate::plan::{Plan, plan};
use crate::{Access, Point, Scan, Session};

/// Rows of a page.
const PAGE: u32 = 500;
/// Bytes of a page, unless a single row is larger.
const PAGE_BYTES: usize = 256 << 10;
/// Rows whose versions are remembered before the next page waits.
pub(super) const MANY: usize = 50_000;

/// See the [module](self).
pub(super) struct Snapshot {
    entity: EntityId,
    filter: Option<Arc<Filter>>,
    order: Arc<OrderBy>,
    access: Access,
    /// Where the next page begins.
    after: Option<Vec<Value>>,
    /// What the last page may show.
    mark: Mark,
    pub(super) is_read: bool,
}

/// How far a read may have seen.
#[derive(Debug, Clone, Copy)]
struct Mark {
    moment: Instant,
    /// Where commits are counted.
    point: Option<Point>,
}

impl Mark {
    fn now(shared: &Shared) -> Self {
        let position = shared.rows.position();
        let point = position.as_ref().and_then(|position| position.points().first().copied());
        Self { moment: Instant::now(), point }
    }

    /// Whether everything up to it was told.
    fn is_reached(&self, reached: &Reached) -> bool {
        let told = reached.place.point;
        let is_counted = self.point.is_some_and(|point| point.source == told.source && point.number <= told.number);
        is_counted && !reached.is_inside || reached.moment.is_some_and(|moment| moment >= self.moment)
    }
}

impl Snapshot {
    /// # Errors
    /// `FAILED_PRECONDITION` `NO_INDEX` if no index serves the filter, as for a list.
    pub(super) fn new(shared: &Shared, entity: EntityId, filter: Option<Arc<Filter>>) -> Result<Self, Error> {
        let Plan { order, access } = plan(shared.entity(entity), filter.as_deref(), &OrderBy::default())?;
        let mark = Mark::now(shared);
        Ok(Self { entity, filter, order: Arc::new(order), access, after: None, mark, is_read: false })
    }

    /// Whether everything that was read so far has been told by the log as well.
    pub(super) fn is_settled(&self, reached: &Reached) -> bool {
        self.mark.is_reached(reached)
    }

    /// The next rows, with their keys.
    ///
    /// # Errors
    /// What the storage says.
    pub(super) async fn page(&mut self, shared: &Shared) -> Result<Vec<(Key, Record)>, Error> {
        let scan = Scan {
            entity: self.entity,
            filter: self.filter.clone(),
            order: Arc::clone(&self.order),
            after: self.after.clone(),
            limit: PAGE,
            max_bytes: PAGE_BYTES,
            access: self.access,
            view: shared.view(shared.entity(self.entity), false),
            deadline: None,
        };
        let records = shared.rows.scan(&scan, &Session::strong()).await?;
        self.mark = Mark::now(shared);
        let bytes: usize = records.iter().map(|record| record.wire().len()).sum();
        self.is_read = records.len() < PAGE as usize && bytes < PAGE_BYTES;
        self.keyed(shared, records)
    }

    fn keyed(&mut self, shared: &Shared, records: Vec<Record>) -> Result<Vec<(Key, Record)>, Error> {
        let codec = shared.codec(self.entity);
        let mut rows = Vec::with_capacity(records.len());
        for record in records {
            let values = codec.decode(record.wire())?.values;
            rows.push((codec.key_of(&values), record));
            self.after = Some(self.order.iter().map(|(column, _)| values[column.index()].clone()).collect());
        }
        Ok(rows)
    }
}

/// Which versions were sent, of rows that may come again in a version that is not newer.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// Of rows of pages: the log may still tell older ones.
    pages: BTreeMap<Key, u64>,
    /// Of changes: a page may still show them. If there are too many, some rows are sent twice in the same state.
    changes: BTreeMap<Key, u64>,
    /// Without versions nothing can be compared.
    is_versioned: bool,
}

impl Sent {
    pub(super) fn new(is_versioned: bool) -> Self {
        Self { is_versioned, ..Self::default() }
    }

    /// How many rows of pages are remembered.
    pub(super) fn pages(&self) -> usize {
        self.pages.len()
    }

    /// Everything has been told that the pages so far could show.
    pub(super) fn forget_pages(&mut self) {
        self.pages.clear();
    }

    /// Whether a row of a page is to be sent, which it then counts as.
    pub(super) fn take_row(&mut self, key: &Key, record: &Record) -> bool {
        if !self.is_versioned {
            return true;
        }
        let version = record.version();
        let known = self.changes.get(key).copied().max(self.pages.insert(key.clone(), version));
        known.is_none_or(|known| known < version)
    }

    /// Whether a change is to be told, which it then counts as.
    pub(super) fn take_change(&mut self, verdict: &Verdict) -> bool {
        if !self.is_versioned {
            return true;
        }
        let is_new = self.pages.get(&verdict.key).is_none_or(|known| match verdict.is_end {
            true => verdict.version >= *known,
            false => verdict.version > *known,
        });
        if is_new && self.changes.len() < MANY {
            self.changes.insert(verdict.key.clone(), verdict.version);
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use rowkeep_record::Value;

    use super::*;
    use crate::watch::WatchEvent;

    fn key() -> Key {
        Key::one(Value::Int(1))
    }

    fn row(version: u64) -> Record {
        Record::from_reserved(Record::reserve(0), version)
    }

    fn change(version: u64) -> Verdict {
        Verdict { event: WatchEvent::Changed(row(version)), key: key(), version, is_end: false }
    }

    fn end_of(version: u64) -> Verdict {
        Verdict { event: WatchEvent::Deleted(key()), key: key(), version, is_end: true }
    }

    #[test]
    fn nothing_older_and_nothing_twice_is_told_of_a_row_that_a_page_showed() {
        let mut sent = Sent::new(true);
        assert!(sent.take_row(&key(), &row(5)));
        for known in [change(4), change(5), end_of(4)] {
            assert!(!sent.take_change(&known), "{known:?}");
        }
        assert!(sent.take_change(&end_of(5)));
        assert!(sent.take_change(&change(6)));
    }

    #[test]
    fn a_page_shows_nothing_that_was_told_as_a_change() {
        let mut sent = Sent::new(true);
        assert!(sent.take_change(&change(6)));
        sent.forget_pages();
        assert!(!sent.take_row(&key(), &row(6)));
        assert!(sent.take_row(&key(), &row(7)));
        assert!(!sent.take_row(&key(), &row(7)), "nor the same page");
    }

    #[test]
    fn without_versions_everything_is_told() {
        let mut sent = Sent::new(false);
        assert!(sent.take_row(&key(), &row(5)) && sent.take_change(&change(0)) && sent.take_row(&key(), &row(5)));
    }
}
