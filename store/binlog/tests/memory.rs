//! Transactions of any size are read in the memory of their largest event.

#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]

mod common;

use common::reader_address;
use rowkeep_binlog::{Item, Options, Reader, Start};
use testkit::{DatabaseServer, Product};

#[tokio::test]
async fn large_transactions_are_read_in_little_memory() {
    for product in [Product::MariaDb, Product::MySql] {
        read_a_transaction(product, 60_000).await;
    }
}

#[tokio::test]
#[ignore = "writes and reads gigabytes"]
async fn huge_transactions_are_read_in_little_memory() {
    for product in [Product::MariaDb, Product::MySql] {
        read_a_transaction(product, 2_200_000).await;
    }
}

/// Rows of 1,000 bytes and more, in one transaction; of MySQL compressed, which makes it one event.
async fn read_a_transaction(product: Product, rows: u64) {
    let server = DatabaseServer::start_with(product, &["--max-binlog-size=1G", "--max-binlog-cache-size=16G"]);
    server.admin("CREATE TABLE test.t (id INT PRIMARY KEY, v TEXT)");
    let mut reader = Reader::open(&reader_address(&server), Start::Now, &Options::new()).await.unwrap();
    let insert = match product {
        Product::MariaDb => {
            format!("USE test; INSERT INTO t SELECT seq, REPEAT(CHAR(97 + seq % 26), 1000) FROM seq_1_to_{rows}")
        }
        Product::MySql => format!(
            "SET SESSION cte_max_recursion_depth = {rows}, binlog_transaction_compression = ON; \
             INSERT INTO test.t WITH RECURSIVE seq (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM seq WHERE n < {rows}) \
             SELECT n, REPEAT(CHAR(97 + n % 26), 1000) FROM seq"
        ),
    };
    let writing = tokio::task::spawn_blocking(move || {
        server.admin(&insert);
        server
    });
    let (before, mut most, mut seen) = (resident(), 0, 0);
    loop {
        match reader.next().await.unwrap() {
            Item::Rows(mut found) => {
                while found.next().unwrap().is_some() {
                    seen += 1;
                }
                if seen % 64 == 0 {
                    most = most.max(resident());
                }
            }
            Item::End(_) if seen > 0 => break,
            _ => {}
        }
    }
    drop(writing.await.unwrap());
    assert_eq!(seen, rows);
    let grown = most.saturating_sub(before);
    assert!(grown < 40 << 10, "{product:?}: {grown} KiB more for {rows} rows");
}

/// Resident memory in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
