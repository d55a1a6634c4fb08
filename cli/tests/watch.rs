//! Watches of a server that is killed, and what they cost it.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "clippy knows tests only by their attribute")]

mod support;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use serde_json::{Value, json};
use support::{SHOP, post};
use testkit::{Events, Rowkeep, http, wait_until};

const WATCH: &str = "/v1/users:watch?fields=email";

fn server() -> Rowkeep {
    Rowkeep::builder().schema(SHOP).env("ROWKEEP_WATCH_HEARTBEAT", "200ms").start()
}

/// Creates users one after the other until it is told to stop, each until it is known to be there.
fn write(server: &Rowkeep, stop: &AtomicBool, written: &AtomicU64) {
    let url = format!("http://{}/v1/users", server.address());
    while !stop.load(Ordering::Relaxed) {
        let number = written.load(Ordering::Relaxed);
        let user = json!({"email": format!("{number}@example.com"), "name": "x"}).to_string();
        let json = [("content-type", "application/json")];
        // After a broken connection it may be there already.
        let is_there = http::try_request("POST", &url, &json, user.as_bytes())
            .is_ok_and(|reply| matches!(reply.status, 201 | 409));
        if is_there {
            written.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Follows until it has seen this user and a kill has nothing more to break; the numbers in the order they came.
fn follow(server: &Rowkeep, is_last: impl Fn(u64) -> bool, seen: &AtomicU64) -> (Vec<u64>, u32) {
    let (mut numbers, mut breaks, mut last_id) = (Vec::new(), 0, None::<String>);
    loop {
        let headers: Vec<(&str, &str)> = last_id.as_deref().map(|id| ("last-event-id", id)).into_iter().collect();
        let Ok(mut events) = Events::try_open(server.address(), WATCH, &headers) else { continue };
        if events.status() != 200 {
            continue;
        }
        for event in events.by_ref() {
            if event.name == "error" {
                break;
            }
            let data: Value = serde_json::from_str(&event.data).unwrap();
            let email = data["changed"]["email"].as_str().unwrap();
            numbers.push(email.split('@').next().unwrap().parse().unwrap());
            seen.store(numbers.len() as u64, Ordering::Relaxed);
            last_id = event.id;
            if is_last(numbers[numbers.len() - 1]) {
                return (numbers, breaks);
            }
        }
        last_id = events.last_id.or(last_id);
        breaks += 1;
    }
}

#[test]
fn a_watch_misses_and_repeats_nothing_over_kills_of_the_server() {
    const KILLS: u64 = 12;
    let server = server();
    let (stop, written, seen, last) =
        (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(u64::MAX));
    thread::scope(|scope| {
        let follower = scope.spawn(|| follow(&server, |number| number >= last.load(Ordering::Relaxed), &seen));
        // Without a token it would begin anew after the first kill.
        wait_until("the watch", || {
            let metrics = http::get(&format!("{}/metrics", server.admin_url())).text();
            metrics.contains("rowkeep_watchers 1")
        });
        let writer = scope.spawn(|| write(&server, &stop, &written));
        for kill in 1..=KILLS {
            wait_until("rows", || seen.load(Ordering::Relaxed) >= kill * 20);
            server.restart();
        }
        wait_until("more rows", || seen.load(Ordering::Relaxed) >= (KILLS + 1) * 20);
        stop.store(true, Ordering::Relaxed);
        writer.join().unwrap();
        // One more, for a follower that has seen all of them.
        last.store(written.load(Ordering::Relaxed), Ordering::Relaxed);
        post(
            &server,
            "/v1/users",
            &json!({"email": format!("{}@example.com", written.load(Ordering::Relaxed)), "name": "x"}),
        );
        let (numbers, breaks) = follower.join().unwrap();
        assert!(u64::from(breaks) >= KILLS, "{breaks} breaks");
        let expected: Vec<u64> = (0..=written.load(Ordering::Relaxed)).collect();
        assert_eq!(numbers, expected);
    });
}

/// What of the process's memory is its own, in KiB; the mapped data file is not.
fn memory(server: &Rowkeep) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let value = status.lines().find_map(|line| line.strip_prefix("RssAnon:")?.trim().strip_suffix(" kB"));
    value.unwrap().trim().parse().unwrap()
}

#[test]
fn a_thousand_watches_that_wait_take_little_memory_and_all_are_told() {
    const WATCHES: usize = 1000;
    let server = server();
    // What the first ones bring along is not theirs.
    let first: Vec<Events> = (0..20).map(|_| Events::open(server.address(), WATCH, &[])).collect();
    let before = memory(&server);
    let mut watches: Vec<Events> = (0..WATCHES).map(|_| Events::open(server.address(), WATCH, &[])).collect();
    let each = (memory(&server) - before) as f64 / WATCHES as f64;
    println!("{each:.1} KiB for each of {WATCHES} watches");
    post(&server, "/v1/users", &json!({"email": "a@example.com", "name": "x"}));
    for watch in first.into_iter().chain(watches.drain(..)).collect::<Vec<_>>().iter_mut() {
        assert_eq!(watch.next().unwrap().data, r#"{"changed":{"email":"a@example.com"}}"#);
    }
    let metrics = http::get(&format!("{}/metrics", server.admin_url())).text();
    assert!(metrics.contains("rowkeep_watch_followers 1"), "{metrics}");
    assert!(metrics.contains(&format!("rowkeep_watch_events_total {}", WATCHES + 20)), "{metrics}");
    assert!(each < 64.0, "{each} KiB each");
}

#[test]
fn a_watch_that_is_not_read_takes_no_memory() {
    let server = server();
    let commit = |at: u32| {
        let product = |n: u32| {
            json!({"create": {
                "@type": "type.googleapis.com/shop.v1.Product", "sku": format!("{at}-{n}"), "name": "x",
                "price": {"value": "1.00"}, "description": "d".repeat(3000),
            }})
        };
        post(&server, "/v1:commit", &json!({"writes": (0..100).map(product).collect::<Vec<_>>()}));
    };
    let watch = |fields: &str| Events::open(server.address(), &format!("/v1/products:watch{fields}"), &[]);
    let mut fast = watch("?fields=sku");
    // Until what is kept for watches is full.
    (0..60).for_each(commit);
    let before = memory(&server);
    let mut slow = watch("");
    (60..160).for_each(commit);
    for at in (0..160).flat_map(|at| (0..100).map(move |n| format!("{at}-{n}"))) {
        assert_eq!(fast.next().unwrap().data, format!(r#"{{"changed":{{"sku":"{at}"}}}}"#));
    }
    let more = memory(&server).saturating_sub(before);
    println!("{more} KiB more, of 30,000 KiB that it did not take");
    assert!(more < 15_000, "{more} KiB more");
    let data: Value = serde_json::from_str(&slow.next().unwrap().data).unwrap();
    assert_eq!(data["changed"]["sku"], "60-0", "and it goes on where it was");
}
