//! The port.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use kit_core::Reply;
use redis::{Cmd, Value};
use rowkeep_cache::remote::{Beginning, Entry, Failed, Heard, Horizon, Leased, Looked, Name, Remote, Telling};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::address::{Address, Deployment};
use crate::keys::Keys;
use crate::lane::Lane;
use crate::link::{Request, Way};
use crate::options::RedisOptions;
use crate::scripts::{self, Script};
use crate::topology::Topology;
use crate::values::{self, Held};

/// Slots that are dropped in one step. A telling of more takes several, in which leases ask for it from the first on: a server does
/// nothing else meanwhile.
const DROPPED_TOGETHER: usize = 5000;

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
struct Inner {
    /// Tells caches apart, for threads.
    id: u64,
    keys: Keys,
    options: RedisOptions,
    way: Way,
    topology: Arc<Topology>,
    /// For what is told, which may take longer than reads wait.
    tells: Lane,
    /// For all who have none of their own.
    shared: Lane,
    /// Those of threads.
    own: Mutex<Vec<Arc<Lane>>>,
    garbage: AtomicU64,
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
        let problem = self.inner.tells.problem().or_else(|| self.inner.shared.problem());
        problem.map_or(Ok(()), |problem| Err(Failed::Gone(problem)))
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
enum Sender<'a> {
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

    fn lane(&self) -> Sender<'_> {
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

    fn script(&self, script: &'static Script, shard: usize, slots: &[Name], arguments: Vec<Vec<u8>>) -> Request {
        let slots = slots.iter().map(|name| self.keys.slot(shard, name));
        let keys = std::iter::once(self.keys.horizon(shard).to_vec()).chain(slots).collect();
        Request::Script { script, keys, arguments }
    }

    fn read_horizon(&self, shard: usize, text: &[u8]) -> Option<Horizon> {
        let horizon = values::horizon(self.keys.horizon(shard), text);
        if horizon.is_none() {
            self.garbage.fetch_add(1, Ordering::Relaxed);
        }
        horizon
    }

    async fn begin(&self, shard: usize, beginning: Beginning) -> Result<Option<Horizon>, Failed> {
        let anew = beginning.anew.map(|incarnation| incarnation.to_be_bytes().to_vec());
        let arguments = vec![
            beginning.history.to_be_bytes().to_vec(),
            values::position(&beginning.place),
            anew.unwrap_or_default(),
        ];
        let request = self.script(&scripts::BEGIN, shard, &[], arguments);
        match self.tells.ask(shard, &request, self.options.tell_timeout).await? {
            Value::Nil => Ok(None),
            Value::BulkString(text) => Ok(self.read_horizon(shard, &text)),
            other => Err(unexpected(&other)),
        }
    }

    async fn tell(&self, shard: usize, mut telling: Telling) -> Result<Heard, Failed> {
        let names = std::mem::take(&mut telling.names);
        let mut pieces = names.chunks(DROPPED_TOGETHER).peekable();
        while let Some(piece) = pieces.next() {
            let is_last = pieces.peek().is_none();
            let heard = self.tell_of(shard, &telling, piece, is_last).await?;
            if is_last || heard != Heard::Told {
                return Ok(heard);
            }
        }
        self.tell_of(shard, &telling, &[], true).await
    }

    async fn tell_of(&self, shard: usize, telling: &Telling, names: &[Name], is_last: bool) -> Result<Heard, Failed> {
        let rewritten = if is_last { &telling.rewritten[..] } else { &[] };
        let arguments = vec![
            telling.incarnation.to_be_bytes().to_vec(),
            values::position(&telling.from),
            values::position(&telling.to),
            rewritten.iter().flat_map(|entity| entity.0.to_be_bytes()).collect(),
            if telling.more || !is_last { b"1".to_vec() } else { b"0".to_vec() },
        ];
        let request = self.script(&scripts::TELL, shard, names, arguments);
        match self.tells.ask(shard, &request, self.options.tell_timeout).await? {
            Value::Int(0) => Ok(Heard::Told),
            Value::Int(1) => Ok(Heard::Other),
            Value::Int(2) => Ok(Heard::Behind),
            other => Err(unexpected(&other)),
        }
    }

    async fn get(self: &Arc<Self>, shard: usize, names: Vec<Name>) -> Result<Looked, Failed> {
        let mut command = Cmd::with_capacity(2 + names.len(), 64 * (1 + names.len()));
        command.arg("MGET").arg(self.keys.horizon(shard));
        for name in &names {
            command.arg(self.keys.slot(shard, name));
        }
        let answer = self.lane().ask(shard, &Request::Command(command), self.options.read_timeout).await?;
        let texts = match answer {
            Value::Array(texts) if texts.len() == names.len() + 1 => texts,
            other => return Err(unexpected(&other)),
        };
        let mut texts = texts.into_iter();
        let horizon = match texts.next() {
            Some(Value::BulkString(text)) => self.read_horizon(shard, &text),
            _ => None,
        };
        let Some(known) = &horizon else {
            return Ok(Looked { horizon: None, entries: vec![None; names.len()] });
        };
        let entry = |(name, text): (&Name, Value)| match text {
            Value::BulkString(text) => self.read_entry(shard, known, name, text),
            _ => None,
        };
        let entries = names.iter().zip(texts).map(entry).collect();
        Ok(Looked { horizon, entries })
    }

    fn read_entry(self: &Arc<Self>, shard: usize, known: &Horizon, name: &Name, text: Vec<u8>) -> Option<Entry> {
        match values::held(self.keys.horizon(shard), name, text) {
            Held::Entry(entry) => counts(known, name, &entry).then_some(entry),
            Held::Lease => None,
            Held::Garbage => {
                self.garbage.fetch_add(1, Ordering::Relaxed);
                let (inner, name) = (Arc::clone(self), name.clone());
                // Nobody waits for it, and the next one would find the same.
                tokio::spawn(async move { inner.retract(shard, vec![name]).await });
                None
            }
        }
    }

    async fn lease(&self, shard: usize, name: Name, token: u128, time: Duration) -> Result<Leased, Failed> {
        let leased = self.try_lease(shard, &name, token, time).await?;
        if let Some(leased) = leased {
            return Ok(leased);
        }
        // It holds what looks like an entry and is none.
        self.garbage.fetch_add(1, Ordering::Relaxed);
        self.retract(shard, vec![name.clone()]).await?;
        Ok(self.try_lease(shard, &name, token, time).await?.unwrap_or(Leased::Awaited))
    }

    /// `None` if the slot holds garbage.
    async fn try_lease(
        &self,
        shard: usize,
        name: &Name,
        token: u128,
        time: Duration,
    ) -> Result<Option<Leased>, Failed> {
        let arguments = vec![entity(name), token.to_be_bytes().to_vec(), milliseconds(time)];
        let request = self.script(&scripts::LEASE, shard, std::slice::from_ref(name), arguments);
        let answer = self.lane().ask(shard, &request, self.options.read_timeout).await?;
        let Value::Array(parts) = answer else { return Err(unexpected(&answer)) };
        let horizon = |text: &[u8]| {
            self.read_horizon(shard, text)
                .ok_or_else(|| Failed::Refused("it wrote a horizon that cannot be read".to_owned()))
        };
        match <[Value; 3]>::try_from(padded(parts)) {
            Ok([Value::Int(0), Value::BulkString(known), _]) => Ok(Some(Leased::Given(horizon(&known)?))),
            Ok([Value::Int(1), Value::BulkString(known), Value::BulkString(text)]) => {
                let known = horizon(&known)?;
                Ok(match values::held(self.keys.horizon(shard), name, text) {
                    Held::Entry(entry) if counts(&known, name, &entry) => Some(Leased::Filled(known, entry)),
                    Held::Entry(_) | Held::Lease | Held::Garbage => None,
                })
            }
            Ok([Value::Int(2), ..]) => Ok(Some(Leased::Awaited)),
            Ok([Value::Int(3), ..]) => Ok(Some(Leased::Untold)),
            Ok([other, ..]) => Err(unexpected(&other)),
            Err(other) => Err(unexpected(&Value::Array(other))),
        }
    }

    async fn fill(&self, shard: usize, name: Name, token: u128, entry: Entry, time: Duration) -> Result<bool, Failed> {
        let arguments = vec![
            entity(&name),
            values::lease(entry.incarnation, entry.generation, token),
            values::entry(self.keys.horizon(shard), &name, &entry),
            milliseconds(time),
        ];
        let request = self.script(&scripts::FILL, shard, std::slice::from_ref(&name), arguments);
        match self.lane().ask(shard, &request, self.options.read_timeout).await? {
            Value::Int(filled) => Ok(filled == 1),
            other => Err(unexpected(&other)),
        }
    }

    async fn retract(&self, shard: usize, names: Vec<Name>) -> Result<(), Failed> {
        let lane = self.lane();
        for piece in names.chunks(DROPPED_TOGETHER) {
            let mut command = Cmd::with_capacity(1 + piece.len(), 64 * (1 + piece.len()));
            command.arg("UNLINK");
            for name in piece {
                command.arg(self.keys.slot(shard, name));
            }
            lane.ask(shard, &Request::Command(command), self.options.read_timeout).await?;
        }
        Ok(())
    }
}

/// Whether an entry is of the shard as it is: neither made anew nor rewritten since.
fn counts(horizon: &Horizon, name: &Name, entry: &Entry) -> bool {
    let rewritten = horizon.rewritten.iter().find(|(entity, _)| *entity == name.entity);
    entry.incarnation == horizon.incarnation && entry.generation == rewritten.map_or(0, |(_, count)| *count)
}

fn entity(name: &Name) -> Vec<u8> {
    name.entity.0.to_be_bytes().to_vec()
}

/// A time to live, which is never none.
fn milliseconds(time: Duration) -> Vec<u8> {
    // Beyond this the server refuses them: they would end after its calendar does.
    const CENTURY: u128 = 100 * 366 * 24 * 3600 * 1000;
    time.as_millis().clamp(1, CENTURY).to_string().into_bytes()
}

fn padded(mut parts: Vec<Value>) -> Vec<Value> {
    while parts.len() < 3 {
        parts.push(Value::Nil);
    }
    parts
}

fn unexpected(answer: &Value) -> Failed {
    let kind = match answer {
        Value::Nil => "nothing",
        Value::Int(_) => "a number",
        Value::BulkString(_) | Value::SimpleString(_) => "a text",
        Value::Array(_) => "a list",
        _ => "something else",
    };
    Failed::Refused(format!("it answers with {kind}"))
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
