//! Rows with a cache before them that several processes share.
//!
//! [`Tier`] is the engine's port over another one and a [`Remote`]. Before it, a cache in the process stands as it does before
//! any storage.
//!
//! - `log` takes the storage's log, and tells each commit once the shards were told of it.
//! - `keeper` tells one shard, and joins it again after it was away.
//! - `read` asks a shard for what readers may be answered from it; `bring` reads what is not there, for the lease of one process;
//!   `flights` are those of this process, which its readers share.
//! - `writes` empties the slots of what this process writes before the writer is answered.
//! - `audit` lets what is answered be held against the storage, a few times a second.
//! - `entry` is what lies in the server.
//!
//! ## Why no answer is older than it may be
//! An entry contains every commit that its shard was told: a telling drops the entry and the lease in one step with the
//! horizon's advance, and what is brought for a lease contains all that the shard had been told when it was given. That is so of any
//! copy of the shard as well. Whether the copy that answers is the one that this process told is seen by its numbers: an entry counts if the
//! horizon is of the incarnation and history that were joined, and has all that the process told it. The process's readers
//! are admitted by what it told the shard, so what they have seen is in what they find.
//!
//! ## Why a cache in the process may be filled from here
//! A commit is told to followers once reads of this tier show it: its shard was told before, or is passed by. So the gate holds for
//! the tier as for the primary. A near lease asks for all that near slots were told; that was told to the shards before, and
//! a look that begins after the lease finds nothing that lacks it.
//!
//! ## When the server does not answer
//! Readers go to the storage, under the storage's own bound of what is asked at once; commits are told without the server after
//! a tenth of a second, once. Nothing that the server holds is used before it was told all that was committed meanwhile.

mod audit;
mod bring;
mod entry;
mod flights;
mod inspect;
mod keeper;
mod link;
mod log;
mod many;
mod read;
mod stats;
mod writes;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use kit_core::{Code, Error, Reply};
use rowkeep_engine::{
    Capabilities, ChangeLog, LoadBatch, LoadOutcome, Outcome, Position, Positions, Program, Remembered, Rows, Scan,
    Session, Told, View,
};
use rowkeep_record::{Codecs, Key, Record};
use rowkeep_schema::{EntityId, Schema};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use crate::audit::{self as auditor, Sampler};
use crate::cached::{Read, no_log};
use crate::counts::{Count, Counts};
use crate::follow::{Follower, follow};
use crate::heard::Heard;
use crate::near::{Part, RowKey};
use crate::now;
use crate::policy::Policy;
use crate::remote::Remote;
use flights::Flights;
use keeper::Keeper;
use link::{Link, Order};

pub use entry::namespace;
pub use inspect::InspectedSlot;
pub use stats::TierStats;

/// How a tier reads.
#[derive(Debug, Clone, Copy)]
pub struct TierOptions {
    /// Nothing is answered from the server while the log is silent for longer, whatever a reader asks for.
    pub max_lag: Duration,
    /// Rows that are on their way into the server at a time; further ones are read past it.
    pub max_fills: usize,
    /// How long a reader waits for a row that another process brings, before it reads for itself, and half of how long it waits for
    /// another reader of this process.
    pub patience: Duration,
    /// How often an entry that is used is held against the storage, by a strong read; never, if `None`.
    pub audit: Option<Duration>,
}

impl Default for TierOptions {
    fn default() -> Self {
        let patience = Duration::from_millis(500);
        Self { max_lag: Duration::from_secs(10), max_fills: 1024, patience, audit: None }
    }
}

/// The port [`Rows`] with a cache on a [`Remote`] that several processes share. It tells the remote what the storage's log tells, and
/// answers from there whoever is admitted by what was told.
pub struct Tier {
    shared: Arc<Shared>,
    capabilities: Capabilities,
    log: Arc<dyn ChangeLog>,
    keepers: Vec<JoinHandle<()>>,
    auditor: Option<JoinHandle<()>>,
}

/// Processes would have to agree on how far each of several logs was told.
fn untold() -> Error {
    let message = "the storage does not say where its answers were read, so that processes could not know what the cache that \
                   they share lacks; use the cache in the process";
    Error::new(Code::FailedPrecondition, "NO_CHANGE_LOG", message)
}

/// What readers, the teller and those who bring rows share.
struct Shared {
    rows: Arc<dyn Rows>,
    remote: Arc<dyn Remote>,
    heard: Heard,
    policy: Arc<Policy>,
    options: TierOptions,
    counts: Counts,
    fills: AtomicUsize,
    flights: Arc<Flights>,
    sampler: Sampler,
    keepers: Vec<Kept>,
}

/// A shard, and how its keeper is reached.
struct Kept {
    link: Arc<Link>,
    orders: UnboundedSender<Order>,
}

impl Tier {
    /// A tier over a storage, whose keepers run on this runtime. It is passed by until somebody follows its [log](Self::log).
    ///
    /// # Errors
    /// `FAILED_PRECONDITION` `NO_CHANGE_LOG` if the storage has no log that can be followed.
    pub fn start(
        rows: Arc<dyn Rows>,
        remote: Arc<dyn Remote>,
        schema: &Schema,
        codecs: &Codecs,
        options: TierOptions,
        runtime: &Handle,
    ) -> Result<Arc<Self>, Error> {
        let log = rows.changes().ok_or_else(no_log)?;
        if rows.capabilities().positions == Positions::Untold {
            return Err(untold());
        }
        // What is answered from the server is as old as what it was told, as from a copy of the storage.
        let capabilities = Capabilities { reads_one_moment: false, replicas: true, ..rows.capabilities().clone() };
        let (mut keepers, mut kept) = (Vec::new(), Vec::new());
        for shard in 0..remote.shards() {
            let (orders, received) = unbounded_channel();
            let link = Arc::<Link>::default();
            let keeper = Keeper::new(Arc::clone(&remote), shard, Arc::clone(&link), received);
            keepers.push(runtime.spawn(keeper.run()));
            kept.push(Kept { link, orders });
        }
        let shared = Arc::new(Shared {
            rows,
            remote,
            heard: Heard::default(),
            policy: Arc::new(Policy::new(schema, codecs)),
            options,
            counts: Counts::default(),
            fills: AtomicUsize::new(0),
            flights: Flights::new(),
            sampler: Sampler::default(),
            keepers: kept,
        });
        let log = Arc::new(log::TierLog { shared: Arc::clone(&shared), log });
        let auditor = options.audit.map(|every| runtime.spawn(auditor::run(Arc::clone(&shared), every)));
        Ok(Arc::new(Self { shared, capabilities, log, keepers, auditor }))
    }

    /// The storage's log, told once the server was told. To be followed by one: whoever follows is who tells the server.
    pub fn log(&self) -> Arc<dyn ChangeLog> {
        Arc::clone(&self.log)
    }

    /// Follows the log where no other cache does, until it is dropped.
    pub async fn follow(self: Arc<Self>) {
        follow(&*self.log(), &mut Nobody).await;
    }

    /// Stops telling the server. Nothing is answered from it any more.
    pub fn stop(&self) {
        self.keepers.iter().chain(&self.auditor).for_each(JoinHandle::abort);
        self.shared.heard.forget();
        self.shared.keepers.iter().for_each(|kept| kept.link.leave());
    }

    /// Whether the log has told everything that a session has seen, so that the server may answer it.
    pub fn is_told(&self, seen: &Position) -> bool {
        self.shared.heard.lag(now()).is_some() && self.shared.heard.contains(seen)
    }

    /// Whether every shard is in use.
    pub fn is_on(&self) -> bool {
        self.shared.keepers.iter().all(|kept| kept.link.is_on())
    }
}

/// What the log tells has been told on the way.
struct Nobody;

impl Follower for Nobody {
    fn take(&mut self, _: Told) {}

    fn lose(&mut self) {}
}

impl Drop for Tier {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    /// Goes past the server.
    fn past(&self) -> &dyn Rows {
        self.counts.add(Count::Bypass);
        &*self.rows
    }
}

impl Rows for Tier {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn attach(&self) {
        self.shared.rows.attach();
        self.shared.remote.attach();
    }

    fn get<'a>(
        &'a self,
        entity: EntityId,
        key: &Key,
        view: View,
        session: &'a Session,
    ) -> Reply<'a, Result<Option<Record>, Error>> {
        let shared = &self.shared;
        let Some(policy) = shared.policy.of(entity).filter(|_| shared.admits(session)) else {
            return shared.past().get(entity, key, view, session);
        };
        let key = RowKey { entity, part: policy.part(view), key: key.clone() };
        Reply::later(shared.find(key, Read::Row, view, session))
    }

    fn get_many<'a>(
        &'a self,
        entity: EntityId,
        keys: &[Key],
        view: View,
        session: &'a Session,
    ) -> Reply<'a, Result<Vec<Option<Record>>, Error>> {
        let shared = &self.shared;
        let Some(policy) = shared.policy.of(entity).filter(|_| shared.admits(session)) else {
            return shared.past().get_many(entity, keys, view, session);
        };
        let part = policy.part(view);
        let keys = keys.iter().map(|key| RowKey { entity, part, key: key.clone() }).collect();
        Reply::later(shared.find_many(entity, keys, view, session))
    }

    fn lookup<'a>(
        &'a self,
        entity: EntityId,
        index: u16,
        values: &Key,
        view: View,
        session: &'a Session,
    ) -> Reply<'a, Result<Option<Record>, Error>> {
        let shared = &self.shared;
        let policy = shared.policy.of(entity).filter(|policy| policy.has_index(index, view, values));
        if policy.is_none() || !shared.admits(session) {
            return shared.past().lookup(entity, index, values, view, session);
        }
        let key = RowKey { entity, part: Part::Index(index), key: values.clone() };
        Reply::later(shared.find(key, Read::Lookup(index), view, session))
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

    /// The storage's own: whoever watches has no use for what the server was told.
    fn changes(&self) -> Option<Arc<dyn ChangeLog>> {
        self.shared.rows.changes()
    }
}
