//! A server's database, locked against other migrations.

use kit_core::{Code, Error};
use rowkeep_engine::Atomicity;
use rowkeep_mysql::{Address, Connection};
use tokio::runtime::{Handle, Runtime};
use tokio::sync::Mutex;

use super::checks::{self, Need};
use super::discovery::{self, Discovered};
use super::errors::{Failed, classify};
use super::meta;
use super::servers::Election;
use super::session::{Connector, is_read_only};
use super::shards;

/// How long one start waits for another that migrates, in seconds.
const MIGRATION_WAIT: u32 = 300;
/// How long the server is asked to wait at a time: gateways end what takes longer than half a minute.
const LOCK_WAIT: u32 = 10;
/// Connections for transactions.
const WRITE_CONNECTIONS: u32 = 32;

/// How a database is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Of the primary, with a database.
    pub address: Address,
    /// Of its replicas. Which of all servers is the primary is asked of them; it may have changed.
    pub replicas: Vec<Address>,
    /// Connections for transactions.
    pub write_connections: u32,
    /// Sessions are told where they were answered from although there is one server only: it is enough for them to be
    /// answered by it, but not by somebody who keeps what it answered.
    pub reports: bool,
}

impl Options {
    /// With the defaults.
    pub fn new(address: Address) -> Self {
        Self { address, replicas: Vec::new(), write_connections: WRITE_CONNECTIONS, reports: false }
    }
}

/// A database whose tables can be planned and migrated. As long as it is open, or until it is served, no other instance
/// migrates.
pub struct Database {
    /// To the primary.
    pub(super) connector: Connector,
    /// To all servers.
    pub(super) connectors: Vec<Connector>,
    pub(super) election: Election,
    pub(super) background: Background,
    pub(super) write_connections: u32,
    pub(super) reports: bool,
    /// Holds the lock.
    pub(super) control: Mutex<Connection>,
    name: String,
}

/// A runtime of its own for everything that waits for the server.
pub(super) struct Background(Option<Runtime>);

impl Background {
    pub(super) fn new() -> Result<Self, Error> {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).thread_name("rowkeep-mysql").enable_all().build();
        runtime.map(|runtime| Self(Some(runtime))).map_err(Error::internal)
    }

    pub(super) fn handle(&self) -> &Handle {
        // Taken out only when it is dropped.
        self.0.as_ref().expect("a runtime that is there").handle()
    }

    /// Waits for a future, also from inside another runtime, whose thread is held up meanwhile.
    pub(super) fn wait<T: Send>(&self, future: impl Future<Output = T> + Send) -> T {
        let handle = self.handle();
        let waited = std::thread::scope(|scope| scope.spawn(|| handle.block_on(future)).join());
        waited.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // Also inside another runtime, where waiting is not allowed.
            runtime.shutdown_background();
        }
    }
}

impl Database {
    /// Connects, waits until no other instance migrates, and makes the store's own tables if they are missing.
    ///
    /// # Errors
    /// `FAILED_PRECONDITION` with what to do if the server or the database cannot be used.
    pub fn open(options: &Options) -> Result<Self, Error> {
        let database = Self::connect(options)?;
        database.background.wait(database.lock_and_prepare())?;
        Ok(database)
    }

    /// The same without the lock, and without making anything: to look.
    pub(super) fn connect(options: &Options) -> Result<Self, Error> {
        let Some(name) = options.address.database.clone() else {
            let message = "the address names no database: mysql://user:password@host/database";
            return Err(Error::new(Code::InvalidArgument, "NO_DATABASE", message));
        };
        let background = Background::new()?;
        let found = background.wait(discovery::find(options, &name))?;
        let Discovered { connectors, election, primary, control } = found;
        Ok(Self {
            connector: connectors[primary].clone(),
            connectors,
            election,
            background,
            write_connections: options.write_connections,
            reports: options.reports,
            control: Mutex::new(control),
            name,
        })
    }

    async fn lock_and_prepare(&self) -> Result<(), Error> {
        let mut control = self.control.lock().await;
        let sql = format!("SELECT GET_LOCK({}, {LOCK_WAIT})", lock_name(&self.name));
        let mut locked = false;
        for _ in 0..MIGRATION_WAIT / LOCK_WAIT {
            let rows = control.query(&sql).await.map_err(classify)?;
            locked = rows.first().and_then(|row| row.first()?.as_deref()) == Some("1");
            if locked {
                break;
            }
        }
        if !locked {
            let message = format!("another instance has been migrating {} for {MIGRATION_WAIT} seconds", self.name);
            return Err(Error::new(Code::Unavailable, "MIGRATION_RUNS", message));
        }
        if is_read_only(&mut control).await.map_err(classify)? {
            let message = "the database takes no writes (read_only is set): name the primary, not a replica";
            return Err(Error::new(Code::FailedPrecondition, "NOT_PRIMARY", message));
        }
        let address = self.connector.address();
        checks::check_binlog(&mut control, address).await?;
        checks::warn_of_powers(&mut control).await;
        checks::warn_of_group(&mut control).await;
        // Made once: whoever serves what is there needs no right to make tables.
        if meta::is_prepared(&mut control).await? {
            checks::check_grants(&mut control, address, Need::Serve).await?;
        } else {
            checks::check_grants(&mut control, address, Need::Migrate).await?;
            for (_, table) in meta::TABLES {
                control.command(table).await.map_err(classify)?;
            }
        }
        match self.connector.capabilities.atomicity {
            Atomicity::Local => Ok(()),
            Atomicity::TwoPhase => shards::prepare(&mut control).await,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn floor(&self) -> Result<u64, Error> {
        self.meta(async |control| meta::floor(control).await)
    }

    /// 32 bytes that every instance over this database knows and nobody else.
    ///
    /// # Errors
    /// What the server says.
    pub fn secret(&self) -> Result<[u8; 32], Error> {
        let new: [u8; 32] = rand::random();
        let secret = self.meta(async |control| meta::get_or_set(control, meta::SECRET, &new).await)?;
        secret.try_into().map_err(|_| Error::internal("the secret in rowkeep_meta is not 32 bytes long"))
    }

    fn meta<T: Send>(&self, work: impl AsyncFnOnce(&mut Connection) -> Result<T, Failed> + Send) -> Result<T, Error> {
        let control = &self.control;
        let runtime = self.background.handle();
        let waited = std::thread::scope(|scope| {
            scope.spawn(|| runtime.block_on(async { work(&mut *control.lock().await).await })).join()
        });
        waited.unwrap_or_else(|panic| std::panic::resume_unwind(panic)).map_err(Error::from)
    }
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").field("address", self.connector.address()).finish_non_exhaustive()
    }
}

/// Locks belong to the whole server and have 64 characters: names of databases have as many. MySQL 9 has no SHA1.
fn lock_name(database: &str) -> String {
    format!(
        "CONCAT('rowkeep.', LEFT(SHA2({}, 256), 32))",
        crate::ddl::mysql::literal(&rowkeep_record::Value::Text(database.into()), rowkeep_schema::Storage::Text,)
    )
}
