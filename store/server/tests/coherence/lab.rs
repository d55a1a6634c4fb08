//! A process that serves with a cache, and somebody who writes past it.

use std::sync::Arc;
use std::time::Duration;

use rowkeep_cache::{CacheOptions, Cached};
use rowkeep_engine::{Engine, EngineOptions, Freshness, Position, Rows, Session, View};
use rowkeep_mysql::Connection;
use rowkeep_record::{Codecs, Key, Record, Value};
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
    pub(crate) cached: Arc<Cached>,
    pub(crate) engine: Engine,
    codecs: Codecs,
}

impl Instance {
    /// Of a cluster whose servers it all knows.
    pub(crate) fn open(cluster: &Cluster, runtime: &Handle) -> Self {
        Self::of(cluster, 0..=cluster.replicas().len(), runtime)
    }

    /// One that knows some of the servers, the primary first.
    pub(crate) fn of(cluster: &Cluster, servers: impl IntoIterator<Item = usize>, runtime: &Handle) -> Self {
        let mut addresses: Vec<_> =
            servers.into_iter().map(|number| cluster.server(number).url().parse().unwrap()).collect();
        let address = addresses.remove(0);
        let options = Options { replicas: addresses, reports: true, ..Options::new(address) };
        let (schema, database) = (schema(), Database::open(&options).unwrap());
        database.apply(&database.plan(&schema).unwrap(), &schema, &schema.snapshot(), &Allow::default()).unwrap();
        let codecs = Codecs::new(&schema);
        let store = MySqlStore::start(database, Arc::clone(&schema), Arc::new(codecs.clone())).unwrap();
        let cached = Cached::start(store, &schema, &codecs, CacheOptions::default(), runtime).unwrap();
        let engine = Engine::new(schema, Arc::clone(&cached) as _, EngineOptions::default()).unwrap();
        Self { cached, engine, codecs }
    }

    /// The value of an item; `None` if it cannot be read.
    pub(crate) async fn value(&self, id: i64, session: &Session) -> Option<i64> {
        let read = self.cached.get(ITEM, &Key::one(Value::Int(id)), VIEW, session).await;
        self.value_of(&read.ok()??)
    }

    /// Waits until this process has been told of everything that is committed now.
    pub(crate) async fn is_told(&self) {
        let session = Session::strong();
        until("the primary answers", async || self.value(1, &session).await.is_some()).await;
        let seen = session.seen();
        assert!(!seen.is_empty(), "the primary says where it is");
        until("the log is told", async || self.cached.is_told(&seen)).await;
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
            let before = self.cached.stats().hits;
            self.value(id, &session).await.is_some() && self.cached.stats().hits > before
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
