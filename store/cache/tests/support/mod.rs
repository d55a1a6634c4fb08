//! Rows before and behind a cache, for the tests of this directory.
#![allow(dead_code, reason = "each test uses some of them")]

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use kit_core::{Error, Reply};
use rowkeep_cache::remote::Remote;
use rowkeep_cache::{CacheOptions, Cached, Tier, TierOptions};
use rowkeep_engine::{
    Begin, Capabilities, ChangeLog, ChangeStream, Freshness, LoadBatch, LoadOutcome, Outcome, Place, Point, Position,
    Program, Remembered, Rows, Scan, Session, Since, Told, View,
};
use rowkeep_record::{Codecs, Key, Record};
use rowkeep_schema::{EntityId, Schema};
use tokio::runtime::Runtime;

/// Where logs are followed, whatever a test's own runtime does.
pub(crate) fn background() -> &'static Runtime {
    static BACKGROUND: OnceLock<Runtime> = OnceLock::new();
    let start = || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    BACKGROUND.get_or_init(start)
}

/// A cache over rows.
pub(crate) fn cached(rows: Arc<dyn Rows>, schema: &Schema, options: CacheOptions) -> Arc<Cached> {
    Cached::start(rows, schema, &Codecs::new(schema), options, background().handle()).unwrap()
}

/// Waits for a condition.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..5000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("not within 5 seconds: {what}");
}

/// A tier over rows and a server, which somebody has yet to follow.
pub(crate) fn tier(rows: Arc<dyn Rows>, remote: Arc<dyn Remote>, schema: &Schema, options: TierOptions) -> Arc<Tier> {
    Tier::start(rows, remote, schema, &Codecs::new(schema), options, background().handle()).unwrap()
}

/// A cache over a tier.
pub(crate) fn cached_over(tier: &Arc<Tier>, schema: &Schema, options: CacheOptions) -> Arc<Cached> {
    let (rows, log) = (Arc::clone(tier) as Arc<dyn Rows>, tier.log());
    Cached::follow(rows, log, schema, &Codecs::new(schema), options, background().handle())
}

/// Whether what a client has seen was told to the caches that it asks.
type IsTold = Box<dyn Fn(&Position) -> bool + Send + Sync>;

/// One client of a cache, who expects to see what was written. It reads once the log has told that, so that the cache
/// answers, and reads everything twice, so that the second answer is from memory where the first could be kept.
pub(crate) struct Client {
    cached: Arc<dyn Rows>,
    is_told: IsTold,
    seen: Mutex<Position>,
}

impl Client {
    pub(crate) fn of(cached: Arc<dyn Rows>, is_told: impl Fn(&Position) -> bool + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { cached, is_told: Box::new(is_told), seen: Mutex::default() })
    }

    async fn twice<T, F: Future<Output = Result<T, Error>>>(&self, read: impl Fn(Session) -> F) -> Result<T, Error> {
        let seen = self.seen.lock().unwrap().clone();
        until("the log is told", || (self.is_told)(&seen)).await;
        let session = || Session::new(Freshness::Session, seen.clone());
        read(session()).await?;
        let answer = read(session()).await;
        self.wrote();
        answer
    }

    fn wrote(&self) {
        *self.seen.lock().unwrap() = self.cached.position().expect("one copy");
    }
}

impl Rows for Client {
    fn capabilities(&self) -> &Capabilities {
        self.cached.capabilities()
    }

    fn get<'a>(
        &'a self,
        entity: EntityId,
        key: &Key,
        view: View,
        _: &'a Session,
    ) -> Reply<'a, Result<Option<Record>, Error>> {
        let key = key.clone();
        Reply::later(async move {
            let (cached, key) = (&self.cached, &key);
            self.twice(|session| async move { cached.get(entity, key, view, &session).await }).await
        })
    }

    fn get_many<'a>(
        &'a self,
        entity: EntityId,
        keys: &[Key],
        view: View,
        _: &'a Session,
    ) -> Reply<'a, Result<Vec<Option<Record>>, Error>> {
        let keys = keys.to_vec();
        Reply::later(async move {
            let (cached, keys) = (&self.cached, &keys);
            self.twice(|session| async move { cached.get_many(entity, keys, view, &session).await }).await
        })
    }

    fn lookup<'a>(
        &'a self,
        entity: EntityId,
        index: u16,
        values: &Key,
        view: View,
        _: &'a Session,
    ) -> Reply<'a, Result<Option<Record>, Error>> {
        let values = values.clone();
        Reply::later(async move {
            let (cached, values) = (&self.cached, &values);
            // A row that was found by its values is brought by the second lookup, and found in memory by the third.
            self.twice(|session| async move { cached.lookup(entity, index, values, view, &session).await }).await?;
            self.twice(|session| async move { cached.lookup(entity, index, values, view, &session).await }).await
        })
    }

    fn scan<'a>(&'a self, scan: &Scan, session: &'a Session) -> Reply<'a, Result<Vec<Record>, Error>> {
        self.cached.scan(scan, session)
    }

    fn count<'a>(&'a self, scan: &Scan, session: &'a Session) -> Reply<'a, Result<u64, Error>> {
        self.cached.count(scan, session)
    }

    fn transact(&self, program: Program) -> Reply<'static, Result<Outcome, Error>> {
        let done = self.cached.transact(program);
        self.wrote();
        done
    }

    fn load(&self, batch: LoadBatch) -> Reply<'static, Result<LoadOutcome, Error>> {
        let done = self.cached.load(batch);
        self.wrote();
        done
    }

    fn recall(&self, id: &str) -> Reply<'_, Result<Option<Remembered>, Error>> {
        self.cached.recall(id)
    }

    fn sweep(&self, now: i64) -> Reply<'static, Result<u64, Error>> {
        self.cached.sweep(now)
    }

    fn version_floor(&self) -> u64 {
        self.cached.version_floor()
    }

    fn position(&self) -> Option<Position> {
        self.cached.position()
    }

    fn changes(&self) -> Option<Arc<dyn ChangeLog>> {
        self.cached.changes()
    }
}

/// Rows that take their time, and count who reads.
pub(crate) struct Slow {
    rows: Arc<dyn Rows>,
    time: Duration,
    /// Whoever reads waits for it to be unset.
    pub(crate) is_held: AtomicBool,
    pub(crate) reads: AtomicUsize,
    /// The log, where it is another than that of the rows.
    log: Option<Arc<dyn ChangeLog>>,
    has_log: bool,
}

impl Slow {
    pub(crate) fn new(rows: Arc<dyn Rows>, time: Duration) -> Arc<Self> {
        Self::with_log(rows, time, None)
    }

    pub(crate) fn with_log(rows: Arc<dyn Rows>, time: Duration, log: Option<Arc<dyn ChangeLog>>) -> Arc<Self> {
        Arc::new(Self { rows, time, is_held: AtomicBool::new(false), reads: AtomicUsize::new(0), log, has_log: true })
    }

    pub(crate) fn without_log(rows: Arc<dyn Rows>) -> Arc<Self> {
        let (is_held, reads) = (AtomicBool::new(false), AtomicUsize::new(0));
        Arc::new(Self { rows, time: Duration::ZERO, is_held, reads, log: None, has_log: false })
    }

    pub(crate) fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }

    fn slowly<'a, T: Send + 'a>(&'a self, read: impl FnOnce() -> Reply<'a, T> + Send + 'a) -> Reply<'a, T> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        if self.time.is_zero() && !self.is_held.load(Ordering::SeqCst) {
            return read();
        }
        Reply::later(async move {
            tokio::time::sleep(self.time).await;
            while self.is_held.load(Ordering::SeqCst) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            read().await
        })
    }
}

impl Rows for Slow {
    fn capabilities(&self) -> &Capabilities {
        self.rows.capabilities()
    }

    fn get<'a>(
        &'a self,
        entity: EntityId,
        key: &Key,
        view: View,
        session: &'a Session,
    ) -> Reply<'a, Result<Option<Record>, Error>> {
        let key = key.clone();
        self.slowly(move || self.rows.get(entity, &key, view, session))
    }

    fn get_many<'a>(
        &'a self,
        entity: EntityId,
        keys: &[Key],
        view: View,
        session: &'a Session,
    ) -> Reply<'a, Result<Vec<Option<Record>>, Error>> {
        let keys = keys.to_vec();
        self.slowly(move || self.rows.get_many(entity, &keys, view, session))
    }

    fn lookup<'a>(
        &'a self,
        entity: EntityId,
        index: u16,
        values: &Key,
        view: View,
        session: &'a Session,
    ) -> Reply<'a, Result<Option<Record>, Error>> {
        let values = values.clone();
        self.slowly(move || self.rows.lookup(entity, index, &values, view, session))
    }

    fn scan<'a>(&'a self, scan: &Scan, session: &'a Session) -> Reply<'a, Result<Vec<Record>, Error>> {
        self.rows.scan(scan, session)
    }

    fn count<'a>(&'a self, scan: &Scan, session: &'a Session) -> Reply<'a, Result<u64, Error>> {
        self.rows.count(scan, session)
    }

    fn transact(&self, program: Program) -> Reply<'static, Result<Outcome, Error>> {
        self.rows.transact(program)
    }

    fn load(&self, batch: LoadBatch) -> Reply<'static, Result<LoadOutcome, Error>> {
        self.rows.load(batch)
    }

    fn recall(&self, id: &str) -> Reply<'_, Result<Option<Remembered>, Error>> {
        self.rows.recall(id)
    }

    fn sweep(&self, now: i64) -> Reply<'static, Result<u64, Error>> {
        self.rows.sweep(now)
    }

    fn version_floor(&self) -> u64 {
        self.rows.version_floor()
    }

    fn position(&self) -> Option<Position> {
        self.rows.position()
    }

    fn changes(&self) -> Option<Arc<dyn ChangeLog>> {
        self.log.clone().or_else(|| self.rows.changes()).filter(|_| self.has_log)
    }
}

/// What a stream answers next.
pub(crate) type Said = Result<Vec<Told>, Error>;

/// A log that a test tells what to say. The flag: it is asked for more.
#[derive(Clone, Default)]
pub(crate) struct Script(Arc<Mutex<Vec<Said>>>, Arc<AtomicBool>);

impl Script {
    pub(crate) fn say(&self, told: Said) {
        self.0.lock().unwrap().push(told);
    }

    pub(crate) fn place(number: u64) -> Place {
        Place { base: Arc::from([]), point: Point { source: 0, number }, first: 0 }
    }

    pub(crate) fn begin(&self) {
        let place = Self::place(100);
        self.say(Ok(vec![Told::Begin(Begin { contained: place.run().into(), place, history: 1 })]));
        self.current();
    }

    pub(crate) fn current(&self) {
        self.say(Ok(vec![Told::Current { moment: Instant::now(), place: Self::place(100) }]));
    }

    pub(crate) async fn is_heard(&self) {
        until("what was said is heard", || self.0.lock().unwrap().is_empty()).await;
        // It is taken in before the next is asked for.
        until("the follower asks again", || self.1.swap(false, Ordering::SeqCst)).await;
    }
}

impl ChangeLog for Script {
    fn follow(&self, _: Since) -> Reply<'static, Result<Box<dyn ChangeStream>, Error>> {
        Reply::ready(Ok(Box::new(self.clone())))
    }
}

impl ChangeStream for Script {
    fn next(&mut self) -> Reply<'_, Result<Vec<Told>, Error>> {
        Reply::later(async move {
            loop {
                {
                    let mut said = self.0.lock().unwrap();
                    if !said.is_empty() {
                        self.1.store(false, Ordering::SeqCst);
                        return said.remove(0);
                    }
                    self.1.store(true, Ordering::SeqCst);
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
    }
}
