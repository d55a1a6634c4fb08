//! Caches of two processes before one MySQL or MariaDB, with replicas that are behind and writers who know nothing of them: nobody
//! is answered what is older than they asked for.
#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]
#![allow(unreachable_pub, reason = "what is shared with other test files is public there")]
#![allow(clippy::print_stdout, reason = "how fast changes arrived, where a test is run alone")]

mod clients;
#[path = "../support/following.rs"]
mod following;
mod inversion;
mod lab;
mod redundant;
mod shared;

use std::time::{Duration, Instant};

use rowkeep_engine::{Freshness, Position, Session};
use testkit::{Cluster, Product};

use clients::{Clients, SOON, Told};
use lab::{Instance, Writer};
use shared::{
    nobody_reads_what_is_older_than_they_may_from_a_shared_cache_while_the_primary_is_switched,
    nobody_reads_what_is_older_than_they_may_while_the_shared_cache_fails, what_one_process_reads_another_has,
};

testkit::on_both_products! {
    nobody_reads_what_is_older_than_they_may_while_the_shared_cache_fails
    nobody_reads_what_is_older_than_they_may_from_a_shared_cache_while_the_primary_is_switched
    what_one_process_reads_another_has
    an_update_behind_the_stores_back_is_seen_soon
    nobody_reads_what_is_older_than_they_may
    nobody_reads_what_is_older_than_they_may_of_a_single_server
    reads_of_sessions_seldom_fall_back_to_the_primary
    nobody_reads_what_is_older_than_they_may_of_a_replica_that_is_late
    nobody_reads_what_is_older_than_they_may_while_the_primary_is_switched
    what_was_told_is_seen_by_whoever_reads_then
    what_was_answered_is_soon_seen_by_whoever_reads
    rows_that_are_not_there_are_seldom_looked_for_and_found_once_they_are
}

const KEYS: i64 = 10;
/// Reads of each freshness: none of so many that is wrong means that fewer than one of ten thousand is.
const PROBES: u64 = 30_000;
/// The same of a million.
const MANY_PROBES: u64 = 3_000_000;

fn cluster(product: Product, replicas: usize) -> Cluster {
    let cluster = Cluster::start(product, replicas);
    (0..=replicas).for_each(|number| following::allow(cluster.server(number), "app"));
    cluster
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn an_update_behind_the_stores_back_is_seen_soon(product: Product) {
    let (cluster, runtime) = (cluster(product, 0), runtime());
    let instance = Instance::open(&cluster, runtime.handle());
    let mut writer = Writer::open(cluster.server(0));
    writer.fill(KEYS);
    runtime.block_on(instance.is_hot(1));
    let mut times = Vec::new();
    for value in 1..=300 {
        writer.run(&format!("UPDATE items SET value = {value} WHERE id = 1"));
        let answered = Instant::now();
        runtime.block_on(async {
            let session = Session::new(Freshness::Eventual, Position::default());
            while instance.value(1, &session).await.unwrap() < value {
                assert!(answered.elapsed() < Duration::from_secs(5), "{value} is not seen");
                tokio::time::sleep(Duration::from_micros(100)).await;
            }
        });
        times.push(answered.elapsed());
    }
    times.sort_unstable();
    let stats = instance.near.as_ref().unwrap().stats();
    println!("{product:?}: seen after {:?} (half), {:?} (99 of 100); {stats:?}", times[150], times[297]);
    assert!(stats.hits > 300, "{stats:?}");
}

/// W2: who writes and then reads with the token, of any process and any copy, sees what was written.
fn nobody_reads_what_is_older_than_they_may(product: Product) {
    probe(product, 1, PROBES);
}

fn nobody_reads_what_is_older_than_they_may_of_a_single_server(product: Product) {
    probe(product, 0, PROBES);
}

#[test]
#[ignore = "long: three million reads of each freshness"]
fn nobody_reads_what_is_older_than_they_may_in_millions_of_reads() {
    let many = std::env::var("ROWKEEP_PROBES").ok().and_then(|text| text.parse().ok());
    for product in [Product::MariaDb, Product::MySql] {
        probe(product, 1, many.unwrap_or(MANY_PROBES));
    }
}

fn probe(product: Product, replicas: usize, probes: u64) {
    let (cluster, runtime) = (cluster(product, replicas), runtime());
    let clients = Clients::new(&cluster, KEYS, runtime.handle());
    let started = Instant::now();
    let told = runtime.block_on(clients.run(move |told| told.fewest() >= probes));
    println!("{product:?}, {replicas} replicas, {:?}: {told:?}", started.elapsed());
    assert!(told.hits() > probes / 10 && told.writes() > 100, "{told:?}");
    let late = told.late();
    assert!(late.is_some_and(|[_, later]| later == 0), "{late:?} of 10,000 after {SOON:?}: {told:?}");
}

/// W2: of a session's reads one of a hundred at most falls back to the primary.
fn reads_of_sessions_seldom_fall_back_to_the_primary(product: Product) {
    let (cluster, runtime) = (cluster(product, 1), runtime());
    let clients = Clients::new(&cluster, KEYS, runtime.handle()).of_sessions();
    let (progress, instances) = (clients.told(), clients.instances());
    // Nobody reads strongly, so that whatever the primary is asked was to be asked of the replica.
    let count = || {
        let sent = instances.iter().map(|instance| instance.sent());
        sent.fold([progress.session_reads(), 0, 0], |[reads, a, b], [c, d]| [reads, a + c, b + d])
    };
    let spans = std::thread::scope(|scope| {
        let progress = &progress;
        let measuring = scope.spawn(move || {
            // Of several spans, because a machine with other work is not in a steady state all the time.
            let mut spans = Vec::new();
            while spans.len() < 6 && !spans.iter().any(is_steady) {
                let before = count();
                testkit::wait_until("enough reads to count", || {
                    let now = count();
                    now[0] > before[0] + 5000 && now[1] + now[2] > before[1] + before[2] + 500
                });
                let after = count();
                spans.push([0, 1, 2].map(|at| after[at] - before[at]));
            }
            progress.end_after(1);
            spans
        });
        runtime.block_on(clients.run(Told::is_over));
        measuring.join().unwrap()
    });
    println!("{product:?}: {spans:?}; {progress:?}");
    assert!(spans.iter().any(is_steady), "reads, those of the primary, and those of the replica: {spans:?}");
    assert!(progress.writes() > 50, "{progress:?}");
}

/// Of all reads, those of the primary, and those of replicas.
fn is_steady([reads, primary, _]: &[u64; 3]) -> bool {
    primary * 100 <= *reads
}

/// W3: one client's reads, of two processes and a replica that is five seconds behind, never go back.
fn nobody_reads_what_is_older_than_they_may_of_a_replica_that_is_late(product: Product) {
    let (cluster, runtime) = (cluster(product, 1), runtime());
    let clients = Clients::new(&cluster, KEYS, runtime.handle());
    cluster.delay(1, 5);
    let told = runtime.block_on(clients.run(|told| told.fewest() >= 3000));
    println!("{product:?}: {told:?}");
    assert!(told.hits() > 300 && told.writes() > 100, "{told:?}");
}

fn nobody_reads_what_is_older_than_they_may_while_the_primary_is_switched(product: Product) {
    let (cluster, runtime) = (cluster(product, 1), runtime());
    let clients = Clients::new(&cluster, KEYS, runtime.handle());
    let told = std::thread::scope(|scope| {
        let progress = clients.told();
        let cluster = &cluster;
        let switching = scope.spawn(move || {
            testkit::wait_until("some reads", || progress.reads() > 2000);
            cluster.promote(1);
            let writes = progress.writes();
            testkit::wait_until("writes on the new primary", || progress.writes() > writes + 20);
            progress.end_after(progress.reads() + 4000);
        });
        let told = runtime.block_on(clients.run(Told::is_over));
        switching.join().unwrap();
        told
    });
    println!("{product:?}: {told:?}");
    assert!(told.hits() > 500, "{told:?}");
}

/// W4: once a write was told, nobody who asks for whatever there is gets an older version.
fn what_was_told_is_seen_by_whoever_reads_then(product: Product) {
    let (cluster, runtime) = (cluster(product, 1), runtime());
    let instances = [(); 2].map(|()| Instance::open(&cluster, runtime.handle()));
    let mut writer = Writer::open(cluster.server(0));
    writer.fill(KEYS);
    instances.iter().for_each(|instance| runtime.block_on(instance.is_hot(1)));
    for value in 1..=500 {
        let id = value % KEYS + 1;
        writer.run(&format!("UPDATE items SET value = {value} WHERE id = {id}"));
        runtime.block_on(async {
            for instance in &instances {
                instance.is_told().await;
                for _ in 0..3 {
                    let session = Session::new(Freshness::Eventual, Position::default());
                    assert_eq!(instance.value(id, &session).await, Some(value));
                }
            }
        });
    }
}

/// W4: without waiting for the log, one read of ten thousand at most lacks what was answered a tenth of a second ago, and none
/// what was answered a second ago.
fn what_was_answered_is_soon_seen_by_whoever_reads(product: Product) {
    let (cluster, runtime) = (cluster(product, 1), runtime());
    let clients = Clients::new(&cluster, KEYS, runtime.handle()).of_nobody();
    // Ten thousand reads in a row take a second or two, of which a machine with other work has some that are calm.
    let told = runtime.block_on(clients.run(|told| told.is_soon() || told.careless_reads() >= 500_000));
    println!("{product:?}: {told:?}");
    assert!(told.is_soon(), "{:?} of 10,000 after {SOON:?}: {told:?}", told.late());
    assert!(told.hits() > 1000 && told.writes() > 100, "{told:?}");
}

/// W12: of reads of rows that are not there, one of ten at most reaches the database; and a row that comes is found.
fn rows_that_are_not_there_are_seldom_looked_for_and_found_once_they_are(product: Product) {
    const ABSENT: std::ops::Range<i64> = 1000..3000;
    const READS: u64 = 40_000;
    let (cluster, runtime) = (cluster(product, 0), runtime());
    let instance = Instance::open(&cluster, runtime.handle());
    let mut writer = Writer::open(cluster.server(0));
    writer.fill(KEYS);
    let session = || Session::new(Freshness::Eventual, Position::default());
    runtime.block_on(instance.is_hot(1));
    let before = instance.near.as_ref().unwrap().stats();
    runtime.block_on(async {
        for _ in 0..READS {
            assert_eq!(instance.value(rand::random_range(ABSENT), &session()).await, None);
        }
    });
    let after = instance.near.as_ref().unwrap().stats();
    let asked = after.misses + after.bypasses - before.misses - before.bypasses;
    assert!(asked <= READS / 10, "{asked} reads of the database for {READS}");
    let came = rand::random_range(ABSENT);
    writer.run(&format!("INSERT INTO items (id, value, rowkeep_version) VALUES ({came}, 7, 1)"));
    runtime.block_on(async {
        instance.is_told().await;
        assert_eq!(instance.value(came, &session()).await, Some(7), "{came}");
    });
}
