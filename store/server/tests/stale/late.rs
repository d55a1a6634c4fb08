//! Rows that have been read and take long to arrive.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kit_core::{Error, Reply};
use rowkeep_engine::{
    Capabilities, ChangeLog, LoadBatch, LoadOutcome, Outcome, Position, Program, Remembered, Rows, Scan, Session, View,
};
use rowkeep_record::{Key, Record};
use rowkeep_schema::EntityId;
use tokio::sync::Semaphore;

/// Passes everything on. A read that was made while it [holds](Self::hold) is answered once it is let go.
pub(crate) struct Late {
    rows: Arc<dyn Rows>,
    open: Semaphore,
    holds: std::sync::atomic::AtomicBool,
    /// Reads by key and by unique values so far.
    pub(crate) reads: AtomicUsize,
    /// Those that were made and are held.
    pub(crate) held: AtomicUsize,
}

impl Late {
    pub(crate) fn over(rows: Arc<dyn Rows>) -> Arc<Self> {
        let (open, holds) = (Semaphore::new(0), false.into());
        Arc::new(Self { rows, open, holds, reads: AtomicUsize::new(0), held: AtomicUsize::new(0) })
    }

    /// Reads from now on are held.
    pub(crate) fn hold(&self) {
        self.holds.store(true, Ordering::SeqCst);
    }

    /// Later reads are not held; what is held stays.
    pub(crate) fn pass(&self) {
        self.holds.store(false, Ordering::SeqCst);
    }

    /// Lets everything go.
    pub(crate) fn release(&self) {
        self.pass();
        self.open.add_permits(self.held.load(Ordering::SeqCst));
    }

    fn late<'a, T: Send + 'a>(&'a self, read: Reply<'a, T>) -> Reply<'a, T> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        if !self.holds.load(Ordering::SeqCst) {
            return read;
        }
        Reply::later(async move {
            let answer = read.await;
            self.held.fetch_add(1, Ordering::SeqCst);
            self.open.acquire().await.unwrap().forget();
            answer
        })
    }
}

impl Rows for Late {
    fn capabilities(&self) -> &Capabilities {
        self.rows.capabilities()
    }

    fn get<'a>(
        &'a self,
        entity: EntityId,
        key: &Key,
        view: View,
        session: &'a Session,
    ) -> Reply<'a, Result<Option<Record>, Error>> {
        self.late(self.rows.get(entity, key, view, session))
    }

    fn get_many<'a>(
        &'a self,
        entity: EntityId,
        keys: &[Key],
        view: View,
        session: &'a Session,
    ) -> Reply<'a, Result<Vec<Option<Record>>, Error>> {
        self.late(self.rows.get_many(entity, keys, view, session))
    }

    fn lookup<'a>(
        &'a self,
        entity: EntityId,
        index: u16,
        values: &Key,
        view: View,
        session: &'a Session,
    ) -> Reply<'a, Result<Option<Record>, Error>> {
        self.late(self.rows.lookup(entity, index, values, view, session))
    }

    fn scan<'a>(&'a self, scan: &Scan, session: &'a Session) -> Reply<'a, Result<Vec<Record>, Error>> {
        self.rows.scan(scan, session)
    }

    fn count<'a>(&'a self, scan: &Scan, session: &'a Session) -> Reply<'a, Result<u64, Error>> {
        self.rows.count(scan, session)
    }

    fn transact(&self, program: Program) -> Reply<'static, Result<Outcome, Error>> {
        self.rows.transact(program)
    }

    fn load(&self, batch: LoadBatch) -> Reply<'static, Result<LoadOutcome, Error>> {
        self.rows.load(batch)
    }

    fn recall(&self, id: &str) -> Reply<'_, Result<Option<Remembered>, Error>> {
        self.rows.recall(id)
    }

    fn sweep(&self, now: i64) -> Reply<'static, Result<u64, Error>> {
        self.rows.sweep(now)
    }

    fn version_floor(&self) -> u64 {
        self.rows.version_floor()
    }

    fn position(&self) -> Option<Position> {
        self.rows.position()
    }

    fn changes(&self) -> Option<Arc<dyn ChangeLog>> {
        self.rows.changes()
    }
}
