//! The log of changes of MySQL and MariaDB: the primary's binary log, as changes of entities.
//!
//! A follower reads the log of whoever is the primary. When another server becomes it, reading goes on there behind what was
//! told: a new history [begins](rowkeep_engine::Told::Begin), and nothing that it has is left out. If it does not have what
//! was told, the follower ends, because what it told is not so.
//!
//! Behind Vitess's gateway each shard has a log of its own, and the log of the store is what all of them tell ([`shards`]).

mod able;
mod cells;
mod charset;
mod follower;
mod mapping;
mod merged;
mod points;
mod shards;
mod statements;
mod tables;
mod unseen;

use std::sync::Arc;
use std::time::{Duration, Instant};

use kit_core::{Error, Reply};
use rowkeep_changes::Source;
use rowkeep_engine::{ChangeLog, ChangeStream, Changes, SharedLog, Since};
use tokio::runtime::Handle;
use tokio::time::sleep;

use super::store::Shared;
use crate::dialect::Dialect;
use follower::{failed, lost, stopped};
use tables::Tables;

/// How long a beginning waits for a primary that answers.
const PATIENCE: Duration = Duration::from_secs(15);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(50);

/// The log of a store.
pub(super) struct Log {
    shared: Arc<Shared>,
    runtime: Handle,
}

impl Log {
    /// The log, if it can be followed, read once for all who follow it. If it cannot, an operator is told why, once.
    pub(super) fn open(shared: &Arc<Shared>, runtime: &Handle) -> Option<Arc<dyn ChangeLog>> {
        let server = shared.servers.primary().unwrap_or_else(|| shared.servers.server(0));
        let refused = wait(runtime, able::refusal(server.connector.address()));
        if let Some(why) = refused {
            let server = server.connector.address();
            tracing::warn!(%server, "changes of the database cannot be followed: {why}");
            return None;
        }
        let log: Arc<dyn ChangeLog> = match shared.dialect.is_gateway() {
            true => Arc::new(shards::Log::new(shared, runtime)),
            false => Arc::new(Self { shared: Arc::clone(shared), runtime: runtime.clone() }),
        };
        // Who leaves a reading that is shared inside of a commit goes on at that commit, which several shards do not promise.
        if shared.capabilities.changes == Changes::LogPerShard {
            return Some(log);
        }
        Some(Arc::new(SharedLog::new(log, runtime)))
    }
}

/// Waits on a thread of its own: whoever asks may be inside of a runtime.
fn wait<T: Send>(runtime: &Handle, future: impl Future<Output = T> + Send) -> T {
    let waited = std::thread::scope(|scope| scope.spawn(|| runtime.block_on(future)).join());
    waited.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

impl ChangeLog for Log {
    fn follow(&self, since: Since) -> Reply<'static, Result<Box<dyn ChangeStream>, Error>> {
        let (shared, runtime) = (Arc::clone(&self.shared), self.runtime.clone());
        Reply::later(async move {
            let task = runtime.spawn(follow(shared, since));
            task.await.unwrap_or_else(|_| Err(stopped()))
        })
    }
}

async fn follow(shared: Arc<Shared>, since: Since) -> Result<Box<dyn ChangeStream>, Error> {
    let progress = match &since {
        Since::Now => None,
        Since::Place(place) => {
            let progress = points::progress(shared.dialect == Dialect::MariaDb, place);
            Some(progress.ok_or_else(|| lost("the place is of another log"))?)
        }
    };
    let until = Instant::now() + PATIENCE;
    let promotions = shared.servers.promotions();
    let server = Arc::clone(shared.servers.await_writer(until).await?);
    let address = server.connector.address();
    let tables = Tables::new(&shared.schema, address.database.as_deref().unwrap_or_default());
    let source = Source::new(address.clone(), progress, tables).with_acked(Arc::clone(&shared.servers.acked));
    let source = connected(source, until).await?;
    Ok(Box::new(follower::start(Arc::clone(&shared.servers), promotions, source)))
}

async fn connected(mut source: Source<Tables>, until: Instant) -> Result<Source<Tables>, Error> {
    loop {
        match source.connect().await {
            Ok(()) if source.is_connected() => return Ok(source),
            Err(error) if !error.is_transient() || Instant::now() >= until => return Err(failed(&error)),
            _ => sleep(PAUSE).await,
        }
    }
}
