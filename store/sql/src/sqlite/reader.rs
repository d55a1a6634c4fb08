//! Read connections: one per thread that reads, used without handing the work to another thread.
//!
//! A read transaction stays open from one read to the next and is renewed only once something was committed
//! (`Shared::position`): taking a snapshot costs two locks in the file, more than the read itself. A commit is
//! counted before it is acknowledged, so whoever was told of a write finds it in every later read.
//!
//! An open snapshot keeps the write-ahead log from being started over. The checkpointer therefore ends those of idle
//! threads ([`Readers::release`]); a lock that nobody waits for otherwise makes that possible.

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};

use kit_core::Error;
use rusqlite::Connection;

use super::connect::{Role, connect};
use super::errors::failed;
use super::patience::{self, Patience};
use super::probe::{self, Probes};

/// A connection for reading, with what it has open.
pub(crate) struct Reader {
    pub(crate) connection: Connection,
    pub(crate) probes: Probes,
    pub(crate) patience: Patience,
    /// The position at which the open snapshot was asked for.
    snapshot: Option<u64>,
}

impl Reader {
    fn open(path: &std::path::Path) -> Result<Self, Error> {
        let mut connection = connect(path, Role::Reader)?;
        let probes = probe::install(&connection).map_err(failed)?;
        let patience = patience::install(&mut connection).map_err(failed)?;
        Ok(Self { connection, probes, patience, snapshot: None })
    }

    fn refresh(&mut self, position: u64) -> Result<(), Error> {
        if self.snapshot == Some(position) {
            return Ok(());
        }
        self.end()?;
        self.connection.prepare_cached("BEGIN").and_then(|mut begin| begin.execute([])).map_err(failed)?;
        self.snapshot = Some(position);
        Ok(())
    }

    fn end(&mut self) -> Result<(), Error> {
        if self.snapshot.take().is_some() && !self.connection.is_autocommit() {
            self.connection.prepare_cached("COMMIT").and_then(|mut end| end.execute([])).map_err(failed)?;
        }
        Ok(())
    }
}

/// The read connections of a store.
pub(crate) struct Readers {
    store: u64,
    path: PathBuf,
    open: Mutex<Vec<Arc<Mutex<Reader>>>>,
}

/// A thread's hold on its connection; closes it when the thread ends.
struct Mine {
    store: u64,
    readers: Weak<Readers>,
    reader: Weak<Mutex<Reader>>,
}

impl Drop for Mine {
    fn drop(&mut self) {
        if let Some(readers) = self.readers.upgrade() {
            readers.take_back(&self.reader);
        }
    }
}

thread_local! {
    static MINE: RefCell<Vec<Mine>> = const { RefCell::new(Vec::new()) };
}

static STORES: AtomicU64 = AtomicU64::new(0);

impl Readers {
    pub(crate) fn new(path: PathBuf) -> Arc<Self> {
        Arc::new(Self { store: STORES.fetch_add(1, Ordering::Relaxed), path, open: Mutex::default() })
    }

    /// Runs a read on this thread's connection, in a snapshot that is at least as new as `position`.
    pub(crate) fn read<T>(
        self: &Arc<Self>,
        position: u64,
        read: impl FnOnce(&Reader) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let reader = match self.mine() {
            Some(reader) => reader,
            None => self.add()?,
        };
        let mut reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
        reader.refresh(position)?;
        read(&reader)
    }

    /// A connection that is no thread's, for the log of changes. It is closed with the others, or when it is taken back.
    pub(crate) fn lend(&self) -> Result<Weak<Mutex<Reader>>, Error> {
        let reader = Arc::new(Mutex::new(Reader::open(&self.path)?));
        let lent = Arc::downgrade(&reader);
        self.list().push(reader);
        Ok(lent)
    }

    /// Closes a connection that was lent.
    pub(crate) fn take_back(&self, lent: &Weak<Mutex<Reader>>) {
        self.list().retain(|reader| !std::ptr::eq(Arc::as_ptr(reader), lent.as_ptr()));
    }

    fn mine(&self) -> Option<Arc<Mutex<Reader>>> {
        MINE.with_borrow(|mine| mine.iter().find(|mine| mine.store == self.store)?.reader.upgrade())
    }

    fn add(self: &Arc<Self>) -> Result<Arc<Mutex<Reader>>, Error> {
        let reader = Arc::new(Mutex::new(Reader::open(&self.path)?));
        self.list().push(Arc::clone(&reader));
        let hold = Mine { store: self.store, readers: Arc::downgrade(self), reader: Arc::downgrade(&reader) };
        MINE.with_borrow_mut(|mine| {
            mine.retain(|mine| mine.readers.strong_count() > 0);
            mine.push(hold);
        });
        Ok(reader)
    }

    fn list(&self) -> MutexGuard<'_, Vec<Arc<Mutex<Reader>>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the snapshots of threads that do not read at this moment.
    pub(crate) fn release(&self) {
        let readers: Vec<_> = self.list().clone();
        for reader in readers {
            let mut reader = match reader.try_lock() {
                Ok(reader) => reader,
                Err(TryLockError::Poisoned(reader)) => reader.into_inner(),
                Err(TryLockError::WouldBlock) => continue,
            };
            if let Err(error) = reader.end() {
                tracing::warn!(error = &error as &dyn std::error::Error, "a read transaction could not be ended");
            }
        }
    }

    /// Closes every connection, once what reads now is done.
    pub(crate) fn close(&self) {
        self.list().clear();
    }

    pub(crate) fn count(&self) -> usize {
        self.list().len()
    }
}
