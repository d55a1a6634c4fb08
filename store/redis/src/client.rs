//! The port.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use kit_core::Reply;
use rowkeep_cache::remote::{Beginning, Entry, Failed, Heard, Horizon, Leased, Looked, Name, Remote, Telling};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::address::{Address, Deployment};
use crate::keys::Keys;
use crate::lane::Lane;
use crate::link::Way;
use crate::options::RedisOptions;
use crate::topology::Topology;

/// The shared cache on Redis. See the [crate](crate).
#[derive(Debug)]
pub struct RedisRemote {
    inner: Arc<Inner>,
    finder: Option<JoinHandle<()>>,
}

/// What it did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RedisStats {
    /// Requests that were sent.
    pub requests: u64,
    /// Values that were found and are nothing that was put there. They were dropped.
    pub garbage: u64,
}

#[derive(Debug)]
pub(crate) struct Inner {
    /// Tells caches apart, for threads.
    id: u64,
    pub(crate) keys: Keys,
    pub(crate) options: RedisOptions,
    way: Way,
    topology: Arc<Topology>,
    /// For what is told, which may take longer than reads wait.
    pub(crate) tells: Lane,
    /// For all who have none of their own.
    shared: Lane,
    /// Those of threads.
    own: Mutex<Vec<Arc<Lane>>>,
    pub(crate) garbage: AtomicU64,
}

thread_local! {
    /// By cache.
    static MINE: RefCell<Vec<(u64, Weak<Lane>)>> = const { RefCell::new(Vec::new()) };
}

static CACHES: AtomicU64 = AtomicU64::new(0);

impl RedisRemote {
    /// Begins to connect, on this runtime. Steps fail until that is done ([`is_up`](Self::is_up)). What processes with the same
    /// namespace put there they share; it has letters, digits, `-`, `_` and `.`.
    ///
    /// # Panics
    /// If the namespace has other characters, or the options ask for no shards.
    pub fn start(address: &Address, namespace: &str, options: RedisOptions, runtime: &Handle) -> Arc<Self> {
        let shards = match address.deployment {
            Deployment::Single(_) | Deployment::Sentinel { .. } => 1,
            Deployment::Cluster(_) => options.cluster_shards,
        };
        let way = Way {
            login: address.login.clone(),
            database: address.database,
            tls: address.tls.clone(),
            timeout: options.connect_timeout,
            is_primary: !matches!(address.deployment, Deployment::Cluster(_)),
            is_told_of: false,
        };
        let topology = Topology::new(shards);
        let finder = topology.find(address, &way, runtime);
        let inner = Inner {
            id: CACHES.fetch_add(1, Ordering::Relaxed),
            keys: Keys::new(namespace, shards),
            options,
            tells: Lane::new(runtime, Way { is_told_of: true, ..way.clone() }, &topology),
            shared: Lane::new(runtime, way.clone(), &topology),
            way,
            topology,
            own: Mutex::default(),
            garbage: AtomicU64::new(0),
        };
        Arc::new(Self { inner: Arc::new(inner), finder })
    }

    /// Waits until every shard can be asked.
    ///
    /// # Errors
    /// [`Failed::Gone`] after so long, with what failed last.
    pub async fn is_up(&self, limit: Duration) -> Result<(), Failed> {
        let both = async {
            self.inner.tells.is_up().await;
            self.inner.shared.is_up().await;
        };
        if tokio::time::timeout(limit, both).await.is_ok() {
            return Ok(());
        }
        self.problem().map_or(Ok(()), |problem| Err(Failed::Gone(problem)))
    }

    /// Why some shard cannot be asked at this moment, if one cannot.
    pub fn problem(&self) -> Option<String> {
        self.inner.tells.problem().or_else(|| self.inner.shared.problem())
    }

    /// What it did so far.
    pub fn stats(&self) -> RedisStats {
        let own: u64 = self.inner.own().iter().map(|lane| lane.asked()).sum();
        RedisStats {
            requests: own + self.inner.tells.asked() + self.inner.shared.asked(),
            garbage: self.inner.garbage.load(Ordering::Relaxed),
        }
    }
}

impl Drop for RedisRemote {
    fn drop(&mut self) {
        if let Some(finder) = &self.finder {
            finder.abort();
        }
        self.inner.own().clear();
    }
}

/// Who sends a request.
pub(crate) enum Sender<'a> {
    Own(Arc<Lane>),
    Inner(&'a Lane),
}

impl std::ops::Deref for Sender<'_> {
    type Target = Lane;

    fn deref(&self) -> &Lane {
        match self {
            Self::Own(lane) => lane,
            Self::Inner(lane) => lane,
        }
    }
}

impl Inner {
    fn own(&self) -> MutexGuard<'_, Vec<Arc<Lane>>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn lane(&self) -> Sender<'_> {
        let mine = MINE.with_borrow(|mine| mine.iter().find(|(id, _)| *id == self.id)?.1.upgrade());
        mine.map_or(Sender::Inner(&self.shared), Sender::Own)
    }

    fn attach(&self) {
        let Ok(runtime) = Handle::try_current() else { return };
        if matches!(self.lane(), Sender::Own(_)) {
            return;
        }
        let lane = Arc::new(Lane::new(&runtime, self.way.clone(), &self.topology));
        MINE.with_borrow_mut(|mine| {
            mine.retain(|(_, lane)| lane.strong_count() > 0);
            mine.push((self.id, Arc::downgrade(&lane)));
        });
        self.own().push(lane);
    }
}

impl Remote for RedisRemote {
    fn shards(&self) -> usize {
        self.inner.keys.shards()
    }

    fn attach(&self) {
        self.inner.attach();
    }

    fn begin(&self, shard: usize, beginning: Beginning) -> Reply<'_, Result<Option<Horizon>, Failed>> {
        Reply::later(self.inner.begin(shard, beginning))
    }

    fn tell(&self, shard: usize, telling: Telling) -> Reply<'_, Result<Heard, Failed>> {
        Reply::later(self.inner.tell(shard, telling))
    }

    fn get(&self, shard: usize, names: Vec<Name>) -> Reply<'_, Result<Looked, Failed>> {
        Reply::later(self.inner.get(shard, names))
    }

    fn lease(&self, shard: usize, name: Name, token: u128, time: Duration) -> Reply<'_, Result<Leased, Failed>> {
        Reply::later(self.inner.lease(shard, name, token, time))
    }

    fn fill(
        &self,
        shard: usize,
        name: Name,
        token: u128,
        entry: Entry,
        time: Duration,
    ) -> Reply<'_, Result<bool, Failed>> {
        Reply::later(self.inner.fill(shard, name, token, entry, time))
    }

    fn retract(&self, shard: usize, names: Vec<Name>) -> Reply<'_, Result<(), Failed>> {
        Reply::later(self.inner.retract(shard, names))
    }
}
