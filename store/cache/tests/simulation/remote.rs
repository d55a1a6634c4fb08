//! A cache server that is slow, loses messages, forgets, and comes back as it was some time ago.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kit_core::Reply;
use rand::Rng;
use rowkeep_cache::remote::{Beginning, Entry, Failed, Heard, Leased, Looked, MemoryRemote, Name, Remote, Telling};

use crate::database::{Database, pause};

/// The server as one process reaches it.
pub(crate) struct Faulty {
    pub(crate) database: Arc<Database>,
    pub(crate) server: Arc<MemoryRemote>,
}

/// What becomes of a message.
#[derive(Clone, Copy)]
enum Fate {
    Arrives,
    IsLost,
    /// And its answer is lost.
    IsUnanswered,
    /// When nobody waits for it any more.
    IsLate,
}

/// How long an answer is waited for.
const LIMIT: Duration = Duration::from_millis(100);

fn gone() -> Failed {
    Failed::Gone("simulated".to_owned())
}

impl Faulty {
    fn fate(&self) -> Fate {
        let random = &mut self.database.world().random;
        match random.random_range(0..60) {
            _ if !self.database.plan.faults => Fate::Arrives,
            0 => Fate::IsLost,
            1 => Fate::IsUnanswered,
            2 => Fate::IsLate,
            _ => Fate::Arrives,
        }
    }

    fn send<T: Send + 'static>(
        &self,
        step: impl FnOnce(&MemoryRemote) -> Result<T, Failed> + Send + 'static,
    ) -> Reply<'_, Result<T, Failed>> {
        let server = Arc::clone(&self.server);
        Reply::later(async move {
            let fate = self.fate();
            pause(&self.database.world).await;
            let answer = match fate {
                Fate::IsLost => Err(gone()),
                Fate::Arrives => step(&server),
                Fate::IsUnanswered => {
                    let _ = step(&server);
                    Err(gone())
                }
                Fate::IsLate => {
                    let late = Duration::from_millis(self.database.world().random.random_range(1..400));
                    tokio::spawn(async move {
                        tokio::time::sleep(late).await;
                        let _ = step(&server);
                    });
                    tokio::time::sleep(LIMIT).await;
                    Err(gone())
                }
            };
            pause(&self.database.world).await;
            self.database.linger().await;
            answer
        })
    }
}

/// The twin answers at once.
fn now<T>(reply: Reply<'_, T>) -> T {
    reply.try_now().unwrap_or_else(|_| unreachable!("the twin does not wait"))
}

impl Remote for Faulty {
    fn shards(&self) -> usize {
        self.server.shards()
    }

    fn begin(
        &self,
        shard: usize,
        beginning: Beginning,
    ) -> Reply<'_, Result<Option<rowkeep_cache::remote::Horizon>, Failed>> {
        self.send(move |server| now(server.begin(shard, beginning)))
    }

    fn tell(&self, shard: usize, telling: Telling) -> Reply<'_, Result<Heard, Failed>> {
        self.send(move |server| now(server.tell(shard, telling)))
    }

    fn get(&self, shard: usize, names: Vec<Name>) -> Reply<'_, Result<Looked, Failed>> {
        self.send(move |server| now(server.get(shard, names)))
    }

    fn lease(&self, shard: usize, name: Name, token: u128, time: Duration) -> Reply<'_, Result<Leased, Failed>> {
        self.send(move |server| now(server.lease(shard, name, token, time)))
    }

    fn fill(
        &self,
        shard: usize,
        name: Name,
        token: u128,
        mut entry: Entry,
        time: Duration,
    ) -> Reply<'_, Result<bool, Failed>> {
        // Some bytes are not what was put in, and cannot be read.
        if self.database.plan.faults && self.database.world().random.random_ratio(1, 100) {
            entry.value = Bytes::from_static(b"garbage");
        }
        self.send(move |server| now(server.fill(shard, name, token, entry, time)))
    }

    fn retract(&self, shard: usize, names: Vec<Name>) -> Reply<'_, Result<(), Failed>> {
        self.send(move |server| now(server.retract(shard, names)))
    }
}

/// What happens to the server itself.
pub(crate) async fn misfortunes(database: Arc<Database>, server: Arc<MemoryRemote>) {
    loop {
        let (wait, shard, what) = {
            let random = &mut database.world().random;
            (random.random_range(1..600), random.random_range(0..server.shards()), random.random_range(0..5))
        };
        tokio::time::sleep(Duration::from_millis(wait)).await;
        match what {
            0 => server.lose(shard),
            1 => server.evict_horizon(shard),
            _ => {
                let saved = server.save(shard);
                let behind = database.world().random.random_range(1..200);
                tokio::time::sleep(Duration::from_millis(behind)).await;
                server.restore(shard, &saved);
            }
        }
    }
}
