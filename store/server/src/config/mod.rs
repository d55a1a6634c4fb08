//! What the operator says, and where each part of it was said.
//!
//! Four sources, the later over the earlier: built-in defaults, a TOML file, the environment (`ROWKEEP_REST_TIMEOUT`
//! for `rest.timeout`), flags. A key that nobody knows is refused wherever it stands, with the nearest one that exists.

mod cache;
mod database;
mod sources;

use std::net::SocketAddr;
use std::path::PathBuf;

use kit_core::config::HumanDuration;
use kit_core::{Code, Error};
use kit_net::NetConfig;
use kit_rpc::RpcConfig;
use kit_telemetry::{AccessConfig, LogConfig, TraceConfig};
use serde::{Deserialize, Serialize};

use crate::rest::RestConfig;
use crate::storage::Place;
use crate::watching::WatchConfig;
pub use cache::{CacheConfig, CacheKind};
pub use database::DatabaseUrl;
use rowkeep_sql::mysql;
pub use sources::{Effective, Origin, Sources};

/// What a server is started with, as written.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerConfig {
    /// Where gRPC, REST and the docs are served.
    pub listen: SocketAddr,
    /// Where metrics and health are served; empty: nowhere.
    pub admin_listen: String,
    /// Serves beyond this machine although nobody is asked who they are.
    pub insecure: bool,
    /// Where the data lies, unless `database` says otherwise.
    pub data: PathBuf,
    /// A MySQL or MariaDB server that keeps the data; empty: the embedded store keeps it.
    pub database: DatabaseUrl,
    /// Its replicas, which answer reads that need not be strong; what an address does not say is as in `database`.
    pub replicas: Vec<DatabaseUrl>,
    /// What is kept in memory.
    pub cache: CacheConfig,
    /// Templates that replace the built-in pages; empty: none.
    pub templates: PathBuf,
    /// Steps of a migration that may lose data or block, by the name the refusal gives them.
    pub allow: Vec<String>,
    /// How often expired rows and forgotten request ids are removed from disk.
    pub sweep_interval: HumanDuration,
    /// Rows of a list.
    pub pages: PageConfig,
    /// Connections.
    pub http: NetConfig,
    /// gRPC.
    pub grpc: RpcConfig,
    /// REST.
    pub rest: RestConfig,
    /// Watches, and the log of changes.
    pub watch: WatchConfig,
    /// The log.
    pub log: LogConfig,
    /// The log of requests.
    pub access: AccessConfig,
    /// Traces.
    pub trace: TraceConfig,
}

/// How many rows a list answers.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct PageConfig {
    /// If the request does not say.
    pub default_size: u32,
    /// At most.
    pub max_size: u32,
}

impl Default for PageConfig {
    fn default() -> Self {
        Self { default_size: 50, max_size: 1000 }
    }
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            admin_listen: "127.0.0.1:8081".to_owned(),
            insecure: false,
            data: PathBuf::from("rowkeep-data"),
            database: DatabaseUrl::default(),
            replicas: Vec::new(),
            cache: CacheConfig::default(),
            templates: PathBuf::new(),
            allow: Vec::new(),
            sweep_interval: HumanDuration::secs(60),
            pages: PageConfig::default(),
            http: NetConfig::default(),
            grpc: RpcConfig::default(),
            rest: RestConfig::default(),
            watch: WatchConfig::default(),
            log: LogConfig::default(),
            access: AccessConfig::default(),
            trace: TraceConfig::default(),
        }
    }
}

impl ServerConfig {
    /// Checks what no type can say.
    ///
    /// # Errors
    /// Naming the key and what to write instead.
    pub fn check(&self) -> Result<(), Error> {
        if !self.listen.ip().is_loopback() && !self.insecure {
            let message = format!(
                "listen: {} can be reached from other machines, and nobody is asked who they are; listen on 127.0.0.1, \
                 or say --insecure if something in front of the server asks",
                self.listen
            );
            return Err(Error::new(Code::InvalidArgument, "INSECURE", message));
        }
        if let Some(admin) = self.admin()? {
            refuse(!admin.ip().is_loopback() && !self.insecure, "admin_listen: must be a loopback address")?;
            refuse(admin == self.listen && admin.port() != 0, "admin_listen: must differ from listen")?;
        }
        let is_embedded = matches!(self.place()?, Place::Directory(..));
        refuse(self.pages.default_size == 0, "pages.default_size: must be at least 1")?;
        refuse(self.pages.max_size < self.pages.default_size, "pages.max_size: must be at least pages.default_size")?;
        let mistake = self.cache.mistake(is_embedded);
        mistake.map_or(Ok(()), |what| Err(Error::new(Code::InvalidArgument, "INVALID_CONFIG", what)))?;
        refuse(self.sweep_interval.is_zero(), "sweep_interval: must be longer than 0")?;
        refuse(self.watch.heartbeat.is_zero(), "watch.heartbeat: must be longer than 0")?;
        refuse(self.rest.timeout.is_zero(), "rest.timeout: must be longer than 0")?;
        refuse(self.grpc.default_timeout.is_zero(), "grpc.default_timeout: must be longer than 0")?;
        refuse(self.http.max_connections == 0, "http.max_connections: must be at least 1")?;
        refuse(self.http.max_concurrent_streams == 0, "http.max_concurrent_streams: must be at least 1")
    }

    /// Where the data lies.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` if `database` is no address, or one of `replicas`.
    pub fn place(&self) -> Result<Place, Error> {
        let refused = |what: String| Error::new(Code::InvalidArgument, "INVALID_CONFIG", what);
        let address = self.database.address().map_err(|why| refused(format!("database: {why}")))?;
        let Some(address) = address else {
            if !self.replicas.is_empty() {
                return Err(refused("replicas: they are replicas of `database`, which is not set".to_owned()));
            }
            return Ok(Place::Directory(self.data.clone(), self.watch.log()));
        };
        let replicas = self.replicas.iter().map(|url| url.replica_of(&address)).collect::<Result<_, _>>();
        let replicas = replicas.map_err(|why| refused(format!("replicas: {why}")))?;
        let reports = self.cache.caching().is_some();
        Ok(Place::Server(Box::new(mysql::Options { replicas, reports, ..mysql::Options::new(address) })))
    }

    /// Where metrics and health are served, if anywhere.
    pub(crate) fn admin(&self) -> Result<Option<SocketAddr>, Error> {
        if self.admin_listen.is_empty() {
            return Ok(None);
        }
        let parsed = self.admin_listen.parse();
        parsed.map(Some).map_err(|_| invalid("admin_listen: must be an address and a port, as in 127.0.0.1:8081"))
    }
}

fn refuse(wrong: bool, message: &'static str) -> Result<(), Error> {
    if wrong { Err(invalid(message)) } else { Ok(()) }
}

fn invalid(message: &'static str) -> Error {
    Error::new(Code::InvalidArgument, "INVALID_CONFIG", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_accepted() {
        ServerConfig::default().check().unwrap();
    }

    #[test]
    fn listening_beyond_this_machine_must_be_meant() {
        let mut config = ServerConfig { listen: "0.0.0.0:8080".parse().unwrap(), ..ServerConfig::default() };
        assert_eq!(config.check().unwrap_err().reason(), "INSECURE");
        config.insecure = true;
        config.check().unwrap();
    }

    #[test]
    fn what_cannot_work_is_refused_by_key() {
        let mut config = ServerConfig { admin_listen: "nonsense".to_owned(), ..ServerConfig::default() };
        assert!(config.check().unwrap_err().message().starts_with("admin_listen"));
        config.admin_listen.clear();
        config.pages.max_size = 10;
        assert!(config.check().unwrap_err().message().starts_with("pages.max_size"));
    }
}
