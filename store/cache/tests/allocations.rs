//! A hit allocates nothing and copies no row.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "how long a hit takes, where the test is run alone")]

mod support;

use std::alloc::System;
use std::sync::Arc;
use std::time::Instant;

use rowkeep_cache::CacheOptions;
use rowkeep_engine::{Freshness, LoadBatch, MemoryRows, OnConflict, Position, Rows, Session, Stored, View};
use rowkeep_record::{Key, Value};
use rowkeep_schema::{EntityId, compile_str};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const SCHEMA: &str = r#"
syntax = "proto3";
package allocations.v1;
import "rowkeep/v1/options.proto";
message Item {
  option (rowkeep.v1.entity) = {};
  string id = 1 [(rowkeep.v1.column).max_length = 40];
  string code = 2 [(rowkeep.v1.column) = { unique: true max_length: 20 }];
  string text = 3;
}
"#;
const ITEM: EntityId = EntityId(0);
const HITS: u32 = 10_000;

/// Allocations of as many hits, the least of several attempts: what follows the log allocates, too, now and then.
fn allocations(mut hit: impl FnMut()) -> usize {
    let attempt = |hit: &mut dyn FnMut()| {
        let region = Region::new(ALLOCATOR);
        (0..HITS).for_each(|_| hit());
        region.change().allocations
    };
    (0..20).map(|_| attempt(&mut hit)).min().unwrap()
}

#[tokio::test]
async fn a_hit_allocates_nothing() {
    let schema = Arc::new(compile_str(&[("allocations/v1/item.proto", SCHEMA)]).unwrap());
    let rows = MemoryRows::new(&schema);
    let cached = support::cached(Arc::clone(&rows) as _, &schema, CacheOptions::default());
    let id = "a key that is longer than what a value holds";
    let text = |text: &str| Value::Text(text.into());
    let stored =
        Stored { values: vec![text(&id[..40]), text("code"), text(&"x".repeat(200))], version: 1, deleted_at: None };
    let batch =
        LoadBatch { entity: ITEM, rows: vec![stored], on_conflict: OnConflict::Fail, remember: None, more: false };
    cached.load(batch).await.unwrap();
    let position = rows.position().unwrap();
    support::until("the log is told", || cached.is_told(&position)).await;

    let (key, absent, code) = (Key::one(text(&id[..40])), Key::one(text("absent")), Key::one(text("code")));
    let (view, live) = (View { now: 0, deleted: true }, View { now: 0, deleted: false });
    let session = Session::new(Freshness::Session, position);
    let none = Session::new(Freshness::Eventual, Position::default());
    let first = cached.get(ITEM, &key, view, &session).await.unwrap().unwrap();
    cached.get(ITEM, &absent, view, &session).await.unwrap();
    cached.lookup(ITEM, 0, &code, live, &session).await.unwrap();

    let hits_before = cached.stats().hits;
    let got = |key: &Key, session: &Session| cached.get(ITEM, key, view, session).try_now().ok().unwrap().unwrap();
    assert_eq!(allocations(|| drop(got(&key, &session))), 0);
    assert_eq!(allocations(|| drop(got(&key, &none))), 0);
    assert_eq!(allocations(|| assert!(got(&absent, &session).is_none())), 0);
    let looked = || cached.lookup(ITEM, 0, &code, live, &session).try_now().ok().unwrap().unwrap();
    assert_eq!(allocations(|| assert!(looked().is_some())), 0);
    assert!(cached.stats().hits >= hits_before + 4 * u64::from(HITS));
    // The row is where the first read put it.
    let second = got(&key, &session).unwrap();
    assert_eq!(second, first);
    assert_eq!(second.framed().as_ptr(), first.framed().as_ptr());

    let begun = Instant::now();
    (0..HITS * 10).for_each(|_| drop(got(&key, &session)));
    println!("{:?} for a hit", begun.elapsed() / (HITS * 10));
}
