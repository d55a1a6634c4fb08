//! One server: its connections, how far it is, how fast it answers.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use rowkeep_mysql::Connection;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};

use super::reached::Reached;
use crate::dialect::Dialect;
use crate::mysql::pool::Pool;
use crate::mysql::readers::Readers;
use crate::mysql::session::Connector;

/// A new latency counts this much in the mean, in sixteenths.
const LATENCY_WEIGHT: u64 = 2;

/// One of the servers of a store.
pub(in crate::mysql) struct Server {
    pub(in crate::mysql) number: usize,
    pub(in crate::mysql) connector: Connector,
    pub(in crate::mysql) pool: Pool,
    pub(in crate::mysql) readers: Readers,
    pub(in crate::mysql) progress: Arc<Progress>,
}

/// What is known of a server, for all who use it.
pub(in crate::mysql) struct Progress {
    pub(super) dialect: Dialect,
    /// Reads say where they were answered; not where there is one server, which is always as far as it is.
    reports: bool,
    reached: RwLock<Known>,
    /// How often it was found to contain less than before: it was restarted without its last commits, restored, replaced.
    regressions: AtomicU64,
    /// Microseconds from `epoch` to the latest moment of which it contains every write acknowledged by then; 0 for none.
    fresh_as_of: AtomicU64,
    epoch: Instant,
    /// It answers.
    usable: AtomicBool,
    /// It contains what the primary does not.
    diverged: AtomicBool,
    /// Reads that wait for it are to be asked elsewhere.
    gone: Notify,
    /// Connections older than this are closed: their address may lead to another server now.
    generation: AtomicU64,
    in_flight: AtomicU32,
    /// Mean, in microseconds.
    latency: AtomicU64,
    /// Counts for an operator.
    pub(in crate::mysql) ejections: AtomicU64,
    pub(in crate::mysql) reads: AtomicU64,
    /// Whoever waits for any server to get further.
    changed: watch::Sender<u64>,
    /// The watcher is to look now.
    pub(super) look: Notify,
    /// Reads that wait for it to get further.
    pub(super) awaited: AtomicU32,
    pub(in crate::mysql) lost: Arc<AtomicU64>,
}

/// How far a server is, and when that was answered.
struct Known {
    reached: Arc<Reached>,
    at: Instant,
}

/// A read on its way.
pub(in crate::mysql) struct InFlight<'a> {
    progress: &'a Progress,
    since: Instant,
}

impl Server {
    pub(super) fn new(runtime: &Handle, number: usize, connector: Connector, writers: u32, progress: Progress) -> Self {
        let progress = Arc::new(progress);
        let readers = Readers::new(runtime, &connector, &progress);
        Self { number, pool: Pool::new(connector.clone(), writers), readers, progress, connector }
    }

    /// Gives up all connections: the address may lead to another server than the one they go to.
    pub(in crate::mysql) fn renew(&self) {
        self.progress.generation.fetch_add(1, Ordering::AcqRel);
        self.pool.forget();
    }
}

impl Progress {
    pub(super) fn new(
        dialect: Dialect,
        reports: bool,
        epoch: Instant,
        changed: watch::Sender<u64>,
        lost: Arc<AtomicU64>,
    ) -> Self {
        Self {
            dialect,
            reports,
            reached: RwLock::new(Known { reached: Arc::default(), at: epoch }),
            regressions: AtomicU64::new(0),
            fresh_as_of: AtomicU64::new(0),
            epoch,
            usable: AtomicBool::new(false),
            diverged: AtomicBool::new(false),
            gone: Notify::new(),
            generation: AtomicU64::new(0),
            in_flight: AtomicU32::new(0),
            latency: AtomicU64::new(0),
            ejections: AtomicU64::new(0),
            reads: AtomicU64::new(0),
            changed,
            look: Notify::new(),
            awaited: AtomicU32::new(0),
            lost,
        }
    }

    /// Whether reads say where they were answered.
    pub(in crate::mysql) fn reports(&self) -> bool {
        self.reports
    }

    /// How far it was last seen to be.
    pub(in crate::mysql) fn reached(&self) -> Arc<Reached> {
        Arc::clone(&self.reached.read().unwrap_or_else(PoisonError::into_inner).reached)
    }

    /// How often it was found to contain less than before.
    pub(super) fn regressions(&self) -> u64 {
        self.regressions.load(Ordering::Acquire)
    }

    /// Takes in an answer to [`question`](super::reached::question). `asked`: when that was sent. Answers that cross each
    /// other may come in another order than they were given in.
    pub(in crate::mysql) fn report(&self, asked: Instant, writable: bool, one: &[u8], other: &[u8]) -> Arc<Reached> {
        let known = self.reached();
        if known.is(writable, one, other) {
            return known;
        }
        let reached = Arc::new(Reached::read(self.dialect, writable, one, other));
        let mut known = self.reached.write().unwrap_or_else(PoisonError::into_inner);
        if !reached.contains_all(&known.reached) {
            if asked < known.at {
                return reached;
            }
            self.regressions.fetch_add(1, Ordering::AcqRel);
            self.forget_freshness();
        }
        *known = Known { reached: Arc::clone(&reached), at: Instant::now() };
        drop(known);
        self.changed.send_modify(|count| *count = count.wrapping_add(1));
        reached
    }

    /// How old what it shows may be.
    pub(in crate::mysql) fn staleness(&self) -> Option<Duration> {
        let micros = self.fresh_as_of.load(Ordering::Acquire);
        (micros > 0).then(|| self.epoch.elapsed().saturating_sub(Duration::from_micros(micros)))
    }

    /// How far behind the primary it is, by what is known of both: `latest` is when the primary was last asked.
    pub(super) fn lag(&self, latest: u64) -> Duration {
        match self.fresh_as_of.load(Ordering::Acquire) {
            0 => Duration::MAX,
            moment => Duration::from_micros(latest.saturating_sub(moment)),
        }
    }

    /// How old what it shows is has to be found out anew.
    pub(super) fn forget_freshness(&self) {
        self.fresh_as_of.store(0, Ordering::Release);
    }

    /// It contains every write acknowledged by then.
    pub(super) fn set_fresh_as_of(&self, moment: Instant) {
        self.fresh_as_of.fetch_max(self.micros(moment), Ordering::AcqRel);
    }

    pub(super) fn micros(&self, moment: Instant) -> u64 {
        u64::try_from(moment.saturating_duration_since(self.epoch).as_micros()).unwrap_or(u64::MAX)
    }

    /// Whether reads may be sent to it.
    pub(in crate::mysql) fn is_usable(&self) -> bool {
        self.answers() && !self.is_diverged()
    }

    /// Whether it answered when it was asked last.
    pub(super) fn answers(&self) -> bool {
        self.usable.load(Ordering::Acquire)
    }

    /// Whether it contains what the primary does not.
    pub(in crate::mysql) fn is_diverged(&self) -> bool {
        self.diverged.load(Ordering::Acquire)
    }

    /// Answers whether that is new.
    pub(super) fn set_diverged(&self, diverged: bool) -> bool {
        self.diverged.swap(diverged, Ordering::AcqRel) != diverged
    }

    /// Ends when the server is found to be gone.
    pub(in crate::mysql) async fn gone(&self) {
        self.gone.notified().await;
    }

    /// Has the reads that wait for it asked elsewhere.
    pub(super) fn recall(&self) {
        self.gone.notify_waiters();
    }

    /// Answers whether that is new.
    pub(super) fn set_usable(&self, usable: bool) -> bool {
        let was = self.usable.swap(usable, Ordering::AcqRel);
        if was && !usable {
            self.ejections.fetch_add(1, Ordering::Relaxed);
        }
        if was != usable {
            self.changed.send_modify(|count| *count = count.wrapping_add(1));
        }
        was != usable
    }

    /// Something failed on the way to it: it is not used until it was asked again.
    pub(in crate::mysql) fn suspect(&self) {
        self.set_usable(false);
        self.look.notify_one();
    }

    pub(in crate::mysql) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    pub(in crate::mysql) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(in crate::mysql) fn latency(&self) -> Duration {
        Duration::from_micros(self.latency.load(Ordering::Relaxed))
    }

    /// What one more read would cost there: the mean latency times those that wait for an answer (peak load first).
    pub(super) fn cost(&self) -> u64 {
        (self.latency.load(Ordering::Relaxed) + 1) * (u64::from(self.in_flight()) + 1)
    }

    /// Counts a read until it is dropped.
    pub(in crate::mysql) fn begin(&self) -> InFlight<'_> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.reads.fetch_add(1, Ordering::Relaxed);
        InFlight { progress: self, since: Instant::now() }
    }
}

impl InFlight<'_> {
    /// The read was answered: how long that took counts.
    pub(in crate::mysql) fn answered(&self) {
        let took = u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX >> 8);
        // One lost update of a mean is none.
        let mean = self.progress.latency.load(Ordering::Relaxed);
        let next = if mean == 0 { took } else { (mean * (16 - LATENCY_WEIGHT) + took * LATENCY_WEIGHT) / 16 };
        self.progress.latency.store(next, Ordering::Relaxed);
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.progress.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a connection is asked for the position with: kept, so that it is prepared once.
pub(in crate::mysql) async fn ask(
    connection: &mut Connection,
    progress: &Progress,
) -> Result<Arc<Reached>, crate::mysql::errors::Failed> {
    let asked = Instant::now();
    let rows = connection.query(super::reached::question(progress.dialect)).await?;
    let text = |at: usize| rows.first().and_then(|row| row.get(at)?.as_deref()).unwrap_or_default();
    Ok(progress.report(asked, text(0) == "0", text(1).as_bytes(), text(2).as_bytes()))
}
