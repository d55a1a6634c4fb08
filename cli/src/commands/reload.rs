//! `SIGHUP` to a server: its schema files are read again and served without a restart.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kit_core::Shutdown;
use rowkeep_server::{ReloadError, Reloader};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::args::SchemaArgs;
use crate::failure::Failure;
use crate::schema::with_warnings;

/// What a running server does when it is told to read its schema again.
pub(crate) struct Reload {
    reloader: Reloader,
    files: Arc<SchemaArgs>,
    hangups: Signal,
    /// Neither the new schema nor the former one could be served.
    lost: Arc<AtomicBool>,
}

impl Reload {
    pub(crate) fn new(reloader: Reloader, files: SchemaArgs) -> Result<Self, Failure> {
        let hangups = signal(SignalKind::hangup()).map_err(|error| Failure::Failed(format!("signals: {error}")))?;
        Ok(Self { reloader, files: Arc::new(files), hangups, lost: Arc::default() })
    }

    /// Set once the server has nothing to serve any more.
    pub(crate) fn lost(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.lost)
    }

    pub(crate) async fn run(mut self, shutdown: Shutdown) {
        while self.hangups.recv().await.is_some() {
            if let Err(error) = self.once().await {
                tracing::error!(reason = error.reason(), "the server ends: {}", error.message());
                self.lost.store(true, Ordering::Release);
                shutdown.stop();
                return;
            }
        }
    }

    /// Only what the server cannot go on after is an error.
    async fn once(&self) -> Result<(), kit_core::Error> {
        let files = Arc::clone(&self.files);
        let compile = move || with_warnings(&files.schema, &files.includes);
        let schema = match tokio::task::spawn_blocking(compile).await {
            Ok(Ok((schema, _))) if !schema.entities.is_empty() => schema,
            Ok(Ok(_)) => {
                tracing::error!("the schema has no entity any more; the former one is served");
                return Ok(());
            }
            Ok(Err(mistakes)) => {
                for mistake in mistakes.iter() {
                    tracing::error!("{}", mistake.to_string().trim_end());
                }
                tracing::error!("the schema has mistakes; the former one is served");
                return Ok(());
            }
            Err(panic) => {
                tracing::error!(%panic, "the schema cannot be compiled; the former one is served");
                return Ok(());
            }
        };
        match self.reloader.reload(Arc::new(schema)).await {
            Ok(migration) => {
                for change in &migration.changes {
                    tracing::info!("{change}");
                }
                tracing::info!(
                    changes = migration.changes.len(),
                    steps = migration.plan.steps.len(),
                    "serving the schema as it is now"
                );
            }
            Err(ReloadError::Refused(error)) => {
                tracing::error!(reason = error.reason(), "the former schema is served: {}", error.message());
            }
            Err(ReloadError::Fatal(error)) => return Err(error),
        }
        Ok(())
    }
}
