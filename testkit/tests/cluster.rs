//! Replication on both products.

use testkit::{Cluster, DatabaseServer, Product, wait_until};

testkit::on_both_products! {
    what_the_primary_writes_arrives_at_every_replica
    an_answered_write_survives_the_primary
    a_primary_hands_over_and_follows
}

fn make_table(cluster: &Cluster) {
    cluster.server(cluster.primary()).admin("CREATE TABLE test.kept (id INT PRIMARY KEY)");
}

fn write(cluster: &Cluster, id: u32) {
    cluster.server(cluster.primary()).admin(&format!("INSERT INTO test.kept VALUES ({id})"));
}

fn rows(server: &DatabaseServer) -> String {
    server.admin("SELECT COALESCE(GROUP_CONCAT(id ORDER BY id), '') FROM test.kept")
}

fn arrives(cluster: &Cluster, number: usize, expected: &str) {
    wait_until("a row to arrive", || rows(cluster.server(number)) == expected);
}

fn what_the_primary_writes_arrives_at_every_replica(product: Product) {
    let cluster = Cluster::start(product, 2);
    make_table(&cluster);
    write(&cluster, 1);
    for replica in cluster.replicas() {
        arrives(&cluster, replica, "1");
    }
    cluster.stop_sql_thread(1);
    write(&cluster, 2);
    arrives(&cluster, 2, "1,2");
    assert_eq!(rows(cluster.server(1)), "1", "it is received and not done");
    cluster.start_sql_thread(1);
    arrives(&cluster, 1, "1,2");
    cluster.delay(2, 2);
    write(&cluster, 3);
    arrives(&cluster, 1, "1,2,3");
    assert_eq!(rows(cluster.server(2)), "1,2", "it is done later");
    arrives(&cluster, 2, "1,2,3");
}

fn an_answered_write_survives_the_primary(product: Product) {
    let cluster = Cluster::start(product, 2);
    make_table(&cluster);
    write(&cluster, 1);
    cluster.kill9(0);
    cluster.promote(cluster.most_advanced());
    assert_ne!(cluster.primary(), 0);
    write(&cluster, 2);
    assert_eq!(rows(cluster.server(cluster.primary())), "1,2");
    cluster.restart(0);
    write(&cluster, 3);
    for replica in cluster.replicas() {
        arrives(&cluster, replica, "1,2,3");
    }
}

fn a_primary_hands_over_and_follows(product: Product) {
    let cluster = Cluster::start(product, 1);
    make_table(&cluster);
    write(&cluster, 1);
    cluster.promote(1);
    write(&cluster, 2);
    arrives(&cluster, 0, "1,2");
    cluster.promote(0);
    write(&cluster, 3);
    arrives(&cluster, 1, "1,2,3");
    assert_eq!(cluster.url(), cluster.server(0).url());
}
