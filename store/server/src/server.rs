//! Composition: from a schema and a configuration to a server that waits for connections.
//!
//! Opening does everything that can fail: the data, the migration, the templates, the sockets. What runs then is the
//! data plane on its own threads, and on the caller's runtime the admin listener and the sweeper.

use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use kit_core::{BoxError, Code, Error, ShutdownWatch};
use kit_net::{DataPlane, DrainOutcome, NetStats};
use kit_rpc::ServingStatus;
use kit_telemetry::{Admin, HealthStage, LogControl};
use rowkeep_schema::Schema;
use tokio::task::JoinSet;

use crate::config::ServerConfig;
use crate::generation::{Base, Generation};
use crate::inspect::Inspector;
use crate::live::{Live, ReloadError};
use crate::storage::{Migration, Place};
use crate::sweeper;
use crate::worker::Front;

/// How long the last step of a sweep may take before the data is closed under it.
const LAST_STEP: Duration = Duration::from_secs(1);

/// A server with its data open and its sockets bound.
pub struct Server {
    live: Arc<Live>,
    data_plane: DataPlane,
    listener: TcpListener,
    admin: Option<(TcpListener, Admin)>,
    lifecycle: kit_telemetry::Health,
    migration: Migration,
}

/// Gives a running server another schema.
#[derive(Clone)]
pub struct Reloader {
    live: Arc<Live>,
    net: Arc<NetStats>,
}

impl Reloader {
    /// Serves another schema from now on. Requests that come meanwhile wait; none of those accepted fails.
    ///
    /// # Errors
    /// [`ReloadError`], which tells what is served instead.
    pub async fn reload(&self, schema: Arc<Schema>) -> Result<Migration, ReloadError> {
        self.live.exchange(schema, Arc::clone(&self.net)).await
    }
}

impl Server {
    /// Opens the data, brings its tables up to the schema, and binds. Must run within a runtime.
    ///
    /// # Errors
    /// What the configuration, the data, a template or a socket does not allow.
    pub fn open(schema: Arc<Schema>, config: ServerConfig, logs: LogControl) -> Result<Self, Error> {
        config.check()?;
        let listener = bind("listen", config.listen)?;
        let admin_listener = config.admin()?.map(|address| bind("admin_listen", address)).transpose()?;
        let base = Base::new(config, listener.local_addr().map_err(Error::internal)?)?;
        let first = Generation::open(&base, &schema)?;
        let migration = first.migration().clone();
        let live = Arc::new(Live::new(base, first));
        let for_workers = Arc::clone(&live);
        let make =
            move |index| -> Result<Rc<Front>, BoxError> { Ok(Rc::new(Front::new(Arc::clone(&for_workers), index))) };
        let data_plane = DataPlane::start(&live.base.config.http, make).map_err(Error::internal)?;
        live.generation().show(&live.base, data_plane.stats());
        let lifecycle = kit_telemetry::Health::default();
        let registry = live.base.registry.clone();
        let pages: Vec<Arc<dyn kit_telemetry::Page>> = vec![Arc::new(Inspector(Arc::clone(&live)))];
        let admin =
            admin_listener.map(|listener| (listener, Admin { registry, health: lifecycle.clone(), logs, pages }));
        Ok(Self { live, data_plane, listener, admin, lifecycle, migration })
    }

    /// Where it listens; the port is the real one if 0 was asked for.
    ///
    /// # Errors
    /// If the socket is broken.
    pub fn address(&self) -> Result<SocketAddr, Error> {
        self.listener.local_addr().map_err(Error::internal)
    }

    /// Where metrics and health are, if anywhere.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().and_then(|(listener, _)| listener.local_addr().ok())
    }

    /// Where the data lies.
    ///
    /// # Errors
    /// None once the server is open: its configuration was checked.
    pub fn place(&self) -> Result<Place, Error> {
        self.live.base.config.place()
    }

    /// What was changed in the database at start.
    pub fn migration(&self) -> &Migration {
        &self.migration
    }

    /// The way to give it another schema while it runs.
    pub fn reloader(&self) -> Reloader {
        Reloader { live: Arc::clone(&self.live), net: self.data_plane.stats() }
    }

    /// Serves until `shutdown` drains, finishes what was accepted, and closes the data.
    ///
    /// # Errors
    /// If a listener cannot be used.
    pub async fn run(self, shutdown: ShutdownWatch) -> Result<DrainOutcome, Error> {
        let Self { live, data_plane, listener, admin, lifecycle, .. } = self;
        live.base.health.set_all(ServingStatus::Serving);
        lifecycle.set(HealthStage::Ready);
        let mut tasks = JoinSet::new();
        tasks.spawn(sweeper::run(Arc::clone(&live), *live.base.config.sweep_interval, shutdown.clone()));
        if let Some((listener, admin)) = admin {
            tasks.spawn(serve_admin(listener, admin, shutdown.clone()));
        }
        tasks.spawn(say_draining(lifecycle, Arc::clone(&live), shutdown.clone()));
        let outcome = data_plane.serve(listener, shutdown).await.map_err(Error::internal);
        tasks.shutdown().await;
        close(live).await?;
        outcome
    }
}

async fn serve_admin(listener: TcpListener, admin: Admin, shutdown: ShutdownWatch) {
    if let Err(error) = admin.serve(listener, shutdown).await {
        tracing::error!(%error, "the admin listener failed");
    }
}

async fn say_draining(lifecycle: kit_telemetry::Health, live: Arc<Live>, mut shutdown: ShutdownWatch) {
    shutdown.draining().await;
    lifecycle.set(HealthStage::Draining);
    live.base.health.close();
    // They would keep their connections until the drain's end.
    live.engine().end_watches();
}

/// Writes what is left: the store's queue, the access log, the last spans. None of it may block the runtime.
async fn close(live: Arc<Live>) -> Result<(), Error> {
    // A sweep may be in the middle of a step.
    live.gate.close(LAST_STEP).await;
    let close = move || {
        live.generation().storage.close();
        if let Some(tracing) = &live.base.tracing {
            tracing.stop();
        }
    };
    tokio::task::spawn_blocking(close).await.map_err(Error::internal)
}

fn bind(key: &str, address: SocketAddr) -> Result<TcpListener, Error> {
    kit_net::bind(address).map_err(|error| {
        let flag = key.replace('_', "-");
        let message = format!("{key}: cannot listen on {address}: {error}; choose another address with --{flag}");
        Error::new(Code::FailedPrecondition, "CANNOT_LISTEN", message)
    })
}
