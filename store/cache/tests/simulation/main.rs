//! The cache as it is, over a database, a replica and a log that are simulated: random schedules, every answer checked.
//!
//! One schedule is one seed. It runs on one thread with a clock that jumps, so a seed repeats it: `TEST_SEED=... cargo test -p
//! rowkeep-cache --test simulation`. A seed that fails is kept in `seeds.txt` and runs before all others from then on. Clients write and read through the cache with every consistency choice, and each answer is
//! held against all states that the database went through since what its reader may expect at least.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "what the schedules came to, where a test is run alone")]

mod check;
mod client;
mod database;
mod log;
mod remote;
mod seeds;
mod tx;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rowkeep_cache::remote::MemoryRemote;
use rowkeep_cache::{CacheOptions, CacheStats, Cached, Tier, TierOptions, TierStats};
use rowkeep_engine::{Engine, EngineOptions, Rows};
use rowkeep_record::Codecs;
use rowkeep_schema::{Schema, compile_str};

use client::{Client, Process};
use database::Database;
use log::Apart;
use remote::Faulty;

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
message Note {
  option (rowkeep.v1.entity) = {};
  int64 id = 1;
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
    /// The log ends now and then, and messages to a cache server are lost.
    faults: bool,
    /// Two processes share a cache server.
    shared: bool,
    /// Which forgets, or becomes what it was.
    misfortunes: bool,
    /// Answers are late, so that readers meet on their way.
    late: bool,
    memory: u64,
}

/// What the caches of a schedule did.
#[derive(Debug, Default)]
struct Did {
    near: CacheStats,
    shared: TierStats,
}

impl Did {
    fn add(&mut self, near: Option<CacheStats>, shared: Option<TierStats>) {
        let (near, shared) = (near.unwrap_or_default(), shared.unwrap_or_default());
        self.near.hits += near.hits;
        self.near.negative_hits += near.negative_hits;
        self.near.misses += near.misses;
        self.near.joined += near.joined;
        self.near.bypasses += near.bypasses;
        self.near.refused += near.refused;
        self.near.evictions += near.evictions;
        self.shared.hits += shared.hits;
        self.shared.negative_hits += shared.negative_hits;
        self.shared.misses += shared.misses;
        self.shared.awaited += shared.awaited;
        self.shared.bypasses += shared.bypasses;
        self.shared.refused += shared.refused;
        self.shared.unreadable += shared.unreadable;
        self.shared.failed += shared.failed;
    }
}

/// A process with its caches.
fn process(
    database: Arc<Database>,
    server: Option<&Arc<MemoryRemote>>,
    random: &mut StdRng,
) -> (Process, Option<Arc<Cached>>, Option<Arc<Tier>>) {
    let (fixture, plan, handle) = (fixture(), database.plan, tokio::runtime::Handle::current());
    let mut rows = Arc::clone(&database) as Arc<dyn Rows>;
    let options = CacheOptions {
        memory: plan.memory,
        max_lag: MAX_LAG,
        max_fills: 8,
        patience: Duration::from_millis(20),
        audit: None,
    };
    let tier = server.map(|server| {
        let remote = Arc::new(Faulty { database: Arc::clone(&database), server: Arc::clone(server) });
        let options = TierOptions { max_lag: MAX_LAG, max_fills: 8, patience: Duration::from_millis(20), audit: None };
        Tier::start(Arc::clone(&rows), remote, &fixture.schema, &fixture.codecs, options, &handle).unwrap()
    });
    let log = tier.as_ref().map_or_else(|| rows.changes().unwrap(), |tier| tier.log());
    if let Some(tier) = &tier {
        rows = Arc::clone(tier) as _;
    }
    let is_alone = random.random_bool(0.5);
    let near = if let Some(tier) = tier.as_ref().filter(|_| is_alone) {
        drop(tokio::spawn(Arc::clone(tier).follow()));
        None
    } else {
        let log = if tier.is_some() { Arc::new(Apart(Arc::clone(&database), log)) as _ } else { log };
        let near = Cached::follow(rows, log, &fixture.schema, &fixture.codecs, options, &handle);
        rows = Arc::clone(&near) as _;
        Some(near)
    };
    let engine_options = EngineOptions { token_key: [7; 32], ..EngineOptions::default() };
    let engine = Engine::new(Arc::clone(&fixture.schema), Arc::clone(&rows), engine_options).unwrap();
    (Process { database, cached: rows, engine }, near, tier)
}

/// Runs one schedule. Panics with what is wrong.
fn run(seed: u64, plan: Plan) -> Did {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut random = StdRng::seed_from_u64(seed);
        let database = Database::new(plan, random.random());
        let server = plan.shared.then(|| Arc::new(MemoryRemote::new(2)));
        let mut processes = vec![process(Arc::clone(&database), server.as_ref(), &mut random)];
        if plan.shared {
            processes.push(process(database.of_another_process(), server.as_ref(), &mut random));
        }
        let asked: Vec<Process> = processes.iter().map(|(process, ..)| process.clone()).collect();
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..plan.clients {
            tasks.spawn(Client::new(&asked, random.random()).run(plan.operations));
        }
        if plan.failovers {
            let most = if plan.shared { 1500 } else { 60 };
            let (database, pause) = (Arc::clone(&database), random.random_range(1..most));
            tasks.spawn(async move {
                tokio::time::sleep(Duration::from_millis(pause)).await;
                database.fail_over();
            });
        }
        if let Some(server) = server.filter(|_| plan.misfortunes) {
            drop(tokio::spawn(remote::misfortunes(Arc::clone(&database), server)));
        }
        while let Some(ended) = tasks.join_next().await {
            ended.unwrap();
        }
        let mut did = Did::default();
        for (_, near, tier) in &processes {
            did.add(near.as_ref().map(|near| near.stats()), tier.as_ref().map(|tier| tier.stats()));
        }
        did
    })
}

/// Runs the schedules that failed once and `count` new ones, and keeps the seed that fails.
fn schedules(test: &str, count: u64, plan: Plan) {
    let given = std::env::var("TEST_SEED").ok().map(|seed| seed.parse().expect("TEST_SEED is a number"));
    let first: u64 = given.unwrap_or_else(rand::random);
    let new = (0..if given.is_some() { 1 } else { count }).map(|at| first.wrapping_add(at));
    let (begun, mut all) = (Instant::now(), Did::default());
    for seed in seeds::kept(test).into_iter().filter(|_| given.is_none()).chain(new) {
        let did = std::panic::catch_unwind(|| run(seed, plan));
        let did = did.unwrap_or_else(|_| panic!("repeat it with TEST_SEED={seed}{}", seeds::keep(test, seed)));
        all.add(Some(did.near), Some(did.shared));
    }
    println!("{count} schedules in {:?}: {all:?}", begun.elapsed());
    // Schedules that never come to where it is difficult would show nothing.
    if given.is_none() {
        let Did { near, shared } = &all;
        assert!(near.hits > count && near.misses > count && near.refused > count / 100, "{all:?}");
        assert!(near.joined > count / 100 && near.negative_hits > count / 100, "{all:?}");
        if plan.shared {
            assert!(shared.hits > count && shared.misses > count && shared.refused > count / 100, "{all:?}");
            assert!(shared.awaited > count / 100 && shared.negative_hits > count / 100, "{all:?}");
        }
    }
}

const PLAN: Plan = Plan {
    clients: 4,
    operations: 12,
    replicas: false,
    failovers: false,
    faults: false,
    shared: false,
    misfortunes: false,
    late: false,
    memory: 1 << 20,
};
const SHARED: Plan = Plan { operations: 24, shared: true, ..PLAN };

/// Tests of so many new schedules each.
macro_rules! schedules {
    ($($name:ident: $count:literal of $plan:expr;)*) => {$(
        #[test]
        fn $name() {
            schedules(stringify!($name), $count, $plan);
        }
    )*};
}

schedules! {
    one_database: 3000 of PLAN;
    replicas_that_are_behind: 3000 of Plan { replicas: true, ..PLAN };
    a_new_primary_that_lost_commits: 3000 of Plan { replicas: true, failovers: true, ..PLAN };
    a_log_that_ends_and_begins_again: 1500 of Plan { replicas: true, failovers: true, faults: true, ..PLAN };
    a_memory_that_is_too_small: 1500 of Plan { replicas: true, failovers: true, memory: 800, ..PLAN };
    two_processes_that_share_a_server: 1000 of SHARED;
    a_shared_server_that_is_lost_and_goes_back_before_replicas_that_are_behind:
        1000 of Plan { replicas: true, misfortunes: true, ..SHARED };
    a_shared_server_and_a_new_primary_that_lost_commits: 1000 of Plan { replicas: true, failovers: true, ..SHARED };
    a_shared_server_to_which_messages_are_lost_or_late:
        1000 of Plan { replicas: true, failovers: true, faults: true, misfortunes: true, ..SHARED };
    a_shared_server_whose_answers_and_those_of_the_database_are_late:
        1000 of Plan { clients: 8, replicas: true, misfortunes: true, late: true, ..SHARED };
}
