//! Which server is taken for the primary at the start.

use std::sync::OnceLock;

use rowkeep_engine::Freshness;
use rowkeep_sql::mysql::Role;
use testkit::{Cluster, Product};

use super::lab::{Lab, options};

testkit::on_both_products! {
    the_primary_is_found_whichever_server_is_named_first
    without_a_primary_each_server_says_what_it_is
    a_server_is_not_named_twice
}

fn cluster(product: Product) -> &'static Cluster {
    static MARIADB: OnceLock<Cluster> = OnceLock::new();
    static MYSQL: OnceLock<Cluster> = OnceLock::new();
    let cluster = match product {
        Product::MariaDb => &MARIADB,
        Product::MySql => &MYSQL,
    };
    cluster.get_or_init(|| Cluster::start(product, 1))
}

fn the_primary_is_found_whichever_server_is_named_first(product: Product) {
    let cluster = cluster(product);
    let lab = Lab::open(&options(&[cluster.server(1), cluster.server(0)])).unwrap();
    lab.settle(&[Role::Replica, Role::Primary]);
    let client = lab.client(Freshness::Session);
    client.put(1, 7).unwrap();
    assert_eq!(client.get(1).unwrap(), Some(7));
}

fn without_a_primary_each_server_says_what_it_is(product: Product) {
    let cluster = cluster(product);
    let replica = cluster.server(1);
    let mut options = options(&[replica]);
    options.replicas.push("mysql://app:nobody@127.0.0.1:1/test".parse().unwrap());
    let error = Lab::open(&options).err().unwrap();
    assert_eq!(error.reason(), "NO_PRIMARY");
    let expected =
        format!("mysql://app@127.0.0.1:{}/test: is read-only\n  mysql://app@127.0.0.1:1/test: ", replica.port());
    assert!(error.message().contains(&expected), "{error}");
}

fn a_server_is_not_named_twice(product: Product) {
    let cluster = cluster(product);
    let error = Lab::open(&options(&[cluster.server(0), cluster.server(0)])).err().unwrap();
    assert_eq!(error.reason(), "INVALID_REPLICA");
}
