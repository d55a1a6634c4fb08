//! A backup that is made while clients write is one state of the data: whole commits, and all that were acknowledged before.

#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]

mod support;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use serde_json::json;
use support::kept::Kept;
use support::{SHOP, Scratch, post, rowkeep};
use testkit::{Rowkeep, wait_until};

const CLIENTS: usize = 4;

/// Commits a product and its number in the client's own row until told to stop.
fn commit(server: &Rowkeep, client: usize, acknowledged: &AtomicU64, stop: &AtomicBool) {
    let mut connection = Kept::open(server.address()).unwrap();
    for number in 1.. {
        let body = json!({"writes": [
            {"create": {"@type": "type.googleapis.com/shop.v1.Product", "sku": format!("P-{client}-{number}"),
                        "name": "Thing", "price": {"value": "1"}}},
            {"update": {"row": {"@type": "type.googleapis.com/shop.v1.User", "id": client + 1,
                                "city": number.to_string()}}},
        ]});
        let reply = connection.ask("POST", "/v1:commit", &[], &body.to_string()).unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
        acknowledged.store(number, Ordering::SeqCst);
        if stop.load(Ordering::SeqCst) {
            return;
        }
    }
}

#[test]
fn a_backup_under_load_has_whole_commits_and_every_acknowledged_one() {
    let server = Rowkeep::start(SHOP, &[]);
    let scratch = Scratch::default();
    let data = server.data().to_str().unwrap().to_owned();
    for client in 0..CLIENTS {
        post(&server, "/v1/users", &json!({"email": format!("{client}@x.org"), "name": "N", "city": "0"}));
    }
    let acknowledged: Vec<_> = (0..CLIENTS).map(|_| AtomicU64::new(0)).collect();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for (client, acknowledged) in acknowledged.iter().enumerate() {
            let (server, stop) = (&server, &stop);
            scope.spawn(move || commit(server, client, acknowledged, stop));
        }
        for copy in 0..5 {
            let done: Vec<_> = acknowledged.iter().map(|number| number.load(Ordering::SeqCst)).collect();
            let name = format!("copy{copy}.sqlite");
            rowkeep(&["backup", &scratch.arg(&name), "--data", &data]).expect(0);
            let copy = rusqlite::Connection::open(scratch.path(&name)).unwrap();
            for (client, done) in done.iter().enumerate() {
                let products = format!("SELECT count(*) FROM products WHERE sku LIKE 'P-{client}-%'");
                let city = format!("SELECT CAST(city AS INTEGER) FROM users WHERE id = {}", client + 1);
                let number = |sql: &str| copy.query_row(sql, [], |row| row.get::<_, u32>(0)).unwrap();
                let (products, city) = (number(&products), number(&city));
                assert_eq!(products, city, "half of a commit of client {client}");
                assert!(u64::from(city) >= *done, "client {client}: commit {done} was acknowledged, {city} is copied");
            }
            let further = acknowledged[0].load(Ordering::SeqCst) + 5;
            wait_until("clients go on", || acknowledged[0].load(Ordering::SeqCst) > further);
        }
        stop.store(true, Ordering::SeqCst);
    });
    assert!(server.terminate().success());
}
