//! The one writer: a thread that takes what waits, runs it in one transaction, flushes once, and answers each.
//!
//! ## Groups
//! A group is what waits when the writer is free, and what arrives while it works, up to a bound. A single client never
//! waits for others; under load the flush is shared by many. Nothing is delayed on purpose.
//!
//! ## Each its own result
//! The first program needs no savepoint: if it fails, the transaction is begun anew. Every later one opens a savepoint
//! before its first write, so that its failure, or its panic, undoes its own writes only. A program that only reads, or
//! whose first write is refused, costs nothing.
//!
//! ## When the commit fails
//! Everything of the group is rolled back and every program that had succeeded is answered with the failure, which says
//! whether it may have happened. SQLite itself ends the transaction on a full disk; programs before that are answered
//! likewise, programs behind it run in a new transaction. Nothing is kept in memory, so the store goes on once there
//! is space.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError};
use kit_core::{Code, Error, Reply};
use rowkeep_engine::{LoadBatch, LoadOutcome, Outcome, Program};
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::Shared;
use super::changes::{Mark, Recorder};
use super::errors::{During, classify, failed};
use super::tx::{SqliteTx, Undo};
use super::{checkpoint, left_out, load, meta, sweep};

/// Writes that may wait. Behind it callers are refused rather than kept.
pub(super) const QUEUE: usize = 4096;
/// Programs in one transaction.
const MAX_GROUP: usize = 512;
/// A transaction takes no further programs after this time.
const MAX_GROUP_TIME: Duration = Duration::from_millis(20);
/// Versions are reserved this far ahead (microseconds), so that not every commit has to write the floor.
const FLOOR_STEP: u64 = 10_000_000;

/// What is run in a transaction. Called again only where the contract of [`Program::run`] allows it.
pub(super) type Work = Box<dyn FnMut(&mut SqliteTx<'_>) -> Poll<Result<Outcome, Error>> + Send>;

type Answer<T> = oneshot::Sender<Result<T, Error>>;

/// What the writer is asked to do.
pub(super) enum Job {
    Program(Work, Answer<Outcome>),
    Load(LoadBatch, Answer<LoadOutcome>),
    Sweep(i64, Answer<u64>),
    /// Write the log into the data file while nothing else is written.
    Checkpoint,
    Stop,
}

impl Job {
    /// Programs over this transaction never wait, so one poll runs them to their end.
    pub(super) fn program(mut program: Program, answer: Answer<Outcome>) -> Self {
        let work = move |tx: &mut SqliteTx<'_>| {
            let future = pin!(program.run(tx));
            future.poll(&mut Context::from_waker(Waker::noop()))
        };
        Self::Program(Box::new(work), answer)
    }
}

/// The way to the writer.
pub(super) struct Queue(Sender<Job>);

impl Queue {
    pub(super) fn new() -> (Self, Receiver<Job>) {
        let (sender, receiver) = crossbeam_channel::bounded(QUEUE);
        (Self(sender), receiver)
    }

    /// Queues a job; its reply comes once it is durable.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        job: impl FnOnce(Answer<T>) -> Job,
    ) -> Reply<'static, Result<T, Error>> {
        let (answer, reply) = oneshot::channel();
        match self.0.try_send(job(answer)) {
            Ok(()) => Reply::later(async move { reply.await.unwrap_or_else(|_| Err(stopped())) }),
            Err(TrySendError::Full(_)) => Reply::ready(Err(overloaded())),
            Err(TrySendError::Disconnected(_)) => Reply::ready(Err(stopped())),
        }
    }

    /// Queues a job that nobody waits for, unless the queue is full.
    pub(super) fn hint(&self, job: Job) {
        let _ = self.0.try_send(job);
    }

    /// Queues a job even if it has to wait for a place.
    pub(super) fn insist(&self, job: Job) {
        let _ = self.0.send(job);
    }

    pub(super) fn depth(&self) -> usize {
        self.0.len()
    }
}

fn stopped() -> Error {
    Error::new(Code::Unavailable, "STOPPED", "the store is shutting down")
}

fn overloaded() -> Error {
    Error::new(Code::ResourceExhausted, "WRITES_QUEUED", "too many writes are waiting")
        .with_retry_after(Duration::from_millis(100))
}

/// The writer's thread.
pub(super) struct Writer {
    shared: Arc<Shared>,
    connection: Connection,
    jobs: Receiver<Job>,
    /// What the open transaction has changed.
    recorder: Recorder,
    /// Versions up to this one may be on disk.
    reserved: u64,
    /// The highest version written.
    version: u64,
}

/// A program that has run and whose commit is still open.
struct Done {
    answer: Answer<Outcome>,
    outcome: Outcome,
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        connection: Connection,
        jobs: Receiver<Job>,
        recorder: Recorder,
        floor: u64,
    ) -> Self {
        Self { shared, connection, jobs, recorder, reserved: floor, version: floor }
    }

    /// Works until it is told to stop; then leaves a file that needs no recovery.
    pub(super) fn run(mut self) {
        while let Ok(job) = self.jobs.recv() {
            let mut next = Some(job);
            while let Some(job) = next.take() {
                match job {
                    Job::Program(program, answer) => next = self.group(program, answer),
                    Job::Load(batch, answer) => self.alone(answer, |writer| load::run(writer, &batch)),
                    Job::Sweep(now, answer) => self.alone(answer, |writer| sweep::run(writer, now)),
                    Job::Checkpoint => checkpoint::finish(&self.shared, &self.connection),
                    Job::Stop => return self.close(),
                }
            }
        }
        self.close();
    }

    /// Runs a program and those that wait behind it in one transaction. Answers the job that ended the group.
    fn group(&mut self, program: Work, answer: Answer<Outcome>) -> Option<Job> {
        let started = Instant::now();
        let mut done = Vec::new();
        let mut next = Some(Job::Program(program, answer));
        let mut count = 0;
        loop {
            let Some(Job::Program(program, answer)) = next.take_if(|job| matches!(job, Job::Program(..))) else {
                break;
            };
            // A caller who went away before anything was done wants nothing done.
            if !answer.is_closed() {
                self.one(program, answer, &mut done);
            }
            count += 1;
            if count == MAX_GROUP || started.elapsed() > MAX_GROUP_TIME {
                break;
            }
            next = self.jobs.try_recv().ok();
        }
        self.commit_group(done);
        next
    }

    fn one(&mut self, mut program: Work, answer: Answer<Outcome>, done: &mut Vec<Done>) {
        if let Err(error) = self.begin() {
            let _ = answer.send(Err(error));
            return;
        }
        let shared = Arc::clone(&self.shared);
        let mark = self.recorder.mark();
        let mut tx = SqliteTx::new(&shared, &mut self.connection, &mut self.recorder, done.is_empty());
        let result = run_once(&mut program, &mut tx);
        let (undo, version) = (tx.undo(), tx.version);
        // It may hold what its caller drops next; whoever was answered finds nothing of its own still in use.
        drop(program);
        match result {
            // Nothing of it has to become durable, but what it read may be another's write that is still open.
            Ok(outcome) if outcome.keep && matches!(undo, Undo::Nothing { .. }) => done.push(Done { answer, outcome }),
            Ok(_) if self.connection.is_autocommit() => {
                self.fail(done, answer, Error::internal("a program went on in a transaction that had ended"));
            }
            Ok(outcome) if outcome.keep => {
                self.version = self.version.max(version);
                match self.release(undo) {
                    Ok(()) => done.push(Done { answer, outcome }),
                    Err(error) => self.fail(done, answer, error),
                }
            }
            Ok(outcome) => match self.undo(undo, mark) {
                Ok(()) => drop(answer.send(Ok(outcome))),
                Err(error) => self.fail(done, answer, error),
            },
            Err(error) => {
                let undone =
                    if self.connection.is_autocommit() { Err(()) } else { self.undo(undo, mark).map_err(drop) };
                match undone {
                    Ok(()) => drop(answer.send(Err(error))),
                    Err(()) => self.fail(done, answer, error),
                }
            }
        }
    }

    fn begin(&mut self) -> Result<(), Error> {
        if self.connection.is_autocommit() {
            self.execute("BEGIN IMMEDIATE").map_err(failed)?;
        }
        Ok(())
    }

    fn release(&self, undo: Undo) -> Result<(), Error> {
        match undo {
            Undo::Savepoint => self.execute("RELEASE program").map_err(failed),
            Undo::Nothing { .. } | Undo::Transaction => Ok(()),
        }
    }

    fn undo(&mut self, undo: Undo, mark: Mark) -> Result<(), Error> {
        self.recorder.back_to(mark);
        match undo {
            Undo::Nothing { .. } => Ok(()),
            Undo::Transaction => self.execute("ROLLBACK").map_err(failed),
            Undo::Savepoint => {
                self.execute("ROLLBACK TO program").and_then(|()| self.execute("RELEASE program")).map_err(failed)
            }
        }
    }

    /// The transaction is lost: so is everything that ran in it.
    fn fail(&mut self, done: &mut Vec<Done>, answer: Answer<Outcome>, error: Error) {
        self.roll_back();
        for lost in done.drain(..) {
            let _ = lost.answer.send(Err(copy(&error)));
        }
        let _ = answer.send(Err(error));
    }

    fn roll_back(&mut self) {
        self.recorder.clear();
        if !self.connection.is_autocommit()
            && let Err(error) = self.execute("ROLLBACK")
        {
            tracing::error!(error = &error as &dyn std::error::Error, "a transaction could not be rolled back");
        }
    }

    fn commit_group(&mut self, done: Vec<Done>) {
        let result = self.commit();
        if result.is_ok() && !done.is_empty() {
            self.shared.counters.committed(done.len() as u64);
        }
        for Done { answer, outcome } in done {
            let result = result.as_ref().map(|()| outcome).map_err(copy);
            let _ = answer.send(result);
        }
    }

    /// Commits what is open, if anything is. Answers once it is on disk.
    fn commit(&mut self) -> Result<(), Error> {
        if self.connection.is_autocommit() {
            return Ok(());
        }
        let number = self.shared.position() + 1;
        let logged = self.recorder.write(&self.shared.changes, &self.connection, number).map_err(failed);
        let reserved = logged.and_then(|()| self.reserve()).and_then(|reserved| {
            self.execute("COMMIT").map_err(|error| classify(error, During::Commit))?;
            Ok(reserved)
        });
        match reserved {
            Ok(reserved) => self.reserved = reserved,
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "a commit failed");
                self.roll_back();
                return Err(error);
            }
        }
        // Counted before anybody is answered: readers then leave the snapshots they hold.
        self.shared.position.store(number, Ordering::Release);
        self.shared.changes.committed.notify_waiters();
        self.recorder.clear();
        self.shared.checkpoints.look(self.shared.counters.wal_pages.load(Ordering::Relaxed));
        Ok(())
    }

    fn reserve(&self) -> Result<u64, Error> {
        if self.version <= self.reserved {
            return Ok(self.reserved);
        }
        let reserved = self.version + FLOOR_STEP;
        meta::set_floor(&self.connection, reserved).map_err(failed)?;
        Ok(reserved)
    }

    /// Runs a job in a transaction of its own.
    fn alone<T>(&mut self, answer: Answer<T>, job: impl FnOnce(&mut Self) -> Result<T, Error>) {
        let result = catch_unwind(AssertUnwindSafe(|| {
            self.begin()?;
            let value = job(self)?;
            self.commit()?;
            Ok(value)
        }));
        let result = result.unwrap_or_else(|_| Err(panicked()));
        if result.is_err() {
            self.roll_back();
        }
        let _ = answer.send(result);
    }

    fn execute(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute([]).map(drop)
    }

    fn close(mut self) {
        self.reserved = self.version;
        if let Err(error) = left_out::make_each(&self.connection) {
            tracing::warn!(error = &error as &dyn std::error::Error, "indexes are made at the next start");
        }
        let closed = meta::set_floor(&self.connection, self.version)
            .and_then(|()| meta::remove(&self.connection, meta::RUNNING))
            .and_then(|()| self.connection.execute_batch("PRAGMA optimize"));
        self.shared.readers.close();
        let closed = closed.and_then(|()| checkpoint::truncate(&self.connection));
        if let Err(error) = closed {
            tracing::warn!(error = &error as &dyn std::error::Error, "the data file is checked at the next start");
        }
    }

    pub(super) fn parts(&mut self) -> (&Shared, &Connection, &mut Recorder) {
        (&self.shared, &self.connection, &mut self.recorder)
    }

    pub(super) fn wrote(&mut self, version: u64) {
        self.version = self.version.max(version);
    }
}

fn run_once(work: &mut Work, tx: &mut SqliteTx<'_>) -> Result<Outcome, Error> {
    match catch_unwind(AssertUnwindSafe(|| work(tx))) {
        Ok(Poll::Ready(result)) => result,
        Ok(Poll::Pending) => Err(Error::internal("a program waited inside a transaction that never does")),
        Err(_) => Err(panicked()),
    }
}

fn panicked() -> Error {
    Error::internal("a write panicked")
}

/// The same failure for another caller. The source stays with the first, which is logged.
fn copy(error: &Error) -> Error {
    Error::new(error.code(), error.reason(), error.message().to_owned()).with_applied(error.applied())
}
