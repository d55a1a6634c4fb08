//! A server that answers, and does not do what is asked.

use std::time::Duration;

use rowkeep_mysql::Connection;
use serde_json::json;
use testkit::{DatabaseServer, Product};

use super::calls::{DEADLINE, Served, around};

testkit::on_both_products! {
    a_primary_that_is_made_read_only_refuses_writes_and_goes_on_reading
    a_server_without_free_connections_is_said_to_be_busy
    a_locked_table_does_not_hold_up_the_others
    calls_behind_a_change_of_their_table_are_answered_in_time
}

fn a_primary_that_is_made_read_only_refuses_writes_and_goes_on_reading(product: Product) {
    let server = DatabaseServer::start(product);
    let served = Served::new(super::address(&server));
    let name = if product == Product::MariaDb { "read_only" } else { "super_read_only" };
    let calls = around(&served, |running| {
        server.admin(&format!("SET GLOBAL {name} = ON"));
        running.wait_for_failures(100);
        server.admin("SET GLOBAL read_only = OFF");
    });
    let writes = calls.during(true);
    // It is asked whether it takes writes again, for a while: a switch of the primary should not be noticed.
    let refused = ["STORAGE_READ_ONLY", "NO_PRIMARY"];
    assert!(writes.iter().filter(|(reason, _)| refused.contains(reason)).map(|(_, count)| count).sum::<usize>() > 50);
    assert!(writes.keys().all(|reason| reason.is_empty() || refused.contains(reason)), "{writes:?}");
    assert!(calls.during(false).keys().all(|reason| reason.is_empty()));
}

fn a_server_without_free_connections_is_said_to_be_busy(product: Product) {
    let server = DatabaseServer::start_with(product, &["--max-connections=30"]);
    let (proxy, served) = super::network::behind_proxy(&server);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let calls = around(&served, |running| {
        // Ours break, and others take their places before they can come again.
        proxy.cut();
        let others = runtime.block_on(async {
            let (mut others, mut refused) = (Vec::new(), 0);
            while refused < 20 {
                match Connection::open(&super::address(&server)).await {
                    Ok(connection) => others.push(connection),
                    Err(_) => {
                        refused += 1;
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                }
            }
            others
        });
        proxy.heal();
        running.wait_for_writes(200);
        drop(others);
    });
    let writes = calls.during(true);
    let known = ["STORAGE_BUSY", "STORAGE_UNREACHABLE", "COMMIT_UNKNOWN", "DEADLINE_EXCEEDED"];
    assert!(writes.keys().all(|reason| known.contains(reason)), "{writes:?}");
    assert!(writes.contains_key("STORAGE_BUSY") && calls.during(false).contains_key("STORAGE_BUSY"), "{writes:?}");
}

fn a_locked_table_does_not_hold_up_the_others(product: Product) {
    let server = DatabaseServer::start(product);
    let served = Served::new(super::address(&server));
    served.subject.call("CreateNote", json!({ "note": { "title": "first" } }));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let calls = around(&served, |running| {
        let mut other = runtime.block_on(Connection::open(&super::address(&server))).unwrap();
        runtime.block_on(other.command("LOCK TABLES notes WRITE")).unwrap();
        std::thread::scope(|scope| {
            // Of reads by key more than there are connections for them.
            for call in ["CreateNote", "ListNotes"].into_iter().chain(["GetNote"; 12]) {
                let served = &served;
                scope.spawn(move || {
                    let request = match call {
                        "CreateNote" => json!({ "note": { "title": "later" } }),
                        "GetNote" => json!({ "id": "1" }),
                        _ => json!({}),
                    };
                    for _ in 0..2 {
                        let failure = served.subject.try_call(call, &request).unwrap_err();
                        assert_eq!(failure.reason, "DEADLINE_EXCEEDED", "{call}: {failure:?}");
                    }
                });
            }
        });
        running.wait_for_writes(100);
        runtime.block_on(other.command("UNLOCK TABLES")).unwrap();
        std::thread::sleep(DEADLINE);
    });
    for is_write in [true, false] {
        let during = calls.during(is_write);
        assert!(during.keys().all(|reason| reason.is_empty()), "{during:?}");
    }
    served.subject.call("CreateNote", json!({ "note": { "title": "last" } }));
    let notes = served.subject.call("ListNotes", json!({}));
    assert_eq!(notes["notes"].as_array().map(Vec::len), Some(2), "{notes}");
}

/// A change of a table waits for who read it, and everybody else behind the change.
fn calls_behind_a_change_of_their_table_are_answered_in_time(product: Product) {
    let server = DatabaseServer::start(product);
    let served = Served::new(super::address(&server));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let open = || runtime.block_on(Connection::open(&super::address(&server))).unwrap();
    let calls = around(&served, |running| {
        let (mut reader, mut operator) = (open(), open());
        runtime.block_on(reader.command("BEGIN")).unwrap();
        runtime.block_on(reader.query("SELECT * FROM `lines` LIMIT 1")).unwrap();
        let change = "ALTER TABLE `lines` COMMENT = 'changed', ALGORITHM = COPY";
        let change = runtime.spawn(async move { operator.command(change).await });
        running.wait_for_failures(16);
        assert!(!change.is_finished());
        runtime.block_on(reader.command("COMMIT")).unwrap();
        runtime.block_on(change).unwrap().unwrap();
        std::thread::sleep(DEADLINE);
    });
    for is_write in [true, false] {
        let during = calls.during(is_write);
        assert!(during.contains_key("DEADLINE_EXCEEDED"), "{during:?}");
        assert!(during.keys().all(|reason| ["", "DEADLINE_EXCEEDED"].contains(reason)), "{during:?}");
    }
}
