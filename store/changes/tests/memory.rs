//! A transaction of any size is told in little memory.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "clippy knows tests only by their attribute")]

mod common;

use std::time::Instant;

use common::{address, server};
use rowkeep_binlog::{Cell, Error, Hidden, Rows, Statement};
use rowkeep_changes::{Event, Source, Take, Taken, Touched};
use rowkeep_mysql::Connection;
use testkit::Product;

/// Takes texts, which are large.
#[derive(Debug)]
struct Texts;

impl Take for Texts {
    type Table = ();
    type Row = Vec<u8>;

    async fn ask(&mut self, _: &mut Connection, _: &[Hidden]) -> Result<(), Error> {
        Ok(())
    }

    fn rows(&mut self, mut rows: Rows<'_>, into: &mut Taken<(), Vec<u8>>) -> Result<(), Error> {
        while let Some(row) = rows.next()? {
            if let Some(Cell::Bytes(text)) = row.after.unwrap().cell(2)? {
                into.push((), text.to_vec(), text.len());
            }
        }
        Ok(())
    }

    fn statement(&mut self, _: &Statement<'_>) -> Touched<()> {
        Touched::default()
    }
}

#[tokio::test]
async fn large_transactions_are_told_in_little_memory() {
    for product in [Product::MariaDb, Product::MySql] {
        tell_a_transaction(product, 100_000).await;
    }
}

#[tokio::test]
#[ignore = "writes and reads gigabytes"]
async fn huge_transactions_are_told_in_little_memory() {
    for product in [Product::MariaDb, Product::MySql] {
        // 10 GB: beyond the 4 up to which the places of events in a file are told whole.
        tell_a_transaction(product, 10_000_000).await;
    }
}

/// Rows of 1,000 bytes and more, in one transaction.
async fn tell_a_transaction(product: Product, rows: usize) {
    let server = server(product, &["--max-binlog-size=1G", "--max-binlog-cache-size=16G"]).await;
    let insert = match product {
        Product::MariaDb => {
            format!("USE test; INSERT INTO a SELECT seq, 1, REPEAT(CHAR(97 + seq % 26), 1000) FROM seq_1_to_{rows}")
        }
        Product::MySql => format!(
            "SET SESSION cte_max_recursion_depth = {rows}; \
             INSERT INTO test.a WITH RECURSIVE seq (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM seq WHERE n < {rows}) \
             SELECT n, 1, REPEAT(CHAR(97 + n % 26), 1000) FROM seq"
        ),
    };
    let mut source = Source::new(address(&server), None, Texts);
    source.connect().await.unwrap();
    let server = tokio::task::spawn_blocking(move || {
        server.admin(&insert);
        server
    });
    let server = server.await.unwrap();
    let (before, mut most, mut seen, mut parts) = (resident(), 0, 0, 0);
    let began = Instant::now();
    while seen < rows {
        for event in source.next().await.unwrap() {
            if let Event::Commit { rows, .. } = event {
                seen += rows.len();
                parts += 1;
                most = most.max(resident());
            }
        }
    }
    let (grown, took) = (most.saturating_sub(before), began.elapsed());
    println!("{product:?}: {rows} rows in {parts} parts and {took:?}, {grown} KiB more, {:?} held", source.most_held());
    assert_eq!(seen, rows);
    assert!(parts > 1 && grown < 40 << 10, "{product:?}: {grown} KiB more for {rows} rows in {parts} parts");
    drop(server);
}

/// Resident memory in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
