//! The log of changes of the model: the last commits, as they were made.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kit_core::{Error, Reply};
use rowkeep_schema::EntityId;
use tokio::sync::Notify;

use crate::counted::{self, CountedLog, Read};
use crate::{ChangeLog, ChangeStream, Clock, Committed, RowChange, Since, SystemClock, Told};

/// Commits that are kept.
const KEPT: usize = 10_000;
/// Commits that are told at once.
const PIECE: usize = 100;

/// See the [module](self).
pub(super) struct Log {
    id: Arc<[u8]>,
    position: AtomicU64,
    kept: Mutex<Kept>,
    committed: Notify,
}

/// What a transaction did.
pub(super) enum Written {
    Rows(Vec<RowChange>),
    /// So much of one table that its rows are not told.
    Table(EntityId),
}

#[derive(Default)]
struct Kept {
    entries: VecDeque<Entry>,
    /// The last commit that was dropped.
    forgotten: u64,
}

struct Entry {
    number: u64,
    told: Told,
}

impl Default for Log {
    fn default() -> Self {
        let id = Arc::from(rand::random::<[u8; 16]>());
        Self { id, position: AtomicU64::new(0), kept: Mutex::default(), committed: Notify::new() }
    }
}

impl Log {
    pub(super) fn position(&self) -> u64 {
        self.position.load(Ordering::Acquire)
    }

    /// One more commit.
    pub(super) fn commit(&self, written: Written) {
        let mut kept = self.kept();
        let number = self.position() + 1;
        kept.entries.extend(self.told(number, written).map(|told| Entry { number, told }));
        if kept.entries.len() > KEPT {
            kept.forgotten = kept.entries.pop_front().map_or(0, |entry| entry.number);
        }
        self.position.store(number, Ordering::Release);
        drop(kept);
        self.committed.notify_waiters();
    }

    fn told(&self, number: u64, written: Written) -> Option<Told> {
        let place = counted::place(&self.id, number);
        match written {
            Written::Rows(changes) if changes.is_empty() => None,
            Written::Rows(changes) => {
                let at = SystemClock.now_micros();
                Some(Told::Commit(Arc::new(Committed { place, more: false, at, changes })))
            }
            Written::Table(entity) => Some(Told::Rewritten { entity: Some(entity), place, more: false }),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CountedLog for Log {
    fn id(&self) -> Arc<[u8]> {
        Arc::clone(&self.id)
    }

    fn shown(&self) -> u64 {
        self.position()
    }

    fn forgotten(&self) -> u64 {
        self.kept().forgotten
    }

    fn committed(&self) -> &Notify {
        &self.committed
    }

    fn read(&self, after: u64, until: u64) -> Result<Read, Error> {
        let kept = self.kept();
        if after < kept.forgotten {
            return Err(counted::forgotten());
        }
        let from = kept.entries.partition_point(|entry| entry.number <= after);
        let behind = kept.entries.range(from..).take_while(|entry| entry.number <= until);
        let piece: Vec<&Entry> = behind.take(PIECE).collect();
        let until = if piece.len() == PIECE { piece[PIECE - 1].number } else { until };
        Ok(Read { told: piece.into_iter().map(|entry| entry.told.clone()).collect(), until })
    }
}

impl ChangeLog for Arc<Log> {
    fn follow(&self, since: Since) -> Reply<'static, Result<Box<dyn ChangeStream>, Error>> {
        Reply::ready(counted::follow(Self::clone(self), since))
    }
}
