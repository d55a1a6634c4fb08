//! Reads on their way to the server.
//!
//! A lane is a connection and the task that owns it. What waits when the lane gets to it is sent in one piece and
//! answered in order, so that a busy lane pays for a system call and a wake-up once per many reads. A connection that
//! breaks is replaced, and what it had not answered is asked again once: reads change nothing.
//!
//! A read that takes long, because its table is locked or its rows are on a slow disk, does not hold up what was sent behind
//! it: it is given a connection of its own, and the others are asked again.
//!
//! Of a store with replicas, a lane asks behind each piece how far the server is, and holds the answers until it knows: a
//! client is told how far it has seen ([`Reached`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use kit_core::{Code, Error, Reply};
use rowkeep_engine::Session;
use rowkeep_mysql::{Connection, Error as DriverError, Raw, Statement};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout_at;

use super::errors::{Failed, Fate, classify, fate};
use super::pace::Pace;
use super::reads::{Found, Read};
use super::servers::{Progress, Reached, question};
use super::session::Connector;

/// Bytes that are sent before answers are read: a server that is not read from stops reading.
const QUEUED_BYTES: usize = 32 * 1024;
/// Reads that may wait in a lane.
const WAITING: usize = 1024;
/// Reads that have connections of their own, of all lanes together, at most.
const ALONE: usize = 8;
/// A read without a deadline of its own ends after this.
const PATIENCE: Duration = Duration::from_secs(30);

/// A read that waits, with who waits for it.
pub(super) struct Job {
    read: Arc<Read>,
    answer: oneshot::Sender<Result<Answer, Error>>,
}

/// What a read found, and how far the server was afterwards, where that is asked.
pub(super) struct Answer {
    pub(super) found: Found,
    reached: Option<Arc<Reached>>,
}

impl Answer {
    /// Whether the server took writes when it had answered.
    pub(super) fn is_from_primary(&self) -> bool {
        self.reached.as_ref().is_none_or(|reached| reached.writable)
    }

    /// Tells a session what it has seen. What the primary does not contain is lost for all, and not worth waiting for.
    pub(super) fn tell(&self, session: &Session, from_primary: bool) {
        if let Some(reached) = &self.reached {
            session.saw(&reached.place, |point| from_primary || reached.contains(point));
        }
    }
}

/// Lanes that share their work.
pub(super) struct Lanes {
    lanes: Vec<Entrance>,
    next: AtomicUsize,
}

/// Where reads get into a lane.
struct Entrance {
    jobs: mpsc::Sender<Job>,
    pace: Arc<Pace>,
}

impl Entrance {
    /// The smaller, the sooner a read is answered.
    fn load(&self) -> (bool, usize) {
        (self.pace.is_stalled(), self.jobs.max_capacity() - self.jobs.capacity())
    }
}

impl Lanes {
    /// As many lanes; their connections are opened when they are needed. `together`: reads that a lane sends before it
    /// waits for answers; fewer where each may be long.
    pub(super) fn new(
        runtime: &tokio::runtime::Handle,
        connector: &Connector,
        progress: &Arc<Progress>,
        count: usize,
        together: usize,
    ) -> Self {
        let alone = Arc::new(Semaphore::new(ALONE));
        let lane = |_| {
            let (sender, jobs) = mpsc::channel(WAITING);
            let lane = Lane::new(connector.clone(), Arc::clone(progress), Arc::clone(&alone), together);
            let entrance = Entrance { jobs: sender, pace: Arc::clone(&lane.pace) };
            runtime.spawn(lane.run(jobs));
            entrance
        };
        Self { lanes: (0..count).map(lane).collect(), next: AtomicUsize::new(0) }
    }

    /// Reads that are not sent yet.
    pub(super) fn waiting(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.load().1 as u64).sum()
    }

    /// Asks; an overfull lane refuses.
    pub(super) fn ask(&self, read: Arc<Read>) -> Reply<'static, Result<Answer, Error>> {
        let start = self.next.fetch_add(1, Ordering::Relaxed);
        // The emptier one of two: long reads do not hold up those behind them where there is another way.
        let (one, other) = (&self.lanes[start % self.lanes.len()], &self.lanes[(start + 1) % self.lanes.len()]);
        let lane = if other.load() < one.load() { other } else { one };
        let (answer, answered) = oneshot::channel();
        if lane.jobs.try_send(Job { read, answer }).is_err() {
            let error = Error::new(Code::ResourceExhausted, "READS_QUEUED", "too many reads are waiting");
            return Reply::ready(Err(error.with_retry_after(Duration::from_millis(100))));
        }
        Reply::later(async move { answered.await.unwrap_or_else(|_| Err(stopped())) })
    }
}

fn stopped() -> Error {
    Error::new(Code::Unavailable, "STOPPED", "the store is shutting down")
}

/// Why what was sent is not answered.
enum End {
    Failed(Error),
    /// The server does not answer anybody.
    Gone,
    /// A read takes long, and others wait for it.
    Stalled,
}

struct Lane {
    connector: Connector,
    progress: Arc<Progress>,
    connection: Option<Connection>,
    /// Of the connection.
    generation: u64,
    together: usize,
    pace: Arc<Pace>,
    /// Places for reads that are left to themselves.
    alone: Arc<Semaphore>,
    /// Answers to the last jobs of the list, until it is known how far the server is.
    held: Vec<Result<Found, Error>>,
}

impl Lane {
    fn new(connector: Connector, progress: Arc<Progress>, alone: Arc<Semaphore>, together: usize) -> Self {
        let pace = Arc::new(Pace::new());
        Self { connector, progress, connection: None, generation: 0, together, pace, alone, held: Vec::new() }
    }

    async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut waiting = Vec::new();
        while jobs.recv_many(&mut waiting, self.together).await > 0 {
            self.pace.step();
            self.serve(&mut waiting, Some(&jobs)).await;
            self.pace.rest();
            waiting.clear();
        }
    }

    /// Answers all of them.
    async fn serve(&mut self, waiting: &mut Vec<Job>, behind: Option<&mpsc::Receiver<Job>>) {
        if self.generation != self.progress.generation() {
            self.connection = None;
        }
        waiting.reverse();
        let mut is_last = false;
        loop {
            waiting.retain(|job| !job.answer.is_closed());
            if waiting.is_empty() {
                return;
            }
            let deadline = waiting.iter().filter_map(|job| job.read.deadline).min();
            let deadline = deadline.unwrap_or_else(|| Instant::now() + PATIENCE);
            let (progress, pace) = (Arc::clone(&self.progress), Arc::clone(&self.pace));
            // A list may take long; to ask again would take as long.
            let (short, many) = (self.together > 1, waiting.len() > 1);
            let holds_up = || many || behind.is_some_and(|behind| !behind.is_empty());
            let end = tokio::select! {
                served = timeout_at(deadline.into(), self.all(waiting)) => match served {
                    Ok(Ok(())) => return,
                    Ok(Err(error)) => End::Failed(classify(error)),
                    Err(_) => End::Failed(late()),
                },
                () = progress.gone() => End::Gone,
                () = pace.stalled(holds_up), if short => End::Stalled,
            };
            self.leave();
            match end {
                End::Gone => self.refuse(waiting, &classify(DriverError::Abandoned), false),
                End::Stalled => self.separate(waiting),
                End::Failed(error) => {
                    if error.code() == Code::DeadlineExceeded || is_last {
                        self.refuse(waiting, &error, !is_last);
                    }
                    is_last = true;
                }
            }
            self.held.clear();
            self.pace.step();
        }
    }

    /// Leaves the read that is waited for to itself, so that the others are answered.
    fn separate(&self, waiting: &mut Vec<Job>) {
        let Some(at) = waiting.len().checked_sub(self.held.len() + 1) else { return };
        let job = waiting.remove(at);
        let Ok(place) = Arc::clone(&self.alone).try_acquire_owned() else {
            let error = Error::new(Code::ResourceExhausted, "READS_QUEUED", "too many reads take long");
            return drop(job.answer.send(Err(error.with_retry_after(Duration::from_millis(100)))));
        };
        let mut lane = Self::new(self.connector.clone(), Arc::clone(&self.progress), Arc::clone(&self.alone), 1);
        tokio::spawn(async move {
            lane.serve(&mut vec![job], None).await;
            drop(place);
        });
    }

    /// Answers those that will not be asked again: all, or the one that took too long.
    fn refuse(&self, waiting: &mut Vec<Job>, error: &Error, only_first: bool) {
        let end = waiting.len().saturating_sub(self.held.len());
        let range = if only_first { end.saturating_sub(1)..end } else { 0..waiting.len() };
        for job in waiting.drain(range) {
            let copy = Error::new(error.code(), error.reason(), error.message().to_owned());
            let _ = job.answer.send(Err(copy));
        }
        tracing::debug!(error = error as &dyn std::error::Error, "a read failed");
    }

    /// Gives the connection up, and tells the server if it still works for it.
    fn leave(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        self.progress.lost.fetch_add(1, Ordering::Relaxed);
        let (connector, number) = (self.connector.clone(), connection.server().connection);
        drop(connection);
        tokio::spawn(async move { connector.kill(number).await });
    }

    /// Answers from the back of the list; what is left in it was not answered.
    async fn all(&mut self, waiting: &mut Vec<Job>) -> Result<(), DriverError> {
        while !waiting.is_empty() {
            let connection = match &mut self.connection {
                Some(connection) => connection,
                None => {
                    self.generation = self.progress.generation();
                    self.connection.insert(self.connector.open().await?)
                }
            };
            let statements = prepare(connection, waiting).await?;
            let asked = if self.progress.reports() {
                Some(connection.prepare(question(self.connector.dialect)).await?)
            } else {
                None
            };
            let mut sent = 0;
            for (job, statement) in waiting.iter().rev().zip(&statements) {
                if sent > 0 && connection.queued() > QUEUED_BYTES {
                    break;
                }
                job.read.send(connection, *statement)?;
                sent += 1;
            }
            if let Some(asked) = asked {
                connection.send_execute(asked, &[])?;
            }
            connection.flush().await?;
            for _ in 0..sent {
                let Some(job) = waiting.len().checked_sub(self.held.len() + 1).map(|at| &waiting[at]) else { break };
                let answer = receive(connection, job).await?;
                self.pace.step();
                if asked.is_some() {
                    self.held.push(answer);
                } else if let Some(job) = waiting.pop() {
                    let _ = job.answer.send(answer.map(|found| Answer { found, reached: None }));
                }
            }
            if asked.is_some() {
                let reached = receive_position(connection, &self.progress).await?;
                for answer in self.held.drain(..) {
                    let Some(job) = waiting.pop() else { break };
                    let reached = Some(Arc::clone(&reached));
                    let _ = job.answer.send(answer.map(|found| Answer { found, reached }));
                }
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

/// Receives the answer to a job.
async fn receive(connection: &mut Connection, job: &Job) -> Result<Result<Found, Error>, DriverError> {
    let read = &job.read;
    let mut found = read.nothing();
    match connection.receive(|row| read.row(&mut found, row)).await {
        Ok(_) => Ok(Ok(found)),
        Err(Failed::Driver(error)) if fate(&error) == Fate::Lost => Err(error),
        Err(failed) => Ok(Err(failed.into())),
    }
}

/// Receives how far the server is.
async fn receive_position(connection: &mut Connection, progress: &Progress) -> Result<Arc<Reached>, DriverError> {
    let mut reached = None;
    let received = connection.receive(|row| {
        let writable = matches!(row.value()?, Raw::Int(0) | Raw::Uint(0));
        let (Raw::Bytes(one), Raw::Bytes(other)) = (row.value()?, row.value()?) else { return Ok(()) };
        reached = Some(progress.report(writable, one, other));
        Ok::<(), DriverError>(())
    });
    received.await?;
    reached.ok_or(DriverError::Protocol("a position that cannot be read"))
}
