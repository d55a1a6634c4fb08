//! Going on: behind a place that was kept, and after whatever breaks. Nothing is missing and nothing comes twice.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kit_core::Code;
use rowkeep_engine::{Place, Point, Since};
use rowkeep_mysql::Address;
use testkit::{DatabaseServer, FaultProxy, Product};

use super::lab::{self, Writer, added, schema};
use crate::support::mirror::Mirror;

testkit::on_both_products! {
    any_place_is_one_to_go_on_from
    a_follower_that_dies_again_and_again_misses_nothing
    a_server_that_is_killed_is_followed_on
    a_network_that_is_cut_loses_and_repeats_nothing
    what_was_purged_is_lost_and_not_passed_over
    a_place_of_another_log_is_none
}

fn any_place_is_one_to_go_on_from(product: Product) {
    let server = lab::server(product, &[]);
    let store = lab::store(&[&server]);
    let (mut mirror, mut writer) = (lab::mirror(&store), Writer::new(&server));
    mirror.more().unwrap();
    for round in 0..12_i64 {
        (round * 10..round * 10 + 5).for_each(|id| writer.add(id).unwrap());
        if round % 3 == 1 {
            server.admin("FLUSH BINARY LOGS");
        }
        (round * 10 + 5..round * 10 + 10).for_each(|id| writer.add(id).unwrap());
        // Some of it is taken in before the follower is dropped, or none.
        if round % 4 > 0 {
            mirror.more().unwrap();
        }
        mirror.follow_again();
    }
    assert_eq!(mirror.check(), 120);
    assert_eq!(added(&mirror), (0..120).collect::<Vec<_>>());
}

/// One row after the other, again if it is not known whether it was written.
struct Rows<'a> {
    server: &'a DatabaseServer,
    next: AtomicI64,
    stop: AtomicBool,
    answered: Mutex<Vec<i64>>,
}

impl<'a> Rows<'a> {
    fn new(server: &'a DatabaseServer) -> Self {
        Self { server, next: AtomicI64::new(0), stop: AtomicBool::new(false), answered: Mutex::default() }
    }

    fn write(&self) {
        while !self.stop.load(Ordering::Acquire) {
            if !self.server.is_running() {
                std::thread::sleep(Duration::from_millis(5));
                continue;
            }
            let written = std::panic::catch_unwind(|| {
                let mut writer = Writer::new(self.server);
                while !self.stop.load(Ordering::Acquire) {
                    let id = self.next.fetch_add(1, Ordering::AcqRel);
                    writer.add(id).unwrap();
                    self.answered.lock().unwrap().push(id);
                }
            });
            drop(written);
        }
    }

    fn count(&self) -> usize {
        self.answered.lock().unwrap().len()
    }

    fn wait_for(&self, more: usize) {
        let wanted = self.count() + more;
        testkit::wait_until("rows to be written", || self.count() >= wanted);
    }

    /// All that was answered was told, once and in order.
    fn check(&self, mirror: &mut Mirror) {
        let rows = mirror.check();
        let told = added(mirror);
        assert!(told.windows(2).all(|pair| pair[0] < pair[1]), "out of order, or twice");
        assert_eq!(told.len(), rows);
        for id in self.answered.lock().unwrap().iter() {
            assert!(told.binary_search(id).is_ok(), "{id} was answered and not told");
        }
    }
}

impl Drop for Rows<'_> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

fn a_follower_that_dies_again_and_again_misses_nothing(product: Product) {
    let server = lab::server(product, &["--max-binlog-size=65536"]);
    let store = lab::store(&[&server]);
    let mut mirror = lab::mirror(&store);
    let rows = Rows::new(&server);
    std::thread::scope(|scope| {
        (0..3).for_each(|_| drop(scope.spawn(|| rows.write())));
        mirror.more().unwrap();
        for round in 0..100 {
            (0..round % 4).for_each(|_| mirror.more().unwrap());
            mirror.follow_again();
        }
        rows.stop.store(true, Ordering::Release);
    });
    let count = mirror.check();
    let mut told = added(&mirror);
    told.sort_unstable();
    told.dedup();
    assert_eq!((told.len(), added(&mirror).len()), (count, count));
    assert_eq!(rows.count(), count);
}

fn a_server_that_is_killed_is_followed_on(product: Product) {
    let server = lab::server(product, &[]);
    let store = lab::store(&[&server]);
    let mut mirror = lab::mirror(&store);
    let rows = Rows::new(&server);
    std::thread::scope(|scope| {
        scope.spawn(|| rows.write());
        for round in 0..4 {
            rows.wait_for(40);
            mirror.more().unwrap();
            if round % 2 == 1 {
                mirror.follow_again();
            }
            server.kill9();
            server.restart();
        }
        rows.wait_for(40);
        rows.stop.store(true, Ordering::Release);
    });
    rows.check(&mut mirror);
}

fn a_network_that_is_cut_loses_and_repeats_nothing(product: Product) {
    let server = lab::server(product, &[]);
    let proxy = FaultProxy::start(SocketAddr::from((Ipv4Addr::LOCALHOST, server.port())));
    let address: Address = server.url().parse().unwrap();
    let store = lab::store_at(vec![Address { port: proxy.address().port(), ..address }]);
    let mut mirror = lab::mirror(&store);
    let rows = Rows::new(&server);
    std::thread::scope(|scope| {
        scope.spawn(|| rows.write());
        for _ in 0..10 {
            rows.wait_for(30);
            proxy.cut();
            rows.wait_for(10);
            proxy.heal();
            mirror.more().unwrap();
        }
        rows.stop.store(true, Ordering::Release);
    });
    rows.check(&mut mirror);
}

fn what_was_purged_is_lost_and_not_passed_over(product: Product) {
    let server = lab::server(product, &[]);
    let store = lab::store(&[&server]);
    let (mut mirror, mut writer) = (lab::mirror(&store), Writer::new(&server));
    writer.add(1).unwrap();
    mirror.catch_up();
    let place = mirror.place.clone().unwrap();
    drop(mirror);
    writer.add(2).unwrap();
    testkit::wait_until("the log to be purged", || {
        server.admin("FLUSH BINARY LOGS");
        let last = server.admin("SHOW BINARY LOGS").lines().last().unwrap().split('\t').next().unwrap().to_owned();
        server.admin(&format!("PURGE BINARY LOGS TO '{last}'"));
        server.admin("SHOW BINARY LOGS").lines().count() == 1
    });
    expect_lost(&store, place);
}

fn a_place_of_another_log_is_none(product: Product) {
    let server = lab::server(product, &[]);
    let store = lab::store(&[&server]);
    let base = match product {
        Product::MariaDb => "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5",
        Product::MySql => "0-1-5",
    };
    expect_lost(&store, Place { base: base.as_bytes().into(), point: Point { source: 0, number: 5 }, first: 5 });
    expect_lost(&store, Place { base: (*b"\xff|").into(), point: Point { source: 0, number: 5 }, first: 5 });
    // Of this product, and a history that this server never had.
    let base = match product {
        Product::MariaDb => "0-1-1000000",
        Product::MySql => "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5",
    };
    expect_lost(&store, Place { base: base.as_bytes().into(), point: Point { source: 0, number: 5 }, first: 5 });
}

fn expect_lost(store: &Arc<rowkeep_sql::mysql::MySqlStore>, place: Place) {
    let found = Mirror::since(store, &schema(), Since::Place(place));
    let error = found.and_then(|mut mirror| mirror.more()).unwrap_err();
    assert_eq!((error.code(), error.reason()), (Code::DataLoss, "CHANGES_LOST"), "{error}");
}
