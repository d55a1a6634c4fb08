//! W5: a log that is ahead of what reads show, and one that has what was never shown.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rowkeep_engine::{Freshness, Position, Session};
use testkit::{Cluster, Product};

use crate::lab::{self, Instance, Writer};
use crate::{KEYS, runtime};

testkit::on_both_products! {
    w05_a_write_that_waits_for_a_replica_leaves_no_old_row
    w05_after_a_primary_died_every_row_is_what_the_new_one_has
    w05_what_waited_for_a_replica_when_its_primary_died_is_nowhere
}

#[test]
#[ignore = "long: a thousand writes that wait for a replica"]
fn w05_a_thousand_writes_that_wait_for_a_replica_leave_no_old_row() {
    for product in [Product::MariaDb, Product::MySql] {
        invert(product, 1000);
    }
}

fn w05_a_write_that_waits_for_a_replica_leaves_no_old_row(product: Product) {
    invert(product, 25);
}

/// A primary that shows nothing before a replica has it, whichever product's it is.
fn cluster(product: Product) -> Cluster {
    let cluster = crate::cluster(product, 1);
    if product == Product::MariaDb {
        cluster.server(0).admin("SET GLOBAL rpl_semi_sync_master_wait_point = AFTER_SYNC");
    }
    cluster
}

/// While a write is in the log and cannot be seen, everybody reads its row, again and again; once it can, nobody is shown the old one.
fn invert(product: Product, rounds: i64) {
    let (cluster, runtime) = (cluster(product), runtime());
    // The replica only confirms: reads of a process that is stopped would wait.
    let instances = [(); 2].map(|()| Instance::of(&cluster, [0], runtime.handle()));
    let mut writer = Writer::open(cluster.server(0));
    writer.fill(KEYS);
    instances.iter().for_each(|instance| runtime.block_on(instance.is_hot(1)));
    let anything = || Session::new(Freshness::Eventual, Position::default());
    for value in 1..=rounds {
        cluster.server(1).suspend();
        let is_answered = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                writer.run(&format!("UPDATE items SET value = {value} WHERE id = 1"));
                is_answered.store(true, Ordering::SeqCst);
            });
            let resumer = scope.spawn(|| {
                testkit::wait_until("the write waits", || waits(&cluster, product));
                cluster.server(1).resume();
            });
            runtime.block_on(async {
                while !is_answered.load(Ordering::SeqCst) {
                    for instance in &instances {
                        let shown = instance.value(1, &anything()).await;
                        assert!(shown == Some(value - 1) || shown == Some(value), "{shown:?} of {value}");
                        // So that it is read anew, from the database.
                        instance.value(1, &Session::strong()).await;
                    }
                    tokio::time::sleep(Duration::from_micros(200)).await;
                }
                for instance in &instances {
                    assert_eq!(instance.value(1, &Session::strong()).await, Some(value), "it was answered");
                    instance.is_told().await;
                    for _ in 0..10 {
                        assert_eq!(instance.value(1, &anything()).await, Some(value), "round {value}");
                    }
                }
            });
            resumer.join().unwrap();
        });
    }
}

/// Whether a write waits for a replica's word.
fn waits(cluster: &Cluster, product: Product) -> bool {
    let status = match product {
        Product::MySql => "Rpl_semi_sync_source_wait_sessions",
        Product::MariaDb => "Rpl_semi_sync_master_wait_sessions",
    };
    let answer = cluster.server(cluster.primary()).admin(&format!("SHOW GLOBAL STATUS LIKE '{status}'"));
    answer.split('\t').next_back() != Some("0")
}

/// Cuts the replica off, which is not waited for if `waits` is not set.
fn cut_off(cluster: &Cluster, product: Product, waits: bool) {
    let is_mysql = product == Product::MySql;
    cluster.server(1).admin(if is_mysql { "STOP REPLICA IO_THREAD" } else { "STOP SLAVE IO_THREAD" });
    if !waits {
        let semi_sync = if is_mysql { "rpl_semi_sync_source_enabled" } else { "rpl_semi_sync_master_enabled" };
        cluster.server(0).admin(&format!("SET GLOBAL {semi_sync} = OFF"));
    }
}

/// What lost commits left may be answered for so long after another server was made the primary.
const PHANTOM: Duration = Duration::from_secs(5);

/// The new primary's rows are answered soon, and go on to be.
async fn only_the_new_ones(instance: &Instance) {
    let promoted = Instant::now();
    let session = Session::new(Freshness::Eventual, Position::default());
    for id in 1..=KEYS {
        lab::until("the new primary's value", async || instance.value(id, &session).await == Some(0)).await;
    }
    assert!(promoted.elapsed() <= PHANTOM, "{:?}", promoted.elapsed());
    instance.is_hot(2).await;
    for _ in 0..1000 {
        assert_eq!(instance.value(2, &session).await, Some(0));
    }
}

fn w05_after_a_primary_died_every_row_is_what_the_new_one_has(product: Product) {
    let (cluster, runtime) = (cluster(product), runtime());
    let instance = Instance::open(&cluster, runtime.handle());
    let mut writer = Writer::open(cluster.server(0));
    writer.fill(KEYS);
    cluster.catch_up();
    runtime.block_on(instance.is_hot(1));
    // What the replica does not receive is read, kept, and lost.
    cut_off(&cluster, product, false);
    writer.run("UPDATE items SET value = 77");
    runtime.block_on(async {
        let session = Session::new(Freshness::Eventual, Position::default());
        lab::until("the lost value is kept", async || instance.value(2, &session).await == Some(77)).await;
    });
    cluster.kill9(0);
    cluster.promote(1);
    runtime.block_on(only_the_new_ones(&instance));
}

fn w05_what_waited_for_a_replica_when_its_primary_died_is_nowhere(product: Product) {
    let (cluster, runtime) = (cluster(product), runtime());
    let instance = Instance::open(&cluster, runtime.handle());
    let mut writer = Writer::open(cluster.server(0));
    writer.fill(KEYS);
    cluster.catch_up();
    runtime.block_on(instance.is_hot(1));
    cut_off(&cluster, product, true);
    std::thread::scope(|scope| {
        scope.spawn(|| assert!(writer.try_run("UPDATE items SET value = 77").is_err(), "nobody confirmed it"));
        testkit::wait_until("the write waits", || waits(&cluster, product));
        runtime.block_on(async {
            let session = Session::new(Freshness::Eventual, Position::default());
            for _ in 0..100 {
                assert_eq!(instance.value(2, &session).await, Some(0), "it cannot be seen");
            }
        });
        cluster.kill9(0);
    });
    cluster.promote(1);
    runtime.block_on(only_the_new_ones(&instance));
}
