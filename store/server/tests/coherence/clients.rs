//! Clients of two processes, each with its token, that count items up and read them.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rowkeep_engine::{Change, CommitRequest, Freshness, Operation, Position, Precondition, Session, Transform, Write};
use rowkeep_record::Value;
use testkit::{Cluster, DatabaseServer};
use tokio::runtime::Handle;

use crate::lab::{ITEM, Instance, Writer};

/// How long ago a write must have been answered to be seen by those who say so.
const STALENESS: Duration = Duration::from_millis(50);
/// The same for those who say nothing: what the cache answers at most, and a replica's bound. Mostly they see what was answered
/// much less long ago.
const MAX_LAG: Duration = Duration::from_secs(10);

/// So soon after its answer a write is seen, whoever asks; but for one read of ten thousand, and for none.
pub(crate) const SOON: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(1)];
/// Reads that are counted together.
const STRETCH: usize = 1_000;

pub(crate) struct Clients {
    instances: Vec<Arc<Instance>>,
    told: Arc<Told>,
    keys: i64,
    asks: Asks,
}

/// What clients ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asks {
    Everything,
    /// Each what its own session has seen.
    Sessions,
    /// Whatever there is.
    Anything,
}

/// What they did.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// By what was asked for: everything, what a session has seen, what is not too old, anything.
    reads: [AtomicU64; 4],
    late: Mutex<Late>,
    writes: AtomicU64,
    hits: AtomicU64,
    end: AtomicU64,
}

/// Reads that asked for anything, of items that were written before, and did not show what had been answered [so long](SOON) ago.
#[derive(Default)]
struct Late {
    reads: usize,
    /// How many of each thousand.
    stretches: Vec<[u64; 2]>,
}

impl Late {
    fn read(&mut self, is_late: [bool; 2]) {
        if self.reads.is_multiple_of(STRETCH) {
            self.stretches.push([0; 2]);
        }
        self.reads += 1;
        if let Some(stretch) = self.stretches.last_mut() {
            stretch.iter_mut().zip(is_late).for_each(|(count, is_late)| *count += u64::from(is_late));
        }
    }

    /// Of ten thousand, one after the other; those with the fewest.
    fn fewest(&self) -> Option<[u64; 2]> {
        let whole = &self.stretches[..self.reads / STRETCH];
        whole.windows(10_000 / STRETCH).map(sum).min_by_key(|[soon, later]| (*later, *soon))
    }
}

impl fmt::Debug for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} of {}", sum(&self.stretches), self.reads)
    }
}

fn sum(stretches: &[[u64; 2]]) -> [u64; 2] {
    stretches.iter().fold([0; 2], |[a, b], [c, d]| [a + c, b + d])
}

impl Told {
    pub(crate) fn reads(&self) -> u64 {
        self.reads.iter().map(|reads| reads.load(Ordering::Relaxed)).sum()
    }

    /// Reads of the freshness that fewest asked for.
    pub(crate) fn fewest(&self) -> u64 {
        self.reads.iter().map(|reads| reads.load(Ordering::Relaxed)).min().unwrap()
    }

    fn read(&self, freshness: Freshness) {
        let mode = match freshness {
            Freshness::Strong => 0,
            Freshness::Session => 1,
            Freshness::MaxStaleness(_) => 2,
            Freshness::Eventual => 3,
        };
        self.reads[mode].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn session_reads(&self) -> u64 {
        self.reads[1].load(Ordering::Relaxed)
    }

    /// Of ten thousand reads that asked for anything, how many did not show what had been answered [so long](SOON) before: the
    /// best of them, because a machine with other work is not in a steady state all the time.
    pub(crate) fn late(&self) -> Option<[u64; 2]> {
        self.late.lock().unwrap().fewest()
    }

    /// Whether no more of those were late than may be.
    pub(crate) fn is_soon(&self) -> bool {
        self.late().is_some_and(|[soon, later]| soon <= 1 && later == 0)
    }

    /// Reads that asked for anything.
    pub(crate) fn careless_reads(&self) -> u64 {
        self.reads[3].load(Ordering::Relaxed)
    }

    pub(crate) fn writes(&self) -> u64 {
        self.writes.load(Ordering::Relaxed)
    }

    /// Reads that were answered from memory, known at the end.
    pub(crate) fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    pub(crate) fn end_after(&self, reads: u64) {
        self.end.store(reads, Ordering::Relaxed);
    }

    pub(crate) fn is_over(&self) -> bool {
        let end = self.end.load(Ordering::Relaxed);
        end > 0 && self.reads() >= end
    }
}

/// The values of an item that were answered to writers: the highest so far, with the time.
#[derive(Debug, Default)]
struct Answered {
    recent: VecDeque<(Instant, i64)>,
    /// The highest of those that are longer ago than anybody asks for.
    old: i64,
}

impl Answered {
    fn add(&mut self, value: i64) {
        let now = Instant::now();
        while let Some((at, value)) = self.recent.front().copied()
            && now.duration_since(at) > MAX_LAG * 2
        {
            self.old = value;
            self.recent.pop_front();
        }
        let highest = self.recent.back().map_or(self.old, |(_, value)| *value);
        self.recent.push_back((now, highest.max(value)));
    }

    /// The highest that had been answered by then.
    fn by(&self, moment: Instant) -> i64 {
        let many = self.recent.partition_point(|(at, _)| *at <= moment);
        many.checked_sub(1).map_or(self.old, |last| self.recent[last].1)
    }
}

impl Clients {
    pub(crate) fn new(cluster: &Cluster, keys: i64, runtime: &Handle) -> Self {
        let clients = Self::of([(); 2].map(|()| Instance::open(cluster, runtime)), cluster.server(0), keys);
        cluster.catch_up();
        clients
    }

    /// Of these processes, before this primary.
    pub(crate) fn of(instances: [Instance; 2], primary: &DatabaseServer, keys: i64) -> Self {
        let instances: Vec<_> = instances.into_iter().map(Arc::new).collect();
        Writer::open(primary).fill(keys);
        Self { instances, told: Arc::default(), keys, asks: Asks::Everything }
    }

    /// The same clients, who ask for what their sessions have seen.
    pub(crate) fn of_sessions(self) -> Self {
        Self { asks: Asks::Sessions, ..self }
    }

    /// The same clients, who ask for whatever there is.
    pub(crate) fn of_nobody(self) -> Self {
        Self { asks: Asks::Anything, ..self }
    }

    pub(crate) fn instances(&self) -> Vec<Arc<Instance>> {
        self.instances.clone()
    }

    pub(crate) fn told(&self) -> Arc<Told> {
        Arc::clone(&self.told)
    }

    /// Runs until it is enough.
    pub(crate) async fn run(self, is_enough: impl Fn(&Told) -> bool + Send + Sync + 'static) -> Arc<Told> {
        for instance in &self.instances {
            instance.is_hot(1).await;
        }
        let (is_enough, mut tasks) = (Arc::new(is_enough), tokio::task::JoinSet::new());
        let answered: Arc<Vec<Mutex<Answered>>> = Arc::new((0..=self.keys).map(|_| Mutex::default()).collect());
        for _ in 0..8 {
            let (instances, told, is_enough) = (self.instances.clone(), self.told(), Arc::clone(&is_enough));
            let answered = Arc::clone(&answered);
            let (token, seen) = (Position::default(), vec![0; self.keys as usize + 1]);
            let mut client = Client { instances, told, answered, token, seen, asks: self.asks };
            tasks.spawn(async move {
                while !is_enough(&client.told) {
                    client.step().await;
                }
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended.unwrap();
        }
        let hits = self.instances.iter().map(|instance| instance.hits()).sum();
        self.told.hits.store(hits, Ordering::Relaxed);
        self.told
    }
}

struct Client {
    instances: Vec<Arc<Instance>>,
    told: Arc<Told>,
    answered: Arc<Vec<Mutex<Answered>>>,
    token: Position,
    /// The latest value of each item that this client was shown or wrote.
    seen: Vec<i64>,
    asks: Asks,
}

impl Client {
    async fn step(&mut self) {
        let instance = Arc::clone(&self.instances[rand::random_range(0..2)]);
        // Few items are hot.
        let id = rand::random_range(1..=rand::random_range(1..self.seen.len() as i64));
        match rand::random_range(0..20) {
            0 => self.write(&instance, id).await,
            _ if self.asks == Asks::Sessions => self.read(&instance, id).await,
            _ if self.asks == Asks::Anything => self.read_recent(&instance, id, Freshness::Eventual, MAX_LAG).await,
            1..5 => self.read_recent(&instance, id, Freshness::MaxStaleness(STALENESS), STALENESS).await,
            5..9 => self.read_recent(&instance, id, Freshness::Eventual, MAX_LAG).await,
            9..13 => self.read_recent(&instance, id, Freshness::Strong, Duration::ZERO).await,
            _ => self.read(&instance, id).await,
        }
    }

    async fn write(&mut self, instance: &Instance, id: i64) {
        let row = instance.engine.codecs().row(ITEM).encode(&[Value::Int(id), Value::Int(0)], 0).unwrap();
        let transform = Transform { field: "value".to_owned(), change: Change::Increment("1".to_owned()) };
        let operation = Operation::Update {
            row: row.wire().to_vec().into(),
            mask: Some(Vec::new()),
            allow_missing: false,
            transforms: vec![transform],
        };
        let write = Write { entity: ITEM, operation, precondition: Precondition::default(), path: String::new() };
        let session = Session::new(Freshness::Session, self.token.clone());
        let deadline = Some(Instant::now() + Duration::from_secs(5));
        let request = CommitRequest { writes: vec![write], deadline, ..CommitRequest::default() };
        let outcome = match instance.engine.commit(request, &session).await {
            Ok(outcome) => outcome,
            // The primary is being switched.
            Err(error) => {
                assert!(error.code() != kit_core::Code::InvalidArgument, "{error}");
                tokio::time::sleep(Duration::from_millis(5)).await;
                return;
            }
        };
        self.token = session.seen();
        let value = instance.value_of(outcome.results[0].record.as_ref().unwrap()).unwrap();
        self.saw(id, value, "a write");
        self.answered[id as usize].lock().unwrap().add(value);
        self.told.writes.fetch_add(1, Ordering::Relaxed);
    }

    /// With a token: never behind what this client has seen.
    async fn read(&mut self, instance: &Instance, id: i64) {
        let session = Session::new(Freshness::Session, self.token.clone());
        let Some(value) = instance.value(id, &session).await else { return };
        self.token = session.seen();
        self.saw(id, value, "a session's read");
        self.told.read(Freshness::Session);
    }

    /// Without: never behind what was answered some time ago.
    async fn read_recent(&mut self, instance: &Instance, id: i64, freshness: Freshness, staleness: Duration) {
        let (least, soon) = {
            let (answered, now) = (self.answered[id as usize].lock().unwrap(), Instant::now());
            let ago = |time| answered.by(now.checked_sub(time).unwrap());
            (ago(staleness), SOON.map(ago))
        };
        let session = Session::new(freshness, Position::default());
        let Some(value) = instance.value(id, &session).await else { return };
        assert!(
            value >= least,
            "item {id}: {freshness:?} shows {value}, after {least} had been answered for {staleness:?}"
        );
        // Of one that was not written so long ago there is nothing to be shown.
        if freshness == Freshness::Eventual && soon[1] > 0 {
            self.told.late.lock().unwrap().read(soon.map(|least| value < least));
        }
        self.told.read(freshness);
    }

    fn saw(&mut self, id: i64, value: i64, by: &str) {
        let seen = &mut self.seen[id as usize];
        assert!(value >= *seen, "item {id}: {by} shows {value} after {seen}, at {:?}", self.token);
        *seen = value;
    }
}

#[test]
fn reads_that_do_not_show_what_was_answered_are_counted_in_the_best_ten_thousand() {
    let mut late = Late::default();
    for read in 0..9_999 {
        late.read([read == 0, false]);
    }
    assert_eq!(late.fewest(), None, "there were not so many");
    late.read([true, true]);
    assert_eq!(late.fewest(), Some([2, 1]));
    // A thousand that were worse, and as many that were better.
    (0..1_000).for_each(|_| late.read([true, true]));
    assert_eq!(late.fewest(), Some([2, 1]));
    (0..9_000).for_each(|_| late.read([false, false]));
    assert_eq!(late.fewest(), Some([2, 1]));
    (0..1_000).for_each(|read| late.read([read == 7, false]));
    assert_eq!(late.fewest(), Some([1, 0]));
}

#[test]
fn what_had_been_answered_by_a_moment_is_known() {
    let mut answered = Answered::default();
    let before = Instant::now();
    assert_eq!(answered.by(before), 0);
    for value in [1, 3, 2] {
        answered.add(value);
    }
    assert_eq!((answered.by(before.checked_sub(STALENESS).unwrap()), answered.by(Instant::now())), (0, 3));
}
