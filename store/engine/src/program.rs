//! A commit, prepared: run by an adapter inside its transaction.

use std::sync::Arc;
use std::time::Instant;

use kit_core::{Code, Deadline, Error};
use rowkeep_schema::EntityId;

use crate::commit::{Commit, replay};
use crate::engine::Shared;
use crate::noted::{Notes, NotingTx};
use crate::prepare::{PreparedOperation, PreparedWrite};
use crate::{Isolation, Position, Remembered, Tx, WriteResult};

/// A prepared commit. Cheap to move to another thread, may be run again after a conflict.
pub struct Program {
    pub(crate) shared: Arc<Shared>,
    pub(crate) writes: Vec<PreparedWrite>,
    pub(crate) request: Option<Request>,
    pub(crate) validate_only: bool,
    pub(crate) isolation: Isolation,
    pub(crate) deadline: Option<Instant>,
    /// Of an earlier run.
    pub(crate) version: Option<u64>,
    pub(crate) notes: Vec<Arc<dyn Notes>>,
}

/// What a commit is remembered by.
pub(crate) struct Request {
    pub(crate) id: String,
    pub(crate) fingerprint: [u8; 32],
}

/// What a program answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// One for each write, in order.
    pub results: Vec<WriteResult>,
    /// Answered from the memory of an earlier request with the same id.
    pub replayed: bool,
    /// Unset: the transaction is rolled back and the outcome answered all the same (`validate_only`).
    pub keep: bool,
    /// A place that contains what was written or, if nothing was, what was read; set by storage that tells sessions.
    pub position: Option<Position>,
}

impl Program {
    /// When its caller stops waiting.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Whether its outcome is remembered under a request id: run again, it answers what the first run did.
    pub fn is_remembered(&self) -> bool {
        self.request.is_some() && !self.validate_only
    }

    /// What it promises beside others. Never more than the storage's [`Capabilities`](crate::Capabilities) say.
    pub fn isolation(&self) -> Isolation {
        self.isolation
    }

    /// Where it adds one row, if it neither reads nor locks anything else: no reference to check, no precondition, nothing
    /// to remember, no expired or hidden row that may be in the way, no row to read back afterwards, no
    /// promise beyond its own row. Such programs can
    /// share a transaction without getting in each other's way.
    pub fn only_adds(&self) -> Option<EntityId> {
        let [write] = self.writes.as_slice() else { return None };
        let entity = self.shared.entity(write.entity);
        let alone = matches!(write.operation, PreparedOperation::Create(_))
            && write.precondition.is_empty()
            && self.request.is_none()
            && !self.validate_only
            && self.isolation == Isolation::ReadCommitted
            && entity.versioned
            && self.shared.plan(write.entity).references.is_empty()
            && entity.expire.is_none()
            && entity.soft_delete.is_none();
        alone.then_some(write.entity)
    }

    /// Reads, checks and writes through `tx`. Adapters whose replies are always ready may poll the future once.
    ///
    /// # Errors
    /// Anything that must undo what the program wrote.
    pub async fn run(&mut self, tx: &mut dyn Tx) -> Result<Outcome, Error> {
        if self.notes.is_empty() {
            return self.execute(tx).await;
        }
        let (notes, schema) = (self.notes.clone(), Arc::clone(&self.shared.schema));
        self.execute(&mut NotingTx { tx, notes, schema }).await
    }

    /// Tells somebody which rows it writes, each time it is run. Several may be told.
    pub fn note(&mut self, notes: Arc<dyn Notes>) {
        self.notes.push(notes);
    }
}

impl Program {
    async fn execute(&mut self, tx: &mut dyn Tx) -> Result<Outcome, Error> {
        self.deadline.map_or(Deadline::NONE, Deadline::at).check()?;
        let now = self.shared.now();
        if let Some(request) = &self.request
            && let Some(remembered) = tx.recall(&request.id).await?
            && remembered.forget_at > now
        {
            return request.replay(&remembered);
        }
        let version = self.take_version(now);
        let mut commit = Commit::new(&self.shared, tx, now, version);
        let mut results = Vec::with_capacity(self.writes.len());
        for write in &mut self.writes {
            results.push(commit.apply(write).await?);
        }
        if let Some(request) = self.request.as_ref().filter(|_| !self.validate_only) {
            let retention = i64::try_from(self.shared.options.request_id_retention.as_micros()).unwrap_or(i64::MAX);
            let remembered = Remembered {
                fingerprint: request.fingerprint,
                outcome: replay::encode(&results),
                forget_at: now.saturating_add(retention),
            };
            tx.remember(&request.id, &remembered).await?;
        }
        Ok(Outcome { results, replayed: false, keep: !self.validate_only, position: None })
    }

    /// The version of this run. That of an earlier one, which was undone, is still this program's own; it is of use as long as
    /// the clock has not passed it.
    fn take_version(&mut self, now: i64) -> u64 {
        let now_at_least = u64::try_from(now).unwrap_or(0);
        let version = self.version.filter(|version| *version >= now_at_least);
        *self.version.insert(version.unwrap_or_else(|| self.shared.next_version(now)))
    }
}

impl Request {
    fn replay(&self, remembered: &Remembered) -> Result<Outcome, Error> {
        if remembered.fingerprint != self.fingerprint {
            let message = "the request id was used by a request with other content; use a new one";
            return Err(Error::new(Code::AlreadyExists, "REQUEST_ID_REUSED", message).with("request_id", &self.id));
        }
        let results = replay::decode(&remembered.outcome)
            .ok_or_else(|| Error::internal("a remembered outcome cannot be read"))?;
        Ok(Outcome { results, replayed: true, keep: true, position: None })
    }
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program").field("writes", &self.writes.len()).finish_non_exhaustive()
    }
}
