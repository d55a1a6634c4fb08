//! Connections of a thread: one to each server that serves a shard.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::Value;
use tokio::runtime::Handle;
use tokio::sync::Notify;

use crate::address::Host;
use crate::failure::Problem;
use crate::link::{Link, Request, Way};
use crate::topology::Topology;

/// Links of one runtime.
#[derive(Debug)]
pub(crate) struct Lane {
    runtime: Handle,
    way: Arc<Way>,
    topology: Arc<Topology>,
    links: Mutex<Links>,
    changed: Arc<Notify>,
    /// Requests that were sent.
    asked: AtomicU64,
}

#[derive(Debug, Default)]
struct Links {
    /// Which state of the topology they are of.
    version: u64,
    by_shard: Vec<Option<Arc<Link>>>,
    by_server: HashMap<Host, Arc<Link>>,
}

impl Lane {
    pub(crate) fn new(runtime: &Handle, way: Way, topology: &Arc<Topology>) -> Self {
        let lane = Self {
            runtime: runtime.clone(),
            way: Arc::new(way),
            topology: Arc::clone(topology),
            links: Mutex::default(),
            changed: Arc::default(),
            asked: AtomicU64::new(0),
        };
        drop(lane.links());
        lane
    }

    /// Makes a request of the server that has the shard.
    pub(crate) async fn ask(&self, shard: usize, request: &Request, limit: Duration) -> Result<Value, Problem> {
        let Some(link) = self.link(shard) else {
            self.topology.is_stale();
            return Err(Problem::Gone(self.topology.problem()));
        };
        self.asked.fetch_add(1, Ordering::Relaxed);
        let answer = match link.ask(request, limit, false).await {
            Err(Problem::Moved(to)) => {
                self.topology.moved(shard, to);
                match self.link(shard) {
                    Some(link) => link.ask(request, limit, false).await,
                    None => Err(Problem::Gone(self.topology.problem())),
                }
            }
            Err(Problem::Ask(to)) => self.link_to(to).ask(request, limit, true).await,
            answer => answer,
        };
        if let Err(Problem::Gone(_) | Problem::Moved(_) | Problem::Elsewhere(_)) = &answer {
            self.topology.is_stale();
        }
        answer
    }

    /// Waits until every shard can be asked.
    pub(crate) async fn is_up(&self) {
        loop {
            let changed = self.changed.notified();
            let moved = self.topology.changed();
            tokio::pin!(changed, moved);
            changed.as_mut().enable();
            moved.as_mut().enable();
            if self.problem().is_none() {
                return;
            }
            tokio::select! {
                () = changed => {}
                () = moved => {}
            }
        }
    }

    /// Why some shard cannot be asked.
    pub(crate) fn problem(&self) -> Option<String> {
        let links = self.links();
        let problem = |link: &Option<Arc<Link>>| match link {
            Some(link) => link.problem(),
            None => Some(self.topology.problem()),
        };
        links.by_shard.iter().find_map(problem)
    }

    pub(crate) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    fn link(&self, shard: usize) -> Option<Arc<Link>> {
        self.links().by_shard[shard].clone()
    }

    /// To a server that a shard is on its way to. It stays until servers change.
    fn link_to(&self, server: Host) -> Arc<Link> {
        let mut links = self.links();
        let made = || self.made(server.clone());
        Arc::clone(links.by_server.entry(server.clone()).or_insert_with(made))
    }

    fn made(&self, server: Host) -> Arc<Link> {
        Arc::new(Link::new(server, Arc::clone(&self.way), &self.runtime, Arc::clone(&self.changed)))
    }

    /// As the topology is now.
    fn links(&self) -> MutexGuard<'_, Links> {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        if links.version != self.topology.version() {
            let (version, servers) = self.topology.servers();
            let before = std::mem::take(&mut links.by_server);
            for server in servers.iter().flatten() {
                if !links.by_server.contains_key(server) {
                    let link = before.get(server).map_or_else(|| self.made(server.clone()), Arc::clone);
                    links.by_server.insert(server.clone(), link);
                }
            }
            let found = |server: &Option<Host>| server.as_ref().and_then(|server| links.by_server.get(server).cloned());
            links.by_shard = servers.iter().map(found).collect();
            links.version = version;
        }
        links
    }
}
