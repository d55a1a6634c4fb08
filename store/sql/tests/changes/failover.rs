//! Another server becomes the primary: a history begins, and nothing that it has is missing.

use kit_core::Code;
use rowkeep_sql::mysql::{MySqlStore, Role};
use std::sync::Arc;
use testkit::{Cluster, Product};

use super::lab::{self, Writer, added};
use crate::support::mirror::{self, Mirror};

testkit::on_both_products! {
    a_planned_switch_leaves_nothing_out
    a_primary_that_dies_leaves_nothing_out
    commits_that_died_with_their_primary_end_the_follower
}

fn over(cluster: &Cluster) -> (Arc<MySqlStore>, Mirror) {
    let servers: Vec<_> = (0..=cluster.replicas().len()).map(|number| cluster.server(number)).collect();
    servers.iter().for_each(|server| allow(server));
    let store = lab::store(&servers);
    settle(&store, 0);
    let mirror = lab::mirror(&store);
    (store, mirror)
}

/// A replica takes no grants without being made to.
pub(crate) fn allow(server: &testkit::DatabaseServer) {
    let is_mysql = server.product() == Product::MySql;
    let was = server.admin("SELECT @@global.read_only");
    server.admin(if is_mysql {
        "SET GLOBAL super_read_only = OFF, GLOBAL read_only = OFF"
    } else {
        "SET GLOBAL read_only = OFF"
    });
    mirror::allow(server);
    if was == "1" {
        server.admin(if is_mysql { "SET GLOBAL super_read_only = ON" } else { "SET GLOBAL read_only = ON" });
    }
}

pub(crate) fn settle(store: &MySqlStore, primary: usize) {
    testkit::wait_until("the primary to be known", || store.servers()[primary].role == Role::Primary);
}

fn write(cluster: &Cluster, ids: std::ops::Range<i64>) {
    let mut writer = Writer::new(cluster.server(cluster.primary()));
    ids.for_each(|id| writer.add(id).unwrap());
}

fn a_planned_switch_leaves_nothing_out(product: Product) {
    let cluster = Cluster::start(product, 2);
    let (store, mut mirror) = over(&cluster);
    write(&cluster, 0..30);
    mirror.more().unwrap();
    cluster.promote(1);
    // Written before anybody follows the new one.
    write(&cluster, 30..60);
    settle(&store, 1);
    write(&cluster, 60..90);
    assert_eq!(mirror.check(), 90);
    assert_eq!(added(&mirror), (0..90).collect::<Vec<_>>());
    let [first, second] = mirror.histories[..] else { panic!("{:?}", mirror.histories) };
    assert_ne!(first, second, "another primary is another history");
    cluster.promote(0);
    write(&cluster, 90..100);
    settle(&store, 0);
    mirror.follow_again();
    assert_eq!(mirror.check(), 100);
    assert_eq!(added(&mirror), (0..100).collect::<Vec<_>>());
}

fn a_primary_that_dies_leaves_nothing_out(product: Product) {
    let cluster = Cluster::start(product, 2);
    let (store, mut mirror) = over(&cluster);
    write(&cluster, 0..30);
    mirror.more().unwrap();
    write(&cluster, 30..50);
    cluster.kill9(0);
    let next = cluster.most_advanced();
    cluster.promote(next);
    write(&cluster, 50..80);
    settle(&store, next);
    assert_eq!(mirror.check(), 80);
    assert_eq!(added(&mirror), (0..80).collect::<Vec<_>>());
    assert!(mirror.histories.len() >= 2);
}

fn commits_that_died_with_their_primary_end_the_follower(product: Product) {
    let cluster = Cluster::start(product, 1);
    let (store, mut mirror) = over(&cluster);
    write(&cluster, 0..10);
    cluster.catch_up();
    mirror.catch_up();
    // From here on the replica gets nothing, and nobody waits for it.
    let waits = if product == Product::MySql { "rpl_semi_sync_source_enabled" } else { "rpl_semi_sync_master_enabled" };
    cluster.server(0).admin(&format!("SET GLOBAL {waits} = 0"));
    cluster.server(1).admin("STOP REPLICA");
    write(&cluster, 10..20);
    mirror.catch_up();
    assert_eq!(added(&mirror).len(), 20);
    cluster.kill9(0);
    cluster.promote(1);
    write(&cluster, 100..105);
    settle(&store, 1);
    let error = loop {
        if let Err(error) = mirror.more() {
            break error;
        }
    };
    assert_eq!((error.code(), error.reason()), (Code::DataLoss, "CHANGES_LOST"), "{error}");
}
