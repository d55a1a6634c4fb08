//! The port, and what its threads share.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use kit_core::{Error, Reply};
use rowkeep_engine::{
    Capabilities, ChangeLog, Changes, LoadBatch, LoadOutcome, Outcome, Point, Position, Program, Remembered, Rows,
    Scan, Session, View,
};
use rowkeep_record::{Codecs, Key, Record};
use rowkeep_schema::{ColumnId, EntityId, Schema};

use super::changes::{Log, Recorder, SqliteChanges};
use super::checkpoint::{self, Checkpoints};
use super::connect::DirectoryLock;
use super::database::Database;
use super::errors::failed;
use super::reader::Readers;
use super::stats::{Counters, Stats};
use super::writer::{Job, QUEUE, Queue, Writer};
use super::{meta, numbers};
use crate::ddl::KeyKind;
use crate::dialect::Dialect;
use crate::statements::EntitySql;

/// The port `Rows` over a [`Database`]. Dropping it finishes what was queued and closes the file.
pub struct SqliteStore {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Until it is stopped.
    lock: Mutex<Option<DirectoryLock>>,
}

/// What reads, the writer and the checkpointer share.
pub(super) struct Shared {
    pub(super) schema: Arc<Schema>,
    pub(super) codecs: Arc<Codecs>,
    entities: Vec<EntityParts>,
    pub(super) sweeps: Vec<(EntityId, String)>,
    pub(super) readers: Arc<Readers>,
    pub(super) queue: Queue,
    pub(super) checkpoints: Checkpoints,
    pub(super) counters: Counters,
    pub(super) changes: Log,
    /// Counts commits; what readers' snapshots are compared with, and the numbers of the log of changes.
    pub(super) position: AtomicU64,
    stopping: AtomicBool,
    floor: u64,
    path: PathBuf,
    capabilities: Capabilities,
}

struct EntityParts {
    sql: EntitySql,
    /// SQLite's text for each violated constraint, and the index it means.
    constraints: Vec<(String, Option<u16>)>,
    counted: Option<ColumnId>,
    key: KeyKind,
    has_high_numbers: AtomicBool,
}

impl Shared {
    pub(super) fn sql(&self, entity: EntityId) -> &EntitySql {
        &self.entities[entity.index()].sql
    }

    pub(super) fn columns(&self, entity: EntityId) -> usize {
        self.schema.entity(entity).columns.len()
    }

    pub(super) fn counted(&self, entity: EntityId) -> Option<ColumnId> {
        self.entities[entity.index()].counted
    }

    /// Whether SQLite counts the key by itself.
    pub(super) fn counts_itself(&self, entity: EntityId) -> bool {
        self.entities[entity.index()].key == KeyKind::Counted
    }

    /// Whether a number was stored, or meant to be, that is far from what counting gives.
    pub(super) fn has_high_numbers(&self, entity: EntityId) -> &AtomicBool {
        &self.entities[entity.index()].has_high_numbers
    }

    /// The unique index that SQLite says was violated; `None` for the primary key.
    pub(super) fn unique(&self, entity: EntityId, text: &str) -> Option<u16> {
        let constraints = &self.entities[entity.index()].constraints;
        constraints.iter().find(|(violated, _)| violated == text).and_then(|(_, index)| *index)
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    pub(super) fn position(&self) -> u64 {
        self.position.load(Ordering::Acquire)
    }
}

impl SqliteStore {
    /// Serves a database whose tables fit the schema.
    ///
    /// # Errors
    /// What the disk says.
    pub fn start(database: Database, schema: Arc<Schema>, codecs: Arc<Codecs>) -> Result<Arc<Self>, Error> {
        let Database { lock, mut connection, path, changes, .. } = database;
        let floor = meta::floor(&connection).map_err(failed)?;
        meta::set(&connection, meta::RUNNING, b"1").map_err(failed)?;
        let (changes, position) = Log::open(&connection, &schema, changes, floor)?;
        let recorder = Recorder::new(&changes, &connection).map_err(failed)?;
        let (queue, jobs) = Queue::new();
        let (checkpoints, woken) = Checkpoints::new();
        let entities: Vec<_> = schema.entities.iter().map(|entity| EntityParts::new(entity, &codecs)).collect();
        let shared = Arc::new(Shared {
            sweeps: sweep_statements(&schema, &entities),
            entities,
            readers: Readers::new(path.clone()),
            queue,
            checkpoints,
            counters: Counters::default(),
            position: AtomicU64::new(position),
            stopping: AtomicBool::new(false),
            floor,
            path: path.clone(),
            capabilities: capabilities(&changes),
            changes,
            schema,
            codecs,
        });
        numbers::look(&shared, &connection)?;
        count_pages(&mut connection, &shared)?;
        let writer = Writer::new(Arc::clone(&shared), connection, jobs, recorder, floor);
        let for_checkpoints = Arc::clone(&shared);
        let threads = vec![
            spawn("rowkeep-writer", move || writer.run())?,
            spawn("rowkeep-checkpoint", move || checkpoint::run(&for_checkpoints, &path, &woken))?,
        ];
        Ok(Arc::new(Self { shared, threads: Mutex::new(threads), lock: Mutex::new(Some(lock)) }))
    }

    /// Counters for an operator.
    pub fn stats(&self) -> Stats {
        let mut stats =
            Stats { queue_depth: self.shared.queue.depth() as u64, queue_capacity: QUEUE as u64, ..Stats::default() };
        self.shared.counters.fill(&mut stats);
        stats.readers = self.shared.readers.count() as u64;
        let size = |path: &std::path::Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        stats.file_bytes = size(&self.shared.path);
        let mut log = self.shared.path.clone().into_os_string();
        log.push("-wal");
        stats.wal_bytes = size(log.as_ref());
        stats
    }

    /// Path of the data file.
    pub fn path(&self) -> &std::path::Path {
        &self.shared.path
    }

    /// Finishes what was queued, leaves a file that needs no recovery, ends the threads and gives the directory free.
    /// Later writes are refused.
    pub fn stop(&self) {
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        if threads.is_empty() {
            return;
        }
        self.shared.stopping.store(true, Ordering::Release);
        self.shared.changes.committed.notify_waiters();
        // A program that nobody waits for may be the store's last owner, and is dropped by the writer.
        let is_own = threads.iter().any(|thread| thread.thread().id() == std::thread::current().id());
        let lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
        let shared = Arc::clone(&self.shared);
        let finish = move || {
            end(&shared, threads);
            drop(lock);
        };
        if is_own {
            drop(std::thread::spawn(finish));
        } else {
            finish();
        }
    }

    #[cfg(test)]
    pub(super) fn run(&self, work: super::writer::Work) -> Reply<'static, Result<Outcome, Error>> {
        self.shared.queue.ask(|answer| Job::Program(work, answer))
    }

    #[cfg(test)]
    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    fn read<T>(
        &self,
        read: impl FnOnce(&super::reader::Reader) -> Result<T, Error>,
    ) -> Reply<'static, Result<T, Error>> {
        Reply::ready(self.shared.readers.read(self.shared.position(), read))
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.stop();
    }
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.shared.path).finish_non_exhaustive()
    }
}

impl Rows for SqliteStore {
    fn capabilities(&self) -> &Capabilities {
        &self.shared.capabilities
    }

    fn get<'a>(
        &'a self,
        entity: EntityId,
        key: &Key,
        view: View,
        _: &'a Session,
    ) -> Reply<'a, Result<Option<Record>, Error>> {
        self.read(|reader| self.shared.get(reader, entity, key, view))
    }

    fn get_many<'a>(
        &'a self,
        entity: EntityId,
        keys: &[Key],
        view: View,
        _: &'a Session,
    ) -> Reply<'a, Result<Vec<Option<Record>>, Error>> {
        self.read(|reader| self.shared.get_many(reader, entity, keys, view))
    }

    fn lookup<'a>(
        &'a self,
        entity: EntityId,
        index: u16,
        values: &Key,
        view: View,
        _: &'a Session,
    ) -> Reply<'a, Result<Option<Record>, Error>> {
        self.read(|reader| self.shared.lookup(reader, entity, index, values, view))
    }

    fn scan<'a>(&'a self, scan: &Scan, _: &'a Session) -> Reply<'a, Result<Vec<Record>, Error>> {
        self.read(|reader| self.shared.scan(reader, scan))
    }

    fn count<'a>(&'a self, scan: &Scan, _: &'a Session) -> Reply<'a, Result<u64, Error>> {
        self.read(|reader| self.shared.count(reader, scan))
    }

    fn transact(&self, program: Program) -> Reply<'static, Result<Outcome, Error>> {
        self.shared.queue.ask(|answer| Job::program(program, answer))
    }

    fn load(&self, batch: LoadBatch) -> Reply<'static, Result<LoadOutcome, Error>> {
        self.shared.queue.ask(|answer| Job::Load(batch, answer))
    }

    fn recall(&self, id: &str) -> Reply<'_, Result<Option<Remembered>, Error>> {
        self.read(|reader| meta::recall(&reader.connection, id).map_err(failed))
    }

    fn sweep(&self, now: i64) -> Reply<'static, Result<u64, Error>> {
        self.shared.queue.ask(|answer| Job::Sweep(now, answer))
    }

    fn version_floor(&self) -> u64 {
        self.shared.floor
    }

    fn position(&self) -> Option<Position> {
        Some(Point { source: 0, number: self.shared.position() }.into())
    }

    fn changes(&self) -> Option<Arc<dyn ChangeLog>> {
        self.shared.changes.is_kept().then(|| Arc::new(SqliteChanges::new(&self.shared)) as _)
    }
}

impl EntityParts {
    fn new(entity: &rowkeep_schema::Entity, codecs: &Codecs) -> Self {
        let violated = |columns: &mut dyn Iterator<Item = ColumnId>| {
            let columns: Vec<_> = columns.map(|id| format!("{}.{}", entity.table, entity.column(id).name)).collect();
            format!("UNIQUE constraint failed: {}", columns.join(", "))
        };
        let indexes = entity.indexes.iter().enumerate().filter(|(_, index)| index.unique);
        #[expect(clippy::cast_possible_truncation, reason = "the model numbers indexes with 16 bits")]
        let indexes =
            indexes.map(|(at, index)| (violated(&mut index.columns.iter().map(|(id, _)| *id)), Some(at as u16)));
        let key = (violated(&mut entity.primary_key.iter().copied()), None);
        Self {
            sql: EntitySql::new(Dialect::Sqlite, entity, codecs.row(entity.id)),
            constraints: std::iter::once(key).chain(indexes).collect(),
            counted: crate::ddl::counted(entity),
            key: crate::ddl::key_kind(entity),
            has_high_numbers: AtomicBool::new(false),
        }
    }
}

/// Tells the threads to end and waits for them.
fn end(shared: &Shared, threads: Vec<JoinHandle<()>>) {
    shared.queue.insist(Job::Stop);
    shared.checkpoints.wake();
    for thread in threads {
        if thread.join().is_err() {
            tracing::error!("a storage thread panicked");
        }
    }
}

/// For the entities that nothing refers to; the others are not the storage's to sweep.
fn sweep_statements(schema: &Schema, parts: &[EntityParts]) -> Vec<(EntityId, String)> {
    let unreferenced = schema.entities.iter().filter(|entity| entity.referenced_by.is_empty());
    let statement = |entity: &rowkeep_schema::Entity| {
        let text = sweep_statement(entity, &parts[entity.id.index()].sql.stored_names)?;
        Some((entity.id, text))
    };
    unreferenced.filter_map(statement).collect()
}

/// Removes expired rows and answers them: parameters are the time and how many.
fn sweep_statement(entity: &rowkeep_schema::Entity, stored: &str) -> Option<String> {
    let expire = entity.column(entity.expire?);
    let mut names = String::new();
    let key = entity.primary_key.iter().map(|id| entity.column(*id).name.as_str());
    crate::dialect::push_names(Dialect::Sqlite, &mut names, key);
    let (table, column) = (Dialect::Sqlite.name(&entity.table), Dialect::Sqlite.name(&expire.name));
    let never = if expire.nullable { String::new() } else { format!(" AND {column} <> 0") };
    Some(format!(
        "DELETE FROM {table} WHERE ({names}) IN (SELECT {names} FROM {table} WHERE {column} <= ?{never} LIMIT ?)
         RETURNING {stored}"
    ))
}

/// Keeps the number of pages in the log, as each commit tells it.
fn count_pages(connection: &mut rusqlite::Connection, shared: &Arc<Shared>) -> Result<(), Error> {
    let shared = Arc::downgrade(shared);
    let hook = move |_: &mut rusqlite::hooks::Wal, pages: std::ffi::c_int| {
        if let Some(shared) = shared.upgrade() {
            shared.counters.wal_pages.store(u64::try_from(pages).unwrap_or(0), Ordering::Relaxed);
        }
        Ok(())
    };
    connection.wal_hook(Some(hook)).map_err(failed)
}

fn capabilities(log: &Log) -> Capabilities {
    // Serializable: there is one writer.
    let changes = if log.is_kept() { Changes::Log } else { Changes::None };
    Capabilities { changes, ..Capabilities::local("sqlite", rusqlite::version()) }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Error> {
    std::thread::Builder::new().name(name.to_owned()).spawn(body).map_err(Error::internal)
}
