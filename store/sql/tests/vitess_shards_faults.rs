//! Commits to two shards whose machine is lost, and rows where they should be.
#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use kit_core::Applied;
use rowkeep_engine::conformance::{Failure, Subject, schema};
use rowkeep_record::Codecs;
use rowkeep_sql::Allow;
use rowkeep_sql::mysql::{Database, MySqlStore, Options};
use serde_json::{Value as Json, json};
use testkit::{Vitess, wait_until};

fn store(vitess: &Vitess) -> Subject {
    let schema = schema();
    let database = Database::open(&Options::new(vitess.url_of("test_sharded_1").parse().unwrap())).unwrap();
    let plan = database.plan(&schema).unwrap();
    database.apply(&plan, &schema, b"snapshot", &Allow::default()).unwrap();
    let store = MySqlStore::start(database, Arc::clone(&schema), Arc::new(Codecs::new(&schema))).unwrap();
    Subject::over(store, ())
}

/// Rows of a table in each shard.
fn counts(vitess: &Vitess, table: &str) -> [u64; 2] {
    ["-80", "80-"].map(|shard| {
        let sql = format!("SELECT COUNT(*) FROM `vt_test_sharded_1_{shard}`.`{table}`");
        vitess.server().admin(&sql).trim().parse().unwrap()
    })
}

#[test]
#[ignore = "needs Vitess, which takes minutes to build"]
fn rows_and_taken_values_lie_in_both_shards() {
    let vitess = Vitess::start(0, 1);
    let store = store(&vitess);
    for number in 0..40 {
        let member = json!({ "code": format!("m{number}"), "email": format!("{number}@x"), "team": "red" });
        store.create("Member", member);
        store.create("Line", json!({ "orderId": (number % 4).to_string(), "line": number, "text": "t" }));
    }
    let members = counts(&vitess, "members");
    assert!(members[0] > 5 && members[1] > 5 && members.iter().sum::<u64>() == 40, "{members:?}");
    let tables = vitess.server().admin(
        "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'vt_test_sharded_1_-80' \
         AND TABLE_COMMENT LIKE 'members(%' ORDER BY TABLE_COMMENT",
    );
    let taken: Vec<u64> = tables.lines().map(|table| counts(&vitess, table).iter().sum()).collect();
    // Every e-mail is taken; handles and seats are absent.
    assert_eq!(taken, [40, 0, 0], "{tables}");
    // Lines of one order lie together.
    for order in 0..4 {
        let of = |shard: &str| {
            let sql = format!("SELECT COUNT(*) FROM `vt_test_sharded_1_{shard}`.`lines` WHERE order_id = {order}");
            vitess.server().admin(&sql).trim().to_owned()
        };
        let mut both = [of("-80"), of("80-")];
        both.sort_unstable();
        assert_eq!(both, ["0", "10"]);
    }
}

#[test]
#[ignore = "needs Vitess, which takes minutes to build"]
fn a_commit_to_two_shards_happens_in_both_or_in_none_when_the_machine_is_lost() {
    const WRITERS: u32 = 8;
    const ROUNDS: u32 = 4;
    let vitess = Vitess::start_with(0, 1, &["--twopc-abandon-age=1s"]);
    let store = store(&vitess);
    let (stop, next, written) = (AtomicBool::new(false), AtomicU32::new(0), AtomicU32::new(0));
    let ids = |number: u32| [2 * number, 2 * number + 1].map(|id| id.to_string());
    let create = |id: &String| {
        let row = json!({ "@type": "type.googleapis.com/conformance.v1.Plain", "id": id, "value": "x" });
        json!({ "create": row })
    };
    let write = || {
        let mut told: Vec<(u32, Option<Failure>)> = Vec::new();
        while !stop.load(Ordering::Acquire) {
            let number = next.fetch_add(1, Ordering::AcqRel);
            let writes: Vec<Json> = ids(number).iter().map(create).collect();
            let failure = store.try_call("Commit", &json!({ "writes": writes })).err();
            written.fetch_add(u32::from(failure.is_none()), Ordering::AcqRel);
            told.push((number, failure.map(|failure| *failure)));
        }
        told
    };
    let told: Vec<(u32, Option<Failure>)> = thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS).map(|_| scope.spawn(write)).collect();
        for _ in 0..ROUNDS {
            let before = written.load(Ordering::Acquire);
            wait_until("writes to go on", || written.load(Ordering::Acquire) > before + 50);
            thread::sleep(Duration::from_millis(u64::from(rand::random_range(0..50_u32))));
            vitess.lose_machine();
        }
        stop.store(true, Ordering::Release);
        writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
    });
    wait_until("reads to be answered again", || store.try_call("ListPlains", &json!({})).is_ok());
    let exist = |number: u32| ids(number).map(|id| store.exists("Plain", json!({ "id": id })));
    let halves = || told.iter().map(|(number, _)| *number).filter(|number| exist(*number)[0] != exist(*number)[1]);
    let unresolved = halves().count();
    println!("{unresolved} of {} commits are half done before they are resolved", told.len());
    wait_until("what was decided to be done", || halves().next().is_none());
    for (number, failure) in &told {
        let exists = exist(*number)[0];
        match failure {
            None => assert!(exists, "{number} was acknowledged"),
            Some(failure) if failure.applied == Applied::No => {
                assert!(!exists, "{number} was said not to be written: {failure:?}");
            }
            Some(failure) => assert_eq!(failure.reason, "COMMIT_UNKNOWN", "{failure:?}"),
        }
    }
    let plains = counts(&vitess, "plains");
    assert!(plains[0] > 50 && plains[1] > 50, "{plains:?}");
}
