//! A server over a database server that is in trouble, as its clients see it.

#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::{DatabaseServer, Product, Rowkeep, http};

testkit::on_both_products! {
    a_write_to_a_database_that_says_nothing_is_answered_in_time_and_truly
    a_user_whom_read_only_does_not_stop_is_warned_of
    memory_does_not_grow_with_the_time_a_database_is_silent
}

fn serve(url: &str) -> Rowkeep {
    serve_with(url, "1s")
}

fn serve_with(url: &str, timeout: &str) -> Rowkeep {
    let schema = testkit::workspace_root().join("examples/shop/shop.proto");
    Rowkeep::builder()
        .schema(schema)
        .env("ROWKEEP_DATABASE", url)
        .arg("--set")
        .arg(format!("rest.timeout={timeout}"))
        .start()
}

fn a_write_to_a_database_that_says_nothing_is_answered_in_time_and_truly(product: Product) {
    let database = DatabaseServer::start(product);
    let server = serve(&database.least_url_of("test"));
    let users = format!("{}/v1/users", server.url());
    let create = |name: &str| {
        let user = format!(r#"{{"name": "{name}", "email": "{name}@example.com"}}"#);
        http::json("POST", &users, &user)
    };
    assert_eq!(create("ann").status, 201);
    database.suspend();
    let asked = Instant::now();
    let reply = create("bob");
    let took = asked.elapsed();
    database.resume();
    assert_eq!(reply.status, 504, "{}", reply.text());
    assert!(took < Duration::from_millis(1500), "{took:?}");
    let error: Value = serde_json::from_str(&reply.text()).unwrap();
    let info = &error["error"]["details"][0];
    assert_eq!(
        (&info["reason"], &info["metadata"]["applied"]),
        (&"DEADLINE_EXCEEDED".into(), &"false".into()),
        "{error}"
    );
    testkit::wait_until("the database to be used again", || create("cid").status == 201);
    let listed = http::get(&users).text();
    assert!(!listed.contains("bob"), "{listed}");
}

fn a_user_whom_read_only_does_not_stop_is_warned_of(product: Product) {
    let database = DatabaseServer::start(product);
    let server = serve(&database.user("strong", "test", &["ALL ON *.*"]));
    let log = server.log().text();
    assert!(log.contains("may write where read_only is set") && log.contains("REVOKE"), "{log}");
    drop(server);
    let server = serve(&database.least_url_of("test"));
    assert!(!server.log().text().contains("read_only"));
}

/// Clients that write large rows and read lists of them, and ask again when they are refused.
fn memory_does_not_grow_with_the_time_a_database_is_silent(product: Product) {
    const CLIENTS: u64 = 48;
    const TEXT: usize = 64 << 10;
    let database = DatabaseServer::start(product);
    let server = serve_with(&database.least_url_of("test"), "300ms");
    let products = format!("{}/v1/products", server.url());
    let (stop, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    let text = "x".repeat(TEXT);
    let create = |number: u64| {
        let product =
            format!(r#"{{"sku": "P-{number}", "name": "Tea", "price": {{"value": "1"}}, "description": "{text}"}}"#);
        http::json("POST", &products, &product).status
    };
    let next = AtomicU64::new(1000);
    let wait_for = |count: u64| {
        let before = answered.load(Ordering::SeqCst);
        testkit::wait_until("answers", || answered.load(Ordering::SeqCst) >= before + count);
    };
    std::thread::scope(|scope| {
        let stopped = Stop(&stop);
        for client in 0..CLIENTS {
            let (create, products, next, stop, answered) = (&create, &products, &next, &stop, &answered);
            scope.spawn(move || {
                while !stop.load(Ordering::SeqCst) {
                    let status = match client % 4 {
                        0 => http::get(&format!("{products}?page_size=20")).status,
                        _ => create(next.fetch_add(1, Ordering::SeqCst)),
                    };
                    assert!([200, 201, 503, 504].contains(&status), "{status}");
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        wait_for(1000);
        database.suspend();
        // Until every connection and every buffer of the allocator has seen it.
        wait_for(10 * CLIENTS);
        let early = memory(server.id());
        wait_for(20 * CLIENTS);
        let late = memory(server.id());
        database.resume();
        drop(stopped);
        // What was asked for in between came to 45 MiB.
        assert!(late < early + (8 << 10), "{early} KiB, and later {late}");
    });
    testkit::wait_until("the database to be used again", || create(1) == 201);
}

/// Ends the clients, also when the test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Resident memory of a process, KiB.
fn memory(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let value = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
    value.unwrap().trim().parse().unwrap()
}
