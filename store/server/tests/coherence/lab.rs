//! A process that serves with a cache, and somebody who writes past it.

use std::sync::Arc;
use std::time::Duration;

use rowkeep_cache::{CacheOptions, Cached, InspectedSlot, Tier, TierOptions, namespace};
use rowkeep_engine::{Engine, EngineOptions, Freshness, Position, Rows, Session, View};
use rowkeep_mysql::Connection;
use rowkeep_record::{Codecs, Key, Record, Value};
use rowkeep_redis::{RedisOptions, RedisRemote};
use rowkeep_schema::{EntityId, Schema, compile_str};
use rowkeep_sql::Allow;
use rowkeep_sql::mysql::{Database, MySqlStore, Options};
use testkit::{Cluster, DatabaseServer};
use tokio::runtime::Handle;

pub(crate) const ITEM: EntityId = EntityId(0);
const VIEW: View = View { now: 0, deleted: true };

const SCHEMA: &str = r#"
syntax = "proto3";
package coherence.v1;
import "rowkeep/v1/options.proto";
message Item {
  option (rowkeep.v1.entity) = {};
  int64 id = 1;
  int64 value = 2;
}
"#;

fn schema() -> Arc<Schema> {
    Arc::new(compile_str(&[("coherence/v1/item.proto", SCHEMA)]).unwrap())
}

/// One process.
pub(crate) struct Instance {
    rows: Arc<dyn Rows>,
    store: Arc<MySqlStore>,
    pub(crate) near: Option<Arc<Cached>>,
    pub(crate) shared: Option<Arc<Tier>>,
    pub(crate) engine: Engine,
    codecs: Codecs,
}

impl Instance {
    /// With a cache in its memory, over a cluster whose servers it all knows.
    pub(crate) fn open(cluster: &Cluster, runtime: &Handle) -> Self {
        Self::of(cluster, 0..=cluster.replicas().len(), runtime)
    }

    /// One that knows some of the servers, the primary first.
    pub(crate) fn of(cluster: &Cluster, servers: impl IntoIterator<Item = usize>, runtime: &Handle) -> Self {
        let servers: Vec<_> = servers.into_iter().map(|number| cluster.server(number)).collect();
        Self::over(Self::store(&servers), runtime, None, true)
    }

    /// With a cache that it shares, at this address, and one in its memory before it or not.
    pub(crate) fn sharing(servers: &[&DatabaseServer], runtime: &Handle, redis: &str, has_near: bool) -> Self {
        Self::over(Self::store(servers), runtime, Some(redis), has_near)
    }

    fn store(servers: &[&DatabaseServer]) -> Arc<MySqlStore> {
        let mut addresses: Vec<_> = servers.iter().map(|server| server.url().parse().unwrap()).collect();
        let address = addresses.remove(0);
        let options = Options { replicas: addresses, reports: true, ..Options::new(address) };
        let (schema, database) = (schema(), Database::open(&options).unwrap());
        database.apply(&database.plan(&schema).unwrap(), &schema, &schema.snapshot(), &Allow::default()).unwrap();
        MySqlStore::start(database, Arc::clone(&schema), Arc::new(Codecs::new(&schema))).unwrap()
    }

    fn over(store: Arc<MySqlStore>, runtime: &Handle, redis: Option<&str>, has_near: bool) -> Self {
        let (schema, mut rows) = (schema(), Arc::clone(&store) as Arc<dyn Rows>);
        let codecs = Codecs::new(&schema);
        let mut log = rows.changes().unwrap();
        let shared = redis.map(|redis| {
            let remote =
                RedisRemote::start(&redis.parse().unwrap(), &namespace(&schema, 1), RedisOptions::default(), runtime);
            let rows = Arc::clone(&rows);
            Tier::start(rows, remote, &schema, &codecs, TierOptions::default(), runtime).unwrap()
        });
        if let Some(tier) = &shared {
            (rows, log) = (Arc::clone(tier) as _, tier.log());
        }
        let near = has_near
            .then(|| Cached::follow(Arc::clone(&rows), log, &schema, &codecs, CacheOptions::default(), runtime));
        match (&near, &shared) {
            (Some(near), _) => rows = Arc::clone(near) as _,
            (None, Some(tier)) => drop(runtime.spawn(Arc::clone(tier).follow())),
            (None, None) => {}
        }
        let engine = Engine::new(schema, Arc::clone(&rows), EngineOptions::default()).unwrap();
        Self { rows, store, near, shared, engine, codecs }
    }

    /// Reads that were answered by a cache.
    pub(crate) fn hits(&self) -> u64 {
        let near = self.near.as_ref().map_or(0, |near| near.stats().hits);
        near + self.shared_hits()
    }

    /// Those that were answered by the one that is shared.
    pub(crate) fn shared_hits(&self) -> u64 {
        self.shared.as_ref().map_or(0, |tier| tier.stats().hits)
    }

    /// Reads that were sent to the first server, and those that were sent to others.
    pub(crate) fn sent(&self) -> [u64; 2] {
        let servers = self.store.servers();
        [servers[0].reads, servers[1..].iter().map(|server| server.reads).sum()]
    }

    /// Whether the cache that is shared has an item, and answers it.
    pub(crate) async fn is_shared(&self, id: i64) -> bool {
        let Some(tier) = &self.shared else { return false };
        matches!(tier.inspect(ITEM, &Key::one(Value::Int(id)), 0).await, InspectedSlot::Kept(Some(_)))
    }

    /// The value of an item; `None` if it cannot be read.
    pub(crate) async fn value(&self, id: i64, session: &Session) -> Option<i64> {
        let read = self.rows.get(ITEM, &Key::one(Value::Int(id)), VIEW, session).await;
        self.value_of(&read.ok()??)
    }

    /// Waits until this process has been told of everything that is committed now.
    pub(crate) async fn is_told(&self) {
        let session = Session::strong();
        until("the primary answers", async || self.value(1, &session).await.is_some()).await;
        let seen = session.seen();
        assert!(!seen.is_empty(), "the primary says where it is");
        let is_told = || match (&self.near, &self.shared) {
            (Some(near), _) => near.is_told(&seen),
            (None, Some(tier)) => tier.is_told(&seen),
            (None, None) => false,
        };
        until("the log is told", async || is_told()).await;
    }

    pub(crate) fn value_of(&self, record: &Record) -> Option<i64> {
        match self.codecs.row(ITEM).decode(record.wire()).unwrap().values[1] {
            Value::Int(value) => Some(value),
            _ => None,
        }
    }

    /// Waits until an item is answered from memory.
    pub(crate) async fn is_hot(&self, id: i64) {
        let session = Session::new(Freshness::Eventual, Position::default());
        until("an item is answered from memory", async || {
            let before = self.hits();
            self.value(id, &session).await.is_some() && self.hits() > before
        })
        .await;
    }
}

/// Waits for a condition.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..30_000 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("not within 30 seconds: {what}");
}

/// Somebody with a SQL client.
pub(crate) struct Writer {
    connection: Connection,
    runtime: tokio::runtime::Runtime,
}

impl Writer {
    pub(crate) fn open(server: &DatabaseServer) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let connection = runtime.block_on(Connection::open(&server.url().parse().unwrap())).unwrap();
        Self { connection, runtime }
    }

    pub(crate) fn run(&mut self, statement: &str) {
        self.try_run(statement).unwrap();
    }

    pub(crate) fn try_run(&mut self, statement: &str) -> Result<(), rowkeep_mysql::Error> {
        self.runtime.block_on(self.connection.command(statement)).map(drop)
    }

    /// So many items of value 0.
    pub(crate) fn fill(&mut self, items: i64) {
        for id in 1..=items {
            self.run(&format!("INSERT INTO items (id, value, rowkeep_version) VALUES ({id}, 0, 1)"));
        }
    }
}
