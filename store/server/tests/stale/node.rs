//! Two processes with a cache each, or with one that they share, before one database with a replica, and somebody with a SQL
//! client.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use kit_core::Error;
use rowkeep_cache::{CacheOptions, Cached, Tier, TierOptions, namespace};
use rowkeep_engine::{
    CommitRequest, Engine, EngineOptions, Freshness, Operation, Position, Precondition, Rows, Session, View, Write,
};
use rowkeep_mysql::{Address, Connection, Tls, TlsMode};
use rowkeep_record::json::ReadOptions;
use rowkeep_record::{Codecs, Key, Record, Value};
use rowkeep_redis::{RedisOptions, RedisRemote};
use rowkeep_schema::{EntityId, Schema, compile_str};
use rowkeep_sql::Allow;
use rowkeep_sql::mysql::{Database, MySqlStore, Options};
use serde_json::json;
use testkit::{Cluster, FaultProxy, Product, Redis};
use tokio::runtime::Runtime;

use crate::late::Late;

pub(crate) const ITEM: EntityId = EntityId(0);
const VIEW: View = View { now: 0, deleted: true };
const LIVE: View = View { now: 0, deleted: false };

const SCHEMA: &str = r#"
syntax = "proto3";
package stale.v1;
import "rowkeep/v1/options.proto";
message Item {
  option (rowkeep.v1.entity) = { index: [{ fields: "street, house", unique: true }] };
  int64 id = 1 [(rowkeep.v1.column) = { generated: AUTO_INCREMENT }];
  string name = 2;
  optional string code = 3 [(rowkeep.v1.column) = { unique: true max_length: 20 }];
  optional string street = 4 [(rowkeep.v1.column) = { max_length: 20 }];
  optional string house = 5 [(rowkeep.v1.column) = { max_length: 20 }];
}
"#;

fn schema() -> Arc<Schema> {
    Arc::new(compile_str(&[("stale/v1/item.proto", SCHEMA)]).unwrap())
}

/// Where a process keeps rows.
pub(crate) enum Cache {
    InMemory(Arc<Cached>),
    InRedis(Arc<Tier>),
}

impl Cache {
    fn rows(&self) -> Arc<dyn Rows> {
        match self {
            Self::InMemory(cached) => Arc::clone(cached) as _,
            Self::InRedis(tier) => Arc::clone(tier) as _,
        }
    }

    /// As if the process had died.
    pub(crate) fn stop(&self) {
        match self {
            Self::InMemory(cached) => cached.stop(),
            Self::InRedis(tier) => tier.stop(),
        }
    }

    fn is_told(&self, seen: &Position) -> bool {
        match self {
            Self::InMemory(cached) => cached.is_told(seen),
            Self::InRedis(tier) => tier.is_told(seen),
        }
    }

    /// Whether the log is known.
    pub(crate) fn follows(&self) -> bool {
        self.is_told(&Position::default())
    }

    fn hits(&self) -> u64 {
        match self {
            Self::InMemory(cached) => cached.stats().hits,
            Self::InRedis(tier) => tier.stats().hits,
        }
    }

    /// Readers who waited for a row that somebody else was bringing.
    pub(crate) fn joined(&self) -> u64 {
        match self {
            Self::InMemory(cached) => cached.stats().joined,
            Self::InRedis(tier) => tier.stats().awaited,
        }
    }
}

/// One process.
pub(crate) struct Node {
    pub(crate) cache: Cache,
    rows: Arc<dyn Rows>,
    pub(crate) late: Arc<Late>,
    pub(crate) engine: Engine,
    codecs: Codecs,
    /// Its way to the primary.
    pub(crate) proxy: FaultProxy,
}

impl Node {
    fn open(cluster: &Cluster, database: &str, redis: Option<&Redis>, runtime: &Runtime) -> Self {
        let proxy = FaultProxy::start(SocketAddr::from((Ipv4Addr::LOCALHOST, cluster.server(0).port())));
        let url = |number: usize| cluster.server(number).url_of(database).parse::<Address>().unwrap();
        let address = url(0);
        let tls = Tls { mode: Some(TlsMode::Off), ..Tls::default() };
        let primary = Address { port: proxy.address().port(), tls, ..address };
        let replicas = cluster.replicas().into_iter().map(url).collect();
        let options = Options { replicas, reports: true, ..Options::new(primary) };
        let (schema, database) = (schema(), Database::open(&options).unwrap());
        database.apply(&database.plan(&schema).unwrap(), &schema, &schema.snapshot(), &Allow::default()).unwrap();
        let codecs = Codecs::new(&schema);
        let store = MySqlStore::start(database, Arc::clone(&schema), Arc::new(codecs.clone())).unwrap();
        let late = Late::over(store);
        let rows = Arc::clone(&late) as Arc<dyn Rows>;
        let handle = runtime.handle();
        let cache = match redis {
            None => Cache::InMemory(Cached::start(rows, &schema, &codecs, CacheOptions::default(), handle).unwrap()),
            Some(redis) => {
                let (address, names) = (format!("redis://{}", redis.address()), namespace(&schema, 1));
                let remote = RedisRemote::start(&address.parse().unwrap(), &names, RedisOptions::default(), handle);
                let tier = Tier::start(rows, remote, &schema, &codecs, TierOptions::default(), handle).unwrap();
                drop(runtime.spawn(Arc::clone(&tier).follow()));
                Cache::InRedis(tier)
            }
        };
        let rows = cache.rows();
        let engine = Engine::new(schema, Arc::clone(&rows), EngineOptions::default()).unwrap();
        Self { cache, rows, late, engine, codecs, proxy }
    }

    /// The name of a row, as a client sees it who has no token.
    pub(crate) async fn get(&self, id: i64) -> Option<String> {
        let (key, session) = (Key::one(Value::Int(id)), session());
        self.name(self.rows.get(ITEM, &key, VIEW, &session).await.unwrap())
    }

    /// The id of the row with a code.
    pub(crate) async fn lookup(&self, code: &str) -> Option<i64> {
        self.by("code", &[code]).await
    }

    /// The id of the row with a street and a house.
    pub(crate) async fn at(&self, street: &str, house: &str) -> Option<i64> {
        self.by("street", &[street, house]).await
    }

    async fn by(&self, first: &str, values: &[&str]) -> Option<i64> {
        let entity = self.engine.schema().entity(ITEM);
        let leads = |index: &rowkeep_schema::Index| index.unique && entity.column(index.columns[0].0).field == first;
        let index = u16::try_from(entity.indexes.iter().position(leads).unwrap()).unwrap();
        let key: Key = values.iter().map(|value| Value::Text((*value).into())).collect();
        let found = self.rows.lookup(ITEM, index, &key, LIVE, &session()).await.unwrap();
        found.map(|record| match self.codecs.row(ITEM).decode(record.wire()).unwrap().values[0] {
            Value::Int(id) => id,
            _ => panic!("an id is a number"),
        })
    }

    fn name(&self, record: Option<Record>) -> Option<String> {
        record.map(|record| match &self.codecs.row(ITEM).decode(record.wire()).unwrap().values[1] {
            Value::Text(name) => name.to_string(),
            _ => panic!("a name is a text"),
        })
    }

    /// Writes a row through this process: makes it where it is not.
    pub(crate) async fn put(&self, id: i64, fields: serde_json::Value) {
        self.write(id, fields).await.unwrap();
    }

    pub(crate) fn write(
        &self,
        id: i64,
        fields: serde_json::Value,
    ) -> impl Future<Output = Result<(), Error>> + Send + 'static {
        let mut row = fields;
        row["id"] = json!(id);
        let operation = Operation::Update { row: self.wire(&row), mask: None, allow_missing: true, transforms: vec![] };
        let (engine, request) = (self.engine.clone(), commit(operation));
        async move { engine.commit(request, &Session::strong()).await.map(drop) }
    }

    /// Adds a row whose number the database gives.
    pub(crate) async fn create(&self, name: &str) -> i64 {
        let operation = Operation::Create { row: self.wire(&json!({ "name": name })) };
        let outcome = self.engine.commit(commit(operation), &Session::strong()).await.unwrap();
        let record = outcome.results[0].record.clone().unwrap();
        match self.codecs.row(ITEM).decode(record.wire()).unwrap().values[0] {
            Value::Int(id) => id,
            _ => panic!("an id is a number"),
        }
    }

    fn wire(&self, row: &serde_json::Value) -> bytes::Bytes {
        let message = self.engine.schema().entity(ITEM).message;
        let text = row.to_string();
        self.engine.codecs().json.from_json(message, text.as_bytes(), ReadOptions::default()).unwrap().wire.into()
    }

    /// Waits until this process has been told of everything that is committed now.
    pub(crate) async fn is_told(&self) {
        let session = Session::strong();
        self.rows.get(ITEM, &Key::one(Value::Int(0)), VIEW, &session).await.unwrap();
        let seen = session.seen();
        assert!(!seen.is_empty(), "the primary says where it is");
        until("the log is told", || self.cache.is_told(&seen)).await;
    }

    /// Reads a row until it is answered by the cache.
    pub(crate) async fn keeps(&self, id: i64) {
        for _ in 0..2000 {
            let hits = self.cache.hits();
            self.get(id).await;
            if self.cache.hits() > hits {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("row {id} is not kept");
    }
}

fn commit(operation: Operation) -> CommitRequest {
    let write = Write { entity: ITEM, operation, precondition: Precondition::default(), path: String::new() };
    CommitRequest { writes: vec![write], ..CommitRequest::default() }
}

/// Of somebody who has seen nothing.
fn session() -> Session {
    Session::new(Freshness::Session, Position::default())
}

/// Waits for a condition.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..10_000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("not within 10 seconds: {what}");
}

/// All of them.
pub(crate) struct Lab<'a> {
    pub(crate) one: Arc<Node>,
    pub(crate) other: Arc<Node>,
    pub(crate) cluster: &'a Cluster,
    /// The processes share one cache.
    pub(crate) is_shared: bool,
    database: String,
}

/// One server for all tests that need no replica.
fn shared(product: Product) -> &'static Cluster {
    static MARIADB: OnceLock<Cluster> = OnceLock::new();
    static MYSQL: OnceLock<Cluster> = OnceLock::new();
    let cluster = match product {
        Product::MariaDb => &MARIADB,
        Product::MySql => &MYSQL,
    };
    cluster.get_or_init(|| start(product, 0))
}

fn start(product: Product, replicas: usize) -> Cluster {
    let cluster = Cluster::start(product, replicas);
    (0..=replicas).for_each(|number| crate::allow(cluster.server(number)));
    cluster
}

impl<'a> Lab<'a> {
    /// Runs a test on databases of its own, with each place for a cache.
    pub(crate) fn run(product: Product, test: impl AsyncFn(Lab<'static>)) {
        Lab::over(shared(product), test);
    }

    /// The same on a server of its own that has a replica.
    pub(crate) fn with_replica(product: Product, test: impl AsyncFn(Lab<'_>)) {
        let cluster = start(product, 1);
        Lab::over(&cluster, test);
    }

    fn over(cluster: &'a Cluster, test: impl AsyncFn(Lab<'a>)) {
        Lab::over_caches(cluster, None, &test);
        Lab::over_caches(cluster, Some(&Redis::start()), &test);
    }

    fn over_caches(cluster: &'a Cluster, redis: Option<&Redis>, test: &impl AsyncFn(Lab<'a>)) {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let database = format!("test_stale_{}", MADE.fetch_add(1, Ordering::Relaxed));
        cluster.server(0).admin(&format!("CREATE DATABASE {database} CHARACTER SET utf8mb4"));
        cluster.catch_up();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let node = || Arc::new(Node::open(cluster, &database, redis, &runtime));
        let (one, other) = (node(), node());
        runtime.block_on(async {
            one.is_told().await;
            other.is_told().await;
            test(Lab { one, other, cluster, is_shared: redis.is_some(), database }).await;
        });
    }

    /// A SQL client.
    pub(crate) async fn console(&self) -> Connection {
        Connection::open(&self.cluster.server(0).url_of(&self.database).parse().unwrap()).await.unwrap()
    }

    /// Runs statements past both processes.
    pub(crate) async fn sql(&self, statements: &[&str]) {
        let mut console = self.console().await;
        for statement in statements {
            console.command(statement).await.unwrap();
        }
        console.close().await;
    }

    /// Waits until both have been told of everything.
    pub(crate) async fn are_told(&self) {
        self.one.is_told().await;
        self.other.is_told().await;
    }
}
