//! Composition: from a schema and a configuration to a server that waits for connections.
//!
//! Opening does everything that can fail: the data, the migration, the templates, the sockets. What runs then is the
//! data plane on its own threads, and on the caller's runtime the admin listener and the sweeper.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use kit_core::{BoxError, Code, Error, ShutdownWatch};
use kit_net::{DataPlane, DrainOutcome};
use kit_rpc::{HealthService, Reflection, ServingStatus};
use kit_telemetry::metrics::Registry;
use kit_telemetry::{AccessLog, Admin, HealthStage, LogControl, Sink, Tracing};
use kit_web::Cors;
use rowkeep_engine::Engine;
use rowkeep_schema::Schema;
use rowkeep_schema::openapi::{self, OpenApiOptions};
use rowkeep_sql::Allow;
use rowkeep_sql::sqlite::SqliteStore;

use crate::api::Api;
use crate::config::ServerConfig;
use crate::grpc::Paths;
use crate::keys::Secret;
use crate::observe::request_metrics;
use crate::rest::{Rest, Site, Templates};
use crate::storage::{Migration, Storage};
use crate::worker::{Shared, Worker};
use crate::{store_metrics, sweeper};

/// A server with its data open and its sockets bound.
pub struct Server {
    shared: Arc<Shared>,
    store: Arc<SqliteStore>,
    data_plane: DataPlane,
    listener: TcpListener,
    admin: Option<(TcpListener, Admin)>,
    lifecycle: kit_telemetry::Health,
    migration: Migration,
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
        let allow: Allow = config.allow.iter().map(String::as_str).collect();
        let Storage { engine, migration, store, secret } = Storage::open(&schema, &config.data, &allow, &config.pages)?;
        let registry = Registry::new();
        let workers = config.http.worker_count();
        let address = listener.local_addr().map_err(Error::internal)?;
        let shared = Arc::new(share(engine, config, &secret, &registry, workers, address)?);
        let for_workers = Arc::clone(&shared);
        let make =
            move |index| -> Result<Rc<Worker>, BoxError> { Ok(Rc::new(Worker::new(Arc::clone(&for_workers), index))) };
        let data_plane = DataPlane::start(&shared.config.http, make).map_err(Error::internal)?;
        store_metrics::declare(&registry, &store, data_plane.stats());
        let lifecycle = kit_telemetry::Health::default();
        let admin = admin_listener.map(|listener| (listener, Admin { registry, health: lifecycle.clone(), logs }));
        Ok(Self { shared, store, data_plane, listener, admin, lifecycle, migration })
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

    /// The data file.
    pub fn data_file(&self) -> &Path {
        self.store.path()
    }

    /// What was changed in the database at start.
    pub fn migration(&self) -> &Migration {
        &self.migration
    }

    /// Serves until `shutdown` drains, finishes what was accepted, and closes the data.
    ///
    /// # Errors
    /// If a listener cannot be used.
    pub async fn run(self, shutdown: ShutdownWatch) -> Result<DrainOutcome, Error> {
        let Self { shared, store, data_plane, listener, admin, lifecycle, .. } = self;
        let health = shared.health.clone();
        health.set_all(ServingStatus::Serving);
        lifecycle.set(HealthStage::Ready);
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(sweeper::run(shared.api.engine.clone(), *shared.config.sweep_interval, shutdown.clone()));
        if let Some((listener, admin)) = admin {
            let shutdown = shutdown.clone();
            tasks.spawn(async move {
                if let Err(error) = admin.serve(listener, shutdown).await {
                    tracing::error!(%error, "the admin listener failed");
                }
            });
        }
        let mut draining = shutdown.clone();
        tasks.spawn(async move {
            draining.draining().await;
            lifecycle.set(HealthStage::Draining);
            health.close();
        });
        let outcome = data_plane.serve(listener, shutdown).await.map_err(Error::internal);
        tasks.shutdown().await;
        close(shared, store).await?;
        outcome
    }
}

/// Writes what is left: the store's queue, the access log, the last spans. None of it may block the runtime.
async fn close(shared: Arc<Shared>, store: Arc<SqliteStore>) -> Result<(), Error> {
    let close = move || {
        store.stop();
        if let Some(tracing) = &shared.tracing {
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

fn share(
    engine: Engine,
    config: ServerConfig,
    secret: &Secret,
    registry: &Registry,
    workers: usize,
    address: SocketAddr,
) -> Result<Shared, Error> {
    let api = Api::new(engine);
    let schema = Arc::clone(&api.schema);
    let directory = Some(config.templates.as_path()).filter(|path| !path.as_os_str().is_empty());
    let templates = Templates::new(&schema, directory)?;
    let options = OpenApiOptions {
        server_url: format!("http://{address}"),
        default_page_size: config.pages.default_size,
        max_page_size: config.pages.max_size,
        ..OpenApiOptions::default()
    };
    let openapi = openapi::document(&schema, &options).to_string().into();
    let cors = Cors::new(&config.rest.cors)
        .map_err(|error| Error::new(Code::InvalidArgument, "INVALID_CONFIG", format!("rest.cors: {error}")))?;
    let sink = Sink::start(std::io::stderr()).map_err(Error::internal)?;
    let tracing = Tracing::start(&config.trace, "rowkeep")
        .map_err(|error| Error::new(Code::InvalidArgument, "INVALID_CONFIG", format!("trace: {error}")))?;
    let services = schema.methods.iter().map(|method| method.service.as_str());
    Ok(Shared {
        health: HealthService::new(services),
        reflection: Reflection::new([schema.descriptors.encode_to_vec().as_slice()]).map_err(Error::internal)?,
        paths: Paths::new(&schema, &api),
        rest: Rest::new(&schema, &api)?,
        site: Site::new(&schema, templates, openapi)?,
        cors,
        metrics: request_metrics(registry, &schema, workers),
        access: AccessLog::new(config.access.clone(), sink),
        tracing,
        session_key: secret.derive("sessions"),
        api,
        config,
    })
}
