//! The logs of a keyspace's shards, read through Vitess's gateway, as one.
//!
//! ## Order
//! Commits of one shard are told in its order, and a row is in one shard. Between shards there is no order but that of their
//! arrival: what one commit wrote to two of them is told as two, each once its shard shows it. All parts of a large commit
//! are told before anything of another shard.
//!
//! ## Places
//! A place is the set of commits that were told of each shard. Its text is the same for whoever was told the same.
//!
//! ## What the gateway does meanwhile
//! It finds the primaries. That one was replaced is seen by who reads its log ([`rowkeep_changes`]); the history
//! begins anew then. A keyspace that was split or joined has other shards, whose commits are in none of the logs that are
//! read: so before it is said that all was told, the gateway is asked which shards there are.

use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use kit_core::{Code, Error, Reply};
use rowkeep_changes::Source;
use rowkeep_engine::{ChangeLog, ChangeStream, Changes, Since, Told};
use rowkeep_mysql::{Address, Connection};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::follower::{Events, Stream, failed, lost, read, stopped};
use super::merged::{Merged, open};
use super::tables::Tables;
use super::{PATIENCE, PAUSE};
use crate::mysql::errors::classify;
use crate::mysql::gateway;
use crate::mysql::store::Shared;

const DATABASE: &str = "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = DATABASE()";

/// The log of a store behind a gateway.
pub(super) struct Log {
    shared: Arc<Shared>,
    runtime: Handle,
}

impl Log {
    pub(super) fn new(shared: &Arc<Shared>, runtime: &Handle) -> Self {
        Self { shared: Arc::clone(shared), runtime: runtime.clone() }
    }
}

impl ChangeLog for Log {
    fn follow(&self, since: Since) -> Reply<'static, Result<Box<dyn ChangeStream>, Error>> {
        let (shared, runtime) = (Arc::clone(&self.shared), self.runtime.clone());
        Reply::later(async move {
            let task = runtime.spawn(async move { follow(&shared, since).await });
            task.await.unwrap_or_else(|_| Err(stopped()))
        })
    }
}

/// The address of a shard's primary.
pub(super) fn of_shard(keyspace: &Address, shard: &str) -> Address {
    let name = keyspace.database.as_deref().unwrap_or_default();
    Address { database: Some(format!("{name}:{shard}@primary")), ..keyspace.clone() }
}

async fn follow(shared: &Shared, since: Since) -> Result<Box<dyn ChangeStream>, Error> {
    let until = Instant::now() + PATIENCE;
    let mut topology = Topology::new(shared.servers.server(0).connector.address());
    let shards = loop {
        match topology.ask().await {
            Ok(shards) => break shards,
            Err(error) if Instant::now() >= until => return Err(error),
            Err(_) => sleep(PAUSE).await,
        }
    };
    if shards.len() != 1 && shared.capabilities.changes == Changes::Log {
        let message = "the keyspace has several shards by now: start again";
        return Err(Error::new(Code::FailedPrecondition, "CHANGES_REFUSED", message));
    }
    let mut told: Vec<_> = match &since {
        Since::Now => shards.iter().map(|_| None).collect(),
        Since::Place(place) => {
            let told = open(&shards, place).ok_or_else(|| lost("the place is of another log, or of other shards"))?;
            told.into_iter().map(Some).collect()
        }
    };
    let mut sources = Vec::with_capacity(shards.len());
    for (shard, told) in shards.iter().zip(&mut told) {
        let address = of_shard(&topology.address, shard);
        let database = database(&address, until).await?;
        let source = Source::new(address, told.take(), Tables::new(&shared.schema, &database));
        sources.push(super::connected(source, until).await?);
    }
    topology.shards = shards;
    Ok(Box::new(start(topology, sources)))
}

/// The name of the database as the shard's server has it.
async fn database(address: &Address, until: Instant) -> Result<String, Error> {
    loop {
        let asked = async {
            let mut connection = Connection::open(address).await?;
            // By itself, DATABASE() is what the address says.
            let rows = connection.query(DATABASE).await?;
            connection.close().await;
            Ok::<_, rowkeep_mysql::Error>(rows.into_iter().flatten().flatten().next().unwrap_or_default())
        };
        match asked.await {
            Ok(name) => return Ok(name),
            Err(error) if Instant::now() >= until => return Err(classify(error)),
            Err(_) => sleep(PAUSE).await,
        }
    }
}

/// Which shards there are.
struct Topology {
    address: Address,
    /// Those that are read.
    shards: Vec<String>,
    connection: Option<Connection>,
}

impl Topology {
    fn new(address: &Address) -> Self {
        Self { address: address.clone(), shards: Vec::new(), connection: None }
    }

    /// Those that there are now.
    async fn ask(&mut self) -> Result<Vec<String>, Error> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(&self.address).await.map_err(classify)?,
        };
        let name = self.address.database.as_deref().unwrap_or_default();
        let shards = gateway::shards(&mut connection, name).await?;
        self.connection = Some(connection);
        Ok(shards)
    }

    /// Whether they are those that are read; `None` if the gateway does not answer.
    async fn is_same(&mut self) -> Option<bool> {
        let asked = timeout(PATIENCE, self.ask()).await;
        asked.ok()?.ok().map(|shards| shards == self.shards)
    }
}

/// Begins to read.
fn start(topology: Topology, sources: Vec<Source<Tables>>) -> Stream {
    let begin = |source| {
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(read(source, sender));
        receiver
    };
    let receivers = sources.into_iter().map(begin).collect();
    let (sender, stream) = Stream::new();
    tokio::spawn(async move {
        let run = run(topology, receivers, &sender);
        let ended = tokio::select! {
            () = sender.closed() => return,
            ended = run => ended,
        };
        if let Err(error) = ended {
            // Whoever is not there any more need not know.
            let _ = sender.send(Err(error)).await;
        }
    });
    stream
}

async fn run(
    mut topology: Topology,
    mut receivers: Vec<mpsc::Receiver<Events>>,
    sender: &mpsc::Sender<Result<Vec<Told>, Error>>,
) -> Result<(), Error> {
    let mut merged = Merged::new(&topology.shards);
    let mut last = 0;
    loop {
        let events;
        (last, events) = next(&mut receivers, merged.inside(), last).await;
        let events = events.ok_or_else(stopped)?.map_err(|error| failed(&error))?;
        let mut told = Vec::with_capacity(events.len());
        for event in events {
            merged.take(last, event, &mut told)?;
        }
        if let Some(current) = merged.current() {
            match topology.is_same().await {
                Some(true) => told.push(current),
                Some(false) => return Err(lost("the keyspace has other shards than it had")),
                None => {}
            }
        }
        if !told.is_empty() && sender.send(Ok(told)).await.is_err() {
            return Ok(());
        }
    }
}

/// What comes next, and of which shard: of this one only, or of any, each in its turn.
async fn next(receivers: &mut [mpsc::Receiver<Events>], only: Option<usize>, last: usize) -> (usize, Option<Events>) {
    std::future::poll_fn(|context| {
        let count = receivers.len();
        for at in (1..=count).map(|step| (last + step) % count).filter(|at| only.is_none_or(|only| only == *at)) {
            if let Poll::Ready(events) = receivers[at].poll_recv(context) {
                return Poll::Ready((at, events));
            }
        }
        Poll::Pending
    })
    .await
}
