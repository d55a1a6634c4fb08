//! Rows with a cache before them.
//!
//! [`Cached`] is the engine's port over another one. Reads by key and by unique values are answered from memory where that is
//! as fresh as their session asks; everything else, and all that is not surely fresh enough, goes to the storage. What is
//! kept, when and for how long is said by the [protocol](crate); this is who follows its rules:
//!
//! - `follower` is the sender of changes. It tells leases first, then slots, then readers.
//! - `bring` reads what is not there, once for all who ask, in a task of its own: who asked first may give up.
//! - `audit` lets what is answered be held against the storage, a few times a second.
//! - `writes` forgets what this process writes before the writer is answered.

mod audit;
mod bring;
mod follower;
mod inspect;
mod lookup;
mod many;
mod writes;

use std::sync::Arc;
use std::time::{Duration, Instant};

use kit_core::{Code, Error, Reply};
use rowkeep_engine::{
    Capabilities, ChangeLog, Freshness, LoadBatch, LoadOutcome, Outcome, Position, Positions, Program, Remembered,
    Rows, Scan, Session, View,
};
use rowkeep_record::{Codecs, Key, Record};
use rowkeep_schema::{EntityId, Schema};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::audit::{self as auditor, AuditStats, Sampler};
use crate::counts::{CacheStats, Count, Counts};
use crate::heard::Heard;
use crate::near::{Fresh, Held, Kept, Near, Probe};
use crate::now;
use crate::policy::Policy;
pub(crate) use bring::{Read, jittered, start};
pub use inspect::InspectedEntry;

/// How much a cache keeps, and for whom.
#[derive(Debug, Clone, Copy)]
pub struct CacheOptions {
    /// Bytes of entries, with what a table needs for them.
    pub memory: u64,
    /// Nothing is answered from memory while the log is silent for longer, whatever a reader asks for.
    pub max_lag: Duration,
    /// Rows that are on their way into the cache at a time; further ones are read past it.
    pub max_fills: usize,
    /// How often an entry that is used is held against the storage, by a strong read; never, if `None`.
    pub audit: Option<Duration>,
    /// How long a reader waits for a row that another reader brings, before it reads for itself.
    pub patience: Duration,
}

impl Default for CacheOptions {
    fn default() -> Self {
        Self {
            memory: 64 << 20,
            max_lag: Duration::from_secs(10),
            max_fills: 1024,
            audit: None,
            patience: Duration::from_millis(500),
        }
    }
}

/// The port [`Rows`] with a cache in this process; what it promises is said by the [protocol](crate).
pub struct Cached {
    shared: Arc<Shared>,
    capabilities: Capabilities,
    follower: JoinHandle<()>,
    auditor: Option<JoinHandle<()>>,
}

/// What readers, the follower and those who bring rows share.
struct Shared {
    rows: Arc<dyn Rows>,
    near: Arc<Near>,
    heard: Heard,
    policy: Arc<Policy>,
    options: CacheOptions,
    counts: Counts,
    sampler: Sampler,
}

impl Cached {
    /// A cache over a storage, which follows the storage's log on this runtime from now on. Until the log is known, it keeps
    /// nothing and answers from the storage.
    ///
    /// # Errors
    /// `FAILED_PRECONDITION` `NO_CHANGE_LOG` if the storage has no log that can be followed.
    pub fn start(
        rows: Arc<dyn Rows>,
        schema: &Schema,
        codecs: &Codecs,
        options: CacheOptions,
        runtime: &Handle,
    ) -> Result<Arc<Self>, Error> {
        let log = rows.changes().ok_or_else(no_log)?;
        Ok(Self::follow(rows, log, schema, codecs, options, runtime))
    }

    /// The same by a log that is told once `rows` contain what it tells.
    pub fn follow(
        rows: Arc<dyn Rows>,
        log: Arc<dyn ChangeLog>,
        schema: &Schema,
        codecs: &Codecs,
        options: CacheOptions,
        runtime: &Handle,
    ) -> Arc<Self> {
        let policy = Arc::new(Policy::new(schema, codecs));
        // Of several rows each may be of another moment.
        let capabilities = Capabilities { reads_one_moment: false, ..rows.capabilities().clone() };
        let shared = Arc::new(Shared {
            rows,
            near: Near::new(options.memory, policy.len(), options.max_fills),
            heard: Heard::default(),
            policy,
            options,
            counts: Counts::default(),
            sampler: Sampler::default(),
        });
        let auditor = options.audit.map(|every| runtime.spawn(auditor::run(Arc::clone(&shared), every)));
        let follower = runtime.spawn(follower::run(Arc::clone(&shared), log));
        Arc::new(Self { shared, capabilities, follower, auditor })
    }

    /// Stops following the log. Nothing is answered from memory soon after.
    pub fn stop(&self) {
        self.follower.abort();
        if let Some(auditor) = &self.auditor {
            auditor.abort();
        }
        self.shared.heard.forget();
    }

    /// Whether the log has told everything that a session has seen, so that the cache contains it.
    pub fn is_told(&self, seen: &Position) -> bool {
        self.shared.heard.lag(now()).is_some() && self.shared.heard.contains(seen)
    }

    /// What it did, and what it has.
    pub fn stats(&self) -> CacheStats {
        let (counts, near) = (&self.shared.counts, &self.shared.near);
        CacheStats {
            hits: counts.sum(Count::Hit) + counts.sum(Count::NegativeHit),
            negative_hits: counts.sum(Count::NegativeHit),
            misses: counts.sum(Count::Miss),
            joined: counts.sum(Count::Joined),
            bypasses: counts.sum(Count::Bypass),
            refused: counts.sum(Count::Refused),
            evictions: near.evicted(),
            entries: near.len() as u64,
            bytes: near.bytes(),
            audits: AuditStats::of(counts),
            lag: self.shared.heard.lag(now()),
            behind: self.shared.heard.behind(),
        }
    }
}

pub(crate) fn no_log() -> Error {
    let message = "the storage has no log of changes that a cache could follow, so it would leave rows stale; serve without \
                   a cache, or see what the storage says about its log";
    Error::new(Code::FailedPrecondition, "NO_CHANGE_LOG", message)
}

impl Drop for Cached {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    /// What is kept, if it is what a reader with this view would be shown.
    fn kept(&self, probe: &Probe<'_>, view: View, now: Instant) -> Option<Kept> {
        let kept = self.near.get(probe).filter(|kept| kept.suits(view, now))?;
        self.sampler.offer(probe);
        Some(kept)
    }

    fn admits(&self, session: &Session, now: Instant) -> bool {
        // Nobody says what a session has seen.
        let is_untold =
            session.freshness() == Freshness::Session && self.rows.capabilities().positions == Positions::Untold;
        !is_untold && self.heard.admits(session, self.options.max_lag, now)
    }

    fn row<'a>(
        self: &'a Arc<Self>,
        entity: EntityId,
        key: &Key,
        view: View,
        session: &'a Session,
    ) -> Reply<'a, Result<Option<Record>, Error>> {
        let now = now();
        let Some(policy) = self.policy.of(entity).filter(|_| self.admits(session, now)) else {
            return self.past().get(entity, key, view, session);
        };
        let probe = Probe { entity, part: policy.part(view), key };
        match self.kept(&probe, view, now) {
            Some(Kept { held: Held::Row(record), fresh, .. }) => {
                Reply::ready(Ok(self.hit(Some(record), &fresh, session)))
            }
            Some(Kept { held: Held::Absent, fresh, .. }) => Reply::ready(Ok(self.hit(None, &fresh, session))),
            _ => self.bring(probe.to_key(), Read::Row, view, session),
        }
    }

    /// An answer from memory.
    fn hit(&self, record: Option<Record>, fresh: &Fresh, session: &Session) -> Option<Record> {
        self.counts.add(if record.is_some() { Count::Hit } else { Count::NegativeHit });
        self.heard.saw(session, &fresh.seen);
        record
    }

    /// Goes past the cache.
    fn past(&self) -> &dyn Rows {
        self.counts.add(Count::Bypass);
        &*self.rows
    }
}

impl Rows for Cached {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn attach(&self) {
        self.shared.rows.attach();
    }

    fn get<'a>(
        &'a self,
        entity: EntityId,
        key: &Key,
        view: View,
        session: &'a Session,
    ) -> Reply<'a, Result<Option<Record>, Error>> {
        self.shared.row(entity, key, view, session)
    }

    fn get_many<'a>(
        &'a self,
        entity: EntityId,
        keys: &[Key],
        view: View,
        session: &'a Session,
    ) -> Reply<'a, Result<Vec<Option<Record>>, Error>> {
        self.shared.get_many(entity, keys, view, session)
    }

    fn lookup<'a>(
        &'a self,
        entity: EntityId,
        index: u16,
        values: &Key,
        view: View,
        session: &'a Session,
    ) -> Reply<'a, Result<Option<Record>, Error>> {
        self.shared.lookup(entity, index, values, view, session)
    }

    fn scan<'a>(&'a self, scan: &Scan, session: &'a Session) -> Reply<'a, Result<Vec<Record>, Error>> {
        self.shared.rows.scan(scan, session)
    }

    fn count<'a>(&'a self, scan: &Scan, session: &'a Session) -> Reply<'a, Result<u64, Error>> {
        self.shared.rows.count(scan, session)
    }

    fn transact(&self, program: Program) -> Reply<'static, Result<Outcome, Error>> {
        self.shared.transact(program)
    }

    fn load(&self, batch: LoadBatch) -> Reply<'static, Result<LoadOutcome, Error>> {
        self.shared.load(batch)
    }

    fn recall(&self, id: &str) -> Reply<'_, Result<Option<Remembered>, Error>> {
        self.shared.rows.recall(id)
    }

    fn sweep(&self, now: i64) -> Reply<'static, Result<u64, Error>> {
        self.shared.rows.sweep(now)
    }

    fn version_floor(&self) -> u64 {
        self.shared.rows.version_floor()
    }

    fn position(&self) -> Option<Position> {
        self.shared.rows.position()
    }

    fn changes(&self) -> Option<Arc<dyn ChangeLog>> {
        self.shared.rows.changes()
    }
}
