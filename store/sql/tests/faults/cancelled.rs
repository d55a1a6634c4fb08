//! Callers that go away.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use rowkeep_engine::conformance::schema;
use rowkeep_engine::{CommitRequest, Engine, EngineOptions, ListRequest, Operation, Precondition, Session, Write};
use rowkeep_record::Value;
use testkit::{DatabaseServer, Product};
use tokio::task::JoinSet;

use super::calls::Served;

testkit::on_both_products! {
    ten_thousand_calls_that_are_given_up_leave_nothing_behind
}

const CALLS: u64 = 10_000;
const AT_ONCE: u64 = 64;
/// Of the most patient caller.
const PATIENCE: Duration = Duration::from_millis(4);

fn ten_thousand_calls_that_are_given_up_leave_nothing_behind(product: Product) {
    let server = DatabaseServer::start_with(product, &["--innodb-flush-log-at-trx-commit=0", "--sync-binlog=0"]);
    let served = Served::new(super::address(&server));
    let engine = Engine::new(schema(), Arc::clone(&served.store) as _, EngineOptions::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let threads = || -> u64 {
        let status = server.admin("SHOW GLOBAL STATUS LIKE 'Threads_connected'");
        status.rsplit('\t').next().unwrap().parse().unwrap()
    };
    // As many connections as there will be.
    runtime.block_on(calls(&engine, 3_000, PATIENCE));
    served.wait_until_idle();
    let before = threads();
    let given_up = runtime.block_on(calls(&engine, CALLS, PATIENCE));
    assert!(given_up > CALLS / 4, "{given_up} are too few to tell");
    served.wait_until_idle();
    testkit::wait_until("the server's connections to be as many as before", || threads() <= before);
    served.read(0).unwrap();
    println!("{given_up} of {CALLS} calls were given up; {before} connections before, {} after", threads());
}

/// Makes as many calls, each given up after some time up to `patience`. How many were.
async fn calls(engine: &Engine, count: u64, patience: Duration) -> u64 {
    let (next, given_up) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut callers = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (engine, next, given_up) = (engine.clone(), Arc::clone(&next), Arc::clone(&given_up));
        callers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return;
                }
                // Different ones, and the same in each run.
                let share = u32::try_from(number % 97).unwrap();
                if tokio::time::timeout(patience * share / 97, call(&engine, number)).await.is_err() {
                    given_up.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    }
    callers.join_all().await;
    given_up.load(Ordering::Relaxed)
}

async fn call(engine: &Engine, number: u64) {
    let (line, session) = (engine.schema().entity_by_name("Line").unwrap().id, Session::strong());
    match number % 4 {
        0 => drop(engine.get(line, &[Value::Int(0), Value::Int(1)].into_iter().collect(), &session).await),
        1 => drop(engine.list(line, ListRequest { page_size: 10, ..ListRequest::default() }, &session).await),
        kind => {
            // `order_id`, a number of two bytes, and `line`.
            let (low, high) = ((number & 0x7f) as u8 | 0x80, (number >> 7 & 0x7f) as u8);
            let row = vec![0x08, low, high, 0x10, 1];
            let write = Write {
                entity: line,
                operation: Operation::Create { row: Bytes::from(row) },
                precondition: Precondition::default(),
                path: String::new(),
            };
            let request_id = (kind == 3).then(|| format!("cancelled-{number}"));
            let request = CommitRequest { writes: vec![write], request_id, ..CommitRequest::default() };
            drop(engine.commit(request, &session).await);
        }
    }
}
