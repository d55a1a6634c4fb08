//! What becomes of reads and writes when the server dies, hangs, or its answer is lost.
#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]
#![allow(clippy::print_stdout, reason = "shown where a test fails")]

mod calls;
mod cancelled;
mod disk;
mod limits;
mod network;

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kit_core::{Applied, Code};
use rowkeep_engine::conformance::{Subject, schema};
use rowkeep_mysql::{Tls, TlsMode};
use rowkeep_record::Codecs;
use rowkeep_sql::Allow;
use rowkeep_sql::mysql::{Address, Database, MySqlStore, Options};
use serde_json::json;
use testkit::{DatabaseServer, Product};

testkit::on_both_products! {
    a_commit_whose_answer_is_lost_is_looked_up_by_its_request_id
    a_commit_whose_answer_is_lost_without_a_request_id_is_not_known
    a_commit_that_cannot_be_looked_up_is_not_known
    a_server_that_is_gone_is_said_to_be_and_found_again
    a_server_that_hangs_for_a_while_is_waited_for
    connections_that_the_server_ended_for_idleness_are_replaced
    every_acknowledged_write_survives_the_server
}

/// A store of the suite's schema in the server's database, which is migrated if it has to be.
fn store(address: Address) -> Arc<MySqlStore> {
    let schema = schema();
    let database = Database::open(&Options::new(address)).unwrap();
    let plan = database.plan(&schema).unwrap();
    database.apply(&plan, &schema, b"snapshot", &Allow::default()).unwrap();
    MySqlStore::start(database, Arc::clone(&schema), Arc::new(Codecs::new(&schema))).unwrap()
}

fn address(server: &DatabaseServer) -> Address {
    server.url().parse().unwrap()
}

/// Passes bytes on between clients and a server, until it is told to lose an answer.
struct Proxy {
    port: u16,
    /// Set: the next COMMIT goes through, its answer does not.
    lose_commit: Arc<AtomicBool>,
    /// Set: once an answer is lost, nobody gets through any more.
    then_cut: Arc<AtomicBool>,
}

impl Proxy {
    fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let lose_commit = Arc::new(AtomicBool::new(false));
        let then_cut = Arc::new(AtomicBool::new(false));
        let (lose, cut) = (Arc::clone(&lose_commit), Arc::clone(&then_cut));
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if cut.load(Ordering::Acquire) && !lose.load(Ordering::Acquire) {
                    continue;
                }
                let (client, lose) = (client.unwrap(), Arc::clone(&lose));
                std::thread::spawn(move || pass(&client, &TcpStream::connect(("127.0.0.1", server)).unwrap(), &lose));
            }
        });
        Self { port, lose_commit, then_cut }
    }
}

fn pass(client: &TcpStream, server: &TcpStream, lose: &AtomicBool) {
    let deaf = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            copy(client, server, |bytes| {
                if bytes.windows(6).any(|window| window == b"COMMIT") && lose.swap(false, Ordering::AcqRel) {
                    deaf.store(true, Ordering::Release);
                }
                true
            });
        });
        copy(server, client, |_| !deaf.load(Ordering::Acquire));
        let _ = client.shutdown(Shutdown::Both);
        let _ = server.shutdown(Shutdown::Both);
    });
}

fn copy(mut from: &TcpStream, mut to: &TcpStream, goes_on: impl Fn(&[u8]) -> bool) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if !goes_on(&buffer[..count]) || to.write_all(&buffer[..count]).is_err() {
            return;
        }
    }
}

fn through(server: &DatabaseServer) -> (Proxy, Subject) {
    let proxy = Proxy::to(server.port());
    // The proxy has to read what passes.
    let tls = Tls { mode: Some(TlsMode::Off), ..Tls::default() };
    let address = Address { port: proxy.port, tls, ..address(server) };
    let subject = Subject::over(store(address), ());
    // What is prepared and reserved once is behind us.
    subject.create("Line", json!({ "order_id": "0", "line": 0 }));
    (proxy, subject)
}

fn a_commit_whose_answer_is_lost_is_looked_up_by_its_request_id(product: Product) {
    let server = DatabaseServer::start(product);
    let (proxy, subject) = through(&server);
    proxy.lose_commit.store(true, Ordering::Release);
    let request = json!({ "note": { "title": "once" }, "requestId": "2d3c8f8e-0b7c-4d3a-9d0e-1f2a3b4c5d6e" });
    let created = subject.call("CreateNote", request.clone());
    assert!(!proxy.lose_commit.load(Ordering::Acquire), "an answer was lost");
    assert_eq!(subject.call("CreateNote", request), created);
    let listed = subject.call("ListNotes", json!({}));
    assert_eq!(listed["notes"].as_array().map(Vec::len), Some(1), "{listed}");
}

fn a_commit_whose_answer_is_lost_without_a_request_id_is_not_known(product: Product) {
    let server = DatabaseServer::start(product);
    let (proxy, subject) = through(&server);
    proxy.lose_commit.store(true, Ordering::Release);
    let failure = subject.try_call("CreateNote", &json!({ "note": { "title": "perhaps" } })).unwrap_err();
    assert_eq!((failure.reason.as_str(), failure.applied), ("COMMIT_UNKNOWN", Applied::Unknown), "{failure:?}");
    let listed = subject.call("ListNotes", json!({}));
    assert_eq!(listed["notes"].as_array().map(Vec::len), Some(1), "it happened: {listed}");
}

fn a_commit_that_cannot_be_looked_up_is_not_known(product: Product) {
    let server = DatabaseServer::start(product);
    let (proxy, subject) = through(&server);
    proxy.then_cut.store(true, Ordering::Release);
    proxy.lose_commit.store(true, Ordering::Release);
    let request = json!({ "note": { "title": "perhaps" }, "requestId": "2d3c8f8e-0b7c-4d3a-9d0e-1f2a3b4c5d6e" });
    let failure = subject.try_call("CreateNote", &request).unwrap_err();
    assert_eq!((failure.reason.as_str(), failure.applied), ("COMMIT_UNKNOWN", Applied::Unknown), "{failure:?}");
    proxy.then_cut.store(false, Ordering::Release);
    subject.call("CreateNote", request);
    let listed = subject.call("ListNotes", json!({}));
    assert_eq!(listed["notes"].as_array().map(Vec::len), Some(1), "{listed}");
}

fn a_server_that_hangs_for_a_while_is_waited_for(product: Product) {
    let server = DatabaseServer::start(product);
    let subject = Subject::over(store(address(&server)), ());
    subject.create("Line", json!({ "order_id": "1", "line": 0 }));
    server.suspend();
    std::thread::scope(|scope| {
        for line in 1..=8 {
            let subject = &subject;
            scope.spawn(move || {
                assert_eq!(subject.get("Line", json!({ "orderId": "1", "line": 0 }))["orderId"], "1");
                subject.create("Line", json!({ "order_id": "1", "line": line }));
            });
        }
        std::thread::sleep(Duration::from_millis(700));
        server.resume();
    });
    let listed = subject.call("ListLines", json!({}));
    assert_eq!(listed["lines"].as_array().map(Vec::len), Some(9), "{listed}");
}

fn a_server_that_is_gone_is_said_to_be_and_found_again(product: Product) {
    let server = DatabaseServer::start(product);
    let subject = Subject::over(store(address(&server)), ());
    subject.create("Line", json!({ "order_id": "1", "line": 1 }));
    server.kill9();
    let started = Instant::now();
    let failure = subject.try_call("GetLine", &json!({ "orderId": "1", "line": 1 })).unwrap_err();
    failure.is(Code::Unavailable, "STORAGE_UNREACHABLE");
    let failure = subject.try_call("CreateLine", &json!({ "line": { "order_id": "1", "line": 2 } })).unwrap_err();
    failure.is(Code::Unavailable, "STORAGE_UNREACHABLE");
    assert_eq!(failure.applied, Applied::No);
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    server.restart();
    assert_eq!(subject.get("Line", json!({ "orderId": "1", "line": 1 }))["orderId"], "1");
    subject.create("Line", json!({ "order_id": "1", "line": 2 }));
}

fn connections_that_the_server_ended_for_idleness_are_replaced(product: Product) {
    let server = DatabaseServer::start_with(product, &["--wait-timeout=1"]);
    let subject = Subject::over(store(address(&server)), ());
    for line in 1..4 {
        subject.create("Line", json!({ "order_id": "1", "line": line }));
        assert_eq!(subject.get("Line", json!({ "orderId": "1", "line": line }))["line"], line);
        let listed = subject.call("ListLines", json!({}));
        assert_eq!(listed["lines"].as_array().map(Vec::len), Some(line), "{listed}");
        let ours = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = 'app'";
        // The one left asks all the time what the server is.
        testkit::wait_until("the server to end the connections that ask nothing", || server.admin(ours) == "1");
    }
}

fn every_acknowledged_write_survives_the_server(product: Product) {
    let server = DatabaseServer::start(product);
    let subject = Subject::over(store(address(&server)), ());
    let (next, stop) = (AtomicU64::new(1), AtomicBool::new(false));
    let write = || {
        let (mut kept, mut refused) = (Vec::new(), Vec::new());
        while !stop.load(Ordering::Acquire) {
            let id = next.fetch_add(1, Ordering::Relaxed);
            let line = json!({ "line": { "order_id": id.to_string(), "line": 1 } });
            match subject.try_call("CreateLine", &line) {
                Ok(_) => kept.push(id),
                Err(failure) if failure.applied == Applied::No => refused.push(id),
                Err(failure) => assert_eq!(failure.reason, "COMMIT_UNKNOWN"),
            }
        }
        (kept, refused)
    };
    let (kept, refused) = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..8).map(|_| scope.spawn(write)).collect();
        for round in 0..3 {
            std::thread::sleep(Duration::from_millis(150 + 70 * round));
            server.kill9();
            server.restart();
        }
        std::thread::sleep(Duration::from_millis(200));
        stop.store(true, Ordering::Release);
        let mut all = (Vec::new(), Vec::new());
        for writer in writers {
            let (kept, refused) = writer.join().unwrap();
            all.0.extend(kept);
            all.1.extend(refused);
        }
        all
    });
    assert!(kept.len() > 50, "{} rows are too few to tell", kept.len());
    let is_there = |id: &u64| subject.try_call("GetLine", &json!({ "orderId": id.to_string(), "line": 1 })).is_ok();
    let lost: Vec<_> = kept.iter().filter(|id| !is_there(id)).collect();
    assert!(lost.is_empty(), "acknowledged and gone: {lost:?}");
    let ghosts: Vec<_> = refused.iter().filter(|id| is_there(id)).collect();
    assert!(ghosts.is_empty(), "said not to be applied and there: {ghosts:?}");
}
