//! How fast changes are told. Figures, not bounds: run with `--release -- --ignored --nocapture --test-threads=1 speed`.
#![allow(clippy::print_stdout, reason = "what is measured is shown")]

use std::time::{Duration, Instant};

use rowkeep_engine::{Rows as _, Since, Told};
use testkit::Product;

use super::lab::{self, Writer, insert};
use crate::support::mirror;

const FAST: [&str; 4] =
    ["--innodb-flush-log-at-trx-commit=0", "--sync-binlog=0", "--max-binlog-size=1G", "--max-binlog-cache-size=16G"];

#[test]
#[ignore = "measures"]
fn speed_of_single_rows_and_bulk() {
    for product in [Product::MariaDb, Product::MySql] {
        measure(product, 100_000, 1_000_000);
    }
}

fn measure(product: Product, singles: u32, bulk: u32) {
    let server = lab::server(product, &FAST);
    let store = lab::store(&[&server]);
    let log = store.changes().unwrap();
    let mut stream = mirror::wait(log.follow(Since::Now)).unwrap();
    let mut first = None;
    while first.is_none() {
        first = mirror::wait(stream.next()).unwrap().into_iter().find_map(|told| match told {
            Told::Begin(begin) => Some(begin.place),
            _ => None,
        });
    }
    drop(stream);
    server.admin(&format!(
        "USE test; DELIMITER //\nCREATE PROCEDURE fill() BEGIN DECLARE n INT DEFAULT 0; \
         WHILE n < {singles} DO INSERT INTO items VALUES (n, n, REPEAT('w', 100), 1); SET n = n + 1; END WHILE; END//\n\
         DELIMITER ;\nCALL fill()"
    ));
    let (took, rows, place) = follow(&store, first.unwrap(), singles as usize);
    println!(
        "{product:?}: {rows} commits of a row in {took:?}: {:.0} a second",
        f64::from(singles) / took.as_secs_f64()
    );
    let values = match product {
        Product::MariaDb => format!("SELECT 1000000 + seq, seq, REPEAT('w', 160), 1 FROM seq_1_to_{bulk}"),
        Product::MySql => format!(
            "WITH RECURSIVE seq (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM seq WHERE n < {bulk}) \
             SELECT 1000000 + n, n, REPEAT('w', 160), 1 FROM seq"
        ),
    };
    let depth = if product == Product::MySql {
        format!("SET SESSION cte_max_recursion_depth = {bulk};")
    } else {
        String::new()
    };
    server.admin(&format!("USE test; {depth} INSERT INTO items {values}"));
    let (took, rows, _) = follow(&store, place, bulk as usize);
    println!(
        "{product:?}: {rows} rows of one commit in {took:?}: {:.0} a second",
        f64::from(bulk) / took.as_secs_f64()
    );
}

/// How long it takes to be told of so many rows behind a place.
fn follow(
    store: &std::sync::Arc<rowkeep_sql::mysql::MySqlStore>,
    place: rowkeep_engine::Place,
    wanted: usize,
) -> (Duration, usize, rowkeep_engine::Place) {
    let began = Instant::now();
    let mut stream = mirror::wait(store.changes().unwrap().follow(Since::Place(place.clone()))).unwrap();
    let (mut rows, mut last) = (0, place);
    while rows < wanted {
        for told in mirror::wait(stream.next()).unwrap() {
            if let Told::Commit(commit) = told {
                rows += commit.changes.len();
                last = commit.place.clone();
            }
        }
    }
    (began.elapsed(), rows, last)
}

#[test]
#[ignore = "measures"]
fn speed_from_the_answer_to_a_commit_until_it_is_told() {
    for product in [Product::MariaDb, Product::MySql] {
        let server = lab::server(product, &[]);
        let store = lab::store(&[&server]);
        let mut stream = mirror::wait(store.changes().unwrap().follow(Since::Now)).unwrap();
        let mut writer = Writer::new(&server);
        let mut delays: Vec<Duration> = Vec::new();
        for id in 0..500 {
            std::thread::sleep(Duration::from_millis(3));
            writer.run(&[&insert(id, "")]);
            let answered = Instant::now();
            let is_commit = |told: &Told| matches!(told, Told::Commit(_));
            while !mirror::wait(stream.next()).unwrap().iter().any(is_commit) {}
            delays.push(answered.elapsed());
        }
        delays.sort();
        println!("{product:?}: told after the answer to a commit: p50 {:?}, p99 {:?}", delays[250], delays[495]);
    }
}
