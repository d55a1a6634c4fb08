//! The data of a server: opened, compared with the schema, migrated, served.
//!
//! Every way to the data comes through here, so that `serve`, `plan`, `apply`, `load` and `dump` agree on what may be
//! done to it. A schema is held against the one last applied in two ways: what the *tables* need ([`Plan`]), and what
//! it means for *clients* that were built from the old one ([`Change`]). A change that would make clients or rows be
//! misread is refused whatever flags are given.

mod caches;
mod place;

use std::fmt;
use std::sync::Arc;

use kit_core::{Code, Error};
use rowkeep_engine::{Engine, EngineOptions};
use rowkeep_schema::{Change, Schema, Verdict, compare};
use rowkeep_sql::{Allow, Plan, Preview};
use serde_json::json;

pub use caches::Caching;
pub(crate) use caches::{Caches, SharedCache};
use place::Database;
pub use place::Place;
pub(crate) use place::Store;

use crate::config::PageConfig;
use crate::keys::Secret;
use crate::watching::WatchConfig;

/// What a schema changes, compared with the one that was applied last.
#[derive(Debug, Clone, Default)]
pub struct Migration {
    /// What it means for rows and clients.
    pub changes: Vec<Change>,
    /// What is done to the tables.
    pub plan: Plan,
}

/// How data is opened.
#[derive(Debug, Clone)]
pub struct StorageOptions<'a> {
    /// Steps of a migration that are done though they may lose data or block.
    pub allow: &'a Allow,
    /// Rows of a list.
    pub pages: &'a PageConfig,
    /// What is kept for those who watch.
    pub watch: &'a WatchConfig,
    /// The caches before it, if there are to be any. The storage is then opened within a runtime that lives as long as it.
    pub caching: Option<Caching>,
}

/// Open data and the engine over it.
pub struct Storage {
    /// The engine.
    pub engine: Engine,
    /// What was changed when it was opened.
    pub migration: Migration,
    pub(crate) store: Store,
    pub(crate) caches: Caches,
    pub(crate) secret: Secret,
}

impl Migration {
    fn new(old: Option<&[u8]>, schema: &Schema, plan: Plan) -> Self {
        // Comparing means compiling the old schema; a server that starts again with the same one is spared it.
        let changes = match old {
            Some(old) if old != schema.snapshot() => match Schema::from_snapshot(old) {
                Ok(old) => compare(&old, schema),
                Err(error) => {
                    tracing::warn!(%error, "the schema kept with the data cannot be read, so nothing is compared with it");
                    Vec::new()
                }
            },
            _ => Vec::new(),
        };
        Self { changes, plan }
    }

    /// What keeps it from being applied with these flags, in words.
    pub fn obstacles(&self, allow: &Allow) -> Vec<String> {
        let refused = self.changes.iter().filter(|change| change.verdict == Verdict::Refused);
        refused.map(ToString::to_string).chain(self.plan.obstacles(allow)).collect()
    }

    /// For scripts: `{"changes": [...], "steps": [...], "drift": [...]}`.
    pub fn to_json(&self) -> serde_json::Value {
        let change = |change: &Change| {
            json!({
                "entity": change.entity,
                "subject": change.subject,
                "verdict": change.verdict.as_str(),
                "reason": change.reason,
            })
        };
        let changes: Vec<_> = self.changes.iter().map(change).collect();
        json!({ "changes": changes, "steps": self.plan.steps, "drift": self.plan.drift })
    }

    fn check(&self, allow: &Allow) -> Result<(), Error> {
        let refused: Vec<_> = self.changes.iter().filter(|change| change.verdict == Verdict::Refused).collect();
        if refused.is_empty() {
            return Ok(());
        }
        let mut message = self.obstacles(allow).join("\n");
        message
            .push_str("\na changed meaning needs a field number of its own: keep the old field, or reserve its number");
        Err(Error::new(Code::FailedPrecondition, "SCHEMA_INCOMPATIBLE", message))
    }
}

impl fmt::Display for Migration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for change in &self.changes {
            writeln!(f, "{change}")?;
        }
        write!(f, "{}", self.plan)
    }
}

/// What opening `data` with a schema would change. Changes nothing, not even an empty directory, and may be asked
/// while a server is running on it.
///
/// # Errors
/// What the disk or the database says, or whose the file is.
pub fn plan(schema: &Schema, data: &Place) -> Result<Migration, Error> {
    let Preview { plan, applied_schema } = data.preview(schema)?;
    Ok(Migration::new(applied_schema.as_deref(), schema, plan))
}

/// Brings the tables up to the schema and tells what was done.
///
/// # Errors
/// As [`Storage::open`].
pub fn apply(schema: &Schema, data: &Place, allow: &Allow) -> Result<Migration, Error> {
    migrate(schema, data.open(false)?, allow).map(|(_, migration)| migration)
}

fn migrate(schema: &Schema, database: Database, allow: &Allow) -> Result<(Database, Migration), Error> {
    let migration = Migration::new(database.applied_schema()?.as_deref(), schema, database.plan(schema)?);
    migration.check(allow)?;
    for drift in &migration.plan.drift {
        tracing::warn!(table = drift.table, "changed by somebody else: {}", drift.what);
    }
    database.apply(&migration.plan, schema, &schema.snapshot(), allow)?;
    Ok((database, migration))
}

impl Storage {
    /// Opens the data, making its directory if that is missing, and brings its tables up to the schema.
    ///
    /// # Errors
    /// `FAILED_PRECONDITION` if the data is in use, is somebody else's, cannot be reached, or does not take the schema
    /// without flags that were not given; `DATA_LOSS` if it is corrupt. It is then as it was, or, on a server whose
    /// migration failed half way, as the error says.
    pub fn open(schema: &Arc<Schema>, data: &Place, options: &StorageOptions<'_>) -> Result<Self, Error> {
        Self::open_with(schema, data.open(false)?, options)
    }

    /// The same for a load, which may be one that was broken off: what that one put off stays put off.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_to_load(schema: &Arc<Schema>, data: &Place, options: &StorageOptions<'_>) -> Result<Self, Error> {
        Self::open_with(schema, data.open(true)?, options)
    }

    fn open_with(schema: &Arc<Schema>, database: Database, asked: &StorageOptions<'_>) -> Result<Self, Error> {
        let StorageOptions { allow, pages, watch, caching } = asked;
        let (database, migration) = migrate(schema, database, allow)?;
        let secret = database.secret()?;
        let store = database.serve(schema)?;
        let options = EngineOptions {
            token_key: secret.derive("page tokens"),
            default_page_size: pages.default_size,
            max_page_size: pages.max_size,
            watch: watch.options(),
            ..EngineOptions::default()
        };
        let (rows, caches) = match caching.clone() {
            Some(caching) => Caches::start(schema, store.rows(), &secret, caching)?,
            None => (store.rows(), Caches::default()),
        };
        let engine = Engine::new(Arc::clone(schema), rows, options)?;
        Ok(Self { engine, migration, store, caches, secret })
    }

    /// Finishes what was queued and closes the data.
    pub fn close(&self) {
        self.caches.stop();
        self.store.stop();
    }
}
