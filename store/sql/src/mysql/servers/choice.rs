//! Which server answers a read.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use kit_core::Error;
use rowkeep_engine::{Freshness, Position};
use tokio::time::timeout_at;

use super::{Server, Servers};

/// A replica that is further behind is not read from, whatever a read asks for.
const MAX_LAG: Duration = Duration::from_secs(10);
/// How long a read waits for a replica to get as far as its session has seen; then the primary answers.
const CATCH_UP: Duration = Duration::from_millis(100);
/// A replica that is further behind is not waited for. As much passes between two looks at it.
const NEAR: Duration = Duration::from_millis(500);
/// One read in so many goes to a server by chance, so that one that was slow is found to be fast again.
const BY_CHANCE: u32 = 16;

/// Servers that a read does not want again.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Avoided(u64);

impl Avoided {
    pub(super) fn add(&mut self, server: &Server) {
        self.0 |= 1_u64.checked_shl(u32::try_from(server.number).unwrap_or(u32::MAX)).unwrap_or(0);
    }

    fn has(self, server: &Server) -> bool {
        server.number < 64 && self.0 >> server.number & 1 == 1
    }
}

impl Servers {
    /// A server that may answer a read of a session that has seen this much. Waits for a replica to get that far, not long.
    pub(super) async fn choose(
        &self,
        freshness: Freshness,
        seen: &Position,
        avoided: Avoided,
    ) -> Result<(&Arc<Server>, u64), Error> {
        if freshness == Freshness::Strong {
            return self.writer().map(|writer| (writer, 0));
        }
        let mut replica = self.replica(freshness, seen, avoided);
        if replica.is_none() && freshness == Freshness::Session {
            replica = self.caught_up(seen, avoided).await;
        }
        if let Some(replica) = replica {
            // Counted before it is looked at once more: what it loses afterwards is noticed.
            let regressions = replica.progress.regressions();
            if fits(replica, freshness, seen) {
                return Ok((replica, regressions));
            }
        }
        self.fallbacks.fetch_add(1, Ordering::Relaxed);
        self.writer().map(|writer| (writer, 0))
    }

    /// Of two replicas that may answer, chosen at random, the one that has less to do.
    fn replica(&self, freshness: Freshness, seen: &Position, avoided: Avoided) -> Option<&Arc<Server>> {
        let fits = |server: &&Arc<Server>| fits(server, freshness, seen);
        let count = self.replicas(avoided).filter(fits).count();
        match count {
            0 => None,
            1 => self.replicas(avoided).find(fits),
            _ => {
                let (one, step) = (rand::random_range(0..count), rand::random_range(1..count));
                let nth = |at: usize| self.replicas(avoided).filter(fits).nth(at % count);
                // What fits may have changed since it was counted.
                let (one, other) = (nth(one)?, nth(one + step).or_else(|| nth(0))?);
                let better = other.progress.cost() < one.progress.cost() && rand::random_range(0..BY_CHANCE) > 0;
                Some(if better { other } else { one })
            }
        }
    }

    fn replicas(&self, avoided: Avoided) -> impl Iterator<Item = &Arc<Server>> {
        let (primary, latest) = (self.primary.load(Ordering::Acquire), self.latest.load(Ordering::Acquire));
        self.servers.iter().filter(move |server| {
            server.number != primary
                && server.progress.is_usable()
                && server.progress.lag(latest) <= MAX_LAG
                && !avoided.has(server)
        })
    }

    /// Waits until a replica is as far as this.
    async fn caught_up(&self, seen: &Position, avoided: Avoided) -> Option<&Arc<Server>> {
        let latest = self.latest.load(Ordering::Acquire);
        let near = self.replicas(avoided).filter(|server| server.progress.lag(latest) <= NEAR);
        let awaited: Vec<Awaited<'_>> = near.map(Awaited::begin).collect();
        if awaited.is_empty() {
            return None;
        }
        let until = Instant::now() + CATCH_UP;
        let mut changes = self.changed.subscribe();
        loop {
            if let Some(replica) = self.replica(Freshness::Session, seen, avoided) {
                return Some(replica);
            }
            timeout_at(until.into(), changes.changed()).await.ok()?.ok()?;
        }
    }
}

/// Whether a replica may answer. One that takes writes, though it is not the primary, does not say what can be seen on it:
/// MariaDB's log is ahead of that.
fn fits(server: &Server, freshness: Freshness, seen: &Position) -> bool {
    let reached = server.progress.reached();
    match freshness {
        Freshness::Strong => false,
        Freshness::Session => !reached.writable && seen.points().iter().all(|point| reached.contains(*point)),
        Freshness::MaxStaleness(most) => {
            !reached.writable && server.progress.staleness().is_some_and(|staleness| staleness <= most)
        }
        Freshness::Eventual => true,
    }
}

/// A server whose watcher hurries as long as this is there.
struct Awaited<'a>(&'a Server);

impl<'a> Awaited<'a> {
    fn begin(server: &'a Arc<Server>) -> Self {
        if server.progress.awaited.fetch_add(1, Ordering::AcqRel) == 0 {
            server.progress.look.notify_one();
        }
        Self(server)
    }
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        self.0.progress.awaited.fetch_sub(1, Ordering::AcqRel);
    }
}
