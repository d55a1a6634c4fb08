//! Connections with the settings that everything else here relies on.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kit_core::{Code, Error};
use rowkeep_engine::{Atomicity, Capabilities};
use rowkeep_mysql::{Address, Connection, Error as DriverError, Product, Server, TlsMode};
use tokio::time::timeout_at;

use super::capable::capabilities;
use super::checks::no_access;
use super::errors::classify;
use super::gateway;
use crate::ddl::mysql::collation;
use crate::dialect::Dialect;

/// How long a statement waits for a row that another transaction holds, in seconds.
const LOCK_WAIT: u32 = 5;
/// The same where a deadlock between shards ends by it.
const LOCK_WAIT_OF_SHARDS: u32 = 1;

/// How long a transaction waits for the answer to a statement. A server that is stopped, or whose disk is, keeps its
/// connections and says nothing; whoever waits longer would only fill the pool. Lock waits end well before.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for an answer, but not for ever. A connection that is given up here is closed.
pub(super) async fn patiently<T, E: From<DriverError>>(answer: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    patiently_until(None, answer).await
}

/// The same, and no longer than to a deadline.
pub(super) async fn patiently_until<T, E: From<DriverError>>(
    deadline: Option<Instant>,
    answer: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let last = Instant::now() + PATIENCE;
    let last = deadline.map_or(last, |deadline| deadline.min(last));
    let silent = || DriverError::Io(io::Error::new(io::ErrorKind::TimedOut, SILENT));
    timeout_at(last.into(), answer).await.unwrap_or_else(|_| Err(silent().into()))
}

const SILENT: &str = "the database does not answer";

/// Whether a connection was given up while the server was at work for it.
pub(super) fn is_silent(error: &DriverError) -> bool {
    // The system has words of its own for a connection that broke by silence.
    matches!(error, DriverError::Io(error) if error.kind() == io::ErrorKind::TimedOut && error.raw_os_error().is_none())
}

/// Opens connections to one server.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    address: Arc<Address>,
    settings: Arc<str>,
    pub(super) dialect: Dialect,
    pub(super) capabilities: Arc<Capabilities>,
}

impl Connector {
    /// Asks a server what it is.
    ///
    /// # Errors
    /// `FAILED_PRECONDITION` with what to do if it cannot be used.
    pub(super) async fn find(address: Address) -> Result<Self, Error> {
        let mut connection = match Connection::open(&address).await {
            Ok(connection) => connection,
            Err(error) => return Err(refused(&address, error).await),
        };
        let server = connection.server().clone();
        check_version(&server)?;
        let dialect = dialect_of(&server);
        let capabilities = capabilities(&mut connection, &address, dialect).await?;
        let settings = settings(dialect, capabilities.atomicity);
        if let Err(error) = connection.command(&settings).await {
            return Err(refused(&address, error).await);
        }
        if dialect.is_gateway() {
            gateway::check_settings(&mut connection, &address).await?;
        }
        connection.close().await;
        let (address, settings, capabilities) = (Arc::new(address), settings.into(), Arc::new(capabilities));
        Ok(Self { address, settings, dialect, capabilities })
    }

    /// To a server that could not be asked what it is, and is held for what the others are.
    pub(super) fn presumed(address: Address, like: &Self) -> Self {
        Self { address: Arc::new(address), ..like.clone() }
    }

    /// A connection that is ready.
    pub(super) async fn open(&self) -> Result<Connection, DriverError> {
        let mut connection = Connection::open(&self.address).await?;
        if dialect_of(connection.server()) != self.dialect {
            let other = format!("{} is another product now: {}", self.address, connection.server().version);
            return Err(DriverError::Io(io::Error::new(io::ErrorKind::InvalidData, other)));
        }
        connection.command(&self.settings).await?;
        Ok(connection)
    }

    /// The same, if the server takes writes.
    ///
    /// # Errors
    /// `UNAVAILABLE`; `STORAGE_READ_ONLY` if it does not.
    pub(super) async fn open_to_write(&self) -> Result<Connection, Error> {
        let mut connection = self.open().await.map_err(classify)?;
        if is_read_only(&mut connection).await.map_err(classify)? {
            let message = "the database takes no writes: it is not the primary";
            return Err(Error::new(Code::Unavailable, "STORAGE_READ_ONLY", message)
                .with_retry_after(Duration::from_millis(500)));
        }
        Ok(connection)
    }

    /// The same, with a transaction always open: after one that the server has ended, no statement that is on its way is
    /// committed by itself. A gateway is told when one begins.
    pub(super) async fn open_for_transactions(&self) -> Result<Connection, Error> {
        let mut connection = self.open_to_write().await?;
        if !self.dialect.is_gateway() {
            connection.command("SET autocommit = 0").await.map_err(classify)?;
        }
        Ok(connection)
    }

    /// Ends a connection that nobody waits for any more, and what the server does for it.
    pub(super) async fn kill(&self, number: u32) {
        // A gateway's numbers are its own: where several stand behind one address, another's connection would be ended.
        if self.dialect.is_gateway() {
            return;
        }
        let killed = match Connection::open(&self.address).await {
            Ok(mut connection) => patiently(connection.command(&format!("KILL {number}"))).await.map(drop),
            Err(error) => Err(error),
        };
        if let Err(error) = killed {
            tracing::debug!(%error, "a query whose caller went away could not be ended");
        }
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }
}

fn dialect_of(server: &Server) -> Dialect {
    match server.product {
        Product::MySql => Dialect::MySql,
        Product::MariaDb => Dialect::MariaDb,
        Product::Vitess => Dialect::Vitess,
    }
}

/// Whether a server refuses writes. (MySQL's `super_read_only` includes `read_only`.)
pub(super) async fn is_read_only(connection: &mut Connection) -> Result<bool, DriverError> {
    if dialect_of(connection.server()).is_gateway() {
        return Ok(false);
    }
    let rows = connection.query("SELECT @@global.read_only").await?;
    Ok(rows.first().and_then(|row| row.first()?.as_deref()) != Some("0"))
}

/// Set on every connection: what they are at the server's own choice decides over what is stored.
///
/// - Values that do not fit are refused. Days that no calendar has are ours to refuse, because a date without a year may
///   be the 29th of February; 0 is a number like any other.
/// - Times are UTC, and what a column cannot keep of their fraction is cut off.
/// - Reads of transactions lock what they read and the gaps where it would be, which is what `REPEATABLE READ` adds.
/// - Long texts are sorted by more than their first kilobyte.
/// - A table's size is asked of it, not of what MySQL remembers for a day: it decides how the table is migrated.
/// - A commit's answer holds its GTID.
/// - What a commit writes to several shards happens in all of them or in none. Nobody sees that two transactions wait for
///   each other in two shards, so that waits are short there.
fn settings(dialect: Dialect, atomicity: Atomicity) -> String {
    let (lock_wait, mode) = match atomicity {
        Atomicity::Local => (LOCK_WAIT, ""),
        Atomicity::TwoPhase => (LOCK_WAIT_OF_SHARDS, ", SESSION transaction_mode = 'twopc'"),
    };
    format!(
        "SET NAMES utf8mb4 COLLATE {}, \
         SESSION sql_mode = 'STRICT_ALL_TABLES,ALLOW_INVALID_DATES,ERROR_FOR_DIVISION_BY_ZERO,NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION{}', \
         SESSION time_zone = '+00:00', SESSION autocommit = 1, SESSION {}, \
         SESSION innodb_lock_wait_timeout = {lock_wait}, SESSION max_sort_length = 16384{mode}",
        collation(dialect),
        // MariaDB cuts off unless it is told to round.
        if dialect.is_mysql() { ",TIME_TRUNCATE_FRACTIONAL" } else { "" },
        match dialect {
            Dialect::MySql => {
                "transaction_isolation = 'REPEATABLE-READ', SESSION information_schema_stats_expiry = 0, \
                 SESSION session_track_gtids = OWN_GTID"
            }
            Dialect::Vitess => {
                "transaction_isolation = 'REPEATABLE-READ', SESSION information_schema_stats_expiry = 0"
            }
            Dialect::Sqlite | Dialect::MariaDb => {
                "tx_isolation = 'REPEATABLE-READ', SESSION session_track_system_variables = 'last_gtid'"
            }
        }
    )
}

fn check_version(server: &Server) -> Result<(), Error> {
    let least = match server.product {
        // What the gateway says it is.
        Product::MySql | Product::Vitess => (8, 0, 19),
        Product::MariaDb => (10, 11, 0),
    };
    if server.numbers() >= least {
        return Ok(());
    }
    let message = format!(
        "the database is {}; MySQL 8.0.19 and MariaDB 10.11 are the oldest that have what rowkeep needs",
        server.version
    );
    Err(Error::new(Code::FailedPrecondition, "DATABASE_TOO_OLD", message))
}

/// Why a server cannot be used at start, with what to do.
async fn refused(address: &Address, error: DriverError) -> Error {
    let name = address.database.as_deref().unwrap_or_default();
    let advice = match (&error, error.code()) {
        // A user may have to come encrypted, and the server then says no more than to a wrong password.
        (_, Some(1045)) if address.tls.mode() == TlsMode::Off => {
            "; check user and password in the address, and that the user may come without TLS".to_owned()
        }
        (_, Some(1045)) => "; check user and password in the address".to_owned(),
        (_, Some(1049)) => format!("; make it first: CREATE DATABASE `{name}` CHARACTER SET utf8mb4"),
        (_, Some(1044)) => no_access(address).await,
        (_, Some(_)) => return classify(error),
        // It says itself what to do.
        (DriverError::Tls(_), None) => String::new(),
        (_, None) => "; check host and port, and that the server runs".to_owned(),
    };
    let message = format!("{address}: {error}{advice}");
    Error::new(Code::FailedPrecondition, "DATABASE_REFUSED", message)
}
