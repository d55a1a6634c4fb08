//! The port, and what its tasks share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use kit_core::{Code, Error, Reply};
use rowkeep_engine::{
    Atomicity, Capabilities, ChangeLog, LoadBatch, LoadOutcome, Outcome, Position, Program, Remembered, Rows, Scan,
    Session, View,
};
use rowkeep_mysql::{Connection, Error as DriverError, Param};
use rowkeep_record::{Codecs, Key, Record};
use rowkeep_schema::{ColumnId, Entity, EntityId, Schema};

use super::changes::Log;
use super::database::{Background, Database};
use super::errors::{Fate, classify, counts_no_further};
use super::groups::{self, Groups};
use super::reads::{Found, Read};
use super::servers::{Kind, RowCopy, Server, ServerStatus, Servers, ask, copies};
use super::session::patiently;
use super::shards::Shards;
use super::watch::Watch;
use super::writes::roll_back;
use super::{load, meta, reads, writes};
use crate::dialect::Dialect;
use crate::statements::EntitySql;

/// Expired rows that a sweep removes per table.
const SWEPT: i64 = 1000;
/// How long a stop waits for transactions that run.
const DRAIN: Duration = Duration::from_secs(10);

/// What an operator wants to know.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Transactions committed by this process.
    pub commits: u64,
    /// Transactions that were run again because others were in their way.
    pub conflicts: u64,
    /// Connections that broke in use.
    pub lost: u64,
    /// Reads that a replica might have answered and the primary did.
    pub fallbacks: u64,
    /// Connections that transactions may use.
    pub write_connections: u64,
    /// Those that do.
    pub write_connections_used: u64,
    /// Reads that are not sent yet.
    pub reads_waiting: u64,
}

/// The port `Rows` over a [`Database`].
pub struct MySqlStore {
    shared: Arc<Shared>,
    /// Until it is stopped.
    background: Mutex<Option<Background>>,
    /// Found out when it is first asked for.
    changes: OnceLock<Option<Arc<dyn ChangeLog>>>,
    runtime: tokio::runtime::Handle,
}

/// What reads and transactions share.
pub(super) struct Shared {
    pub(super) dialect: Dialect,
    pub(super) schema: Arc<Schema>,
    pub(super) codecs: Arc<Codecs>,
    entities: Vec<EntityParts>,
    sweeps: Vec<(EntityId, String)>,
    /// What writes have to see to where tables are spread.
    shards: Option<Shards>,
    pub(super) servers: Arc<Servers>,
    pub(super) groups: Groups,
    pub(super) commits: AtomicU64,
    /// Versions up to this one may be given.
    pub(super) reserved: AtomicU64,
    pub(super) reserving: tokio::sync::Mutex<()>,
    pub(super) conflicts: AtomicU64,
    floor: u64,
    pub(super) capabilities: Arc<Capabilities>,
}

struct EntityParts {
    sql: EntitySql,
    counted: Option<ColumnId>,
}

impl Shared {
    pub(super) fn sql(&self, entity: EntityId) -> &EntitySql {
        &self.entities[entity.index()].sql
    }

    pub(super) fn shards(&self) -> Option<&Shards> {
        self.shards.as_ref()
    }

    /// The column whose NULL the server replaces by the next number.
    pub(super) fn counted(&self, entity: EntityId) -> Option<ColumnId> {
        self.entities[entity.index()].counted
    }

    /// The unique index of this name; `None` for the primary key.
    pub(super) fn unique(&self, entity: EntityId, name: &str) -> Option<u16> {
        let indexes = &self.schema.entity(entity).indexes;
        indexes.iter().position(|index| index.name == name).and_then(|at| u16::try_from(at).ok())
    }

    /// Whether an insert failed because the next number is none.
    pub(super) fn counts_no_further(&self, entity: EntityId, error: &DriverError) -> bool {
        let name = self.counted(entity).map(|column| self.schema.entity(entity).column(column).name.as_str());
        name.is_some_and(|name| counts_no_further(error, name))
    }

    /// Counts a run that is repeated.
    pub(super) fn count(&self, fate: Fate) {
        let counter = if fate == Fate::Conflict { &self.conflicts } else { &*self.servers.lost };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn used_up(&self, entity: EntityId) -> Error {
        let message = format!("the numbers of {} are used up", self.schema.entity(entity).full_name);
        Error::new(Code::ResourceExhausted, "NUMBERS_USED_UP", message)
    }

    async fn sweep(&self, now: i64) -> Result<u64, Error> {
        let mut held = self.servers.writer()?.pool.take(false, None).await?;
        let swept = self.sweep_on(held.connection(), now).await;
        if swept.is_err() {
            roll_back(held.connection()).await;
        }
        swept
    }

    async fn sweep_on(&self, connection: &mut Connection, now: i64) -> Result<u64, Error> {
        let mut removed = 0;
        for (entity, sql) in &self.sweeps {
            if let Some(shards) = self.shards().filter(|shards| shards.takes_values(*entity)) {
                removed += shards.sweep(self, connection, *entity, now).await?;
                continue;
            }
            let now = super::values::param(rowkeep_record::ValueRef::Int(now), rowkeep_schema::Storage::Timestamp);
            removed += patiently(meta::run(connection, sql, &[now, Param::Int(SWEPT)])).await?;
            patiently(connection.command("COMMIT")).await.map_err(classify)?;
        }
        let forget = [Param::Int(now), Param::Int(SWEPT)];
        removed += patiently(meta::run(connection, meta::FORGET, &forget)).await?;
        patiently(connection.command("COMMIT")).await.map_err(classify)?;
        Ok(removed)
    }
}

impl MySqlStore {
    /// Serves a database whose tables fit the schema.
    ///
    /// # Errors
    /// What the server says.
    pub fn start(database: Database, schema: Arc<Schema>, codecs: Arc<Codecs>) -> Result<Arc<Self>, Error> {
        let floor = database.floor()?;
        let Database { connectors, election, connector, background, write_connections, reports, .. } = database;
        let runtime = background.handle().clone();
        let servers = Servers::start(&runtime, connectors, election, write_connections, reports);
        let entity = |entity: &Entity| EntityParts {
            sql: EntitySql::new(connector.dialect, entity, codecs.row(entity.id)),
            counted: crate::ddl::counted(entity),
        };
        let shared = Arc::new(Shared {
            dialect: connector.dialect,
            entities: schema.entities.iter().map(entity).collect(),
            sweeps: schema.entities.iter().filter_map(|entity| sweep_statement(connector.dialect, entity)).collect(),
            shards: (connector.capabilities.atomicity == Atomicity::TwoPhase).then(|| Shards::new(&schema)),
            servers,
            groups: Groups::default(),
            commits: AtomicU64::new(0),
            reserved: AtomicU64::new(floor),
            reserving: tokio::sync::Mutex::default(),
            conflicts: AtomicU64::new(0),
            floor,
            capabilities: Arc::clone(&connector.capabilities),
            schema,
            codecs,
        });
        Ok(Arc::new(Self { shared, background: Mutex::new(Some(background)), changes: OnceLock::new(), runtime }))
    }

    /// Counters for an operator.
    pub fn stats(&self) -> Stats {
        let shared = &self.shared;
        let size = |server: &Arc<Server>| u64::from(server.pool.size);
        Stats {
            commits: shared.commits.load(Ordering::Relaxed),
            conflicts: shared.conflicts.load(Ordering::Relaxed),
            lost: shared.servers.lost.load(Ordering::Relaxed),
            fallbacks: shared.servers.fallbacks.load(Ordering::Relaxed),
            write_connections: shared.servers.primary().map_or(0, size),
            write_connections_used: shared.servers.iter().map(|server| size(server) - server.pool.free()).sum(),
            reads_waiting: shared.servers.iter().map(|server| server.readers.waiting()).sum(),
        }
    }

    /// The servers as they are now, in the order they are named in.
    pub fn servers(&self) -> Vec<ServerStatus> {
        self.shared.servers.status()
    }

    /// One row on each of them.
    pub async fn copies(&self, entity: EntityId, key: &Key, view: View) -> Vec<RowCopy> {
        copies(&self.shared, Read::get(&self.shared, entity, key, view)).await
    }

    /// Finishes what was begun and closes the connections. Later writes are refused.
    pub fn stop(&self) {
        let Some(background) = self.background.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let servers = &self.shared.servers;
        let drained = background.wait(async {
            let mut drained = true;
            for server in servers.iter() {
                drained &= server.pool.drain(DRAIN).await;
            }
            drained
        });
        if !drained {
            tracing::warn!("transactions were still running when the store was stopped");
        }
        for server in servers.iter() {
            server.readers.close();
            server.pool.close();
        }
    }

    /// Runs on the store's own runtime, to its end, whether or not the answer is waited for.
    fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Reply<'static, Result<T, Error>> {
        let task = self.runtime.spawn(work);
        Reply::later(async move {
            task.await.unwrap_or_else(|error| match error.is_panic() {
                true => Err(Error::internal("a write panicked")),
                false => Err(Error::new(Code::Unavailable, "STOPPED", "the store is shutting down")),
            })
        })
    }
}

impl Drop for MySqlStore {
    fn drop(&mut self) {
        self.stop();
    }
}

impl std::fmt::Debug for MySqlStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let addresses: Vec<_> = self.shared.servers.iter().map(|server| server.connector.address()).collect();
        f.debug_struct("MySqlStore").field("servers", &addresses).finish_non_exhaustive()
    }
}

impl Rows for MySqlStore {
    fn attach(&self) {
        self.shared.servers.attach();
    }

    fn capabilities(&self) -> &Capabilities {
        &self.shared.capabilities
    }

    fn get<'a>(
        &'a self,
        entity: EntityId,
        key: &Key,
        view: View,
        session: &'a Session,
    ) -> Reply<'a, Result<Option<Record>, Error>> {
        let found = ask(&self.shared, Kind::Point, Read::get(&self.shared, entity, key, view), session);
        found.map(|found| found.map(Found::record))
    }

    fn get_many<'a>(
        &'a self,
        entity: EntityId,
        keys: &[Key],
        view: View,
        session: &'a Session,
    ) -> Reply<'a, Result<Vec<Option<Record>>, Error>> {
        if let [key] = keys {
            return self.get(entity, key, view, session).map(|record| record.map(|record| vec![record]));
        }
        Reply::later(reads::get_many(Arc::clone(&self.shared), entity, keys.to_vec(), view, session))
    }

    fn lookup<'a>(
        &'a self,
        entity: EntityId,
        index: u16,
        values: &Key,
        view: View,
        session: &'a Session,
    ) -> Reply<'a, Result<Option<Record>, Error>> {
        let found = ask(&self.shared, Kind::Point, Read::lookup(&self.shared, entity, index, values, view), session);
        found.map(|found| found.map(Found::record))
    }

    fn scan<'a>(&'a self, scan: &Scan, session: &'a Session) -> Reply<'a, Result<Vec<Record>, Error>> {
        Reply::later(reads::scan(Arc::clone(&self.shared), scan.clone(), session))
    }

    fn count<'a>(&'a self, scan: &Scan, session: &'a Session) -> Reply<'a, Result<u64, Error>> {
        Reply::later(reads::count(Arc::clone(&self.shared), scan.clone(), session))
    }

    fn transact(&self, program: Program) -> Reply<'static, Result<Outcome, Error>> {
        // Rows that lie in several shards are dearer to commit together than one by one. Rows that are sent together need a
        // server on which nothing of a transaction that has ended is committed by itself; a gateway does not promise that.
        if let Some(entity) = program.only_adds()
            && self.shared.capabilities.atomicity == Atomicity::Local
            && !self.shared.dialect.is_gateway()
        {
            return groups::join(&self.shared, &self.runtime, entity, program);
        }
        let watch = Arc::new(Watch::until(program.deadline()));
        let (shared, waiting) = (Arc::clone(&self.shared), Arc::clone(&watch));
        let answer = self.spawn(async move { writes::transact(shared, program, &watch).await });
        Reply::later(async move { waiting.wait(answer).await })
    }

    fn load(&self, batch: LoadBatch) -> Reply<'static, Result<LoadOutcome, Error>> {
        let shared = Arc::clone(&self.shared);
        self.spawn(async move { load::run(&shared, batch).await })
    }

    fn recall(&self, id: &str) -> Reply<'_, Result<Option<Remembered>, Error>> {
        let (shared, read) = (Arc::clone(&self.shared), Read::recall(&self.shared, id));
        Reply::later(async move { ask(&shared, Kind::Point, read, &Session::strong()).await.map(Found::remembered) })
    }

    fn sweep(&self, now: i64) -> Reply<'static, Result<u64, Error>> {
        let shared = Arc::clone(&self.shared);
        self.spawn(async move { shared.sweep(now).await })
    }

    fn version_floor(&self) -> u64 {
        self.shared.floor
    }

    fn position(&self) -> Option<Position> {
        None
    }

    /// The primary's binary log. `None`, and a line in the log that says what to do, if the user may not follow it or the
    /// server does not log what is needed. Behind Vitess's gateway it is what the logs of all shards tell.
    fn changes(&self) -> Option<Arc<dyn ChangeLog>> {
        self.changes.get_or_init(|| Log::open(&self.shared, &self.runtime)).clone()
    }
}

/// Removes expired rows that nothing refers to: parameters are the time and how many.
fn sweep_statement(dialect: Dialect, entity: &Entity) -> Option<(EntityId, String)> {
    if !entity.referenced_by.is_empty() {
        return None;
    }
    let expire = entity.column(entity.expire?);
    let (table, column) = (dialect.name(&entity.table), dialect.name(&expire.name));
    let zero = crate::ddl::literal(dialect, &rowkeep_record::Value::Int(0), expire.storage);
    let never = if expire.nullable { String::new() } else { format!(" AND {column} <> {zero}") };
    Some((entity.id, format!("DELETE FROM {table} WHERE {column} <= ?{never} LIMIT ?")))
}
