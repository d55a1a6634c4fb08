//! Connections for transactions: a bounded number, each with one transaction at a time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use kit_core::{Code, Error};
use rowkeep_mysql::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{timeout, timeout_at};

use super::session::Connector;
use super::watch::late;

/// How long a transaction waits for a connection.
const QUEUE: Duration = Duration::from_secs(5);

pub(super) struct Pool {
    pub(super) connector: Connector,
    pub(super) size: u32,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

/// A connection in use. Given back if nothing is open on it, closed otherwise.
pub(super) struct Held<'a> {
    connection: Option<Connection>,
    pool: &'a Pool,
    /// Until it is dropped or abandoned.
    permit: Option<OwnedSemaphorePermit>,
    once: bool,
}

impl Pool {
    pub(super) fn new(connector: Connector, size: u32) -> Self {
        Self { connector, size, idle: Mutex::default(), permits: Arc::new(Semaphore::new(size as usize)) }
    }

    /// A connection: one that was used before unless `fresh`. It is waited for no longer than its caller waits: what nobody
    /// waits for must not be kept while a server says nothing.
    pub(super) async fn take(&self, fresh: bool, deadline: Option<Instant>) -> Result<Held<'_>, Error> {
        let most = Instant::now() + QUEUE;
        let until = deadline.map_or(most, |deadline| deadline.min(most));
        let permit = timeout_at(until.into(), Arc::clone(&self.permits).acquire_owned()).await;
        let permit = permit.map_err(|_| if until < most { late() } else { overloaded() })?.map_err(|_| stopped())?;
        let idle = if fresh { None } else { self.list().pop() };
        let connection = match idle {
            Some(connection) => connection,
            None => self.connector.open_for_transactions().await?,
        };
        Ok(Held { connection: Some(connection), pool: self, permit: Some(permit), once: false })
    }

    /// Forgets the connections that nobody uses: one of them turned out to be broken.
    pub(super) fn forget(&self) {
        self.list().clear();
    }

    /// Connections that nobody uses, opened or not.
    pub(super) fn free(&self) -> u64 {
        self.permits.available_permits() as u64
    }

    /// Waits until nothing runs any more, for a while. Whether nothing does.
    pub(super) async fn drain(&self, patience: Duration) -> bool {
        timeout(patience, self.permits.acquire_many(self.size)).await.is_ok()
    }

    /// Refuses whoever comes from now on.
    pub(super) fn close(&self) {
        self.permits.close();
        self.forget();
    }

    fn list(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held<'_> {
    pub(super) fn connection(&mut self) -> &mut Connection {
        // Taken out only when it is dropped.
        self.connection.as_mut().expect("a connection that is held")
    }

    /// It is not for the next: what is set on it stays.
    pub(super) fn only_once(&mut self) {
        self.once = true;
    }

    /// Gives the connection up while the server works for it, and tells the server. Its place in the pool is free only
    /// then: a server that says nothing is not given more and more to do.
    pub(super) fn abandon(mut self) {
        let (Some(connection), permit) = (self.connection.take(), self.permit.take()) else { return };
        let connector = self.pool.connector.clone();
        tokio::spawn(async move {
            connector.kill(connection.server().connection).await;
            drop((connection, permit));
        });
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take().filter(Connection::is_idle)
            && !self.once
            && !self.pool.permits.is_closed()
        {
            self.pool.list().push(connection);
        }
    }
}

fn overloaded() -> Error {
    Error::new(Code::ResourceExhausted, "WRITES_QUEUED", "too many writes are waiting")
        .with_retry_after(Duration::from_millis(100))
}

fn stopped() -> Error {
    Error::new(Code::Unavailable, "STOPPED", "the store is shutting down")
}
