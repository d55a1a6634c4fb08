//! What is told of transactions: those that happened, as they happened.
#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]

mod common;

use common::{Follower, Told, added, address, run, server, writer};
use testkit::Product;

testkit::on_both_products! {
    async
    commits_are_told_in_order_and_nothing_else
    what_the_log_does_not_show_is_told_at_its_place
    rows_behind_a_savepoint_are_not_told
    xa_transactions_are_told_when_they_are_decided
    an_xa_transaction_from_before_may_have_changed_anything
    what_is_larger_than_memory_is_told_in_parts
}

async fn commits_are_told_in_order_and_nothing_else(product: Product) {
    let server = server(product, &[]).await;
    let mut writer = writer(&server).await;
    run(&mut writer, &["INSERT INTO a VALUES (0, 0, '')"]).await;
    let mut follower = Follower::now(address(&server)).await;
    run(&mut writer, &["INSERT INTO a VALUES (1, 1, '')", "BEGIN", "INSERT INTO b VALUES (1, 7, ''), (2, 8, '')"])
        .await;
    run(&mut writer, &["UPDATE a SET v = 2 WHERE id = 1", "COMMIT", "BEGIN", "INSERT INTO a VALUES (9, 9, '')"]).await;
    run(&mut writer, &["ROLLBACK", "CREATE TABLE other (id INT PRIMARY KEY)", "INSERT INTO other VALUES (1)"]).await;
    run(&mut writer, &["UPDATE b SET id = 5 WHERE id = 2", "DELETE FROM a WHERE id = 1"]).await;
    follower.catch_up().await;
    let expected = [
        Told::Begin,
        Told::Rows(vec![added("a", 1, 1)]),
        Told::Rows(vec![added("b", 1, 7), added("b", 2, 8), ("a", Some((1, 1)), Some((1, 2)))]),
        Told::Rows(vec![("b", Some((2, 8)), Some((5, 8)))]),
        Told::Rows(vec![("a", Some((1, 2)), None)]),
    ];
    assert_eq!(follower.told, expected);
}

async fn what_the_log_does_not_show_is_told_at_its_place(product: Product) {
    let server = server(product, &[]).await;
    let mut writer = writer(&server).await;
    let mut follower = Follower::now(address(&server)).await;
    run(&mut writer, &["INSERT INTO a VALUES (1, 1, '')", "TRUNCATE a", "INSERT INTO a VALUES (2, 2, '')"]).await;
    follower.catch_up().await;
    let expected = [
        Told::Begin,
        Told::Rows(vec![added("a", 1, 1)]),
        Told::Rewritten(Some("a")),
        Told::Rows(vec![added("a", 2, 2)]),
    ];
    assert_eq!(follower.told, expected);
}

async fn rows_behind_a_savepoint_are_not_told(product: Product) {
    let server = server(product, &[]).await;
    let mut writer = writer(&server).await;
    run(&mut writer, &["CREATE TABLE flat (id INT PRIMARY KEY) ENGINE=MyISAM"]).await;
    let mut follower = Follower::now(address(&server)).await;
    run(&mut writer, &["BEGIN", "INSERT INTO a VALUES (1, 1, '')", "SAVEPOINT s"]).await;
    run(&mut writer, &["INSERT INTO a VALUES (2, 2, '')", "ROLLBACK TO s", "INSERT INTO b VALUES (3, 3, '')"]).await;
    run(&mut writer, &["COMMIT"]).await;
    follower.catch_up().await;
    assert_eq!(follower.told[1..], [Told::Rows(vec![added("a", 1, 1), added("b", 3, 3)])]);
    if product == Product::MySql {
        // It refuses to write both kinds of tables in one transaction where transactions have names.
        return;
    }
    run(&mut writer, &["BEGIN", "INSERT INTO a VALUES (4, 4, '')", "SAVEPOINT s", "INSERT INTO a VALUES (5, 5, '')"])
        .await;
    run(&mut writer, &["INSERT INTO flat VALUES (1)", "ROLLBACK TO s", "COMMIT"]).await;
    follower.catch_up().await;
    let told: Vec<i64> = follower.added();
    assert!(told.contains(&4) && !told.contains(&5), "{:?}", follower.told);
}

async fn xa_transactions_are_told_when_they_are_decided(product: Product) {
    let server = server(product, &[]).await;
    let (mut one, mut two) = (writer(&server).await, writer(&server).await);
    let mut follower = Follower::now(address(&server)).await;
    run(&mut one, &["XA START 'x'", "INSERT INTO a VALUES (1, 1, '')", "XA END 'x'", "XA PREPARE 'x'"]).await;
    run(&mut two, &["INSERT INTO a VALUES (2, 2, '')"]).await;
    follower.catch_up().await;
    assert_eq!(follower.told[1..], [Told::Rows(vec![added("a", 2, 2)])], "prepared, and no more");
    run(&mut one, &["XA COMMIT 'x'", "XA START 'y'", "INSERT INTO a VALUES (3, 3, '')", "XA END 'y'"]).await;
    run(&mut one, &["XA PREPARE 'y'", "XA ROLLBACK 'y'"]).await;
    run(&mut one, &["XA START 'z'", "INSERT INTO a VALUES (4, 4, '')", "XA END 'z'", "XA COMMIT 'z' ONE PHASE"]).await;
    follower.catch_up().await;
    assert_eq!(follower.told[2..], [Told::Rows(vec![added("a", 1, 1)]), Told::Rows(vec![added("a", 4, 4)])]);
}

async fn an_xa_transaction_from_before_may_have_changed_anything(product: Product) {
    let server = server(product, &[]).await;
    let mut writer = writer(&server).await;
    run(&mut writer, &["XA START 'x'", "INSERT INTO a VALUES (1, 1, '')", "XA END 'x'", "XA PREPARE 'x'"]).await;
    let mut follower = Follower::now(address(&server)).await;
    run(&mut writer, &["XA COMMIT 'x'"]).await;
    follower.catch_up().await;
    assert_eq!(follower.told[1..], [Told::Rewritten(None)]);
}

async fn what_is_larger_than_memory_is_told_in_parts(product: Product) {
    const ROWS: i64 = 60_000;
    let server = server(product, &["--max-binlog-cache-size=16G"]).await;
    let mut writer = writer(&server).await;
    let mut follower = Follower::now(address(&server)).await;
    run(&mut writer, &["BEGIN", "INSERT INTO b VALUES (1, 1, '')"]).await;
    for first in (0..ROWS).step_by(1000) {
        let rows: Vec<String> = (first..first + 1000).map(|id| format!("({id}, 1, 'xxxxxxxxxxxxxxxxxxxx')")).collect();
        run(&mut writer, &[&format!("INSERT INTO a VALUES {}", rows.join(", "))]).await;
    }
    run(&mut writer, &["COMMIT", "INSERT INTO b VALUES (2, 2, '')"]).await;
    follower.catch_up().await;
    let parts = follower.told.iter().filter(|told| matches!(told, Told::Part(_))).count();
    assert!(parts >= 5, "{parts} parts");
    let ids: Vec<i64> = follower.added();
    let expected: Vec<i64> = [1].into_iter().chain(0..ROWS).chain([2]).collect();
    assert_eq!(ids, expected);
    let (rows, bytes) = follower.source.most_held();
    assert!(rows < 11_000, "{rows} rows of {bytes} bytes were held");
}
