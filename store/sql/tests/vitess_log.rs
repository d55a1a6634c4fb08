//! What is promised of reads while others read the same, and of the log of changes, behind Vitess's gateway.
#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]

mod support;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use kit_core::Code;
use rowkeep_engine::conformance::{Lab, Subject};
use rowkeep_engine::{Rows, WatchRequest};
use rowkeep_mysql::{Connection, Raw};
use serde_json::json;
use support::servers::{Home, open, store};
use testkit::Vitess;

/// A read that takes a while once it has its row.
async fn slow_read(select: &str, url: &str) -> String {
    let mut connection = Connection::open(&url.parse().unwrap()).await.unwrap();
    let text = format!("{select}value, SLEEP(0.5) FROM rowkeep_meta WHERE name = 'shared'");
    let statement = connection.prepare(&text).await.unwrap();
    connection.send_execute(statement, &[]).unwrap();
    connection.flush().await.unwrap();
    let mut value = String::new();
    let received = connection.receive(|row| {
        if let Raw::Bytes(bytes) = row.value()? {
            value = String::from_utf8_lossy(bytes).into_owned();
        }
        Ok::<(), rowkeep_mysql::Error>(())
    });
    received.await.unwrap();
    value
}

/// What a read shows that begins behind a commit, while another one is under way that began before it.
async fn read_behind_a_commit(select: &'static str, url: &str) -> String {
    let change = |value: &str| {
        format!(
            "INSERT INTO rowkeep_meta (name, value) VALUES ('shared', '{value}') \
        ON DUPLICATE KEY UPDATE value = '{value}'"
        )
    };
    let mut writer = Connection::open(&url.parse().unwrap()).await.unwrap();
    writer.command(&change("before")).await.unwrap();
    let (own, of) = (url.to_owned(), select);
    let first = tokio::spawn(async move { slow_read(of, &own).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    writer.command(&change("after")).await.unwrap();
    let second = slow_read(select, url).await;
    assert_eq!(first.await.unwrap(), "before");
    second
}

#[test]
#[ignore = "needs Vitess, which takes minutes to build"]
fn an_answer_is_shared_with_who_asks_later_unless_the_read_says_no() {
    let (_rows, database) = store(Home::Vitess);
    let url = database.url();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let read = |select| runtime.block_on(read_behind_a_commit(select, &url));
    assert_eq!(read("SELECT "), "before");
    assert_eq!(read("SELECT /*vt+ CONSOLIDATOR=disabled */ "), "after");
}

#[test]
#[ignore = "needs Vitess, which takes minutes to build"]
fn whoever_was_told_of_a_commit_sees_it_among_many_who_read_the_row() {
    const READERS: usize = 12;
    const WRITES: u32 = 400;
    let (rows, database) = store(Home::Vitess);
    let store = Subject::over(rows, database);
    let row =
        |text: u32| json!({ "line": { "orderId": "1", "line": 1, "text": text.to_string() }, "allowMissing": true });
    store.call("UpdateLine", row(0));
    let (told, done) = (AtomicU32::new(0), AtomicBool::new(false));
    let read = || {
        let mut stale = 0;
        while !done.load(Ordering::Acquire) {
            let least = told.load(Ordering::Acquire);
            let found = store.call("GetLine", json!({ "orderId": "1", "line": 1 }));
            let text: u32 = found["text"].as_str().unwrap().parse().unwrap();
            stale += u32::from(text < least);
        }
        stale
    };
    let stale: u32 = thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS).map(|_| scope.spawn(read)).collect();
        for text in 1..=WRITES {
            store.call("UpdateLine", row(text));
            told.store(text, Ordering::Release);
        }
        done.store(true, Ordering::Release);
        readers.into_iter().map(|reader| reader.join().unwrap()).sum()
    });
    assert_eq!(stale, 0, "reads that began after a commit was acknowledged and do not show it");
}

#[test]
#[ignore = "needs Vitess, which takes minutes to build"]
fn several_logs_are_followed_and_not_watched() {
    let (rows, database) = store(Home::Shards);
    let lab = Lab::new(rows, database);
    assert!(lab.rows().changes().is_some());
    let Err(error) = lab.wait(lab.engine.watch(lab.id("Line"), WatchRequest::default())) else { panic!("it watches") };
    assert_eq!((error.code(), error.reason()), (Code::FailedPrecondition, "NO_CHANGE_LOG"));
    assert!(error.message().contains("several shards"), "{error}");
}

#[test]
#[ignore = "needs Vitess, which takes minutes to build"]
fn a_gateway_that_hands_on_no_log_leaves_the_store_without_one() {
    for flag in ["--enable-binlog-dump=false", "--binlog-dump-authorized-users=somebody"] {
        let vitess = Vitess::start_with(1, 0, &[flag]);
        let store = open(vitess.url_of("test_1").parse().unwrap());
        assert!(store.changes().is_none(), "{flag}");
    }
}
