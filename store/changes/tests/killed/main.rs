//! W9: a process that follows the log, and keeps its place with what it was told, is killed again and again while all that a
//! server can log is written: rows that are large, of many at a time, undone to a savepoint, prepared first, compressed, in
//! tables that change; files of the log end, the network is cut, another server becomes the primary, places are lost or old.
//! Each row that was committed is told, in the order of commits, by content what the server's own tool prints of its log;
//! and twice only behind a place that was older than what it was kept with. What was purged is never passed over.
#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]
#![allow(clippy::print_stdout, reason = "what was done, where a test is run alone")]

mod follower;
mod journal;
mod printed;
mod writers;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use testkit::{Cluster, DatabaseServer, FaultProxy, Product};

use follower::Child;
use journal::Journal;
use writers::Writers;

testkit::on_both_products! {
    w09_a_follower_that_is_killed_is_told_every_row
    w09_what_was_purged_is_lost_and_not_passed_over
}

#[test]
#[ignore = "long: two hundred kills"]
fn w09_a_follower_that_is_killed_two_hundred_times_is_told_every_row_of_mariadb() {
    kill(Product::MariaDb, 200);
}

#[test]
#[ignore = "long: two hundred kills"]
fn w09_a_follower_that_is_killed_two_hundred_times_is_told_every_row_of_mysql() {
    kill(Product::MySql, 200);
}

fn w09_a_follower_that_is_killed_is_told_every_row(product: Product) {
    kill(product, 12);
}

fn kill(product: Product, kills: u32) {
    let cluster = Cluster::start(product, 1);
    (0..2).for_each(|number| allow(cluster.server(number)));
    let at = |number: usize| SocketAddr::from((Ipv4Addr::LOCALHOST, cluster.server(number).port()));
    let proxy = FaultProxy::start(at(0));
    let address =
        cluster.server(0).url().replace(&format!(":{}/", at(0).port()), &format!(":{}/", proxy.address().port()));
    let mut journal = Journal::new();
    let child = Child::start(product, &address, &journal);
    testkit::wait_until("a place to begin at", || journal.places() > 0);
    drop(child);
    writers::prepare(cluster.server(0));
    let mut random = StdRng::from_os_rng();
    let mut writers = Writers::start(cluster.server(0), 0);
    for round in 0..kills {
        if round == kills / 2 {
            writers.stop();
            cluster.promote(1);
            proxy.redirect(at(1));
            // Whoever is connected stays where it is.
            proxy.cut();
            proxy.heal();
            writers = Writers::start(cluster.server(1), 1);
        }
        let before = journal.len();
        let child = Child::start(product, &address, &journal);
        match round % 4 {
            0 => drop(cluster.server(cluster.primary()).admin("FLUSH BINARY LOGS")),
            1 => testkit::wait_until("something is told", || journal.len() > before),
            2 => {
                std::thread::sleep(Duration::from_millis(random.random_range(0..60)));
                proxy.cut();
                proxy.heal();
            }
            _ => {}
        }
        // Any moment will do.
        std::thread::sleep(Duration::from_millis(random.random_range(0..150)));
        child.kill();
        match random.random_range(0..8) {
            0 => journal.lose_the_end(&mut random),
            1 => journal.lose_places(random.random_range(1..20)),
            _ => {}
        }
    }
    writers.stop();
    let last = "INSERT INTO w0 (id, v) VALUES (999999999, 0)";
    let primary = cluster.server(cluster.primary());
    primary.admin(&format!("USE test; {last}"));
    let child = Child::start(product, &address, &journal);
    testkit::wait_until("the last row is told", || journal.has("@1=999999999") || journal.has("! "));
    child.kill();
    let printed = printed::commits(primary);
    let checked = journal.check(&printed);
    println!("{product:?}: {kills} kills; {checked:?}");
    assert!(checked.rows > 100 && checked.rows == checked.printed, "{checked:?}");
}

/// Lets the usual user follow a server's log, and compress what he writes.
fn allow(server: &DatabaseServer) {
    let is_mysql = server.product() == Product::MySql;
    let was = server.admin("SELECT @@global.read_only");
    server.admin(if is_mysql {
        "SET GLOBAL super_read_only = OFF, GLOBAL read_only = OFF"
    } else {
        "SET GLOBAL read_only = OFF"
    });
    let rights = if is_mysql { "REPLICATION SLAVE, SESSION_VARIABLES_ADMIN" } else { "REPLICATION SLAVE" };
    server.admin(&format!("SET sql_log_bin = 0; GRANT {rights} ON *.* TO app@'127.0.0.1'"));
    if was == "1" {
        server.admin(if is_mysql { "SET GLOBAL super_read_only = ON" } else { "SET GLOBAL read_only = ON" });
    }
}

fn w09_what_was_purged_is_lost_and_not_passed_over(product: Product) {
    let server = DatabaseServer::start(product);
    allow(&server);
    let journal = Journal::new();
    let child = Child::start(product, &server.url(), &journal);
    testkit::wait_until("a place to begin at", || journal.places() > 0);
    writers::prepare(&server);
    server.admin("USE test; INSERT INTO w0 (id, v) VALUES (1, 0)");
    testkit::wait_until("the row is told", || journal.has("@1=1|"));
    child.kill();
    server.admin(
        "USE test; INSERT INTO w0 (id, v) VALUES (2, 0); FLUSH BINARY LOGS; INSERT INTO w0 (id, v) VALUES (3, 0)",
    );
    let last = || server.admin("SHOW BINARY LOGS").lines().last().unwrap().split('\t').next().unwrap().to_owned();
    testkit::wait_until("older files of the log are gone", || {
        // MariaDB keeps what a storage engine or a reader may still want.
        server.admin("FLUSH BINARY LOGS");
        server.admin(&format!("PURGE BINARY LOGS TO '{}'", last()));
        server.admin("SHOW BINARY LOGS").lines().count() == 1
    });
    let child = Child::start(product, &server.url(), &journal);
    testkit::wait_until("it is said", || journal.has("! Purged"));
    child.kill();
    assert!(!journal.has("@1=2|") && !journal.has("@1=3|"), "nothing behind the gap is told");
}
