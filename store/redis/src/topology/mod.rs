//! Which server has which shard.
//!
//! One server has always the same. Sentinels and clusters are asked by a task beside the requests: at once when a request meets a
//! connection that is gone or a server that is not the one, and every few seconds besides. What a server says of a shard that
//! moved away from it counts at once.

mod cluster;
mod sentinel;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::task::JoinHandle;

use crate::address::{Address, Deployment, Host};
use crate::link::Way;

/// Between two times of asking, at least and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// For what a Sentinel or a cluster's server answers.
const PATIENCE: Duration = Duration::from_millis(500);

/// Where shards are.
#[derive(Debug)]
pub(crate) struct Topology {
    known: Mutex<Known>,
    /// Grows with each change; at least 1.
    version: AtomicU64,
    stale: Notify,
    changed: Notify,
}

#[derive(Debug)]
struct Known {
    /// By shard.
    servers: Vec<Option<Host>>,
    /// Why nothing is known.
    problem: String,
}

impl Topology {
    pub(crate) fn new(shards: usize) -> Arc<Self> {
        let known = Known { servers: vec![None; shards], problem: "no server is known yet".to_owned() };
        Arc::new(Self {
            known: Mutex::new(known),
            version: AtomicU64::new(1),
            stale: Notify::new(),
            changed: Notify::new(),
        })
    }

    /// Finds out where shards are, until the task ends. `None` if there is nothing to find out.
    pub(crate) fn find(self: &Arc<Self>, address: &Address, way: &Way, runtime: &Handle) -> Option<JoinHandle<()>> {
        match &address.deployment {
            Deployment::Single(host) => {
                self.are_all_at(host);
                None
            }
            Deployment::Sentinel { sentinels, service } => {
                let way = Way { login: address.sentinel_login.clone(), database: 0, is_primary: false, ..way.clone() };
                let finder = sentinel::Finder::new(sentinels, service, way, runtime);
                Some(runtime.spawn(finder.run(Arc::clone(self))))
            }
            Deployment::Cluster(seeds) => {
                let finder = cluster::Finder::new(seeds, way.clone(), runtime);
                Some(runtime.spawn(finder.run(Arc::clone(self))))
            }
        }
    }

    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Where each shard is, and in which state of the topology.
    pub(crate) fn servers(&self) -> (u64, Vec<Option<Host>>) {
        let known = self.known();
        (self.version(), known.servers.clone())
    }

    pub(crate) fn problem(&self) -> String {
        self.known().problem.clone()
    }

    /// A shard is where its old server says.
    pub(crate) fn moved(&self, shard: usize, to: Host) {
        let mut servers = self.known().servers.clone();
        servers[shard] = Some(to);
        self.are_at(&servers);
    }

    /// What is known did not help somebody.
    pub(crate) fn is_stale(&self) {
        self.stale.notify_one();
    }

    /// Ready once something has changed since it was enabled.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One server has them all.
    fn are_all_at(&self, server: &Host) {
        let shards = self.known().servers.len();
        self.are_at(&vec![Some(server.clone()); shards]);
    }

    fn are_at(&self, servers: &[Option<Host>]) {
        let mut known = self.known();
        if known.servers != servers {
            known.servers = servers.to_vec();
            self.version.fetch_add(1, Ordering::Release);
            self.changed.notify_waiters();
        }
    }

    /// Nobody said where shards are. What was known stays: it may still be so.
    fn is_unknown(&self, problem: String) {
        let mut known = self.known();
        if known.problem != problem {
            tracing::warn!(problem, "it is not known which server has the cache");
            known.problem = problem;
        }
    }

    /// Until it is time to ask again. `known`: the last answer was one.
    async fn pause(&self, known: bool) {
        tokio::time::sleep(PAUSES.0).await;
        if known {
            // Elapsed or not: it is asked.
            let _ = tokio::time::timeout(PAUSES.1, self.stale.notified()).await;
        }
    }
}
