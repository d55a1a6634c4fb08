//! What is answered from a server that processes share is held against the storage while it is.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use rowkeep_cache::remote::MemoryRemote;
use rowkeep_cache::{AuditStats, Tier, TierOptions};
use rowkeep_engine::{Freshness, LoadBatch, MemoryRows, OnConflict, Position, Rows, Session, Stored, View};
use rowkeep_record::{Key, Value};
use rowkeep_schema::{EntityId, Schema, compile_str};
use support::{Script, Slow, background, tier, until};

const SCHEMA: &str = r#"
syntax = "proto3";
package audit.v1;
import "rowkeep/v1/options.proto";
message Item {
  option (rowkeep.v1.entity) = {};
  int64 id = 1;
  string code = 2 [(rowkeep.v1.column) = { unique: true max_length: 20 }];
}
"#;
const ITEM: EntityId = EntityId(0);
const LIVE: View = View { now: 0, deleted: false };

fn schema() -> Schema {
    compile_str(&[("audit/v1/audit.proto", SCHEMA)]).unwrap_or_else(|errors| panic!("{errors}"))
}

/// A process without a cache in its memory.
struct Process {
    slow: Arc<Slow>,
    tier: Arc<Tier>,
}

impl Process {
    fn over(slow: Arc<Slow>, server: &Arc<MemoryRemote>, audit: Option<Duration>) -> Self {
        let long = Duration::from_secs(60);
        let options = TierOptions { max_lag: long, patience: long, audit, ..TierOptions::default() };
        let tier = tier(Arc::clone(&slow) as _, Arc::clone(server) as _, &schema(), options);
        drop(background().spawn(Arc::clone(&tier).follow()));
        Self { slow, tier }
    }

    async fn has(&self, id: i64) -> bool {
        let session = Session::new(Freshness::Eventual, Position::default());
        self.tier.get(ITEM, &Key::one(Value::Int(id)), LIVE, &session).await.unwrap().is_some()
    }

    async fn code_leads_to(&self, code: &str) -> bool {
        let session = Session::new(Freshness::Eventual, Position::default());
        self.tier.lookup(ITEM, 0, &Key::one(Value::Text(code.into())), LIVE, &session).await.unwrap().is_some()
    }

    /// Reads several rows in one go.
    async fn have(&self, ids: &[i64]) -> Vec<bool> {
        let (session, keys) = (Session::new(Freshness::Eventual, Position::default()), ids.iter());
        let keys: Vec<Key> = keys.map(|id| Key::one(Value::Int(*id))).collect();
        let found = self.tier.get_many(ITEM, &keys, LIVE, &session).await.unwrap();
        found.iter().map(Option::is_some).collect()
    }

    /// Reads a row until the server answers it.
    async fn is_kept(&self, id: i64) {
        let hits = self.tier.stats().hits;
        soon("the server answers", async || {
            self.has(id).await;
            self.tier.stats().hits > hits
        })
        .await;
    }

    fn audits(&self) -> AuditStats {
        self.tier.stats().audits
    }
}

fn item(id: i64, code: &str) -> LoadBatch {
    let values = vec![Value::Int(id), Value::Text(code.into())];
    let rows = vec![Stored { values, version: 1, deleted_at: None }];
    LoadBatch { entity: ITEM, rows, on_conflict: OnConflict::Replace, remember: None, more: false }
}

/// Asks until it is so.
async fn soon(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let asked = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let asked = tokio::time::timeout(Duration::from_secs(30), asked).await;
    assert!(asked.is_ok(), "not within 30 seconds: {what}");
}

/// Often enough for a test.
const OFTEN: Option<Duration> = Some(Duration::from_millis(1));

/// Two processes that share a server, before a log that leaves out what a test writes past them. The first one audits.
async fn forgetful() -> [Process; 2] {
    let (rows, server) = (MemoryRows::new(&Arc::new(schema())), Arc::new(MemoryRemote::new(1)));
    let mut processes = Vec::new();
    for audit in [OFTEN, None] {
        let script = Script::default();
        let slow = Slow::with_log(Arc::clone(&rows) as _, Duration::ZERO, Some(Arc::new(script.clone())));
        let process = Process::over(slow, &server, audit);
        script.begin();
        script.is_heard().await;
        until("the server is used", || process.tier.is_on()).await;
        processes.push(process);
    }
    processes.try_into().ok().expect("two")
}

#[tokio::test]
async fn an_entry_that_lacks_a_change_that_was_told_is_found_and_dropped_for_all() {
    let [one, other] = forgetful().await;
    one.slow.load(item(2, "b")).await.unwrap();
    for process in [&one, &other] {
        process.is_kept(1).await;
        process.is_kept(2).await;
        assert!(!process.has(1).await && process.has(2).await);
    }
    // Past the cache, and the log, which is said to be that far, does not tell it.
    one.slow.load(item(1, "a")).await.unwrap();
    assert!(!one.has(1).await && !other.has(1).await, "the server has the old row for both");
    soon("it is found", async || {
        one.has(1).await;
        one.audits().stale > 0
    })
    .await;
    for process in [&one, &other] {
        soon("it is dropped", async || process.has(1).await).await;
        process.is_kept(2).await;
        assert!(process.has(2).await);
    }
    let (mine, others) = (one.audits(), other.audits());
    assert!(mine.stale == 1 && mine.stale_per_million() > 0.0, "{mine:?}");
    assert_eq!(others, AuditStats::default(), "nobody wants it to look");
}

#[tokio::test]
async fn an_answer_among_several_and_one_by_unique_values_are_looked_at() {
    let [one, _other] = forgetful().await;
    assert!(!one.code_leads_to("a").await && one.have(&[1, 3]).await == [false, false]);
    one.is_kept(1).await;
    one.is_kept(3).await;
    one.slow.load(item(1, "a")).await.unwrap();
    soon("one among several is dropped", async || one.have(&[1, 3]).await[0]).await;
    assert_eq!(one.audits().stale, 1);
    soon("one by unique values is dropped", async || one.code_leads_to("a").await).await;
    assert_eq!(one.audits().stale, 2);
}

#[tokio::test]
async fn entries_that_change_all_the_time_are_found_to_be_right() {
    let (rows, server) = (MemoryRows::new(&Arc::new(schema())), Arc::new(MemoryRemote::new(3)));
    let process = Process::over(Slow::new(rows, Duration::ZERO), &server, OFTEN);
    until("the server is used", || process.tier.is_on()).await;
    let mut round = 0;
    while process.audits().right < 200 {
        round += 1;
        process.tier.load(item(round % 3, &format!("code-{round}"))).await.unwrap();
        for id in 0..5 {
            process.has(id).await;
        }
        process.code_leads_to("nobody").await;
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
    let stats = process.audits();
    assert_eq!(stats.stale, 0, "{stats:?}");
}
