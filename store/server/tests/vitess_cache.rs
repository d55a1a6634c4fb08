//! Two processes with a cache each before a keyspace of two shards, and somebody with a SQL client.
#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rowkeep_cache::{CacheOptions, Cached};
use rowkeep_engine::conformance::{EngineSurface, Subject};
use rowkeep_engine::{Engine, EngineOptions, Freshness, Rows, Session, View};
use rowkeep_mysql::Connection;
use rowkeep_record::{Codecs, Key, Value};
use rowkeep_schema::{EntityId, Schema, compile_str};
use rowkeep_sql::Allow;
use rowkeep_sql::mysql::{Database, MySqlStore, Options};
use serde_json::json;
use testkit::{Vitess, wait_until};
use tokio::runtime::{Builder, Runtime};

const ITEM: EntityId = EntityId(0);
const KEYSPACE: &str = "test_sharded_1";
const LIVE: View = View { now: 0, deleted: false };
/// Rows, which lie in both shards.
const ITEMS: i64 = 12;
const ROUNDS: i64 = 60;
const STALENESS: Duration = Duration::from_millis(800);
const SCHEMA: &str = r#"
syntax = "proto3";
package stale.v1;
import "rowkeep/v1/options.proto";
message Item {
  option (rowkeep.v1.entity) = {};
  int64 id = 1;
  int64 number = 2;
}
"#;

/// One process.
struct Node {
    cached: Arc<Cached>,
    codecs: Codecs,
    schema: Arc<Schema>,
}

impl Node {
    fn open(vitess: &Vitess, schema: &Arc<Schema>, runtime: &Runtime) -> Self {
        let database = Database::open(&Options::new(vitess.url_of(KEYSPACE).parse().unwrap())).unwrap();
        let plan = database.plan(schema).unwrap();
        database.apply(&plan, schema, &schema.snapshot(), &Allow::default()).unwrap();
        let codecs = Codecs::new(schema);
        let rows: Arc<dyn Rows> = MySqlStore::start(database, Arc::clone(schema), Arc::new(codecs.clone())).unwrap();
        let cached = Cached::start(rows, schema, &codecs, CacheOptions::default(), runtime.handle()).unwrap();
        Self { cached, codecs, schema: Arc::clone(schema) }
    }

    fn api(&self) -> Subject {
        let rows = Arc::clone(&self.cached) as Arc<dyn Rows>;
        let engine = Engine::new(Arc::clone(&self.schema), rows, EngineOptions::default()).unwrap();
        Subject::new(EngineSurface::new(engine, ()))
    }

    async fn number(&self, id: i64, freshness: Freshness) -> i64 {
        let (key, session) = (Key::one(Value::Int(id)), Session::new(freshness, rowkeep_engine::Position::default()));
        let found = self.cached.get(ITEM, &key, LIVE, &session).await.unwrap().unwrap();
        match self.codecs.row(ITEM).decode(found.wire()).unwrap().values[1] {
            Value::Int(number) => number,
            ref other => panic!("{other:?}"),
        }
    }
}

/// What was acknowledged of each row, and when.
struct Written(Vec<Mutex<Vec<(Instant, i64)>>>);

impl Written {
    fn of(&self, id: i64) -> std::sync::MutexGuard<'_, Vec<(Instant, i64)>> {
        self.0[usize::try_from(id).unwrap()].lock().unwrap()
    }

    /// The number that was acknowledged last by a moment.
    fn by(&self, id: i64, moment: Instant) -> i64 {
        let written = self.of(id);
        written.iter().rev().find(|(when, _)| *when <= moment).map_or(0, |(_, number)| *number)
    }
}

async fn read(node: &Node, written: &Written, stop: &AtomicBool, stale: &AtomicU32, number: i64) {
    let mut id = number;
    while !stop.load(Ordering::Acquire) {
        id = (id + 1) % ITEMS;
        let now = Instant::now();
        let (freshness, by) = match id % 4 {
            0 => (Freshness::Strong, Some(now)),
            1 => (Freshness::Session, Some(now)),
            2 => (Freshness::MaxStaleness(STALENESS), now.checked_sub(STALENESS)),
            _ => (Freshness::Eventual, None),
        };
        let least = by.map_or(0, |by| written.by(id, by));
        let found = node.number(id, freshness).await;
        stale.fetch_add(u32::from(found < least), Ordering::AcqRel);
        tokio::task::yield_now().await;
    }
}

#[test]
#[ignore = "needs Vitess, which takes minutes to build"]
fn nothing_is_staler_than_its_reader_chose_whoever_wrote_it() {
    let vitess = Vitess::start(0, 1);
    let schema = Arc::new(compile_str(&[("stale/v1/item.proto", SCHEMA)]).unwrap());
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let _inside = runtime.enter();
    let writer = Node::open(&vitess, &schema, &runtime);
    let reader = Arc::new(Node::open(&vitess, &schema, &runtime));
    let api = writer.api();
    for id in 0..ITEMS {
        api.create("Item", json!({ "id": id.to_string(), "number": "0" }));
    }
    let written = Arc::new(Written((0..ITEMS).map(|_| Mutex::default()).collect()));
    let (stop, stale) = (Arc::<AtomicBool>::default(), Arc::<AtomicU32>::default());
    let readers: Vec<_> = (0..6)
        .map(|number| {
            let (reader, written) = (Arc::clone(&reader), Arc::clone(&written));
            let (stop, stale) = (Arc::clone(&stop), Arc::clone(&stale));
            runtime.spawn(async move { read(&reader, &written, &stop, &stale, number).await })
        })
        .collect();
    let mut client = runtime.block_on(Connection::open(&vitess.url_of(KEYSPACE).parse().unwrap())).unwrap();
    for round in 1..=ROUNDS {
        for id in 0..ITEMS {
            if (round + id) % 2 == 0 {
                let row = json!({ "item": { "id": id.to_string(), "number": round.to_string() } });
                api.call("UpdateItem", row);
            } else {
                let sql = format!("UPDATE items SET number = {round} WHERE id = {id}");
                runtime.block_on(client.command(&sql)).unwrap();
            }
            written.of(id).push((Instant::now(), round));
        }
    }
    // What is kept comes to be what was written last, without anybody who asks for more.
    wait_until("the last of every row to be shown", || {
        let all = (0..ITEMS).all(|id| runtime.block_on(reader.number(id, Freshness::Eventual)) == ROUNDS);
        all && (0..ITEMS).all(|id| runtime.block_on(writer.number(id, Freshness::Eventual)) == ROUNDS)
    });
    stop.store(true, Ordering::Release);
    readers.into_iter().for_each(|task| runtime.block_on(task).unwrap());
    let stats = reader.cached.stats();
    assert_eq!(stale.load(Ordering::Acquire), 0, "reads that were staler than they asked: {stats:?}");
    assert!(stats.hits > 100, "the cache answered: {stats:?}");
}
