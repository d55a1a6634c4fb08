//! Nothing is told before reads show it, though the log has it before.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rowkeep_engine::Rows as _;
use rowkeep_engine::{ChangeStream, Since, Told};
use rowkeep_record::Value;
use testkit::{Cluster, Product};

use super::lab::{self, ITEM, Writer, insert, value};
use crate::support::mirror;

testkit::on_both_products! {
    what_is_told_is_seen_by_whoever_reads_then
    a_commit_that_waits_for_a_replica_is_not_told
}

/// Commits that are looked at.
const COMMITS: usize = 500;
const WRITERS: i64 = 4;

/// The log goes on in other files all the while: at their borders the server's own word is not enough.
fn what_is_told_is_seen_by_whoever_reads_then(product: Product) {
    let server = lab::server(product, &["--max-binlog-size=32768"]);
    let store = lab::store(&[&server]);
    let mut stream = mirror::wait(store.changes().unwrap().follow(Since::Now)).unwrap();
    let mut first = Writer::new(&server);
    (0..WRITERS).for_each(|id| first.add(id).unwrap());
    let stop = AtomicBool::new(false);
    let (mut looked_at, mut unseen) = (0, 0);
    std::thread::scope(|scope| {
        for id in 0..WRITERS {
            let (mut writer, stop) = (Writer::new(&server), &stop);
            scope.spawn(move || {
                while !stop.load(Ordering::Acquire) {
                    writer.run(&[&format!("UPDATE items SET value = value + 1 WHERE id = {id}")]);
                }
            });
        }
        let _stop = Stop(&stop);
        while looked_at < COMMITS {
            for (id, told) in values(&mirror::wait(stream.next()).unwrap()) {
                looked_at += 1;
                unseen += usize::from(value(&store, id).is_none_or(|value| value < told));
            }
        }
    });
    assert_eq!(unseen, 0, "of {looked_at} commits that many could not be seen when they were told");
}

/// Sets a flag when it is dropped: also a test that fails ends its threads.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Items with their values, as they are told.
fn values(told: &[Told]) -> Vec<(i64, i64)> {
    let commits = told.iter().filter_map(|told| match told {
        Told::Commit(commit) => Some(&commit.changes),
        _ => None,
    });
    let after = commits.flatten().filter(|change| change.entity == ITEM).filter_map(|change| change.after.as_ref());
    after
        .filter_map(|row| match row.values[..] {
            [Value::Int(id), Value::Int(value), ..] => Some((id, value)),
            _ => None,
        })
        .collect()
}

/// Semi-synchronous, and the only replica does not answer: the log has the commit, and nobody sees it. Each commit also ends
/// its file of the log, which is when a server says too early that it can be seen.
fn a_commit_that_waits_for_a_replica_is_not_told(product: Product) {
    let cluster = Cluster::start(product, 1);
    let primary = cluster.server(0);
    mirror::allow(primary);
    if product == Product::MariaDb {
        primary.admin("SET GLOBAL rpl_semi_sync_master_wait_point = AFTER_SYNC");
    }
    let store = lab::store(&[primary]);
    let mut stream = mirror::wait(store.changes().unwrap().follow(Since::Now)).unwrap();
    primary.admin("SET GLOBAL max_binlog_size = 4096");
    for id in 0..12 {
        cluster.server(1).suspend();
        // Every other one is the last of its file.
        let words = "x".repeat(if id % 2 == 0 { 6000 } else { 10 });
        let mut writer = Writer::new(primary);
        std::thread::scope(|scope| {
            let writing = scope.spawn(move || writer.run(&[&insert(id, &words)]));
            let early = told_within(&mut *stream, Duration::from_millis(700));
            let is_seen = value(&store, id).is_some();
            cluster.server(1).resume();
            assert_eq!((early, is_seen), (vec![], false), "{id} was told though it could not be seen");
            writing.join().unwrap();
        });
        let mut told = Vec::new();
        while told.is_empty() {
            told = values(&mirror::wait(stream.next()).unwrap());
        }
        assert_eq!((told, value(&store, id)), (vec![(id, id)], Some(id)));
    }
}

/// What is told in this time. A wait that is given up loses nothing.
fn told_within(stream: &mut dyn ChangeStream, time: Duration) -> Vec<(i64, i64)> {
    let mut told = Vec::new();
    mirror::wait(async {
        let reading = async {
            loop {
                told.extend(values(&stream.next().await.unwrap()));
            }
        };
        let _: Result<(), _> = tokio::time::timeout(time, reading).await;
    });
    told
}
