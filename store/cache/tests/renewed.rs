//! What becomes of an entry when its row is told of: when what is told takes its place, and when it is dropped.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use rowkeep_cache::{CacheOptions, Cached};
use rowkeep_engine::{
    CommitRequest, Committed, Engine, EngineOptions, Freshness, LoadBatch, MemoryRows, OnConflict, Operation, Point,
    Position, Precondition, RowChange, Rows, Session, Stored, Told, View, Write,
};
use rowkeep_record::{Key, Value};
use rowkeep_schema::{EntityId, Schema, compile_str};
use support::{Script, Slow, cached, until};

const SCHEMA: &str = r#"
syntax = "proto3";
package renewed.v1;
import "google/protobuf/timestamp.proto";
import "rowkeep/v1/options.proto";
message Item {
  option (rowkeep.v1.entity) = {};
  int64 id = 1;
  string text = 2;
  string password = 3 [(rowkeep.v1.column).secret = true];
}
message Hidden {
  option (rowkeep.v1.entity) = { soft_delete: true };
  int64 id = 1;
  string text = 2;
}
message Lease {
  option (rowkeep.v1.entity) = { expire: "until" };
  int64 id = 1;
  google.protobuf.Timestamp until = 2;
}
"#;
const ITEM: EntityId = EntityId(0);
const HIDDEN: EntityId = EntityId(1);
const LEASE: EntityId = EntityId(2);
const VIEW: View = View { now: 0, deleted: false };

fn schema() -> Arc<Schema> {
    Arc::new(compile_str(&[("renewed/v1/renewed.proto", SCHEMA)]).unwrap_or_else(|errors| panic!("{errors}")))
}

struct Lab {
    slow: Arc<Slow>,
    cached: Arc<Cached>,
    script: Script,
}

/// A row with this id, of a version and with a text that names it.
fn row(entity: EntityId, id: i64, version: u64) -> Stored {
    let text = |text: &str| Value::Text(text.into());
    let name = text(&format!("v{version}"));
    let rest = match entity {
        ITEM => vec![name, text("secret")],
        HIDDEN => vec![name],
        _ => vec![Value::Int(1000)],
    };
    Stored { values: [vec![Value::Int(id)], rest].concat(), version, deleted_at: None }
}

fn change(entity: EntityId, id: i64, from: u64, to: u64) -> RowChange {
    RowChange { entity, before: Some(row(entity, id, from)), after: Some(row(entity, id, to)) }
}

impl Lab {
    /// Over one row of each entity, with version 5, which are kept; the log is told by the test.
    async fn new() -> Self {
        let (schema, script) = (schema(), Script::default());
        let slow = Slow::with_log(MemoryRows::new(&schema), Duration::ZERO, Some(Arc::new(script.clone())));
        let options = CacheOptions { max_lag: Duration::from_secs(60), ..CacheOptions::default() };
        let cached = cached(Arc::clone(&slow) as _, &schema, options);
        script.begin();
        script.is_heard().await;
        let lab = Self { slow, cached, script };
        for entity in [ITEM, HIDDEN, LEASE] {
            lab.store(row(entity, 1, 5), entity).await;
            assert_eq!(lab.found(entity, 1).await, (1, Some(5)));
            assert_eq!(lab.found(entity, 1).await, (0, Some(5)));
        }
        lab
    }

    /// Past the cache.
    async fn store(&self, row: Stored, entity: EntityId) {
        let on_conflict = OnConflict::Replace;
        let batch = LoadBatch { entity, rows: vec![row], on_conflict, remember: None, more: false };
        self.slow.load(batch).await.unwrap();
    }

    /// How often the storage is read for a row, and the version that is found.
    async fn found(&self, entity: EntityId, id: i64) -> (usize, Option<u64>) {
        let before = self.slow.reads();
        let session = Session::new(Freshness::Eventual, Position::default());
        let found = self.cached.get(entity, &Key::one(Value::Int(id)), VIEW, &session).await.unwrap();
        (self.slow.reads() - before, found.map(|record| record.version()))
    }

    async fn tell(&self, number: u64, changes: Vec<RowChange>, more: bool) {
        let place = Script::place(number);
        self.script.say(Ok(vec![Told::Commit(Arc::new(Committed { place, more, at: 0, changes }))]));
        self.script.is_heard().await;
    }
}

#[tokio::test]
async fn what_is_told_takes_the_place_of_what_is_kept() {
    let lab = Lab::new().await;
    lab.tell(101, vec![change(ITEM, 1, 5, 6), change(HIDDEN, 1, 5, 6)], false).await;
    assert_eq!(lab.found(ITEM, 1).await, (0, Some(6)));
    assert_eq!(lab.found(HIDDEN, 1).await, (0, Some(6)));
    // It is what a read shows, without what nobody is shown, and tells how far its reader has seen.
    let session = Session::new(Freshness::Eventual, Position::default());
    let told = lab.cached.get(ITEM, &Key::one(Value::Int(1)), VIEW, &session).await.unwrap();
    assert_eq!(session.seen().points(), [Point { source: 0, number: 101 }, Point { source: 0, number: 100 }]);
    lab.store(row(ITEM, 1, 6), ITEM).await;
    let read = lab.slow.get(ITEM, &Key::one(Value::Int(1)), VIEW, &Session::strong()).await.unwrap();
    assert_eq!(told, read);
    assert!(!told.unwrap().wire().windows(6).any(|bytes| bytes == b"secret"));
}

#[tokio::test]
async fn nothing_takes_the_place_of_what_is_not_kept() {
    let lab = Lab::new().await;
    lab.tell(101, vec![change(ITEM, 2, 5, 6)], false).await;
    lab.store(row(ITEM, 2, 6), ITEM).await;
    assert_eq!(lab.found(ITEM, 2).await, (1, Some(6)));
}

#[tokio::test]
async fn what_is_newer_than_what_is_told_stays() {
    let lab = Lab::new().await;
    lab.tell(101, vec![change(ITEM, 1, 3, 4)], false).await;
    assert_eq!(lab.found(ITEM, 1).await, (0, Some(5)));
    lab.tell(102, vec![change(ITEM, 1, 4, 5)], false).await;
    assert_eq!(lab.found(ITEM, 1).await, (0, Some(5)));
}

#[tokio::test]
async fn what_cannot_be_told_from_what_is_kept_drops_it() {
    let plain = |from, to| vec![change(ITEM, 1, from, to)];
    let of = |entity, change: RowChange| (entity, vec![change], false);
    let hidden = |mut change: RowChange| {
        change.after.as_mut().unwrap().deleted_at = Some(7);
        change
    };
    let gone = RowChange { after: None, ..change(ITEM, 1, 5, 6) };
    let come = RowChange { before: None, ..change(ITEM, 1, 5, 6) };
    let moved = RowChange { after: Some(row(ITEM, 2, 6)), ..change(ITEM, 1, 5, 6) };
    let twice = [plain(5, 6), plain(6, 6)].concat();
    for (what, (entity, changes, more)) in [
        ("changed in SQL", (ITEM, plain(5, 5), false)),
        ("set back", (ITEM, plain(5, 4), false)),
        ("twice in one commit", (ITEM, twice, false)),
        ("in parts", (ITEM, plain(5, 6), true)),
        ("too many to look through", (ITEM, [plain(5, 6), vec![change(ITEM, 9, 1, 2); 32]].concat(), false)),
        ("deleted", of(ITEM, gone)),
        ("added", of(ITEM, come)),
        ("with another key", of(ITEM, moved)),
        ("hidden", of(HIDDEN, hidden(change(HIDDEN, 1, 5, 6)))),
        ("that may have expired", of(LEASE, change(LEASE, 1, 5, 6))),
    ] {
        let lab = Lab::new().await;
        lab.tell(101, changes, more).await;
        assert_eq!(lab.found(entity, 1).await, (1, Some(5)), "{what}");
    }
}

#[tokio::test]
async fn what_this_process_wrote_is_kept_once_it_is_told() {
    let schema = schema();
    let slow = Slow::new(MemoryRows::new(&schema), Duration::ZERO);
    let cached = cached(Arc::clone(&slow) as _, &schema, CacheOptions::default());
    let engine = Engine::new(Arc::clone(&schema), Arc::clone(&cached) as _, EngineOptions::default()).unwrap();
    let told = async || {
        let position = slow.position().unwrap();
        until("the log is told", || cached.is_told(&position)).await;
    };
    let read = async || {
        let before = slow.reads();
        let session = Session::new(Freshness::Session, Position::default());
        let found = cached.get(ITEM, &Key::one(Value::Int(1)), VIEW, &session).await.unwrap();
        (slow.reads() - before, found.map(|record| record.wire().to_vec()))
    };
    told().await;
    for round in 0..5 {
        let wire = [&[0x08, 1, 0x12, 1], [b'a' + round].as_slice()].concat();
        let operation =
            Operation::Update { row: wire.clone().into(), mask: None, allow_missing: true, transforms: Vec::new() };
        let write = Write { entity: ITEM, operation, precondition: Precondition::default(), path: String::new() };
        let request = CommitRequest { writes: vec![write], ..CommitRequest::default() };
        engine.commit(request, &Session::strong()).await.unwrap();
        told().await;
        // The first time nothing was kept that it could take the place of.
        assert_eq!(read().await, (usize::from(round == 0), Some(wire)));
    }
}
