//! Reads of a table that does not answer, kept from those of the others.
//!
//! Reads share connections, and answers come in order: one that waits for a lock (`LOCK TABLES`, the end of an `ALTER`)
//! holds up all behind it. So a read by key that is not answered for a while is set aside with all others of its table,
//! which wait in a list of their own, each for as long as its caller does. One of them at a time is asked on a connection
//! of its own; once one is answered, all go back to the lanes. A table costs one connection while it is locked, however many
//! ask for it. Where all tables are slow the same holds for a few; the others are waited for in the lanes, as ever.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use kit_core::Error;
use rowkeep_mysql::Connection;
use rowkeep_schema::EntityId;
use tokio::time::timeout_at;

use super::errors::{Failed, Fate, classify, fate};
use super::lanes::{Answer, Job, Line, PATIENCE, gone, late};
use super::reads::Read;
use super::servers::{self, Progress};
use super::session::Connector;

/// A read by key that takes longer waits for something.
pub(super) const STALLED: Duration = Duration::from_millis(100);
/// Tables at a time.
const TABLES: usize = 4;
/// Reads of a table that may wait.
const WAITING: usize = 1024;

/// The tables that are set aside, with the reads that wait for them.
#[derive(Default)]
pub(super) struct Aside {
    tables: Mutex<BTreeMap<EntityId, VecDeque<Job>>>,
    /// How many: nearly always none.
    count: AtomicUsize,
}

impl Aside {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<EntityId, VecDeque<Job>>> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a read of a table that is set aside; gives any other back. One too many is dropped, and refused thereby.
    pub(super) fn keep(&self, job: Job) -> Option<Job> {
        if self.count.load(Ordering::Acquire) == 0 {
            return Some(job);
        }
        let mut tables = self.lock();
        let Some(jobs) = job.read.entity().and_then(|entity| tables.get_mut(&entity)) else { return Some(job) };
        if jobs.len() >= WAITING {
            jobs.retain(|job| !job.answer.is_closed());
        }
        if jobs.len() < WAITING {
            jobs.push_back(job);
        } else {
            job.refuse(&super::lanes::queued());
        }
        None
    }

    /// Whether a table may be set aside, or is.
    pub(super) fn takes(&self, entity: EntityId) -> bool {
        let tables = self.lock();
        tables.len() < TABLES || tables.contains_key(&entity)
    }

    /// Sets a table aside with reads that wait for it. Whether somebody has to ask for them.
    pub(super) fn begin(&self, entity: EntityId, jobs: impl Iterator<Item = Job>) -> bool {
        let mut tables = self.lock();
        let is_new = !tables.contains_key(&entity);
        tables.entry(entity).or_default().extend(jobs);
        self.count.store(tables.len(), Ordering::Release);
        is_new
    }

    /// The next read whose caller still waits. Without one the table is set aside no more.
    fn next(&self, entity: EntityId) -> Option<Job> {
        let mut tables = self.lock();
        let jobs = tables.get_mut(&entity)?;
        while let Some(job) = jobs.pop_front() {
            if !job.answer.is_closed() {
                return Some(job);
            }
        }
        tables.remove(&entity);
        self.count.store(tables.len(), Ordering::Release);
        None
    }

    /// The table answers again: those who wait for it.
    fn end(&self, entity: EntityId) -> VecDeque<Job> {
        let mut tables = self.lock();
        let jobs = tables.remove(&entity).unwrap_or_default();
        self.count.store(tables.len(), Ordering::Release);
        jobs
    }

    /// Reads that wait.
    pub(super) fn waiting(&self) -> u64 {
        if self.count.load(Ordering::Acquire) == 0 {
            return 0;
        }
        self.lock().values().flatten().filter(|job| !job.answer.is_closed()).count() as u64
    }
}

/// Asks for a table's reads one by one until one is answered.
pub(super) async fn ask(line: Weak<Line>, connector: Connector, progress: Arc<Progress>, entity: EntityId) {
    while let Some(job) = line.upgrade().and_then(|line| line.aside.next(entity)) {
        let end = tokio::select! {
            end = answer(&connector, &progress, job) => end,
            () = progress.gone() => End::Gone,
        };
        let Some(line) = line.upgrade() else { return };
        match end {
            End::Unanswered => {}
            End::Answered => return line.aside.end(entity).into_iter().for_each(|job| line.send(job)),
            // The one that was asked for is dropped, and told that the store stops unless it is asked elsewhere.
            End::Gone => return line.aside.end(entity).into_iter().for_each(|job| job.refuse(&gone())),
        }
    }
}

/// What came of a read.
enum End {
    Answered,
    /// Its caller went away first, or its deadline passed.
    Unanswered,
    /// The server does not answer anybody.
    Gone,
}

async fn answer(connector: &Connector, progress: &Progress, job: Job) -> End {
    let Job { read, mut answer } = job;
    let last = read.deadline.unwrap_or_else(|| Instant::now() + PATIENCE);
    let mut connection = match connector.open().await {
        Ok(connection) => connection,
        Err(error) => {
            let _ = answer.send(Err(classify(error)));
            return End::Answered;
        }
    };
    let asked = timeout_at(last.into(), alone(&mut connection, progress, &read));
    let found = tokio::select! {
        found = asked => found.ok(),
        () = answer.closed() => None,
    };
    match found {
        Some(found) => {
            let is_lost = matches!(&found, Err(Failed::Driver(error)) if fate(error) == Fate::Lost);
            let _ = answer.send(found.map_err(Error::from));
            if is_lost { End::Unanswered } else { End::Answered }
        }
        None => {
            let _ = answer.send(Err(late()));
            connector.kill(connection.server().connection).await;
            End::Unanswered
        }
    }
}

async fn alone(connection: &mut Connection, progress: &Progress, read: &Read) -> Result<Answer, Failed> {
    let statement = connection.prepare(read.text()).await?;
    read.send(connection, statement)?;
    connection.flush().await?;
    let mut found = read.nothing();
    connection.receive(|row| read.row(&mut found, row)).await?;
    let reached = if progress.reports() { Some(servers::ask_position(connection, progress).await?) } else { None };
    Ok(Answer { found, reached })
}
