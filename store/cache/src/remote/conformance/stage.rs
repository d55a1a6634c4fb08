//! A server and two who use it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rowkeep_engine::{Run, Runs};
use rowkeep_schema::EntityId;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::remote::{Beginning, Entry, Failed, Heard, Horizon, Leased, Looked, Name, Remote, Telling};

/// The history that tests follow unless they say otherwise.
pub const HISTORY: u128 = u128::MAX / 3;
/// Longer than any test.
pub const HOUR: Duration = Duration::from_secs(3600);

/// Far above what is needed.
const PATIENCE: Duration = Duration::from_secs(30);
/// The stream of commits that tests follow unless they say otherwise.
const SOURCE: u128 = 7 << 100 | 7;

/// Two clients of one server, whose shards nobody has begun.
pub struct Stage {
    pub one: Client,
    pub other: Client,
    runtime: Runtime,
    _data: Box<dyn Send + Sync>,
}

/// Asks one shard, and waits for the answer.
pub struct Client {
    pub remote: Arc<dyn Remote>,
    runtime: Handle,
    shard: usize,
}

impl Stage {
    /// `connect` is called twice, inside of a runtime that is driven until the test ends. `data` lives as long as the stage.
    pub fn new<F>(connect: impl Fn() -> F, data: impl Send + Sync + 'static) -> Self
    where
        F: Future<Output = Arc<dyn Remote>>,
    {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (one, other) = runtime.block_on(async { (connect().await, connect().await) });
        let client = |remote: Arc<dyn Remote>| {
            let shard = remote.shards() - 1;
            Client { remote, runtime: runtime.handle().clone(), shard }
        };
        Self { one: client(one), other: client(other), runtime, _data: Box::new(data) }
    }

    pub fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    pub fn runtime(&self) -> &Handle {
        self.runtime.handle()
    }
}

impl Client {
    /// The same client, asking another shard.
    pub fn at(&self, shard: usize) -> Self {
        Self { remote: Arc::clone(&self.remote), runtime: self.runtime.clone(), shard }
    }

    pub fn shard(&self) -> usize {
        self.shard
    }

    pub fn begin(&self, place: &Runs, anew: Option<u64>) -> Option<Horizon> {
        self.begin_with(HISTORY, place, anew)
    }

    pub fn begin_with(&self, history: u128, place: &Runs, anew: Option<u64>) -> Option<Horizon> {
        let beginning = Beginning { history, place: place.clone(), anew };
        self.wait(self.remote.begin(self.shard, beginning))
    }

    /// The shard is made anew with this incarnation, whatever it was.
    pub fn begun(&self, incarnation: u64, number: u64) -> Horizon {
        let horizon = self.begin(&place(number), Some(incarnation)).unwrap();
        assert_eq!(horizon.incarnation, incarnation, "the shard was begun before");
        horizon
    }

    pub fn tell(&self, telling: &Telling) -> Heard {
        self.wait(self.remote.tell(self.shard, telling.clone()))
    }

    pub fn get(&self, names: &[Name]) -> Looked {
        let looked = self.wait(self.remote.get(self.shard, names.to_vec()));
        assert_eq!(looked.entries.len(), names.len());
        looked
    }

    pub fn horizon(&self) -> Option<Horizon> {
        self.get(&[]).horizon
    }

    pub fn entry(&self, name: &Name) -> Option<Entry> {
        self.get(std::slice::from_ref(name)).entries.remove(0)
    }

    pub fn lease(&self, name: &Name, token: u128) -> Leased {
        self.lease_for(name, token, HOUR)
    }

    pub fn lease_for(&self, name: &Name, token: u128, time: Duration) -> Leased {
        self.wait(self.remote.lease(self.shard, name.clone(), token, time))
    }

    /// A lease that has to be given.
    pub fn leased(&self, name: &Name, token: u128) -> Horizon {
        match self.lease(name, token) {
            Leased::Given(horizon) => horizon,
            other => panic!("{name:?} is not leased but {other:?}"),
        }
    }

    pub fn fill(&self, name: &Name, token: u128, entry: &Entry) -> bool {
        self.fill_for(name, token, entry, HOUR)
    }

    pub fn fill_for(&self, name: &Name, token: u128, entry: &Entry, time: Duration) -> bool {
        self.wait(self.remote.fill(self.shard, name.clone(), token, entry.clone(), time))
    }

    /// Brings an entry as a reader does.
    pub fn bring(&self, name: &Name, token: u128, value: &[u8]) -> Entry {
        let entry = entry(&self.leased(name, token), name, value);
        assert!(self.fill(name, token, &entry), "the lease of {name:?} is gone");
        entry
    }

    pub fn retract(&self, names: &[Name]) {
        self.wait(self.remote.retract(self.shard, names.to_vec()));
    }

    fn wait<T>(&self, reply: impl Future<Output = Result<T, Failed>>) -> T {
        self.runtime.block_on(reply).unwrap_or_else(|failed| panic!("{failed}"))
    }
}

/// Asks until the condition holds.
pub(super) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < PATIENCE, "still waiting: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A slot of the first entity.
pub fn name(bytes: &str) -> Name {
    Name { entity: EntityId(0), bytes: Bytes::copy_from_slice(bytes.as_bytes()) }
}

/// The commits of the stream that tests follow, up to this one.
pub fn place(number: u64) -> Runs {
    places(&[(SOURCE, number)])
}

/// The commits of several streams, up to these.
pub fn places(points: &[(u128, u64)]) -> Runs {
    points.iter().map(|(source, number)| Run { source: *source, first: 0, last: *number }).collect()
}

/// Commits of the stream that tests follow: the first and the last of each run.
pub(super) fn runs(of: &[(u64, u64)]) -> Runs {
    of.iter().map(|(first, last)| Run { source: SOURCE, first: *first, last: *last }).collect()
}

/// What is brought for a lease that was given with this horizon.
pub fn entry(horizon: &Horizon, name: &Name, value: &[u8]) -> Entry {
    let rewritten = horizon.rewritten.iter().find(|(entity, _)| *entity == name.entity);
    Entry {
        incarnation: horizon.incarnation,
        generation: rewritten.map_or(0, |(_, count)| *count),
        value: Bytes::copy_from_slice(value),
    }
}

/// Of the commits behind one place up to another, with the slots of their rows.
pub fn telling(incarnation: u64, from: u64, to: u64, names: &[&Name]) -> Telling {
    Telling {
        incarnation,
        from: place(from),
        to: place(to),
        names: names.iter().map(|name| (*name).clone()).collect(),
        rewritten: Vec::new(),
    }
}
