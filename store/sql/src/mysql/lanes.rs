//! Reads on their way to the server.
//!
//! A lane is a connection and the task that owns it. What waits when the lane gets to it is sent in one piece and
//! answered in order, so that a busy lane pays for a system call and a wake-up once per many reads. A connection that
//! breaks is replaced, and what it had not answered is asked again once: reads change nothing.
//!
//! A table that does not answer is [set aside](super::aside).
//!
//! Of a store with replicas, a lane asks behind each piece how far the server is, and holds the answers until it knows: a
//! client is told how far it has seen ([`Reached`]).

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::{Duration, Instant};

use kit_core::{Code, Error, Reply};
use rowkeep_engine::{Position, Session};
use rowkeep_mysql::{Connection, Error as DriverError, Raw, Statement};
use rowkeep_schema::EntityId;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{timeout, timeout_at};

use super::aside::{self, Aside, STALLED};
use super::errors::{Failed, Fate, classify, fate};
use super::reads::{Found, Read};
use super::servers::{Progress, Reached, question};
use super::session::Connector;

/// Bytes that are sent before answers are read: a server that is not read from stops reading.
const QUEUED_BYTES: usize = 32 * 1024;
/// Reads that may wait in a lane.
const WAITING: usize = 1024;
/// A read without a deadline of its own ends after this.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// A read that waits, with who waits for it.
pub(super) struct Job {
    pub(super) read: Arc<Read>,
    pub(super) answer: oneshot::Sender<Result<Answer, Error>>,
}

impl Job {
    pub(super) fn refuse(self, error: &Error) {
        let copy = Error::new(error.code(), error.reason(), error.message().to_owned());
        let _ = self.answer.send(Err(copy));
    }
}

/// What a read found, and how far the server was afterwards, where that is asked.
pub(super) struct Answer {
    pub(super) found: Found,
    pub(super) reached: Option<Arc<Reached>>,
}

impl Answer {
    /// Whether the server took writes when it had answered.
    pub(super) fn is_from_primary(&self) -> bool {
        self.reached.as_ref().is_none_or(|reached| reached.writable)
    }

    /// Whether the server contained all that a session had seen.
    pub(super) fn contains(&self, seen: &Position) -> bool {
        self.reached.as_ref().is_none_or(|reached| seen.points().iter().all(|point| reached.contains(*point)))
    }

    /// Tells a session what it has seen. What the primary does not contain is lost for all, and not worth waiting for.
    pub(super) fn tell(&self, session: &Session, from_primary: bool) {
        if let Some(reached) = &self.reached {
            session.saw(&reached.place, |point| from_primary || reached.contains(point));
        }
    }
}

/// Lanes that share their work.
pub(super) struct Lanes(Arc<Line>);

/// What waits for the lanes.
pub(super) struct Line {
    lanes: Vec<mpsc::Sender<Job>>,
    next: AtomicUsize,
    pub(super) aside: Aside,
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
        let line = Arc::new_cyclic(|line: &Weak<Line>| {
            let lane = |_| {
                let (sender, jobs) = mpsc::channel(WAITING);
                let (connector, progress, line) = (connector.clone(), Arc::clone(progress), Weak::clone(line));
                let lane =
                    Lane { connector, progress, line, connection: None, generation: 0, together, held: Vec::new() };
                runtime.spawn(lane.run(jobs));
                sender
            };
            Line { lanes: (0..count).map(lane).collect(), next: AtomicUsize::new(0), aside: Aside::default() }
        });
        Self(line)
    }

    /// Reads that are not sent yet.
    pub(super) fn waiting(&self) -> u64 {
        let queued: u64 = self.0.lanes.iter().map(|lane| (lane.max_capacity() - lane.capacity()) as u64).sum();
        queued + self.0.aside.waiting()
    }

    /// Asks; an overfull lane refuses.
    pub(super) fn ask(&self, read: Arc<Read>) -> Reply<'static, Result<Answer, Error>> {
        let (answer, answered) = oneshot::channel();
        self.0.send(Job { read, answer });
        Reply::later(async move { answered.await.unwrap_or_else(|_| Err(stopped())) })
    }
}

impl Line {
    pub(super) fn send(&self, job: Job) {
        let Some(job) = self.aside.keep(job) else { return };
        let start = self.next.fetch_add(1, Ordering::Relaxed);
        // The emptier one of two: long reads do not hold up those behind them where there is another way.
        let (one, other) = (&self.lanes[start % self.lanes.len()], &self.lanes[(start + 1) % self.lanes.len()]);
        let lane = if other.capacity() > one.capacity() { other } else { one };
        if let Err(TrySendError::Full(job) | TrySendError::Closed(job)) = lane.try_send(job) {
            let _ = job.answer.send(Err(queued()));
        }
    }
}

pub(super) fn queued() -> Error {
    let error = Error::new(Code::ResourceExhausted, "READS_QUEUED", "too many reads are waiting");
    error.with_retry_after(Duration::from_millis(100))
}

fn stopped() -> Error {
    Error::new(Code::Unavailable, "STOPPED", "the store is shutting down")
}

/// Why a lane did not answer all.
enum Halt {
    Failed(DriverError),
    /// The server does not answer anybody.
    Gone,
    /// A table does not answer.
    Stalled(EntityId),
}

impl From<DriverError> for Halt {
    fn from(error: DriverError) -> Self {
        Self::Failed(error)
    }
}

struct Lane {
    connector: Connector,
    progress: Arc<Progress>,
    line: Weak<Line>,
    connection: Option<Connection>,
    /// Of the connection.
    generation: u64,
    together: usize,
    /// Answers to the last jobs of the list, until it is known how far the server is.
    held: Vec<Result<Found, Error>>,
}

impl Lane {
    async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut waiting = Vec::new();
        while jobs.recv_many(&mut waiting, self.together).await > 0 {
            let gone_with = self.serve(&mut waiting).await;
            waiting.clear();
            // What waits behind them would wait for the next time that the server is found not to answer.
            while gone_with && let Ok(job) = jobs.try_recv() {
                job.refuse(&gone());
            }
        }
    }

    /// Answers all of them. Whether the server was found not to answer anybody.
    async fn serve(&mut self, waiting: &mut Vec<Job>) -> bool {
        if self.generation != self.progress.generation() {
            self.connection = None;
        }
        waiting.reverse();
        let mut is_last = false;
        loop {
            waiting.retain(|job| !job.answer.is_closed());
            if waiting.is_empty() {
                return false;
            }
            let deadline = waiting.iter().filter_map(|job| job.read.deadline).min();
            let deadline = deadline.unwrap_or_else(|| Instant::now() + PATIENCE);
            let progress = Arc::clone(&self.progress);
            let served = tokio::select! {
                served = timeout_at(deadline.into(), self.all(waiting)) => served,
                () = progress.gone() => Ok(Err(Halt::Gone)),
            };
            if let Ok(Ok(())) = served {
                return false;
            }
            self.leave();
            match served {
                Ok(Ok(())) => return false,
                Ok(Err(Halt::Stalled(entity))) => self.set_aside(entity, waiting),
                Ok(Err(Halt::Gone)) => {
                    self.refuse(waiting, &gone(), false);
                    return true;
                }
                Ok(Err(Halt::Failed(error))) => {
                    if is_last {
                        self.refuse(waiting, &classify(error), false);
                    }
                    is_last = true;
                }
                Err(_) => {
                    self.refuse(waiting, &late(), !is_last);
                    is_last = true;
                }
            }
            self.held.clear();
        }
    }

    /// Takes the reads of a table out.
    fn set_aside(&self, entity: EntityId, waiting: &mut Vec<Job>) {
        let Some(line) = self.line.upgrade() else { return waiting.clear() };
        let jobs = waiting.extract_if(.., |job| job.read.entity() == Some(entity)).collect::<Vec<_>>();
        if line.aside.begin(entity, jobs.into_iter().rev()) {
            tracing::debug!(?entity, "a table does not answer; its reads are set aside");
            let (connector, progress) = (self.connector.clone(), Arc::clone(&self.progress));
            tokio::spawn(aside::ask(Weak::clone(&self.line), connector, progress, entity));
        }
    }

    /// Answers those that will not be asked again: all, or the one that took too long.
    fn refuse(&self, waiting: &mut Vec<Job>, error: &Error, only_first: bool) {
        let end = waiting.len().saturating_sub(self.held.len());
        let range = if only_first { end.saturating_sub(1)..end } else { 0..waiting.len() };
        waiting.drain(range).for_each(|job| job.refuse(error));
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
    async fn all(&mut self, waiting: &mut Vec<Job>) -> Result<(), Halt> {
        // A list may take long, and has the lane for itself.
        let line = if self.together > 1 { self.line.upgrade() } else { None };
        let line = line.as_deref();
        while !waiting.is_empty() {
            let connection = match &mut self.connection {
                Some(connection) => connection,
                None => {
                    self.generation = self.progress.generation();
                    self.connection.insert(self.connector.open().await?)
                }
            };
            let statements = prepare(connection, waiting, line).await?;
            let asked = match self.progress.reports() {
                true => Some(connection.prepare(question(self.connector.dialect)).await?),
                false => None,
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
            let asked_at = Instant::now();
            connection.flush().await?;
            for _ in 0..sent {
                let Some(job) = waiting.len().checked_sub(self.held.len() + 1).map(|at| &waiting[at]) else { break };
                let answer = receive(connection, job, line).await?;
                if asked.is_some() {
                    self.held.push(answer);
                } else if let Some(job) = waiting.pop() {
                    let _ = job.answer.send(answer.map(|found| Answer { found, reached: None }));
                }
            }
            if asked.is_some() {
                let reached = receive_position(connection, &self.progress, asked_at).await?;
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

pub(super) fn late() -> Error {
    Error::new(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", "the deadline passed before the database answered")
}

pub(super) fn gone() -> Error {
    classify(DriverError::Abandoned)
}

/// Statements for the jobs from the back of the list on. What the server does not take is answered and left out.
async fn prepare(
    connection: &mut Connection,
    waiting: &mut Vec<Job>,
    line: Option<&Line>,
) -> Result<Vec<Statement>, Halt> {
    let mut statements = Vec::with_capacity(waiting.len());
    let mut at = waiting.len();
    while at > 0 {
        at -= 1;
        let read = &waiting[at].read;
        match heeding(line, read, connection.prepare(read.text())).await? {
            Ok(statement) => statements.push(statement),
            Err(error) if fate(&error) == Fate::Lost => return Err(error.into()),
            Err(error) => drop(waiting.remove(at).answer.send(Err(classify(error)))),
        }
    }
    Ok(statements)
}

/// Receives the answer to a job.
async fn receive(connection: &mut Connection, job: &Job, line: Option<&Line>) -> Result<Result<Found, Error>, Halt> {
    let read = &job.read;
    let mut found = read.nothing();
    match heeding(line, read, connection.receive(|row| read.row(&mut found, row))).await? {
        Ok(_) => Ok(Ok(found)),
        Err(Failed::Driver(error)) if fate(&error) == Fate::Lost => Err(error.into()),
        Err(failed) => Ok(Err(failed.into())),
    }
}

/// Waits for what a read asks of the server, unless that takes so long that its table is better set aside.
async fn heeding<T, E>(
    line: Option<&Line>,
    read: &Read,
    answer: impl Future<Output = Result<T, E>>,
) -> Result<Result<T, E>, Halt> {
    let mut answer = pin!(answer);
    if let Some(line) = line {
        // Most have been received with others already; a timer costs more than they do.
        let at_once = poll_fn(|context| match answer.as_mut().poll(context) {
            Poll::Ready(answered) => Poll::Ready(Some(answered)),
            Poll::Pending => Poll::Ready(None),
        });
        if let Some(answered) = at_once.await {
            return Ok(answered);
        }
        if let Ok(answered) = timeout(STALLED, answer.as_mut()).await {
            return Ok(answered);
        }
        if let Some(entity) = read.entity().filter(|entity| line.aside.takes(*entity)) {
            return Err(Halt::Stalled(entity));
        }
    }
    Ok(answer.await)
}

/// Receives how far the server is.
async fn receive_position(
    connection: &mut Connection,
    progress: &Progress,
    asked: Instant,
) -> Result<Arc<Reached>, DriverError> {
    let mut reached = None;
    let received = connection.receive(|row| {
        let writable = matches!(row.value()?, Raw::Int(0) | Raw::Uint(0));
        let (Raw::Bytes(one), Raw::Bytes(other)) = (row.value()?, row.value()?) else { return Ok(()) };
        reached = Some(progress.report(asked, writable, one, other));
        Ok::<(), DriverError>(())
    });
    received.await?;
    reached.ok_or(DriverError::Protocol("a position that cannot be read"))
}
