//! The cache as it is, over a database, a replica and a log that are simulated: random schedules, every answer checked.
//!
//! One schedule is one seed. It runs on one thread with a clock that jumps, so a seed repeats it: `TEST_SEED=... cargo test -p
//! rowkeep-cache --test simulation`. Clients write and read through the cache with every consistency choice, and each answer is
//! held against all states that the database went through since what its reader may expect at least.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "what the schedules came to, where a test is run alone")]

mod check;
mod client;
mod database;
mod log;
mod tx;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rowkeep_cache::{CacheOptions, CacheStats, Cached};
use rowkeep_engine::{Engine, EngineOptions, Rows};
use rowkeep_record::Codecs;
use rowkeep_schema::{Schema, compile_str};

use client::Client;
use database::Database;

const SCHEMA: &str = r#"
syntax = "proto3";
package simulation.v1;
import "rowkeep/v1/options.proto";
message Item {
  option (rowkeep.v1.entity) = {};
  int64 id = 1;
  string code = 2 [(rowkeep.v1.column) = { unique: true max_length: 20 }];
  int64 value = 3;
}
"#;

/// What is the same in all schedules.
struct Fixture {
    schema: Arc<Schema>,
    codecs: Arc<Codecs>,
}

fn fixture() -> &'static Fixture {
    static FIXTURE: OnceLock<Fixture> = OnceLock::new();
    FIXTURE.get_or_init(|| {
        let schema = compile_str(&[("simulation/v1/item.proto", SCHEMA)]).unwrap_or_else(|errors| panic!("{errors}"));
        let codecs = Arc::new(Codecs::new(&schema));
        Fixture { schema: Arc::new(schema), codecs }
    })
}

/// How long the log may be silent.
const MAX_LAG: Duration = Duration::from_secs(2);

/// What may happen in a schedule.
#[derive(Debug, Clone, Copy)]
struct Plan {
    clients: usize,
    operations: usize,
    replicas: bool,
    failovers: bool,
    /// The log ends now and then.
    faults: bool,
    memory: u64,
}

/// Runs one schedule. Panics with what is wrong.
fn run(seed: u64, plan: Plan) -> CacheStats {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut random = StdRng::seed_from_u64(seed);
        let database = Database::new(plan, random.random());
        let (fixture, rows) = (fixture(), Arc::clone(&database) as Arc<dyn Rows>);
        let options =
            CacheOptions { memory: plan.memory, max_lag: MAX_LAG, max_fills: 8, patience: Duration::from_millis(20) };
        let handle = tokio::runtime::Handle::current();
        let cached = Cached::start(rows, &fixture.schema, &fixture.codecs, options, &handle).unwrap();
        let engine_options = EngineOptions { token_key: [7; 32], ..EngineOptions::default() };
        let engine = Engine::new(Arc::clone(&fixture.schema), Arc::clone(&cached) as _, engine_options).unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..plan.clients {
            let client = Client::new(&database, &cached, &engine, random.random());
            tasks.spawn(client.run(plan.operations));
        }
        if plan.failovers {
            let (database, pause) = (Arc::clone(&database), random.random_range(1..60));
            tasks.spawn(async move {
                tokio::time::sleep(Duration::from_millis(pause)).await;
                database.fail_over();
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended.unwrap();
        }
        cached.stats()
    })
}

/// Runs schedules and says which seed failed.
fn schedules(count: u64, plan: Plan) {
    let given = std::env::var("TEST_SEED").ok().map(|seed| seed.parse().expect("TEST_SEED is a number"));
    let first: u64 = given.unwrap_or_else(rand::random);
    let (begun, mut all) = (Instant::now(), CacheStats::default());
    for at in 0..if given.is_some() { 1 } else { count } {
        let seed = first.wrapping_add(at);
        let stats = std::panic::catch_unwind(|| run(seed, plan));
        let stats = stats.unwrap_or_else(|_| panic!("repeat it with TEST_SEED={seed}"));
        all.hits += stats.hits;
        all.negative_hits += stats.negative_hits;
        all.misses += stats.misses;
        all.joined += stats.joined;
        all.bypasses += stats.bypasses;
        all.refused += stats.refused;
        all.evictions += stats.evictions;
    }
    println!("{count} schedules in {:?}: {all:?}", begun.elapsed());
    // Schedules that never come to where it is difficult would show nothing.
    if given.is_none() {
        assert!(all.hits > count && all.misses > count && all.refused > count / 100, "{all:?}");
        assert!(all.joined > count / 100 && all.negative_hits > count / 100, "{all:?}");
    }
}

const PLAN: Plan =
    Plan { clients: 4, operations: 12, replicas: false, failovers: false, faults: false, memory: 1 << 20 };

#[test]
fn one_database() {
    schedules(3000, PLAN);
}

#[test]
fn replicas_that_are_behind() {
    schedules(3000, Plan { replicas: true, ..PLAN });
}

#[test]
fn a_new_primary_that_lost_commits() {
    schedules(3000, Plan { replicas: true, failovers: true, ..PLAN });
}

#[test]
fn a_log_that_ends_and_begins_again() {
    schedules(1500, Plan { replicas: true, failovers: true, faults: true, ..PLAN });
}

#[test]
fn a_memory_that_is_too_small() {
    schedules(1500, Plan { replicas: true, failovers: true, memory: 800, ..PLAN });
}
