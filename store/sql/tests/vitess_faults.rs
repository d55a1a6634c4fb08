//! What is told of a keyspace that cannot be used, and of writes whose server dies behind the gateway.
#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use kit_core::{Applied, Code};
use rowkeep_engine::conformance::{Failure, Subject, schema};
use rowkeep_engine::{Atomicity, Capabilities, Changes, CountedKeys, OnlineDdl, Positions, UniqueIndexes};
use rowkeep_record::Codecs;
use rowkeep_sql::Allow;
use rowkeep_sql::mysql::{Address, Database, MySqlStore, Options, look};
use serde_json::json;
use testkit::{Vitess, wait_until};

fn options(vitess: &Vitess, keyspace: &str) -> Options {
    Options::new(vitess.url_of(keyspace).parse().unwrap())
}

fn store(vitess: &Vitess) -> Subject {
    let schema = schema();
    let database = Database::open(&options(vitess, "test_1")).unwrap();
    let plan = database.plan(&schema).unwrap();
    database.apply(&plan, &schema, b"snapshot", &Allow::default()).unwrap();
    let store = MySqlStore::start(database, Arc::clone(&schema), Arc::new(Codecs::new(&schema))).unwrap();
    Subject::over(store, ())
}

#[test]
#[ignore = "needs Vitess, which takes minutes to build"]
fn what_cannot_be_promised_of_a_keyspace_is_refused_at_start() {
    let vitess = Vitess::start(1, 0);
    let refused = |options: &Options| Database::open(options).unwrap_err();
    for keyspace in ["test_1%40replica", "test_1:0"] {
        let error = refused(&options(&vitess, keyspace));
        assert_eq!((error.code(), error.reason()), (Code::FailedPrecondition, "KEYSPACE_PART"), "{error}");
    }
    let mut several = options(&vitess, "test_1");
    several.replicas.push(Address { host: "localhost".to_owned(), ..several.address.clone() });
    assert_eq!(refused(&several).reason(), "DATABASE_REFUSED");
}

#[test]
#[ignore = "needs Vitess, which takes minutes to build"]
fn what_a_keyspace_can_do_is_what_the_gateway_says() {
    let vitess = Vitess::start(1, 1);
    let can = |keyspace| look(&options(&vitess, keyspace)).unwrap().remove(0).state.unwrap().capabilities;
    let whole = can("test_1");
    let expected = Capabilities {
        load_rows: 8_192,
        own_programs: 8,
        positions: Positions::Untold,
        changes: Changes::Log,
        online_ddl: OnlineDdl::Gateway,
        ..Capabilities::local("vitess", "8.4.6-Vitess")
    };
    assert_eq!(*whole, expected);
    let sharded = Capabilities {
        shards: 2,
        changes: Changes::LogPerShard,
        load_rows: 1_024,
        serializable: false,
        atomicity: Atomicity::TwoPhase,
        reads_one_moment: false,
        counted_keys: CountedKeys::CounterRow,
        unique_indexes: UniqueIndexes::TakenValues,
        ..expected
    };
    assert_eq!(*can("test_sharded_1"), sharded);
}

#[test]
#[ignore = "needs Vitess, which takes minutes to build"]
fn a_gateway_that_keeps_settings_to_itself_is_refused() {
    let vitess = Vitess::start_with(1, 0, &["--enable-system-settings=false"]);
    let error = Database::open(&options(&vitess, "test_1")).unwrap_err();
    assert_eq!((error.code(), error.reason()), (Code::FailedPrecondition, "SETTINGS_IGNORED"), "{error}");
}

#[test]
#[ignore = "needs Vitess, which takes minutes to build"]
fn what_is_said_of_a_write_is_true_when_the_server_dies_behind_the_gateway() {
    const WRITERS: u32 = 4;
    const ROUNDS: u32 = 4;
    let vitess = Vitess::start(1, 0);
    let store = store(&vitess);
    let (stop, next, written) = (AtomicBool::new(false), AtomicU32::new(0), AtomicU32::new(0));
    // What each write was told: nothing for one that was acknowledged.
    let write = || {
        let mut told: Vec<(u32, Option<Failure>)> = Vec::new();
        while !stop.load(Ordering::Acquire) {
            let id = next.fetch_add(1, Ordering::AcqRel);
            let row = json!({ "plain": { "id": id.to_string(), "value": "x" } });
            let failure = store.try_call("CreatePlain", &row).err();
            written.fetch_add(u32::from(failure.is_none()), Ordering::AcqRel);
            told.push((id, failure.map(|failure| *failure)));
        }
        told
    };
    let told: Vec<(u32, Option<Failure>)> = thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS).map(|_| scope.spawn(write)).collect();
        for _ in 0..ROUNDS {
            let before = written.load(Ordering::Acquire);
            wait_until("writes to go on", || written.load(Ordering::Acquire) > before + 50);
            thread::sleep(Duration::from_millis(u64::from(rand::random_range(0..50_u32))));
            vitess.server().kill9();
            vitess.server().restart();
        }
        stop.store(true, Ordering::Release);
        writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
    });
    wait_until("reads to be answered again", || store.try_call("ListPlains", &json!({})).is_ok());
    for (id, failure) in &told {
        let exists = store.exists("Plain", json!({ "id": id.to_string() }));
        match failure {
            None => assert!(exists, "{id} was acknowledged"),
            Some(failure) if failure.applied == Applied::No => {
                assert!(!exists, "{id} was said not to be written: {failure:?}");
                assert_eq!(failure.code, Code::Unavailable, "{failure:?}");
            }
            Some(failure) => assert_eq!(failure.reason, "COMMIT_UNKNOWN", "{failure:?}"),
        }
    }
}
