//! What is served of one schema, and what outlives it.
//!
//! [`Base`] is made once per process. A [`Generation`] is everything that derives from a schema (routes, services, pages,
//! metrics) over an open store; a new schema makes the next one.

use std::net::SocketAddr;
use std::sync::Arc;

use kit_core::{Code, Error};
use kit_net::NetStats;
use kit_rpc::{HealthService, Reflection};
use kit_telemetry::metrics::Registry;
use kit_telemetry::{AccessLog, Sink, Tracing};
use kit_web::Cors;
use rowkeep_schema::Schema;
use rowkeep_schema::openapi::OpenApiOptions;
use rowkeep_sql::Allow;

use crate::api::Api;
use crate::config::ServerConfig;
use crate::grpc::Paths;
use crate::observe::request_metrics;
use crate::rest::{Rest, Site, Templates};
use crate::storage::{Migration, Storage, StorageOptions};
use crate::store_metrics;
use crate::watching;
use crate::worker::Shared;

/// What no schema changes.
pub(crate) struct Base {
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) address: SocketAddr,
    pub(crate) workers: usize,
    pub(crate) health: HealthService,
    pub(crate) access: Arc<AccessLog>,
    pub(crate) tracing: Option<Tracing>,
    pub(crate) cors: Option<Cors>,
    /// What `/metrics` shows; a generation brings its own series.
    pub(crate) registry: Registry,
}

/// A schema, served.
pub(crate) struct Generation {
    pub(crate) shared: Arc<Shared>,
    pub(crate) storage: Storage,
}

impl Base {
    pub(crate) fn new(config: ServerConfig, address: SocketAddr) -> Result<Self, Error> {
        let cors = Cors::new(&config.rest.cors).map_err(|error| invalid("rest.cors", &error))?;
        let sink = Sink::start(std::io::stderr()).map_err(Error::internal)?;
        let tracing = Tracing::start(&config.trace, "rowkeep").map_err(|error| invalid("trace", &error))?;
        Ok(Self {
            address,
            workers: config.http.worker_count(),
            health: HealthService::new([]),
            access: Arc::new(AccessLog::new(config.access.clone(), sink)),
            tracing,
            cors,
            registry: Registry::new(),
            config: Arc::new(config),
        })
    }

    pub(crate) fn allow(&self) -> Allow {
        self.config.allow.iter().map(String::as_str).collect()
    }

    /// The pages of a schema: what an operator's templates may break, found out before anything is touched.
    pub(crate) fn templates(&self, schema: &Schema) -> Result<Templates, Error> {
        let directory = Some(self.config.templates.as_path()).filter(|path| !path.as_os_str().is_empty());
        Templates::new(schema, directory)
    }

    fn openapi(&self) -> OpenApiOptions {
        OpenApiOptions {
            server_url: format!("http://{}", self.address),
            default_page_size: self.config.pages.default_size,
            max_page_size: self.config.pages.max_size,
            ..OpenApiOptions::default()
        }
    }
}

fn invalid(key: &str, error: &dyn std::fmt::Display) -> Error {
    Error::new(Code::InvalidArgument, "INVALID_CONFIG", format!("{key}: {error}"))
}

impl Generation {
    /// Opens the data for a schema, migrating it, and makes what is served of it.
    ///
    /// # Errors
    /// As [`Storage::open`]; what a template does not allow.
    pub(crate) fn open(base: &Base, schema: &Arc<Schema>) -> Result<Self, Error> {
        let templates = base.templates(schema)?;
        let config = &base.config;
        let options = StorageOptions {
            allow: &base.allow(),
            pages: &config.pages,
            watch: &config.watch,
            caching: config.cache.caching(),
        };
        let storage = Storage::open(schema, &config.place()?, &options)?;
        let api = Arc::new(Api::new(storage.engine.clone()));
        let registry = Registry::new();
        let shared = Shared {
            paths: Paths::new(schema, &api),
            rest: Rest::new(schema, &api)?,
            site: Site::new(schema, templates, base.openapi())?,
            reflection: Reflection::new([schema.descriptors.encode_to_vec().as_slice()]).map_err(Error::internal)?,
            metrics: request_metrics(&registry, schema, base.workers),
            registry,
            session_key: storage.secret.derive("sessions"),
            health: base.health.clone(),
            access: Arc::clone(&base.access),
            tracing: base.tracing.clone(),
            cors: base.cors.clone(),
            config: Arc::clone(config),
            api,
        };
        Ok(Self { shared: Arc::new(shared), storage })
    }

    pub(crate) fn schema(&self) -> &Arc<Schema> {
        &self.shared.api.schema
    }

    /// What opening it changed.
    pub(crate) fn migration(&self) -> &Migration {
        &self.storage.migration
    }

    /// Makes it the one that health and metrics tell of.
    pub(crate) fn show(&self, base: &Base, net: Arc<NetStats>) {
        store_metrics::declare(&self.shared.registry, &self.storage.store, net);
        watching::declare(&self.shared.registry, &self.storage.engine);
        store_metrics::declare_caches(&self.shared.registry, &self.storage.caches);
        base.registry.replace(&self.shared.registry);
        base.health.set_services(self.schema().methods.iter().map(|method| method.service.as_str()));
    }
}
