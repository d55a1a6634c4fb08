//! What sessions see, and which server answers them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use rowkeep_engine::Freshness;
use rowkeep_sql::mysql::Role;
use testkit::{Cluster, Product, wait_until};

use super::lab::{Client, Lab, Stop};

testkit::on_both_products! {
    each_level_of_freshness_is_kept
    who_repeats_a_request_sees_what_it_did
    a_session_never_goes_back_whatever_becomes_of_replicas
    replicas_that_are_gone_are_read_around_and_used_again
    a_replica_with_writes_of_its_own_is_not_read_from
}

fn each_level_of_freshness_is_kept(product: Product) {
    let (cluster, lab) = Lab::settled(product);
    let writer = lab.client(Freshness::Session);
    writer.put(1, 1).unwrap();
    for freshness in [Freshness::Eventual, Freshness::Strong] {
        let reader = lab.client(freshness);
        wait_until("the row to arrive", || reader.get(1).unwrap() == Some(1));
    }
    cluster.stop_sql_thread(1);
    cluster.stop_sql_thread(2);
    writer.put(1, 2).unwrap();
    assert_eq!(writer.get(1).unwrap(), Some(2), "a session sees what it wrote");
    assert_eq!(lab.client(Freshness::Strong).get(1).unwrap(), Some(2));
    assert_eq!(lab.client(Freshness::Eventual).get(1).unwrap(), Some(1), "a replica answers, as far as it is");
    assert_eq!(lab.client(Freshness::Session).get(1).unwrap(), Some(1), "who has seen nothing needs nothing");
    let bounded = lab.client(Freshness::MaxStaleness(Duration::from_secs(1)));
    wait_until("the replicas to be known to be too old", || bounded.get(1).unwrap() == Some(2));
    let loose = lab.client(Freshness::MaxStaleness(Duration::from_secs(3600)));
    assert_eq!(loose.get(1).unwrap(), Some(1));
    cluster.start_sql_thread(1);
    let before = lab.reads();
    wait_until("a replica to be fresh enough", || {
        assert_eq!(bounded.get(1).unwrap(), Some(2));
        lab.reads()[1] > before[1]
    });
}

fn who_repeats_a_request_sees_what_it_did(product: Product) {
    let (cluster, lab) = Lab::settled(product);
    cluster.stop_sql_thread(1);
    cluster.stop_sql_thread(2);
    lab.client(Freshness::Session).put_as(Some("once"), 1, 1).unwrap();
    let again = lab.client(Freshness::Session);
    again.put_as(Some("once"), 1, 1).unwrap();
    assert_eq!(again.get(1).unwrap(), Some(1));
}

/// Clients that write their own rows and read all, each noting what it has seen.
struct Readers<'a> {
    lab: &'a Lab,
    written: Vec<AtomicI64>,
    stop: AtomicBool,
    reads: AtomicU64,
}

impl Readers<'_> {
    fn run(&self, own: usize) {
        let client = self.lab.client(Freshness::Session);
        let (mut seen, mut next) = (HashMap::new(), 0);
        while !self.stop.load(Ordering::Acquire) {
            next += 1;
            client.put(own as i64, next).unwrap();
            self.written[own].store(next, Ordering::Release);
            seen.insert(own, next);
            for _ in 0..8 {
                let id = rand::random_range(0..self.written.len());
                let value = client.get(id as i64).unwrap().unwrap_or(0);
                let least = seen.insert(id, value).unwrap_or(0);
                assert!(value >= least, "row {id}: {value} after {least} was seen");
                self.reads.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

fn a_session_never_goes_back_whatever_becomes_of_replicas(product: Product) {
    let (cluster, lab) = Lab::settled(product);
    let clients = 6;
    let readers = Readers {
        lab: &lab,
        written: (0..clients).map(|_| AtomicI64::new(0)).collect(),
        stop: AtomicBool::new(false),
        reads: AtomicU64::new(0),
    };
    std::thread::scope(|scope| {
        let stop = Stop(&readers.stop);
        let running: Vec<_> = (0..clients)
            .map(|own| {
                scope.spawn({
                    let readers = &readers;
                    move || readers.run(own)
                })
            })
            .collect();
        let calm = Duration::from_millis(1500);
        // Of several spans, because a machine with other work is not in a steady state all the time.
        let mut shares = Vec::new();
        while shares.len() < 6 && shares.iter().all(|share| *share > 0.01) {
            let count = || (readers.reads.load(Ordering::Relaxed), lab.store.stats().fallbacks);
            let (reads, fallbacks) = count();
            std::thread::sleep(calm);
            wait_until("enough reads to count", || count().0 > reads + 1000);
            let (reads, fallbacks) = (count().0 - reads, count().1 - fallbacks);
            shares.push(fallbacks as f64 / reads as f64);
        }
        cluster.delay(1, 5);
        std::thread::sleep(calm);
        cluster.stop_sql_thread(2);
        std::thread::sleep(calm);
        cluster.start_sql_thread(2);
        cluster.kill9(1);
        std::thread::sleep(calm);
        cluster.server(2).suspend();
        std::thread::sleep(calm);
        cluster.server(2).resume();
        std::thread::sleep(calm);
        drop(stop);
        for client in running {
            client.join().unwrap();
        }
        assert!(shares.iter().any(|share| *share <= 0.01), "shares that fell back to the primary: {shares:?}");
    });
}

fn within_a_second(client: &Client, id: i64) -> Option<i64> {
    let started = std::time::Instant::now();
    let value = client.get(id).unwrap();
    assert!(started.elapsed() < Duration::from_millis(1500), "{:?}", started.elapsed());
    value
}

fn replicas_that_are_gone_are_read_around_and_used_again(product: Product) {
    let (cluster, lab) = Lab::settled(product);
    let client = lab.client(Freshness::Session);
    client.put(1, 1).unwrap();
    let client = client.reading(Freshness::Eventual);
    cluster.kill9(1);
    for _ in 0..50 {
        within_a_second(&client, 1);
    }
    lab.settle(&[Role::Primary, Role::Down, Role::Replica]);
    cluster.server(2).suspend();
    for _ in 0..50 {
        assert_eq!(within_a_second(&client, 1), Some(1));
    }
    lab.settle(&[Role::Primary, Role::Down, Role::Down]);
    cluster.server(2).resume();
    cluster.restart(1);
    lab.settle(&[Role::Primary, Role::Replica, Role::Replica]);
    let before = lab.reads();
    wait_until("both to be read from", || {
        client.get(1).unwrap();
        let now = lab.reads();
        now[1] > before[1] && now[2] > before[2]
    });
    assert!(lab.store.servers()[1].ejections > 0);
}

fn a_replica_with_writes_of_its_own_is_not_read_from(product: Product) {
    let (cluster, lab) = Lab::settled(product);
    lab.client(Freshness::Session).put(1, 1).unwrap();
    let replica = cluster.server(1);
    wait_until("the row to arrive", || replica.admin("SELECT COUNT(*) FROM test.items") == "1");
    cluster.stop_sql_thread(1);
    replica.admin(&format!(
        "{}; INSERT INTO test.items (id, value, rowkeep_version) VALUES (2, 2, 1)",
        writable(&cluster)
    ));
    lab.settle(&[Role::Primary, Role::Diverged, Role::Replica]);
    let client = lab.client(Freshness::Eventual);
    for _ in 0..50 {
        assert_eq!(client.get(2).unwrap(), None);
    }
}

fn writable(cluster: &Cluster) -> &'static str {
    match cluster.server(1).product() {
        Product::MariaDb => "SET GLOBAL gtid_strict_mode = OFF",
        Product::MySql => "SET GLOBAL super_read_only = OFF",
    }
}
