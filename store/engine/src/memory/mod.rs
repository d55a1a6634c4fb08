//! The ports over maps: the model that every other adapter is compared with, and a store for tests of what stands on
//! the engine.
//!
//! A transaction works on a copy of the committed state and replaces it at its end. Isolation, rollback and reads that
//! never see half a commit follow from that alone; tables are shared between copies until they are written to. Rows are
//! found by looking at all of them. It is made to be right at a glance, not fast.

mod log;
mod scan;
mod table;
mod tx;

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use kit_core::{Error, Reply};
use rowkeep_record::{Codecs, Key, Record};
use rowkeep_schema::{EntityId, Schema};

use crate::{
    Capabilities, ChangeLog, Changes, LoadBatch, LoadOutcome, OnConflict, Outcome, Point, Position, Program,
    Remembered, Rows, Scan, Session, View,
};
use log::{Log, Written};
use table::State;
use tx::MemoryTx;

/// Rows removed by one sweep of a table.
const SWEEP: usize = 1000;

/// The port [`Rows`] in memory. See the [module](self).
pub struct MemoryRows {
    schema: Arc<Schema>,
    codecs: Codecs,
    capabilities: Capabilities,
    committed: Mutex<State>,
    log: Arc<Log>,
    /// [`State::version`] of the committed state, for programs that ask while they run.
    floor: AtomicU64,
}

impl MemoryRows {
    /// Empty tables of a schema.
    pub fn new(schema: &Arc<Schema>) -> Arc<Self> {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Arc::new(Self {
            schema: Arc::clone(schema),
            codecs: Codecs::new(schema),
            capabilities: Capabilities {
                durable: false,
                changes: Changes::Log,
                ..Capabilities::local("memory", version)
            },
            committed: Mutex::new(State::new(schema)),
            log: Arc::default(),
            floor: AtomicU64::new(0),
        })
    }

    fn committed(&self) -> MutexGuard<'_, State> {
        // A panic leaves the state as it was before its transaction.
        self.committed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs work on a copy of the state, which replaces it if the work says so.
    fn transaction<T>(&self, work: impl FnOnce(&mut MemoryTx<'_>) -> Result<(T, bool), Error>) -> Result<T, Error> {
        self.written(|tx| {
            let (value, keep) = work(tx)?;
            Ok((value, keep.then(|| Written::Rows(std::mem::take(&mut tx.changes)))))
        })
    }

    /// The same; the work says what is told of it.
    fn written<T>(
        &self,
        work: impl FnOnce(&mut MemoryTx<'_>) -> Result<(T, Option<Written>), Error>,
    ) -> Result<T, Error> {
        let mut committed = self.committed();
        let mut tx = MemoryTx { schema: &self.schema, state: committed.clone(), changes: Vec::new() };
        let (value, written) = work(&mut tx)?;
        if let Some(written) = written {
            self.floor.store(tx.state.version, Ordering::Release);
            *committed = tx.state;
            // Reads wait for the same lock: whoever is told of it finds it.
            self.log.commit(written);
        }
        Ok(value)
    }

    fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&State) -> Result<T, Error>,
    ) -> Reply<'static, Result<T, Error>> {
        Reply::ready(read(&self.committed()))
    }

    fn visible(&self, state: &State, entity: EntityId, key: &Key, view: View) -> Result<Option<Record>, Error> {
        let row = state.table(entity).rows.get(key).filter(|row| scan::sees(self.schema.entity(entity), view, row));
        row.map(|row| self.codecs.row(entity).encode(&row.values, row.version)).transpose()
    }
}

/// Replies of this adapter are always ready, so one poll runs a program to its end.
fn run(program: &mut Program, tx: &mut MemoryTx<'_>) -> Result<Outcome, Error> {
    match pin!(program.run(tx)).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => Err(Error::internal("a program waited for a reply that was there")),
    }
}

impl Rows for MemoryRows {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn get<'a>(
        &'a self,
        entity: EntityId,
        key: &Key,
        view: View,
        _: &'a Session,
    ) -> Reply<'a, Result<Option<Record>, Error>> {
        self.read(|state| self.visible(state, entity, key, view))
    }

    fn get_many<'a>(
        &'a self,
        entity: EntityId,
        keys: &[Key],
        view: View,
        _: &'a Session,
    ) -> Reply<'a, Result<Vec<Option<Record>>, Error>> {
        self.read(|state| keys.iter().map(|key| self.visible(state, entity, key, view)).collect())
    }

    fn lookup<'a>(
        &'a self,
        entity: EntityId,
        index: u16,
        values: &Key,
        view: View,
        _: &'a Session,
    ) -> Reply<'a, Result<Option<Record>, Error>> {
        let columns: Vec<_> = table::unique_columns(self.schema.entity(entity), index);
        self.read(|state| {
            if values.values().iter().any(rowkeep_record::Value::is_null) {
                return Ok(None);
            }
            let found = state.table(entity).find(&columns, values.values());
            let key = found.map(|row| self.codecs.row(entity).key_of(&row.values)).next();
            key.map_or(Ok(None), |key| self.visible(state, entity, &key, view))
        })
    }

    fn scan<'a>(&'a self, scan: &Scan, _: &'a Session) -> Reply<'a, Result<Vec<Record>, Error>> {
        self.read(|state| {
            let rows = scan::page(self.schema.entity(scan.entity), state.table(scan.entity), scan);
            let (mut records, mut bytes) = (Vec::new(), 0);
            for row in rows {
                let record = self.codecs.row(scan.entity).encode(&row.values, row.version)?;
                bytes += record.wire().len();
                records.push(record);
                if bytes >= scan.max_bytes {
                    break;
                }
            }
            Ok(records)
        })
    }

    fn count<'a>(&'a self, scan: &Scan, _: &'a Session) -> Reply<'a, Result<u64, Error>> {
        let entity = self.schema.entity(scan.entity);
        self.read(|state| Ok(scan::matching(entity, state.table(scan.entity), scan).count() as u64))
    }

    fn transact(&self, mut program: Program) -> Reply<'static, Result<Outcome, Error>> {
        Reply::ready(self.transaction(|tx| {
            let outcome = run(&mut program, tx)?;
            let keep = outcome.keep;
            Ok((outcome, keep))
        }))
    }

    fn load(&self, batch: LoadBatch) -> Reply<'static, Result<LoadOutcome, Error>> {
        Reply::ready(self.written(|tx| {
            let mut outcome = LoadOutcome::default();
            for (at, row) in batch.rows.iter().enumerate() {
                match tx.load(batch.entity, row, batch.on_conflict == OnConflict::Replace)? {
                    None => outcome.stored += 1,
                    Some(index) => outcome.conflicts.push((at, index)),
                }
            }
            if batch.on_conflict == OnConflict::Fail && !outcome.conflicts.is_empty() {
                outcome.stored = 0;
                return Ok((outcome, None));
            }
            if let Some((id, remembered)) = &batch.remember {
                tx.state.requests_mut().insert(id.clone(), remembered.clone());
            }
            let written = if outcome.stored > 0 { Written::Table(batch.entity) } else { Written::Rows(Vec::new()) };
            Ok((outcome, Some(written)))
        }))
    }

    fn recall(&self, id: &str) -> Reply<'_, Result<Option<Remembered>, Error>> {
        self.read(|state| Ok(state.requests.get(id).cloned()))
    }

    fn sweep(&self, now: i64) -> Reply<'static, Result<u64, Error>> {
        Reply::ready(self.transaction(|tx| {
            let removed = tx.sweep(now, SWEEP);
            Ok((removed, removed > 0))
        }))
    }

    fn version_floor(&self) -> u64 {
        self.floor.load(Ordering::Acquire)
    }

    fn position(&self) -> Option<Position> {
        Some(Point { source: 0, number: self.log.position() }.into())
    }

    fn changes(&self) -> Option<Arc<dyn ChangeLog>> {
        Some(Arc::new(Arc::clone(&self.log)))
    }
}

impl std::fmt::Debug for MemoryRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryRows").field("position", &self.position()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{Subject, isolation, schema};

    #[test]
    fn a_storage_that_cannot_hold_an_isolation_is_not_asked_to() {
        let mut rows = MemoryRows::new(&schema());
        Arc::get_mut(&mut rows).expect("nobody else has it").capabilities.serializable = false;
        let store = Subject::over(rows, ());
        store.try_call("Commit", &serde_json::json!({ "isolation": "SERIALIZABLE" })).expect_err("it cannot");
        // The suite takes the refusal for an answer.
        isolation::what_was_read_and_is_checked_by_etag_is_part_of_a_serializable_commit(&store);
    }
}
