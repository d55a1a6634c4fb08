//! What is told goes on where it was: in the middle of a transaction, and over commits of several origins.
#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]

mod common;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use common::{Follower, Told, address, run, server, writer};
use rowkeep_binlog::Error;
use rowkeep_mysql::Address;
use testkit::{DatabaseServer, FaultProxy, Product};

testkit::on_both_products! {
    async
    a_transaction_that_was_told_in_part_goes_on_behind_that_part
    commits_of_several_origins_are_told_once_from_any_place
    an_xa_transaction_is_not_forgotten_with_the_connection
    a_server_without_what_was_told_is_not_followed
    a_silent_network_is_noticed_and_a_slow_follower_is_none
    what_lies_in_files_that_end_before_they_are_read_is_told
    a_transaction_that_ends_a_file_is_told_however_large_it_is
}

async fn a_transaction_that_was_told_in_part_goes_on_behind_that_part(product: Product) {
    const ROWS: i64 = 60_000;
    let server = server(product, &[]).await;
    let proxy = FaultProxy::start(SocketAddr::from((Ipv4Addr::LOCALHOST, server.port())));
    let mut follower = Follower::now(Address { port: proxy.address().port(), ..address(&server) }).await;
    let mut writer = writer(&server).await;
    run(&mut writer, &["BEGIN"]).await;
    for first in (0..ROWS).step_by(1000) {
        let rows: Vec<String> = (first..first + 1000).map(|id| format!("({id}, 1, 'xxxxxxxxxxxxxxxxxxxx')")).collect();
        run(&mut writer, &[&format!("INSERT INTO a VALUES {}", rows.join(", "))]).await;
    }
    run(&mut writer, &["COMMIT", "INSERT INTO b VALUES (1, 1, '')"]).await;
    let (mut cuts, mut parts) = (0, 0);
    while follower.added().last() != Some(&1) || follower.added().len() < 2 {
        follower.more().await.unwrap();
        let now = follower.told.iter().filter(|told| matches!(told, Told::Part(_))).count();
        if now > parts {
            parts = now;
            cuts += 1;
            proxy.cut();
            proxy.heal();
        }
    }
    assert!(cuts >= 5, "{cuts} cuts");
    let expected: Vec<i64> = (0..ROWS).chain([1]).collect();
    assert_eq!(follower.added(), expected);
}

/// Tags of MySQL, domains of MariaDB, and a log that goes back in its numbers.
async fn commits_of_several_origins_are_told_once_from_any_place(product: Product) {
    let server = server(product, &[]).await;
    let mut follower = Follower::now(address(&server)).await;
    let origins: &[&str] = match product {
        Product::MySql => &["AUTOMATIC", "AUTOMATIC:blue", "00000000-0000-0000-0000-000000000001:%"],
        Product::MariaDb => &["0-1", "7-1", "7-9"],
    };
    for id in 0..18_usize {
        let origin = origins[id / 2 % 3];
        let set = match product {
            Product::MySql => format!("SET gtid_next = '{}'", origin.replace('%', &(100 - id).to_string())),
            Product::MariaDb => {
                let (domain, server) = origin.split_once('-').unwrap();
                format!("SET gtid_domain_id = {domain}, server_id = {server}")
            }
        };
        server.admin(&format!("{set}; INSERT INTO test.a VALUES ({id}, 0, '')"));
    }
    let mut told = Vec::new();
    while told.len() < 18 {
        while follower.added().is_empty() {
            follower.more().await.unwrap();
        }
        // Behind the first commit that was told; what came with it comes again.
        told.push(follower.added()[0]);
        let place = follower.first.clone();
        follower = Follower::from(address(&server), place.as_ref()).await.unwrap();
    }
    assert_eq!(told, (0..18).collect::<Vec<i64>>());
}

async fn an_xa_transaction_is_not_forgotten_with_the_connection(product: Product) {
    let server = server(product, &[]).await;
    let proxy = FaultProxy::start(SocketAddr::from((Ipv4Addr::LOCALHOST, server.port())));
    let mut follower = Follower::now(Address { port: proxy.address().port(), ..address(&server) }).await;
    let mut writer = writer(&server).await;
    run(&mut writer, &["XA START 'x'", "INSERT INTO a VALUES (1, 1, '')", "XA END 'x'", "XA PREPARE 'x'"]).await;
    follower.catch_up().await;
    proxy.cut();
    proxy.heal();
    run(&mut writer, &["XA COMMIT 'x'"]).await;
    follower.catch_up().await;
    assert_eq!(follower.told[1..], [Told::Rows(vec![common::added("a", 1, 1)])]);
}

/// Numbers of the connections that the log goes out over.
fn readers(server: &DatabaseServer) -> Vec<String> {
    let list = server.admin("SHOW PROCESSLIST");
    let lines = list.lines().filter(|line| line.contains("Binlog Dump"));
    lines.filter_map(|line| line.split('\t').next()).map(str::to_owned).collect()
}

/// All data is held back, and the connections stay open: others are made once it passes again.
async fn a_silent_network_is_noticed_and_a_slow_follower_is_none(product: Product) {
    let server = server(product, &[]).await;
    let proxy = FaultProxy::start(SocketAddr::from((Ipv4Addr::LOCALHOST, server.port())));
    let mut follower = Follower::now(Address { port: proxy.address().port(), ..address(&server) }).await;
    let mut writer = writer(&server).await;
    run(&mut writer, &["INSERT INTO a VALUES (1, 1, '')"]).await;
    follower.catch_up().await;
    // Longer than silence is borne with, and nobody asks for news.
    tokio::time::sleep(Duration::from_secs(6)).await;
    let before = readers(&server);
    run(&mut writer, &["INSERT INTO a VALUES (2, 2, '')"]).await;
    follower.catch_up().await;
    assert_eq!(readers(&server), before, "a follower that was slow was taken for a silent server");
    proxy.hold();
    run(&mut writer, &["INSERT INTO a VALUES (3, 3, '')"]).await;
    let waiting = tokio::time::timeout(Duration::from_secs(8), follower.more()).await;
    assert!(waiting.is_err(), "{:?}", follower.told);
    proxy.heal();
    follower.catch_up().await;
    assert_eq!(follower.added(), [1, 2, 3]);
    assert_ne!(readers(&server), before);
}

async fn a_server_without_what_was_told_is_not_followed(product: Product) {
    let (one, other) = (server(product, &["--server-id=7"]).await, server(product, &["--server-id=8"]).await);
    let mut writer = writer(&one).await;
    let mut follower = Follower::now(address(&one)).await;
    for id in 0..20 {
        run(&mut writer, &[&format!("INSERT INTO a VALUES ({id}, 0, '')")]).await;
    }
    follower.catch_up().await;
    follower.source.go_on_at(address(&other));
    let error = loop {
        if let Err(error) = follower.more().await {
            break error;
        }
    };
    assert!(matches!(error, Error::Diverged(_)), "{error}");
    assert_eq!(follower.told.iter().filter(|told| **told == Told::Begin).count(), 1);
}

/// More than is held at a time, in files behind which the server has gone on, and is quiet or writes.
async fn what_lies_in_files_that_end_before_they_are_read_is_told(product: Product) {
    const COMMITS: i64 = 5_000;
    let server = server(product, &["--sync-binlog=0", "--innodb-flush-log-at-trx-commit=2"]).await;
    let mut writer = writer(&server).await;
    for is_busy in [false, true] {
        run(&mut writer, &["TRUNCATE a", "INSERT INTO b VALUES (0, 0, '')"]).await;
        let mut follower = Follower::now(address(&server)).await;
        run(&mut writer, &["DELETE FROM b"]).await;
        while follower.first.is_none() {
            follower.more().await.unwrap();
        }
        let place = follower.first.clone();
        drop(follower);
        for id in 0..COMMITS {
            run(&mut writer, &[&format!("INSERT INTO a VALUES ({id}, 0, '')")]).await;
        }
        server.admin("FLUSH BINARY LOGS");
        if is_busy {
            run(&mut writer, &["INSERT INTO a VALUES (-1, 0, '')"]).await;
        }
        let mut follower = Follower::from(address(&server), place.as_ref()).await.unwrap();
        let expected: Vec<i64> = (0..COMMITS).chain(is_busy.then_some(-1)).collect();
        while follower.added().len() < expected.len() {
            follower.more().await.unwrap();
        }
        assert_eq!(follower.added(), expected);
    }
}

async fn a_transaction_that_ends_a_file_is_told_however_large_it_is(product: Product) {
    const ROWS: i64 = 12_000;
    let server = server(product, &["--max-binlog-size=1M"]).await;
    let mut follower = Follower::now(address(&server)).await;
    let mut writer = writer(&server).await;
    run(&mut writer, &["BEGIN"]).await;
    for first in (0..ROWS).step_by(1000) {
        let rows: Vec<String> = (first..first + 1000).map(|id| format!("({id}, 1, REPEAT('x', 500))")).collect();
        run(&mut writer, &[&format!("INSERT INTO a VALUES {}", rows.join(", "))]).await;
    }
    run(&mut writer, &["COMMIT"]).await;
    while follower.added().len() < ROWS as usize {
        follower.more().await.unwrap();
    }
    assert_eq!(follower.added(), (0..ROWS).collect::<Vec<_>>());
}
