//! Programs that add one row each and do nothing else, run side by side in one transaction: their rows are sent together,
//! and each goes on with the answer to its own.

use std::future::poll_fn;
use std::mem::take;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Instant;

use kit_core::{Error, Reply};
use rowkeep_engine::{Outcome, Program, Remembered, Stored, Tx, WriteError};
use rowkeep_mysql::{Connection, Statement};
use rowkeep_record::{Key, Value};
use rowkeep_schema::{ColumnId, EntityId};

use super::errors::Failed;
use super::store::Shared;
use super::train::Train;
use super::tx::{Ended, row_params};

/// What each program answers, unless something went wrong with the transaction.
pub(super) type Answers = Vec<Result<Outcome, Error>>;

/// Runs programs that add rows to one table.
pub(super) async fn add(
    shared: &Shared,
    connection: &mut Connection,
    entity: EntityId,
    programs: Vec<&mut Program>,
    deadline: Option<Instant>,
) -> (Answers, Ended) {
    let slots: Vec<Slot> = programs.iter().map(|_| Slot::default()).collect();
    let mut transactions = slots.clone();
    let mut adding = Adding { shared, entity, train: Train::new(connection, deadline), begun: false, version: 0 };
    let pairs = programs.into_iter().zip(&mut transactions);
    let runs = pairs.map(|(program, tx)| Box::pin(program.run(tx)) as Run<'_>).collect();
    let (answers, error) = match adding.run(runs, &slots).await {
        Ok(answers) => (answers, None),
        Err(failed) => (Vec::new(), Some(failed.into())),
    };
    let Adding { train: Train { fate, silent, .. }, begun, version, .. } = adding;
    (answers, Ended { begun, version, fate, is_false: false, silent, error })
}

type Run<'a> = Pin<Box<dyn Future<Output = Result<Outcome, Error>> + Send + 'a>>;

async fn poll_once<T>(run: &mut Pin<Box<dyn Future<Output = T> + Send + '_>>) -> Option<T> {
    poll_fn(|context| match run.as_mut().poll(context) {
        Poll::Ready(answer) => Poll::Ready(Some(answer)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

struct Adding<'a> {
    shared: &'a Shared,
    entity: EntityId,
    train: Train<'a>,
    begun: bool,
    /// The highest written.
    version: u64,
}

impl Adding<'_> {
    async fn run(&mut self, mut runs: Vec<Run<'_>>, slots: &[Slot]) -> Result<Answers, Failed> {
        let mut answers = Vec::with_capacity(runs.len());
        // Up to the row that each wants to add.
        for run in &mut runs {
            answers.push(poll_once(run).await);
        }
        self.add(slots).await?;
        for (answer, run) in answers.iter_mut().zip(&mut runs) {
            if answer.is_none() {
                *answer = poll_once(run).await;
            }
        }
        answers.into_iter().map(|answer| answer.ok_or_else(|| wants_more().into())).collect()
    }

    async fn add(&mut self, slots: &[Slot]) -> Result<(), Failed> {
        let shared = self.shared;
        let statement = self.train.statement(&shared.sql(self.entity).insert).await?;
        let mut next = 0;
        while next < slots.len() {
            let first = next;
            let mut counting = Vec::new();
            while next < slots.len() && !self.train.is_full() {
                counting.push(self.send(statement, &slots[next])?);
                next += 1;
            }
            self.train.settle().await?;
            for (slot, counts) in slots[first..next].iter().zip(counting) {
                if let Some(counts) = counts {
                    slot.put(State::Answered(self.receive(counts).await?));
                }
            }
        }
        Ok(())
    }

    /// Sends the row that a program wants to add. Whether the server counts its number; `None` without a row.
    fn send(&mut self, statement: Statement, slot: &Slot) -> Result<Option<bool>, Failed> {
        let Some(row) = slot.asked() else { return Ok(None) };
        let (sql, entity) = (self.shared.sql(self.entity), self.shared.schema.entity(self.entity));
        self.train.send(statement, &row_params(sql, entity, &row)?)?;
        self.begun = true;
        self.version = self.version.max(row.version);
        Ok(Some(self.shared.counted(self.entity).is_some_and(|column| row.values[column.index()].is_null())))
    }

    async fn receive(&mut self, counts: bool) -> Result<Inserted, Failed> {
        match self.train.receive_any(|_| Ok(())).await {
            Err(failed) if self.train.fate.is_some() => {
                self.train.leave_off().await;
                Err(failed)
            }
            Err(failed) => Ok(Err(self.shared.write_error(self.entity, failed, counts))),
            Ok(done) => Ok(Ok(if counts { i64::try_from(done.last_insert_id).ok() } else { None })),
        }
    }
}

type Inserted = Result<Option<i64>, WriteError>;

/// Between a program and the group it is run in: the transaction that the program sees.
#[derive(Clone, Default)]
struct Slot(Arc<Mutex<State>>);

#[derive(Default)]
enum State {
    #[default]
    Idle,
    Asked(Stored),
    Answered(Inserted),
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, state: State) {
        *self.lock() = state;
    }

    /// The row that is to be added.
    fn asked(&self) -> Option<Stored> {
        if let State::Asked(row) = take(&mut *self.lock()) { Some(row) } else { None }
    }

    fn answered(&self) -> Option<Inserted> {
        let mut state = self.lock();
        match take(&mut *state) {
            State::Answered(answer) => Some(answer),
            other => {
                *state = other;
                None
            }
        }
    }
}

/// Such a program is run alone.
fn wants_more() -> Error {
    Error::internal("a program that only adds a row wants more")
}

impl Tx for Slot {
    fn insert<'a>(&'a mut self, _: EntityId, row: &'a Stored) -> Reply<'a, Result<Option<i64>, WriteError>> {
        self.put(State::Asked(row.clone()));
        // The group looks again when it has the answer.
        Reply::later(poll_fn(|_| self.answered().map_or(Poll::Pending, Poll::Ready)))
    }

    fn get<'a>(&'a mut self, _: EntityId, _: &'a Key) -> Reply<'a, Result<Option<Stored>, Error>> {
        Reply::later(std::future::pending())
    }

    fn find<'a>(
        &'a mut self,
        _: EntityId,
        _: &'a [ColumnId],
        _: &'a [Value],
        _: u32,
    ) -> Reply<'a, Result<Vec<Stored>, Error>> {
        Reply::later(std::future::pending())
    }

    fn update<'a>(
        &'a mut self,
        _: EntityId,
        _: &'a Key,
        _: &'a [ColumnId],
        _: &'a Stored,
    ) -> Reply<'a, Result<(), WriteError>> {
        Reply::later(std::future::pending())
    }

    fn delete<'a>(&'a mut self, _: EntityId, _: &'a Key) -> Reply<'a, Result<bool, Error>> {
        Reply::later(std::future::pending())
    }

    fn recall<'a>(&'a mut self, _: &'a str) -> Reply<'a, Result<Option<Remembered>, Error>> {
        Reply::later(std::future::pending())
    }

    fn remember<'a>(&'a mut self, _: &'a str, _: &'a Remembered) -> Reply<'a, Result<(), Error>> {
        Reply::later(std::future::pending())
    }
}
