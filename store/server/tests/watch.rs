//! Watching through both surfaces of a running server.
#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use kit_core::config::{ByteSize, HumanDuration};
use rowkeep_schema::Schema;
use serde_json::{Value, json};
use support::grpc::{Client, reason};
use support::http::{ask, get};
use support::watching::GrpcWatch;
use support::{Shop, shop_schema};
use testkit::Events;
use tonic::{Code, Status};

const WATCH: &str = "shop.v1.UserService/WatchUsers";

fn create(shop: &Shop, name: &str) -> Value {
    let user = json!({"email": format!("{name}@example.com"), "name": name});
    ask(shop.address, "POST", "/v1/users").json(&user).send().expect(201).json()
}

fn rename(shop: &Shop, id: &str, name: &str) {
    ask(shop.address, "PATCH", &format!("/v1/users/{id}")).json(&json!({"name": name})).send().expect(200);
}

fn delete(shop: &Shop, id: &str) {
    ask(shop.address, "DELETE", &format!("/v1/users/{id}")).send().expect(200);
}

fn watch(shop: &Shop, request: &Value) -> GrpcWatch {
    try_watch(shop, request).unwrap()
}

fn try_watch(shop: &Shop, request: &Value) -> Result<GrpcWatch, Status> {
    GrpcWatch::begin(shop.address, &shop_schema(), WATCH, request, |_| {})
}

/// The next event's name and data.
fn next(events: &mut Events) -> (String, Value) {
    let event = events.next().unwrap();
    (event.name, serde_json::from_str(&event.data).unwrap())
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value}")).to_owned()
}

#[test]
fn rows_and_changes_come_as_a_stream_that_goes_on_from_any_token() {
    let shop = Shop::start();
    let ann = create(&shop, "ann");
    let mut stream = watch(&shop, &json!({"snapshot": true}));
    assert_eq!(stream.next(), json!({"changed": ann}), "no token before the snapshot is complete");
    let complete = stream.next();
    assert_eq!(complete["snapshotComplete"], true);
    let bob = create(&shop, "bob");
    rename(&shop, "1", "Ann");
    delete(&shop, "1");
    let events: Vec<Value> = (0..3).map(|_| stream.next()).collect();
    assert_eq!(events[0]["changed"], bob);
    assert_eq!(events[1]["changed"]["name"], "Ann");
    assert_eq!(events[2]["deleted"], json!({"id": "1"}), "the key and nothing else");
    drop(stream);
    create(&shop, "cid");
    let tokens = [&complete, &events[0], &events[1], &events[2]].map(|event| text(&event["resumeToken"]));
    for (at, token) in tokens.iter().enumerate() {
        let mut resumed = watch(&shop, &json!({"resumeToken": token}));
        for event in &events[at..] {
            // A token says when it was made.
            let mut again = resumed.next();
            assert!(again["resumeToken"].is_string(), "{again}");
            again["resumeToken"] = event["resumeToken"].clone();
            assert_eq!(again, *event);
        }
        assert_eq!(resumed.next()["changed"]["name"], "cid");
    }
}

#[test]
fn server_sent_events_carry_the_token_as_their_id_and_resume_by_it() {
    let shop = Shop::start();
    create(&shop, "ann");
    let mut events = Events::open(shop.address, "/v1/users:watch?snapshot=true&fields=name", &[]);
    assert_eq!(events.status(), 200);
    let head = events.head.to_ascii_lowercase();
    assert!(head.contains("content-type: text/event-stream") && head.contains("cache-control: no-store"), "{head}");
    let (name, data) = next(&mut events);
    assert_eq!((name.as_str(), data), ("changed", json!({"changed": {"name": "ann"}})));
    assert_eq!(events.last_id, None, "the snapshot is not complete");
    let (name, data) = next(&mut events);
    assert_eq!((name.as_str(), data), ("snapshot_complete", json!({"snapshotComplete": true})));
    create(&shop, "bob");
    delete(&shop, "1");
    let bob = events.next().unwrap();
    let gone = events.next().unwrap();
    assert_eq!((gone.name.as_str(), gone.data.as_str()), ("deleted", r#"{"deleted":{"id":"1"}}"#));
    drop(events);
    create(&shop, "cid");
    // As an EventSource reconnects: the same address, and the id.
    let again = [("last-event-id", bob.id.as_deref().unwrap()), ("accept", "text/event-stream")];
    let mut resumed = Events::open(shop.address, "/v1/users:watch?snapshot=true&fields=name", &again);
    assert_eq!(resumed.next().unwrap(), gone);
    assert_eq!(next(&mut resumed).1, json!({"changed": {"name": "cid"}}));
}

#[test]
fn rows_that_come_to_match_and_cease_to_are_told_by_the_filter() {
    let shop = Shop::start();
    create(&shop, "ann");
    let request = json!({"filter": "name = \"wanted\""});
    let mut stream = watch(&shop, &request);
    let mut events = Events::open(shop.address, "/v1/users:watch?filter=name%20%3D%20%22wanted%22", &[]);
    create(&shop, "bob");
    rename(&shop, "1", "wanted");
    rename(&shop, "1", "other");
    assert_eq!(stream.next()["changed"]["id"], "1");
    assert_eq!(stream.next()["deleted"], json!({"id": "1"}));
    assert_eq!(next(&mut events).1["changed"]["id"], "1");
    assert_eq!(next(&mut events).1["deleted"], json!({"id": "1"}));
}

#[test]
fn what_is_wrong_with_a_watch_is_an_error_as_elsewhere() {
    let shop = Shop::start();
    let refused = |request: Value| match try_watch(&shop, &request) {
        Ok(mut stream) => stream.fails(),
        Err(status) => status,
    };
    for request in [json!({"filter": "nonsense"}), json!({"resumeToken": "x"}), json!({"readMask": "nothing"})] {
        assert_eq!(refused(request.clone()).code(), Code::InvalidArgument, "{request}");
    }
    assert_eq!(reason(&refused(json!({"snapshot": true, "filter": "name != \"x\""}))), "NO_INDEX");
    for (path, status) in [
        ("/v1/users:watch?filter=nonsense", 400),
        ("/v1/users:watch?resume_token=x", 400),
        ("/v1/users:watch?unknown=1", 400),
        ("/v1/users:watch.json", 406),
    ] {
        let error = get(shop.address, path).expect(status).json();
        assert!(error["error"]["message"].is_string(), "{error}");
    }
    assert_eq!(ask(shop.address, "POST", "/v1/users:watch").send().status, 405);
}

#[test]
fn a_deadline_of_the_client_ends_the_stream_and_none_of_the_server_does() {
    // A call that says nothing would end after this.
    let shop = Shop::start_with(|config| config.grpc.default_timeout = HumanDuration::millis(50));
    let mut endless = watch(&shop, &json!({}));
    let started = Instant::now();
    let bounded = |request: &mut tonic::Request<_>| request.set_timeout(Duration::from_millis(300));
    let mut stream = GrpcWatch::begin(shop.address, &shop_schema(), WATCH, &json!({}), bounded).unwrap();
    let status = stream.fails();
    // Whoever notices first: the client says it in another way.
    assert!(matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled), "{status}");
    assert!(started.elapsed() >= Duration::from_millis(290));
    create(&shop, "ann");
    assert_eq!(endless.next()["changed"]["name"], "ann");
}

#[test]
fn heartbeats_move_the_token_on() {
    let shop = Shop::start_with(|config| config.watch.heartbeat = HumanDuration::millis(100));
    let mut stream = watch(&shop, &json!({}));
    let mut events = Events::open(shop.address, "/v1/users:watch", &[]);
    let beat = stream.try_next().unwrap();
    assert_eq!(beat["heartbeat"], true);
    // Comments are no events: another row comes, and heartbeats have been there before.
    std::thread::sleep(Duration::from_millis(500));
    create(&shop, "ann");
    assert_eq!(next(&mut events).1["changed"]["name"], "ann");
    assert!(events.comments >= 3, "{} comments", events.comments);
    let mut resumed = watch(&shop, &json!({"resumeToken": beat["resumeToken"]}));
    assert_eq!(resumed.next()["changed"]["name"], "ann");
}

#[test]
fn another_schema_ends_watches_and_so_does_the_end_of_the_server() {
    let shop = Shop::start();
    let (mut stream, mut events) = (watch(&shop, &json!({})), Events::open(shop.address, "/v1/users:watch", &[]));
    create(&shop, "ann");
    let token = text(&stream.next()["resumeToken"]);
    assert_eq!(events.next().unwrap().name, "changed");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(shop.reloader.reload(shop_schema())).unwrap();
    let status = stream.fails();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unavailable, "WATCHES_ENDED"));
    let (name, data) = next(&mut events);
    assert_eq!((name.as_str(), &data["error"]["status"]), ("error", &json!("UNAVAILABLE")));
    assert_eq!(events.next(), None);
    drop(stream);
    // The same schema: the log goes on.
    create(&shop, "bob");
    let mut resumed = watch(&shop, &json!({"resumeToken": token}));
    assert_eq!(resumed.next()["changed"]["name"], "bob");
    let started = Instant::now();
    let stopping = std::thread::spawn(move || drop(shop));
    assert_eq!(resumed.fails().code(), Code::Unavailable);
    drop(resumed);
    stopping.join().unwrap();
    assert!(started.elapsed() < Duration::from_secs(10), "the watch kept the server for {:?}", started.elapsed());
}

#[test]
fn a_token_of_a_former_schema_is_refused_and_the_new_log_is_watched() {
    let notes = |fields: &str| -> Arc<Schema> {
        let text = format!(
            "syntax = \"proto3\";\npackage notes.v1;\nimport \"rowkeep/v1/options.proto\";\n\
             message Note {{ option (rowkeep.v1.entity) = {{}}; int64 id = 1; {fields} }}\n"
        );
        Arc::new(rowkeep_schema::compile_str(&[("notes.proto", &text)]).unwrap_or_else(|errors| panic!("{errors}")))
    };
    let directory = tempfile::tempdir().unwrap();
    let (before, after) = (notes("string text = 2;"), notes("string text = 2; string mood = 3;"));
    let shop = Shop::open(Arc::clone(&before), support::config(directory.path())).unwrap();
    let begin = |schema: &Arc<Schema>, request: &Value| {
        GrpcWatch::begin(shop.address, schema, "notes.v1.NoteService/WatchNotes", request, |_| {})
    };
    let write = |id: i64| ask(shop.address, "POST", "/v1/notes").json(&json!({"id": id})).send().expect(201);
    let mut stream = begin(&before, &json!({})).unwrap();
    write(1);
    let token = text(&stream.next()["resumeToken"]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(shop.reloader.reload(Arc::clone(&after))).unwrap();
    let status = begin(&after, &json!({"resumeToken": token})).err().expect("its rows have other columns");
    assert_eq!(status.code(), Code::InvalidArgument);
    let mut anew = begin(&after, &json!({"snapshot": true})).unwrap();
    assert_eq!(anew.next()["changed"]["id"], "1");
    assert_eq!(anew.next()["snapshotComplete"], true);
    write(2);
    assert_eq!(anew.next()["changed"]["id"], "2");
}

#[test]
fn a_place_that_the_log_does_not_reach_is_refused_with_a_status_that_ends_reconnecting() {
    let shop = Shop::start_with(|config| config.watch.log_size = ByteSize::kib(16));
    let mut stream = watch(&shop, &json!({}));
    create(&shop, "first");
    let token = text(&stream.next()["resumeToken"]);
    for at in 0..300 {
        create(&shop, &format!("{at}-{}", "x".repeat(60)));
    }
    drop(stream);
    // What the last watch was told is remembered for a while; nobody else may know of it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(shop.reloader.reload(shop_schema())).unwrap();
    let refused = try_watch(&shop, &json!({"resumeToken": token})).err().expect("it is gone");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Aborted, "CHANGES_LOST"));
    let answer = get(shop.address, &format!("/v1/users:watch?resume_token={token}")).expect(410);
    assert_eq!(answer.json()["error"]["status"], "ABORTED");
}

#[test]
fn a_copy_is_right_however_often_the_stream_breaks_while_others_write() {
    let shop = Shop::start();
    let client = Client::new(shop.address, shop_schema());
    for at in 0..20 {
        create(&shop, &format!("u{at}"));
    }
    let (done, written) = (AtomicBool::new(false), AtomicU32::new(0));
    let mut copy: BTreeMap<String, Value> = BTreeMap::new();
    let mut names: BTreeMap<String, u64> = BTreeMap::new();
    std::thread::scope(|scope| {
        for worker in 0..2_u32 {
            let (shop, done, written) = (&shop, &done, &written);
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    let number = written.fetch_add(1, Ordering::Relaxed);
                    // Each writer has rows of its own, so that the numbers in a row only grow.
                    rename(shop, &(1 + worker + 2 * (number % 10)).to_string(), &number.to_string());
                }
            });
        }
        let mut request = json!({"snapshot": true});
        let mut breaks = 0;
        while breaks < 15 {
            let mut stream = watch(&shop, &request);
            for _ in 0..(10 + breaks * 7) {
                let event = stream.next();
                if let Some(token) = event.get("resumeToken") {
                    request = json!({"resumeToken": token});
                }
                let Some(row) = event.get("changed") else { continue };
                let id = text(&row["id"]);
                if let Ok(number) = text(&row["name"]).parse::<u64>() {
                    let before = names.insert(id.clone(), number);
                    let is_first = request.get("snapshot").is_some();
                    assert!(is_first || before < Some(number), "{id} went from {before:?} to {number}");
                }
                copy.insert(id, row.clone());
            }
            breaks += 1;
        }
        done.store(true, Ordering::Relaxed);
        let last = create(&shop, "last");
        let mut stream = watch(&shop, &request);
        loop {
            let row = stream.next()["changed"].clone();
            copy.insert(text(&row["id"]), row.clone());
            if row == last {
                break;
            }
        }
    });
    // A writer may have been in the middle of its last write.
    let stored = client.call("shop.v1.UserService/ListUsers", &json!({"pageSize": 1000}));
    let stored: BTreeMap<String, Value> =
        stored["users"].as_array().unwrap().iter().map(|row| (text(&row["id"]), row.clone())).collect();
    let differ: Vec<_> = stored.iter().filter(|(id, row)| copy.get(*id) != Some(row)).collect();
    assert!(copy.len() == stored.len() && differ.len() <= 2, "{differ:?}");
}

#[test]
fn whoever_does_not_read_holds_up_nobody_and_finds_everything_later() {
    let shop = Shop::start_with(|config| config.watch.kept = ByteSize::kib(64));
    let mut slow = Events::open(shop.address, "/v1/users:watch", &[]);
    let (mut slow_grpc, mut fast) = (watch(&shop, &json!({})), watch(&shop, &json!({})));
    create(&shop, "ann");
    fast.next();
    let filler = "x".repeat(60);
    // More than the sockets and what is kept can hold.
    let count = 30_000 / 100;
    for at in 0..count {
        let writes: Vec<Value> = (0..100)
            .map(|n| {
                let user = json!({"@type": "type.googleapis.com/shop.v1.User", "email": format!("{at}-{n}@example.com"), "name": filler});
                json!({"create": user})
            })
            .collect();
        ask(shop.address, "POST", "/v1:commit").json(&json!({"writes": writes})).send().expect(200);
        for _ in 0..100 {
            fast.next();
        }
    }
    assert_eq!(next(&mut slow).1["changed"]["name"], "ann");
    assert_eq!(slow_grpc.next()["changed"]["name"], "ann");
    for at in 0..count {
        for n in 0..100 {
            let email = format!("{at}-{n}@example.com");
            assert_eq!(next(&mut slow).1["changed"]["email"], email);
            assert_eq!(slow_grpc.next()["changed"]["email"], email);
        }
    }
    let metrics = get(shop.admin, "/metrics").expect(200).text();
    assert!(metrics.contains("rowkeep_watch_fell_behind_total 2"), "{metrics}");
    assert!(metrics.contains("rowkeep_watch_followers 1") && metrics.contains("rowkeep_watchers 3"), "{metrics}");
}

#[test]
fn messages_are_packed_for_clients_that_pack_theirs() {
    let shop = Shop::start_with(|config| {
        config.grpc.reply_compression = kit_rpc::ReplyCompression::Accepted;
        config.grpc.compression_threshold = ByteSize(200);
    });
    let mut stream = watch(&shop, &json!({"filter": "name != \"never\""}));
    let name = "x".repeat(100);
    let user = json!({"email": "a@example.com", "name": name});
    ask(shop.address, "POST", "/v1/users").json(&user).send().expect(201);
    create(&shop, "short");
    assert_eq!(stream.next()["changed"]["name"], name);
    assert_eq!(stream.next()["changed"]["name"], "short");
}

#[test]
fn watches_are_limited_and_a_storage_without_a_log_has_none() {
    let shop = Shop::start_with(|config| config.watch.max_watchers = 1);
    let first = watch(&shop, &json!({}));
    let refused = try_watch(&shop, &json!({})).err().expect("one too many");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::ResourceExhausted, "TOO_MANY_WATCHERS"));
    assert_eq!(get(shop.address, "/v1/users:watch").expect(429).json()["error"]["status"], "RESOURCE_EXHAUSTED");
    drop(first);
    testkit::wait_until("the place to be free again", || try_watch(&shop, &json!({})).is_ok());
    let without = Shop::start_with(|config| config.watch.log_size = ByteSize::kib(0));
    create(&without, "ann");
    let refused = try_watch(&without, &json!({})).err().expect("there is no log");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "NO_CHANGE_LOG"));
}
