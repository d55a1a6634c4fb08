//! The schema that is served now, and its exchange for the next one without a restart.
//!
//! ## The exchange
//! What can be refused is refused first, while everything goes on: a schema that clients would misread, steps that
//! need consent, templates that do not fit. Then the gate closes: requests that come wait, those inside finish. The
//! store is closed, opened again with the new schema (which migrates it, all or nothing), the new generation takes its
//! place, and the gate opens. Nothing that was accepted fails; what a client sees of it is a request that took as long
//! as the migration.
//!
//! ## When it fails half way
//! The migration was rolled back, so the data is opened again with the schema that was served before. If even that fails
//! (the disk is gone), the gate stays closed and the caller is told that the server must end.
//!
//! ## Not here
//! Watches are ended, and go on with their tokens afterwards unless the schema is another. Exports that stream over many
//! pages are not waited for: they may end early, and their client sees a broken
//! connection.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use kit_core::{Code, Error};
use kit_net::NetStats;
use rowkeep_engine::Engine;
use rowkeep_schema::Schema;

use crate::gate::Gate;
use crate::generation::{Base, Generation};
use crate::storage::{self, Migration};
use crate::worker::Shared;

/// How long those inside may take to leave.
const LEAVE: Duration = Duration::from_secs(10);

/// What is served, as long as the process runs.
pub(crate) struct Live {
    pub(crate) base: Base,
    pub(crate) gate: Gate,
    generation: RwLock<Arc<Generation>>,
    /// Grows with every exchange, so that workers see it.
    number: AtomicU64,
    exchanging: tokio::sync::Mutex<()>,
}

/// Why the next schema is not served.
#[derive(Debug)]
pub enum ReloadError {
    /// It was refused or could not be applied; the former one is served as before.
    Refused(Error),
    /// Neither it nor the former one can be served: the server must end.
    Fatal(Error),
}

impl Live {
    pub(crate) fn new(base: Base, first: Generation) -> Self {
        Self {
            gate: Gate::new(base.workers),
            base,
            generation: RwLock::new(Arc::new(first)),
            number: AtomicU64::new(1),
            exchanging: tokio::sync::Mutex::new(()),
        }
    }

    pub(crate) fn number(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }

    pub(crate) fn generation(&self) -> Arc<Generation> {
        Arc::clone(&self.generation.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.generation().shared)
    }

    pub(crate) fn engine(&self) -> Engine {
        self.shared().api.engine.clone()
    }

    /// Serves another schema from now on.
    pub(crate) async fn exchange(
        self: &Arc<Self>,
        schema: Arc<Schema>,
        net: Arc<NetStats>,
    ) -> Result<Migration, ReloadError> {
        let _one_at_a_time = self.exchanging.lock().await;
        let checked = Arc::clone(&schema);
        self.blocking(move |live| live.check(&checked)).await.map_err(ReloadError::Refused)?;
        let left = self.gate.close(LEAVE).await;
        if left > 0 {
            tracing::warn!(requests = left, "some requests do not end; the schema is changed under them");
        }
        let former = self.generation();
        // They would end with the storage anyway; so their clients know that they are to come back.
        former.storage.engine.end_watches();
        let opened = self.blocking(move |live| Ok(live.reopen(&former, &schema))).await;
        let exchanged = match opened {
            Ok(Ok(next)) => {
                let migration = next.migration().clone();
                self.put(next, net);
                Ok(migration)
            }
            Ok(Err(Reopened::Former(former, error))) => {
                self.put(*former, net);
                Err(ReloadError::Refused(error))
            }
            Ok(Err(Reopened::Nothing(error))) | Err(error) => return Err(ReloadError::Fatal(error)),
        };
        self.gate.open();
        exchanged
    }

    async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let live = Arc::clone(self);
        tokio::task::spawn_blocking(move || work(&live)).await.unwrap_or_else(|panic| Err(Error::internal(panic)))
    }

    /// Everything that can be known to fail without touching anything.
    fn check(&self, schema: &Schema) -> Result<(), Error> {
        self.base.templates(schema)?;
        let obstacles = storage::plan(schema, &self.base.config.place()?)?.obstacles(&self.base.allow());
        if obstacles.is_empty() {
            return Ok(());
        }
        Err(Error::new(Code::FailedPrecondition, "SCHEMA_REFUSED", obstacles.join("\n")))
    }

    fn reopen(&self, former: &Generation, schema: &Arc<Schema>) -> Result<Generation, Reopened> {
        former.storage.close();
        Generation::open(&self.base, schema).map_err(|error| match Generation::open(&self.base, former.schema()) {
            Ok(former) => Reopened::Former(Box::new(former), error),
            Err(fatal) => {
                tracing::error!(%error, "the new schema cannot be served");
                Reopened::Nothing(fatal)
            }
        })
    }

    fn put(&self, next: Generation, net: Arc<NetStats>) {
        next.show(&self.base, net);
        *self.generation.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
        self.number.fetch_add(1, Ordering::Release);
    }
}

/// What there is after the next schema could not be opened.
enum Reopened {
    /// The former schema, and why.
    Former(Box<Generation>, Error),
    Nothing(Error),
}
