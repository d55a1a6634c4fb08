//! What a cache answers from memory and what it does not, and how often it asks its storage.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use kit_core::{Code, Error};
use rowkeep_cache::{CacheOptions, Cached};
use rowkeep_engine::{
    ChangeLog, Committed, Freshness, LoadBatch, MemoryRows, OnConflict, Point, Position, Rows, Session, Stored, Told,
    View,
};
use rowkeep_record::{Key, Value};
use rowkeep_schema::{EntityId, Schema, compile_str};
use support::{Script, Slow, background, cached, until};

const SCHEMA: &str = r#"
syntax = "proto3";
package cached.v1;
import "google/protobuf/timestamp.proto";
import "rowkeep/v1/options.proto";
message Item {
  option (rowkeep.v1.entity) = {};
  int64 id = 1;
  string code = 2 [(rowkeep.v1.column) = { unique: true max_length: 20 }];
}
message Lease {
  option (rowkeep.v1.entity) = { expire: "until" };
  int64 id = 1;
  google.protobuf.Timestamp until = 2;
}
message Loud {
  option (rowkeep.v1.entity) = { cache: { disabled: true } };
  int64 id = 1;
}
message Short {
  option (rowkeep.v1.entity) = { cache: { ttl: "1s" } };
  int64 id = 1;
}
"#;
const ITEM: EntityId = EntityId(0);
const LEASE: EntityId = EntityId(1);
const LOUD: EntityId = EntityId(2);
const SHORT: EntityId = EntityId(3);
const VIEW: View = View { now: 0, deleted: true };
const LIVE: View = View { now: 0, deleted: false };

fn schema() -> Schema {
    compile_str(&[("cached/v1/cached.proto", SCHEMA)]).unwrap_or_else(|errors| panic!("{errors}"))
}

struct Lab {
    slow: Arc<Slow>,
    cached: Arc<Cached>,
}

impl Lab {
    fn new(time: Duration, log: Option<Arc<dyn ChangeLog>>, options: CacheOptions) -> Self {
        let schema = Arc::new(schema());
        let slow = Slow::with_log(MemoryRows::new(&schema), time, log);
        let cached = cached(Arc::clone(&slow) as _, &schema, options);
        Self { slow, cached }
    }

    /// Over rows that answer at once, with a log that tells them.
    async fn quick() -> Self {
        let lab = Self::new(Duration::ZERO, None, CacheOptions::default());
        lab.told().await;
        lab
    }

    /// Waits until the log has told everything.
    async fn told(&self) {
        let position = self.slow.position().unwrap();
        until("the log is told", || self.cached.is_told(&position)).await;
    }

    async fn put(&self, entity: EntityId, values: Vec<Value>) {
        assert_eq!(self.cached.load(batch(entity, values)).await.unwrap().stored, 1);
    }

    async fn put_item(&self, id: i64, code: &str) {
        self.put(ITEM, vec![Value::Int(id), Value::Text(code.into())]).await;
    }

    async fn has(&self, entity: EntityId, id: i64, view: View, session: &Session) -> bool {
        self.cached.get(entity, &Key::one(Value::Int(id)), view, session).await.unwrap().is_some()
    }

    /// How often the storage is read by a read.
    async fn reads(&self, entity: EntityId, id: i64, freshness: Freshness) -> usize {
        let before = self.slow.reads();
        self.has(entity, id, VIEW, &Session::new(freshness, Position::default())).await;
        self.slow.reads() - before
    }

    async fn code_leads_to(&self, code: &str) -> Option<u64> {
        let (values, session) =
            (Key::one(Value::Text(code.into())), Session::new(Freshness::Session, Position::default()));
        self.cached.lookup(ITEM, 0, &values, LIVE, &session).await.unwrap().map(|record| record.version())
    }
}

fn batch(entity: EntityId, values: Vec<Value>) -> LoadBatch {
    let rows = vec![Stored { values, version: 1, deleted_at: None }];
    LoadBatch { entity, rows, on_conflict: OnConflict::Replace, remember: None, more: false }
}

#[tokio::test]
async fn what_was_read_is_answered_from_memory_except_to_who_wants_it_from_the_storage() {
    let lab = Lab::quick().await;
    lab.put_item(1, "a").await;
    lab.told().await;
    assert_eq!(lab.reads(ITEM, 1, Freshness::Session).await, 1);
    for freshness in [Freshness::Session, Freshness::Eventual, Freshness::MaxStaleness(Duration::from_secs(5))] {
        assert_eq!(lab.reads(ITEM, 1, freshness).await, 0, "{freshness:?}");
    }
    assert_eq!(lab.reads(ITEM, 1, Freshness::Strong).await, 1);
    assert_eq!(lab.reads(ITEM, 1, Freshness::MaxStaleness(Duration::ZERO)).await, 1);
    // That there is none is known, too.
    assert_eq!((lab.reads(ITEM, 2, Freshness::Session).await, lab.reads(ITEM, 2, Freshness::Session).await), (1, 0));
    let stats = lab.cached.stats();
    assert_eq!((stats.hits, stats.negative_hits, stats.misses, stats.bypasses), (4, 1, 2, 2), "{stats:?}");
    assert!(stats.entries == 2 && stats.bytes > 100, "{stats:?}");
}

#[tokio::test]
async fn an_entity_that_is_not_to_be_cached_is_not() {
    let lab = Lab::quick().await;
    lab.put(LOUD, vec![Value::Int(1)]).await;
    lab.told().await;
    for _ in 0..3 {
        assert_eq!(lab.reads(LOUD, 1, Freshness::Eventual).await, 1);
    }
}

#[tokio::test]
async fn a_write_is_seen_by_everybody_before_its_writer_is_answered() {
    let lab = Lab::quick().await;
    let session = Session::new(Freshness::Eventual, Position::default());
    assert!(!lab.has(ITEM, 7, VIEW, &session).await && lab.code_leads_to("b").await.is_none());
    for round in 0..200 {
        let (old, new) = if round % 2 == 0 { ("a", "b") } else { ("b", "a") };
        lab.put_item(7, new).await;
        // The log has most likely not told it yet.
        assert!(lab.has(ITEM, 7, VIEW, &session).await);
        let (there, gone) = (lab.code_leads_to(new).await, lab.code_leads_to(old).await);
        assert!(there.is_some() && gone.is_none(), "{round}: {there:?} {gone:?}");
    }
}

#[tokio::test]
async fn a_lookup_takes_two_reads_and_then_none() {
    let lab = Lab::quick().await;
    lab.put_item(1, "a").await;
    lab.told().await;
    let before = lab.slow.reads();
    for reads in [1, 2, 2, 2] {
        assert!(lab.code_leads_to("a").await.is_some());
        assert_eq!(lab.slow.reads() - before, reads);
    }
    let before = lab.slow.reads();
    assert!(lab.code_leads_to("b").await.is_none() && lab.code_leads_to("b").await.is_none());
    assert_eq!(lab.slow.reads() - before, 1);
}

#[tokio::test]
async fn an_entry_is_not_served_once_it_has_expired() {
    let lab = Lab::quick().await;
    lab.put(LEASE, vec![Value::Int(1), Value::Int(1000)]).await;
    lab.told().await;
    let session = Session::new(Freshness::Session, Position::default());
    let at = |now| View { now, deleted: true };
    assert!(lab.has(LEASE, 1, at(900), &session).await && lab.has(LEASE, 1, at(999), &session).await);
    let before = lab.slow.reads();
    assert!(!lab.has(LEASE, 1, at(1000), &session).await && !lab.has(LEASE, 1, at(2000), &session).await);
    assert_eq!(lab.slow.reads() - before, 1, "that it has expired is known then");
    // A clock that went back finds the row again.
    assert!(lab.has(LEASE, 1, at(950), &session).await);
}

#[tokio::test]
async fn an_entry_is_read_again_after_its_time_to_live() {
    let lab = Lab::quick().await;
    assert_eq!(
        (lab.reads(SHORT, 1, Freshness::Eventual).await, lab.reads(SHORT, 1, Freshness::Eventual).await),
        (1, 0)
    );
    let begun = Instant::now();
    while lab.reads(SHORT, 1, Freshness::Eventual).await == 0 {
        assert!(begun.elapsed() < Duration::from_secs(3));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(begun.elapsed() > Duration::from_millis(500), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_thousand_readers_of_one_cold_row_are_one_read() {
    let lab = Arc::new(Lab::new(Duration::from_millis(300), None, CacheOptions::default()));
    lab.put_item(1, "a").await;
    lab.told().await;
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..1000 {
        let lab = Arc::clone(&lab);
        readers
            .spawn(async move { lab.has(ITEM, 1, VIEW, &Session::new(Freshness::Session, Position::default())).await });
    }
    while let Some(found) = readers.join_next().await {
        assert!(found.unwrap());
    }
    assert_eq!(lab.slow.reads(), 1);
    assert_eq!((lab.cached.stats().misses, lab.cached.stats().joined), (1, 999));
}

#[tokio::test]
async fn a_row_arrives_though_who_asked_first_gave_up() {
    let lab = Arc::new(Lab::new(Duration::from_millis(200), None, CacheOptions::default()));
    lab.put_item(1, "a").await;
    lab.told().await;
    let session = Session::new(Freshness::Session, Position::default());
    let first = lab.has(ITEM, 1, VIEW, &session);
    tokio::time::timeout(Duration::from_millis(20), first).await.unwrap_err();
    assert!(lab.has(ITEM, 1, VIEW, &session).await);
    assert_eq!((lab.slow.reads(), lab.cached.stats().joined), (1, 1));
    assert_eq!(lab.reads(ITEM, 1, Freshness::Session).await, 0);
}

#[tokio::test]
async fn who_waits_too_long_reads_for_himself() {
    let options = CacheOptions { patience: Duration::from_millis(20), ..CacheOptions::default() };
    let lab = Arc::new(Lab::new(Duration::from_millis(300), None, options));
    lab.put_item(1, "a").await;
    lab.told().await;
    let (one, other) = (Session::new(Freshness::Session, Position::default()), Session::strong());
    let other = Session::new(Freshness::Session, other.seen());
    let both = tokio::join!(lab.has(ITEM, 1, VIEW, &one), lab.has(ITEM, 1, VIEW, &other));
    assert_eq!((both, lab.slow.reads()), ((true, true), 2));
}

#[tokio::test]
async fn rows_on_their_way_are_bounded() {
    let options = CacheOptions { max_fills: 2, ..CacheOptions::default() };
    let lab = Arc::new(Lab::new(Duration::from_millis(50), None, options));
    lab.told().await;
    let session = Session::new(Freshness::Session, Position::default());
    let reads = (lab.has(ITEM, 1, VIEW, &session), lab.has(ITEM, 2, VIEW, &session), lab.has(ITEM, 3, VIEW, &session));
    let _ = tokio::join!(reads.0, reads.1, reads.2);
    let stats = lab.cached.stats();
    assert_eq!((stats.misses, stats.bypasses, stats.entries), (2, 1, 2), "{stats:?}");
    assert_eq!(lab.reads(ITEM, 3, Freshness::Session).await, 1, "there is room again");
}

#[tokio::test]
async fn memory_is_bounded() {
    let options = CacheOptions { memory: 100_000, ..CacheOptions::default() };
    let lab = Lab::new(Duration::ZERO, None, options);
    lab.told().await;
    for id in 0..5000 {
        lab.reads(ITEM, id, Freshness::Eventual).await;
        assert!(lab.cached.stats().bytes <= 100_000);
    }
    let stats = lab.cached.stats();
    assert!(stats.evictions > 3000 && stats.entries > 50, "{stats:?}");
}

async fn scripted(max_lag: Duration) -> (Lab, Script) {
    scripted_with(CacheOptions { max_lag, ..CacheOptions::default() })
}

fn scripted_with(options: CacheOptions) -> (Lab, Script) {
    let script = Script::default();
    (Lab::new(Duration::ZERO, Some(Arc::new(script.clone())), options), script)
}

#[tokio::test]
async fn nothing_is_answered_from_memory_before_the_log_is_known() {
    let (lab, script) = scripted(Duration::from_secs(60)).await;
    for _ in 0..3 {
        assert_eq!(lab.reads(ITEM, 1, Freshness::Eventual).await, 1);
    }
    script.begin();
    script.is_heard().await;
    assert_eq!((lab.reads(ITEM, 1, Freshness::Eventual).await, lab.reads(ITEM, 1, Freshness::Eventual).await), (1, 0));
}

#[tokio::test]
async fn nothing_is_answered_from_memory_while_the_log_is_silent() {
    let (lab, script) = scripted(Duration::from_millis(300)).await;
    script.begin();
    script.is_heard().await;
    lab.reads(ITEM, 1, Freshness::Eventual).await;
    let begun = Instant::now();
    while lab.reads(ITEM, 1, Freshness::Eventual).await == 0 {
        assert!(begun.elapsed() < Duration::from_secs(3));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // What was kept is still right once the log is heard again.
    script.current();
    script.is_heard().await;
    assert_eq!(lab.reads(ITEM, 1, Freshness::Eventual).await, 0);
}

#[tokio::test]
async fn a_new_history_a_lost_log_and_a_rewritten_table_empty_the_cache() {
    let (lab, script) = scripted(Duration::from_secs(60)).await;
    let lost = || Error::new(Code::DataLoss, "CHANGES_LOST", "the log does not reach back");
    let rewritten = |entity| Ok(vec![Told::Rewritten { entity, place: Script::place(100), more: false }]);
    script.begin();
    script.is_heard().await;
    for (what, items, empties) in [
        ("a new history", 0, true),
        ("a lost log", 1, true),
        ("all tables", 2, true),
        ("this table", 3, true),
        ("another table", 4, false),
    ] {
        lab.reads(ITEM, 1, Freshness::Eventual).await;
        assert_eq!(lab.reads(ITEM, 1, Freshness::Eventual).await, 0, "{what}");
        match items {
            0 => script.begin(),
            1 => {
                script.say(Err(lost()));
                script.begin();
            }
            2 => script.say(rewritten(None)),
            3 => script.say(rewritten(Some(ITEM))),
            _ => script.say(rewritten(Some(LOUD))),
        }
        script.is_heard().await;
        assert_eq!(lab.reads(ITEM, 1, Freshness::Eventual).await, usize::from(empties), "{what}");
    }
}

#[tokio::test]
async fn a_session_that_has_seen_more_than_was_told_is_answered_by_the_storage() {
    let (lab, script) = scripted(Duration::from_secs(60)).await;
    script.begin();
    script.is_heard().await;
    lab.reads(ITEM, 1, Freshness::Session).await;
    let seen = |number| Session::new(Freshness::Session, Point { source: 0, number }.into());
    let before = lab.slow.reads();
    lab.has(ITEM, 1, VIEW, &seen(100)).await;
    assert_eq!(lab.slow.reads() - before, 0);
    lab.has(ITEM, 1, VIEW, &seen(101)).await;
    assert_eq!(lab.slow.reads() - before, 1);
    script.say(Ok(vec![Told::Current { moment: Instant::now(), place: Script::place(101) }]));
    script.is_heard().await;
    lab.has(ITEM, 1, VIEW, &seen(101)).await;
    assert_eq!(lab.slow.reads() - before, 1);
}

#[tokio::test]
async fn a_session_that_has_seen_a_commit_is_answered_by_the_storage_until_its_last_part_was_told() {
    let (lab, script) = scripted(Duration::from_secs(60)).await;
    script.begin();
    script.is_heard().await;
    lab.reads(ITEM, 1, Freshness::Session).await;
    let seen = Session::new(Freshness::Session, Point { source: 0, number: 101 }.into());
    let place = || Script::place(101);
    let part = |more| Told::Commit(Arc::new(Committed { place: place(), more, at: 0, changes: Vec::new() }));
    let rewritten = |more| Told::Rewritten { entity: Some(LOUD), place: place(), more };
    for (told, is_from_storage) in [
        (part(true), true),
        (rewritten(true), true),
        (part(true), true),
        (rewritten(true), true),
        (rewritten(false), false),
    ] {
        let (before, what) = (lab.slow.reads(), format!("{told:?}"));
        script.say(Ok(vec![told]));
        script.is_heard().await;
        lab.has(ITEM, 1, VIEW, &seen).await;
        assert_eq!(lab.slow.reads() - before, usize::from(is_from_storage), "{what}");
    }
}

/// Often enough for a test.
fn audited() -> CacheOptions {
    let long = Duration::from_secs(60);
    CacheOptions { audit: Some(Duration::from_millis(1)), max_lag: long, ..CacheOptions::default() }
}

#[tokio::test]
async fn an_entry_that_lacks_a_change_that_was_told_is_found_and_dropped() {
    let (lab, script) = scripted_with(audited());
    script.begin();
    script.is_heard().await;
    let session = || Session::new(Freshness::Eventual, Position::default());
    lab.put_item(2, "b").await;
    assert!(!lab.has(ITEM, 1, LIVE, &session()).await && lab.has(ITEM, 2, LIVE, &session()).await);
    // Past the cache, and the log, which is said to be that far, does not tell it.
    lab.slow.load(batch(ITEM, vec![Value::Int(1), Value::Text("a".into())])).await.unwrap();
    while lab.cached.stats().audits.stale == 0 {
        lab.has(ITEM, 1, LIVE, &session()).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    until("it is dropped", || lab.cached.stats().audits.stale == 1).await;
    while !lab.has(ITEM, 1, LIVE, &session()).await {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(lab.has(ITEM, 2, LIVE, &session()).await);
    let stats = lab.cached.stats();
    assert!(stats.audits.stale_per_million() > 0.0 && stats.audits.stale == 1, "{stats:?}");
}

#[tokio::test]
async fn entries_that_change_all_the_time_are_found_to_be_right() {
    let lab = Lab::new(Duration::ZERO, None, audited());
    lab.told().await;
    let session = || Session::new(Freshness::Eventual, Position::default());
    let mut round = 0;
    while lab.cached.stats().audits.right < 200 {
        round += 1;
        lab.put_item(round % 3, &format!("code-{round}")).await;
        for id in 0..5 {
            lab.has(ITEM, id, LIVE, &session()).await;
        }
        lab.code_leads_to("nobody").await;
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
    let stats = lab.cached.stats();
    assert_eq!(stats.audits.stale, 0, "{stats:?}");
}

#[test]
fn a_storage_without_a_log_has_no_cache() {
    let schema = Arc::new(schema());
    let rows = Slow::without_log(MemoryRows::new(&schema));
    let codecs = rowkeep_record::Codecs::new(&schema);
    let started = Cached::start(rows, &schema, &codecs, CacheOptions::default(), background().handle());
    assert_eq!(started.err().unwrap().reason(), "NO_CHANGE_LOG");
}
