//! How a commit runs on the server, and what is said of one that may have happened.
#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]

mod support;

use std::net::{Ipv4Addr, SocketAddr};

use std::time::{Duration, Instant};

use kit_core::Applied;
use rowkeep_engine::conformance::{EngineSurface, Subject, schema};
use rowkeep_engine::{CommitRequest, Engine, EngineOptions, Operation, Precondition, Session, Write};
use rowkeep_mysql::{Address, Connection, Tls, TlsMode};
use rowkeep_record::json::ReadOptions;
use serde_json::json;
use testkit::{DatabaseServer, FaultProxy, Product};

testkit::on_both_products! {
    a_serializable_commit_runs_at_that_level_of_the_server
    a_commit_that_may_have_happened_is_not_said_to_have_come_too_late
    a_commit_locks_many_rows_with_long_keys_and_texts
}

fn a_serializable_commit_runs_at_that_level_of_the_server(product: Product) {
    let (store, database) = support::servers::store(product);
    let url = database.url();
    let subject = &Subject::over(store, database);
    subject.create("Counter", json!({ "id": "1" }));
    let row = json!({ "@type": "type.googleapis.com/conformance.v1.Counter", "id": "1", "small": 1 });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // The default again at the end: what was set is of one transaction, not of its connection.
    for (isolation, level) in
        [("READ_COMMITTED", "REPEATABLE READ"), ("SERIALIZABLE", "SERIALIZABLE"), ("READ_COMMITTED", "REPEATABLE READ")]
    {
        let mut holder = runtime.block_on(Connection::open(&url.parse().unwrap())).unwrap();
        runtime.block_on(holder.command("BEGIN")).unwrap();
        runtime.block_on(holder.query("SELECT id FROM counters WHERE id = 1 FOR UPDATE")).unwrap();
        let commit = json!({ "writes": [{ "update": { "row": row } }], "isolation": isolation });
        std::thread::scope(|scope| {
            scope.spawn(|| subject.call("Commit", commit));
            let waiting = "SELECT trx_isolation_level FROM information_schema.INNODB_TRX WHERE trx_state = 'LOCK WAIT'";
            testkit::wait_until("a commit that waits", || {
                // InnoDB shows what it showed before until nobody has asked for a tenth of a second.
                std::thread::sleep(Duration::from_millis(150));
                support::servers::server(product).admin(waiting) == level
            });
            runtime.block_on(holder.command("ROLLBACK")).unwrap();
        });
        runtime.block_on(holder.close());
    }
}

fn a_commit_that_may_have_happened_is_not_said_to_have_come_too_late(product: Product) {
    let server = DatabaseServer::start(product);
    let proxy = FaultProxy::start(SocketAddr::from((Ipv4Addr::LOCALHOST, server.port())));
    // The proxy has to read what passes.
    let tls = Tls { mode: Some(TlsMode::Off), ..Tls::default() };
    let address: Address = server.url().parse().unwrap();
    let store = support::servers::open(Address { port: proxy.address().port(), tls, ..address });
    let engine = Engine::new(schema(), store, EngineOptions::default()).unwrap();
    let surface = EngineSurface::new(engine.clone(), ());
    // What is prepared and reserved once is behind us.
    surface.wait(engine.commit(create_note(&engine, "before", 60), &Session::strong())).unwrap();
    // Whoever asks what became of it is not let through.
    proxy.cut_at_answer_to(b"COMMIT");
    let committed = surface.wait(engine.commit(create_note(&engine, "perhaps", 3), &Session::strong()));
    let error = committed.unwrap_err();
    assert_eq!((error.reason(), error.applied()), ("COMMIT_UNKNOWN", Applied::Unknown), "{error:?}");
    proxy.heal();
    let subject = Subject::new(surface);
    assert_eq!(subject.list("Note", json!({})).len(), 2, "it happened");
}

/// More than is sent before an answer is received, and more than lies in a socket on its way back.
fn a_commit_locks_many_rows_with_long_keys_and_texts(product: Product) {
    let (store, database) = support::servers::store(product);
    let subject = &Subject::over(store, database);
    let row = |at: usize, text: &str| {
        let name = format!("{at:03}{}", "\u{1f511}".repeat(180));
        json!({ "@type": "type.googleapis.com/conformance.v1.Draft", "name": name, "text": text })
    };
    for start in (0..120).step_by(20) {
        let create = |at| json!({ "create": row(at, &"t".repeat(60_000)) });
        subject.commit((start..start + 20).map(create).collect());
    }
    let update = |at| json!({ "update": { "row": row(at, &at.to_string()) } });
    subject.commit((0..120).map(update).collect());
    let texts = subject.list("Draft", json!({ "pageSize": 200 }));
    let texts: Vec<&str> = texts.iter().map(|row| row["text"].as_str().unwrap()).collect();
    assert_eq!(texts, (0..120).map(|at| at.to_string()).collect::<Vec<_>>());
}

/// A commit with a request id, and that many seconds and a third of time.
fn create_note(engine: &Engine, title: &str, seconds: u64) -> CommitRequest {
    let entity = engine.schema().entity_by_name("Note").unwrap();
    let text = json!({ "title": title }).to_string();
    let read = engine.codecs().json.from_json(entity.message, text.as_bytes(), ReadOptions::default());
    let operation = Operation::Create { row: read.unwrap().wire.into() };
    let write = Write { entity: entity.id, operation, precondition: Precondition::default(), path: "note.".to_owned() };
    let deadline = Instant::now() + Duration::from_secs(seconds) + Duration::from_millis(300);
    let (writes, request_id) = (vec![write], Some(title.to_owned()));
    CommitRequest { writes, request_id, deadline: Some(deadline), ..CommitRequest::default() }
}
