//! The log as the engine follows it.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use kit_core::{Code, Error, Reply};
use rowkeep_engine::counted::{self, CountedLog, Read};
use rowkeep_engine::{ChangeLog, ChangeStream, Committed, Place, RowChange, Since, Told};
use tokio::sync::Notify;

use super::encoding::{Item, Items};
use super::table;
use crate::sqlite::Shared;
use crate::sqlite::errors::failed;
use crate::sqlite::reader::Reader;

/// Bytes of changes that are read at once, unless one transaction has more.
const PIECE: usize = 256 << 10;
/// Changes that are told as one part of a commit.
const PART: usize = 1000;

/// The port `ChangeLog` of a store.
pub(in crate::sqlite) struct SqliteChanges {
    shared: Arc<Shared>,
}

impl SqliteChanges {
    pub(in crate::sqlite) fn new(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::clone(shared) }
    }
}

impl ChangeLog for SqliteChanges {
    fn follow(&self, since: Since) -> Reply<'static, Result<Box<dyn ChangeStream>, Error>> {
        Reply::ready(Reading::open(&self.shared).and_then(|reading| counted::follow(Arc::new(reading), since)))
    }
}

/// One follower's hold on the log: a connection of its own, which the store closes when it stops.
struct Reading {
    shared: Arc<Shared>,
    reader: Weak<Mutex<Reader>>,
}

impl Reading {
    fn open(shared: &Arc<Shared>) -> Result<Self, Error> {
        if shared.is_stopping() {
            return Err(stopped());
        }
        let reader = shared.readers.lend()?;
        Ok(Self { shared: Arc::clone(shared), reader })
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.shared.readers.take_back(&self.reader);
    }
}

impl CountedLog for Reading {
    fn id(&self) -> Arc<[u8]> {
        Arc::clone(&self.shared.changes.id)
    }

    fn shown(&self) -> u64 {
        self.shared.position()
    }

    fn forgotten(&self) -> u64 {
        self.shared.changes.forgotten()
    }

    fn committed(&self) -> &Notify {
        &self.shared.changes.committed
    }

    fn check(&self) -> Result<(), Error> {
        if self.shared.is_stopping() { Err(stopped()) } else { Ok(()) }
    }

    fn read(&self, after: u64, until: u64) -> Result<Read, Error> {
        let reader = self.reader.upgrade().ok_or_else(stopped)?;
        let reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
        let mut piece = Piece { shared: &self.shared, told: Vec::new(), bytes: 0, until: after };
        let walked = table::walk(&reader.connection, after, until, |number, at, changes| {
            piece.take(number, at, changes).map_err(Failure::Told)
        });
        walked.map_err(Failure::into_error)?;
        // What was removed before the rows were read was said to be by now.
        if after < self.forgotten() {
            return Err(counted::forgotten());
        }
        let until = if piece.is_full() { piece.until } else { until };
        Ok(Read { told: piece.told, until })
    }
}

enum Failure {
    Told(Error),
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl Failure {
    fn into_error(self) -> Error {
        match self {
            Self::Told(error) => error,
            Self::Sqlite(error) => failed(error),
        }
    }
}

/// What is read at once.
struct Piece<'a> {
    shared: &'a Shared,
    told: Vec<Told>,
    bytes: usize,
    until: u64,
}

impl Piece<'_> {
    fn is_full(&self) -> bool {
        self.bytes >= PIECE
    }

    /// Adds a transaction. Answers whether there is room for another.
    fn take(&mut self, number: u64, at: i64, changes: &[u8]) -> Result<bool, Error> {
        let place = counted::place(&self.shared.changes.id, number);
        let columns = |entity: rowkeep_schema::EntityId| {
            self.shared.schema.entities.get(entity.index()).map(|entity| entity.columns.len())
        };
        let mut items = Items::new(changes, columns);
        let (first, mut part) = (self.told.len(), Vec::new());
        while let Some(item) = items.next()? {
            match item {
                Item::Row(change) => part.push(change),
                Item::Table(entity) => {
                    self.told.extend(commit(&place, at, std::mem::take(&mut part)));
                    self.told.push(Told::Rewritten { entity: Some(entity), place: place.clone(), more: false });
                }
            }
            if part.len() == PART {
                self.told.extend(commit(&place, at, std::mem::take(&mut part)));
            }
        }
        self.told.extend(commit(&place, at, part));
        more_behind_all_but_the_last(&mut self.told[first..]);
        self.bytes += changes.len();
        self.until = number;
        Ok(!self.is_full())
    }
}

fn commit(place: &Place, at: i64, changes: Vec<RowChange>) -> Option<Told> {
    let commit = Committed { place: place.clone(), more: false, at, changes };
    (!commit.changes.is_empty()).then(|| Told::Commit(Arc::new(commit)))
}

/// Of the items of one commit.
fn more_behind_all_but_the_last(told: &mut [Told]) {
    let Some((_, parts)) = told.split_last_mut() else { return };
    for part in parts {
        match part {
            Told::Commit(commit) => {
                // Nobody else has it yet.
                if let Some(commit) = Arc::get_mut(commit) {
                    commit.more = true;
                }
            }
            Told::Rewritten { more, .. } => *more = true,
            Told::Begin(_) | Told::Current { .. } => {}
        }
    }
}

fn stopped() -> Error {
    Error::new(Code::Unavailable, "STOPPED", "the store is shutting down")
}
