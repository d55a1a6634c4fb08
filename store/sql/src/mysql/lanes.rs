//! Reads on their way to the server.
//!
//! A lane is a connection and the task that owns it. What waits when the lane gets to it is sent in one piece and
//! answered in order, so that a busy lane pays for a system call and a wake-up once per many reads. A connection that
//! breaks is replaced, and what it had not answered is asked again once: reads change nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use kit_core::{Code, Error, Reply};
use rowkeep_mysql::{Connection, Error as DriverError, Statement};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout_at;

use super::errors::{Failed, Fate, classify, fate};
use super::reads::{Found, Read};
use super::session::Connector;

/// Bytes that are sent before answers are read: a server that is not read from stops reading.
const QUEUED_BYTES: usize = 32 * 1024;
/// Reads that may wait in a lane.
const WAITING: usize = 1024;
/// A read without a deadline of its own ends after this.
const PATIENCE: Duration = Duration::from_secs(30);

/// A read that waits, with who waits for it.
pub(super) struct Job {
    read: Read,
    answer: oneshot::Sender<Result<Found, Error>>,
}

/// Lanes that share their work.
pub(super) struct Lanes {
    lanes: Vec<mpsc::Sender<Job>>,
    next: AtomicUsize,
}

impl Lanes {
    /// As many lanes; their connections are opened when they are needed. `together`: reads that a lane
    /// sends before it waits for answers; fewer where each may be long. `lost` counts the connections that break.
    pub(super) fn new(
        runtime: &tokio::runtime::Handle,
        connector: &Connector,
        lost: &Arc<AtomicU64>,
        count: usize,
        together: usize,
    ) -> Self {
        let lane = |_| {
            let (sender, jobs) = mpsc::channel(WAITING);
            runtime.spawn(
                Lane { connector: connector.clone(), connection: None, together, lost: Arc::clone(lost) }.run(jobs),
            );
            sender
        };
        Self { lanes: (0..count).map(lane).collect(), next: AtomicUsize::new(0) }
    }

    /// Reads that are not sent yet.
    pub(super) fn waiting(&self) -> u64 {
        self.lanes.iter().map(|lane| (lane.max_capacity() - lane.capacity()) as u64).sum()
    }

    /// Asks; an overfull lane refuses.
    pub(super) fn ask(&self, read: Read) -> Reply<'static, Result<Found, Error>> {
        let start = self.next.fetch_add(1, Ordering::Relaxed);
        // The emptier one of two: long reads do not hold up those behind them where there is another way.
        let (one, other) = (&self.lanes[start % self.lanes.len()], &self.lanes[(start + 1) % self.lanes.len()]);
        let lane = if other.capacity() > one.capacity() { other } else { one };
        let (answer, answered) = oneshot::channel();
        if lane.try_send(Job { read, answer }).is_err() {
            let error = Error::new(Code::ResourceExhausted, "READS_QUEUED", "too many reads are waiting");
            return Reply::ready(Err(error.with_retry_after(Duration::from_millis(100))));
        }
        Reply::later(async move { answered.await.unwrap_or_else(|_| Err(stopped())) })
    }
}

fn stopped() -> Error {
    Error::new(Code::Unavailable, "STOPPED", "the store is shutting down")
}

struct Lane {
    connector: Connector,
    connection: Option<Connection>,
    together: usize,
    lost: Arc<AtomicU64>,
}

impl Lane {
    async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut waiting = Vec::new();
        while jobs.recv_many(&mut waiting, self.together).await > 0 {
            self.serve(&mut waiting).await;
            waiting.clear();
        }
    }

    /// Answers all of them.
    async fn serve(&mut self, waiting: &mut Vec<Job>) {
        waiting.reverse();
        for attempt in 0..2 {
            waiting.retain(|job| !job.answer.is_closed());
            if waiting.is_empty() {
                return;
            }
            let deadline = waiting.iter().filter_map(|job| job.read.deadline).min();
            let deadline = deadline.unwrap_or_else(|| Instant::now() + PATIENCE);
            let failed = match timeout_at(deadline.into(), self.all(waiting)).await {
                Ok(Ok(())) => return,
                Ok(Err(error)) => classify(error),
                Err(_) => late(),
            };
            self.leave();
            let (is_late, is_last) = (failed.code() == Code::DeadlineExceeded, attempt > 0);
            if is_late || is_last {
                self.refuse(waiting, &failed, !is_last);
            }
        }
    }

    /// Answers those that will not be asked again: all, or the one that took too long.
    fn refuse(&self, waiting: &mut Vec<Job>, error: &Error, only_first: bool) {
        let from = if only_first { waiting.len().saturating_sub(1) } else { 0 };
        for job in waiting.drain(from..) {
            let copy = Error::new(error.code(), error.reason(), error.message().to_owned());
            let _ = job.answer.send(Err(copy));
        }
        tracing::debug!(error = error as &dyn std::error::Error, "a read failed");
    }

    /// Gives the connection up, and tells the server if it still works for it.
    fn leave(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        self.lost.fetch_add(1, Ordering::Relaxed);
        let (connector, number) = (self.connector.clone(), connection.server().connection);
        drop(connection);
        tokio::spawn(async move { connector.kill(number).await });
    }

    /// Answers from the back of the list; what is left in it was not answered.
    async fn all(&mut self, waiting: &mut Vec<Job>) -> Result<(), DriverError> {
        while !waiting.is_empty() {
            let connection = match &mut self.connection {
                Some(connection) => connection,
                None => self.connection.insert(self.connector.open().await?),
            };
            let statements = prepare(connection, waiting).await?;
            let mut sent = 0;
            for (job, statement) in waiting.iter().rev().zip(&statements) {
                if sent > 0 && connection.queued() > QUEUED_BYTES {
                    break;
                }
                job.read.send(connection, *statement)?;
                sent += 1;
            }
            connection.flush().await?;
            for _ in 0..sent {
                receive(connection, waiting).await?;
            }
        }
        Ok(())
    }
}

fn late() -> Error {
    Error::new(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", "the deadline passed before the database answered")
}

/// Statements for the jobs from the back of the list on. What the server does not take is answered and left out.
async fn prepare(connection: &mut Connection, waiting: &mut Vec<Job>) -> Result<Vec<Statement>, DriverError> {
    let mut statements = Vec::with_capacity(waiting.len());
    let mut at = waiting.len();
    while at > 0 {
        at -= 1;
        match connection.prepare(waiting[at].read.text()).await {
            Ok(statement) => statements.push(statement),
            Err(error) if fate(&error) == Fate::Lost => return Err(error),
            Err(error) => drop(waiting.remove(at).answer.send(Err(classify(error)))),
        }
    }
    Ok(statements)
}

/// Receives the answer to the last job of the list, and removes it.
async fn receive(connection: &mut Connection, waiting: &mut Vec<Job>) -> Result<(), DriverError> {
    let Some(job) = waiting.last() else { return Ok(()) };
    let mut found = job.read.nothing();
    let read = &job.read;
    let received = connection.receive(|row| read.row(&mut found, row)).await;
    let answer = match received {
        Ok(_) => Ok(found),
        Err(Failed::Driver(error)) if fate(&error) == Fate::Lost => return Err(error),
        Err(failed) => Err(failed.into()),
    };
    if let Some(job) = waiting.pop() {
        let _ = job.answer.send(answer);
    }
    Ok(())
}
