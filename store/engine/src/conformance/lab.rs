//! What the tests of the engine are run on: any storage, with the clock and the limits in the test's hands.

use std::sync::Arc;

use rowkeep_record::Value;
use rowkeep_record::json::ReadOptions;
use rowkeep_schema::EntityId;
use serde_json::Value as Json;

use super::{EngineSurface, Subject, schema};
use crate::{Engine, EngineOptions, LoadBatch, ManualClock, OnConflict, Rows, Stored};

/// When the clock starts: 2026-01-02T03:04:05Z.
pub const NOW: i64 = 1_767_323_045_000_000;
/// Microseconds of a second.
pub const SECOND: i64 = 1_000_000;

/// An empty storage of [`schema`] and a clock that stands.
pub struct Lab {
    rows: Arc<dyn Rows>,
    pub clock: Arc<ManualClock>,
    pub engine: Engine,
    runtime: tokio::runtime::Runtime,
    _data: Box<dyn Send + Sync>,
}

impl Lab {
    /// The storage, and what must live as long as it does (a directory).
    pub fn new(rows: Arc<dyn Rows>, data: impl Send + Sync + 'static) -> Self {
        let clock = ManualClock::at(NOW);
        let engine = Engine::new(schema(), Arc::clone(&rows), options(&clock)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        Self { rows, clock, engine, runtime, _data: Box::new(data) }
    }

    pub fn rows(&self) -> &dyn Rows {
        self.rows.as_ref()
    }

    /// Another engine over the same storage.
    pub fn engine_with(&self, change: impl FnOnce(&mut EngineOptions)) -> Engine {
        let mut options = options(&self.clock);
        change(&mut options);
        Engine::new(schema(), Arc::clone(&self.rows), options).unwrap()
    }

    /// The API over the engine.
    pub fn api(&self) -> Subject {
        Self::api_of(&self.engine)
    }

    /// The API over an engine.
    pub fn api_of(engine: &Engine) -> Subject {
        Subject::new(EngineSurface::new(engine.clone(), ())).promising(engine.capabilities().into())
    }

    pub fn wait<T>(&self, reply: impl Future<Output = T>) -> T {
        self.runtime.block_on(reply)
    }

    /// Sweeps to the end. Answers how many were removed.
    pub fn sweep(&self) -> u64 {
        let mut sweep = self.engine.sweep();
        let mut removed = 0;
        while let Some(count) = self.wait(sweep.step()).unwrap() {
            removed += count;
        }
        removed
    }

    pub fn id(&self, entity: &str) -> EntityId {
        self.engine.schema().entity_by_name(entity).unwrap().id
    }

    /// Stores a row without a look at its rules, as it may be there from a time when they were others.
    pub fn put(&self, entity: &str, row: &Json) {
        let stored = Stored { values: self.values(entity, row), version: 1, deleted_at: None };
        let (entity, rows) = (self.id(entity), vec![stored]);
        let batch = LoadBatch { entity, rows, on_conflict: OnConflict::Fail, remember: None, more: false };
        assert_eq!(self.wait(self.rows.load(batch)).unwrap().stored, 1);
    }

    /// A row's values from its JSON, as a loader parses them.
    pub fn values(&self, entity: &str, row: &Json) -> Vec<Value> {
        let schema = self.engine.schema();
        let message = schema.entity_by_name(entity).unwrap().message;
        let json = &self.engine.codecs().json;
        let parsed = json.from_json(message, row.to_string().as_bytes(), ReadOptions::default()).unwrap();
        self.engine.codecs().row(self.id(entity)).decode(&parsed.wire).unwrap().values
    }
}

fn options(clock: &Arc<ManualClock>) -> EngineOptions {
    EngineOptions { clock: Arc::clone(clock) as _, token_key: [7; 32], ..EngineOptions::default() }
}
