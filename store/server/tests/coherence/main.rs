//! Caches of two processes before one MySQL or MariaDB, with replicas that are behind and writers who know nothing of them: nobody
//! is answered what is older than they asked for.
#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]
#![allow(unreachable_pub, reason = "what is shared with other test files is public there")]
#![allow(clippy::print_stdout, reason = "how fast changes arrived, where a test is run alone")]

mod clients;
#[path = "../support/following.rs"]
mod following;
mod lab;
mod shared;

use std::time::{Duration, Instant};

use rowkeep_engine::{Freshness, Position, Session};
use testkit::{Cluster, Product};

use clients::{Clients, Told};
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
    nobody_reads_what_is_older_than_they_may_while_the_primary_is_switched
    after_a_primary_died_every_row_is_what_the_new_one_has
}

const KEYS: i64 = 10;
const PROBES: u64 = 30_000;

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

fn nobody_reads_what_is_older_than_they_may(product: Product) {
    probe(product, 1);
}

fn nobody_reads_what_is_older_than_they_may_of_a_single_server(product: Product) {
    probe(product, 0);
}

fn probe(product: Product, replicas: usize) {
    let (cluster, runtime) = (cluster(product, replicas), runtime());
    let told = runtime.block_on(Clients::new(&cluster, KEYS, runtime.handle()).run(|told| told.reads() >= PROBES));
    println!("{product:?}: {told:?}");
    assert!(told.hits() > PROBES / 10 && told.writes() > 100, "{told:?}");
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

fn after_a_primary_died_every_row_is_what_the_new_one_has(product: Product) {
    let (cluster, runtime) = (cluster(product, 1), runtime());
    let instance = Instance::open(&cluster, runtime.handle());
    let mut writer = Writer::open(cluster.server(0));
    writer.fill(KEYS);
    cluster.catch_up();
    runtime.block_on(instance.is_hot(1));
    // What the replica does not receive is read, kept, and lost.
    let is_mysql = product == Product::MySql;
    cluster.server(1).admin(if is_mysql { "STOP REPLICA IO_THREAD" } else { "STOP SLAVE IO_THREAD" });
    let semi_sync = if is_mysql { "rpl_semi_sync_source_enabled" } else { "rpl_semi_sync_master_enabled" };
    cluster.server(0).admin(&format!("SET GLOBAL {semi_sync} = OFF"));
    writer.run("UPDATE items SET value = 77");
    runtime.block_on(async {
        let session = Session::new(Freshness::Eventual, Position::default());
        lab::until("the lost value is kept", async || instance.value(2, &session).await == Some(77)).await;
    });
    cluster.kill9(0);
    cluster.promote(1);
    runtime.block_on(async {
        let session = Session::new(Freshness::Eventual, Position::default());
        for id in 1..=KEYS {
            lab::until("the new primary's value", async || instance.value(id, &session).await == Some(0)).await;
        }
        // And it stays.
        instance.is_hot(2).await;
        for _ in 0..1000 {
            assert_eq!(instance.value(2, &session).await, Some(0));
        }
    });
}
