//! Statements of a transaction on their way to the server, several at a time where nobody waits for the answers.
//!
//! A server that ends a transaction by itself, because of a deadlock, goes on with the statements it has received already.
//! Connections for transactions therefore have `autocommit` off
//! ([`Connector::open_for_transactions`](super::session::Connector::open_for_transactions)): what follows is in another
//! transaction, which nobody commits.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use kit_core::Error;
use rowkeep_mysql::{Connection, Done, Error as DriverError, Param, Row, Statement};
use tokio::time::timeout;

use super::errors::{Failed, Fate, fate, violated};
use super::session::{is_silent, patiently, patiently_until};

/// Bytes that are sent before answers are received. They fit into the buffers between here and the server, which may not
/// read on until its answers are received.
pub(super) const QUEUED_BYTES: usize = 32 * 1024;
/// How long the answers to statements behind one that failed are waited for.
const REST: Duration = Duration::from_millis(100);

/// What was sent and is answered later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    /// What goes with a statement.
    Command,
    Insert,
    /// Of a row that is there.
    Update,
    /// The memory of a request, which is another's if nothing is written.
    Memory,
}

pub(super) struct Train<'a> {
    connection: &'a mut Connection,
    /// No answer is waited for past it.
    deadline: Option<Instant>,
    unanswered: VecDeque<Sent>,
    /// The worst that happened to the transaction: a program's error does not tell.
    pub(super) fate: Option<Fate>,
    /// A write that was answered before it was made has failed.
    pub(super) is_false: bool,
    /// The connection was given up while the server was at work.
    pub(super) silent: bool,
}

impl<'a> Train<'a> {
    pub(super) fn new(connection: &'a mut Connection, deadline: Option<Instant>) -> Self {
        Self { connection, deadline, unanswered: VecDeque::new(), fate: None, is_false: false, silent: false }
    }

    /// A statement for this text. To prepare a new one, what is on its way has to be answered.
    pub(super) async fn statement(&mut self, sql: &str) -> Result<Statement, Failed> {
        if let Some(statement) = self.connection.prepared(sql) {
            return Ok(statement);
        }
        self.settle().await?;
        let prepared = patiently_until(self.deadline, self.connection.prepare(sql)).await;
        prepared.map_err(|error| self.failed(error))
    }

    /// Queues a command that goes with the next statement.
    pub(super) fn command(&mut self, sql: &str) {
        self.connection.send_command(sql);
        self.unanswered.push_back(Sent::Command);
    }

    /// Queues a statement whose answer is [received](Self::receive) by hand, after all that was queued before.
    pub(super) fn send(&mut self, statement: Statement, params: &[Param<'_>]) -> Result<(), Failed> {
        Ok(self.connection.send_execute(statement, params)?)
    }

    /// Queues a write. Much is sent before more is queued.
    pub(super) async fn defer(&mut self, statement: Statement, params: &[Param<'_>], what: Sent) -> Result<(), Failed> {
        self.send(statement, params)?;
        self.unanswered.push_back(what);
        if self.is_full() { self.settle().await } else { Ok(()) }
    }

    pub(super) fn is_full(&self) -> bool {
        self.connection.queued() > QUEUED_BYTES
    }

    /// Runs a statement behind all that is queued.
    pub(super) async fn ask(
        &mut self,
        statement: Statement,
        params: &[Param<'_>],
        row: impl FnMut(&mut Row<'_>) -> Result<(), Failed> + Send,
    ) -> Result<Done, Failed> {
        self.send(statement, params)?;
        self.settle().await?;
        self.receive(row).await
    }

    /// Sends what is queued, and receives the answers to writes and commands.
    pub(super) async fn settle(&mut self) -> Result<(), Failed> {
        if self.connection.queued() > 0 {
            let sent = patiently_until(self.deadline, self.connection.flush()).await;
            sent.map_err(|error| self.failed(error))?;
        }
        while let Some(what) = self.unanswered.pop_front() {
            let answer = self.receive_any(|_| Ok(())).await;
            if let Err(failed) = self.check(what, answer) {
                self.is_false |= what != Sent::Command && self.fate.is_none();
                self.leave_off().await;
                return Err(failed);
            }
        }
        Ok(())
    }

    /// Whether all that is on its way is one update.
    pub(super) fn is_one_update(&self) -> bool {
        self.unanswered == [Sent::Update]
    }

    /// Sends what is queued with a commit behind it, and receives the answer to the commit.
    ///
    /// # Errors
    /// As of [`settle`](Self::settle), whatever the commit was answered.
    pub(super) async fn commit(&mut self) -> Result<Result<Done, DriverError>, Failed> {
        self.connection.send_command("COMMIT");
        self.settle().await?;
        Ok(patiently(self.connection.receive(|_| Ok(()))).await)
    }

    /// Receives the answer to a statement that was sent. If it failed, all that is on its way is void.
    pub(super) async fn receive(
        &mut self,
        row: impl FnMut(&mut Row<'_>) -> Result<(), Failed> + Send,
    ) -> Result<Done, Failed> {
        let answer = self.receive_any(row).await;
        if answer.is_err() {
            self.leave_off().await;
        }
        answer
    }

    /// The same; what follows stands for itself.
    pub(super) async fn receive_any(
        &mut self,
        row: impl FnMut(&mut Row<'_>) -> Result<(), Failed> + Send,
    ) -> Result<Done, Failed> {
        let answer = patiently_until(self.deadline, self.connection.receive(row)).await;
        if let Err(Failed::Driver(error)) = &answer {
            self.note(error);
        }
        answer
    }

    /// What the answer to a write means.
    pub(super) fn check(&mut self, what: Sent, answer: Result<Done, Failed>) -> Result<(), Failed> {
        let is_taken = what == Sent::Memory
            && match &answer {
                Ok(done) => done.affected == 0,
                Err(Failed::Driver(error)) => violated(error).is_some(),
                Err(Failed::Other(_)) => false,
            };
        if is_taken {
            // The same request was answered meanwhile; run again, the program finds its answer.
            self.worsen(Fate::Conflict);
            return Err(Error::internal("a request id was used twice at once").into());
        }
        if what == Sent::Update && matches!(&answer, Ok(done) if done.affected == 0) {
            return Err(Error::internal("an update of a row that does not exist").into());
        }
        answer.map(drop)
    }

    /// Receives what is on its way after a failure, so that the connection can go on; it is given up if that takes long.
    pub(super) async fn leave_off(&mut self) {
        self.unanswered.clear();
        if self.silent || self.fate == Some(Fate::Lost) {
            return;
        }
        let (connection, mut lost) = (&mut *self.connection, None);
        let rest = async {
            while connection.awaited() > 0 && lost.is_none() {
                let answer = connection.receive(|_| Ok::<(), DriverError>(())).await;
                lost = answer.err().filter(|error| fate(error) == Fate::Lost);
            }
        };
        self.silent |= timeout(REST, rest).await.is_err();
        if let Some(error) = lost {
            self.note(&error);
        }
    }

    fn failed(&mut self, error: DriverError) -> Failed {
        self.note(&error);
        error.into()
    }

    fn note(&mut self, error: &DriverError) {
        self.silent |= is_silent(error);
        match fate(error) {
            Fate::Refused => {}
            fate => self.worsen(fate),
        }
    }

    /// What came of a step on a connection of its own. This one is still there, with a transaction to roll back.
    pub(super) fn heed_other<T>(&mut self, done: &Result<T, Failed>) {
        let Err(Failed::Driver(error)) = done else { return };
        match fate(error) {
            Fate::Refused => {}
            Fate::Lost => self.worsen(Fate::Moved),
            fate => self.worsen(fate),
        }
    }

    fn worsen(&mut self, fate: Fate) {
        if self.fate != Some(Fate::Lost) {
            self.fate = Some(fate);
        }
    }
}
