//! `kill -9` at any moment: what was acknowledged is there, what was not is there whole or not at all.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "clippy knows tests only by their attribute")]

mod support;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use serde_json::{Value, json};
use support::kept::Kept;
use support::{Dice, SHOP, every_row};
use testkit::{Rowkeep, wait_until};

const CLIENTS: usize = 6;

/// A request and, once it was acknowledged, its answer.
#[derive(Debug, Clone)]
struct Sent {
    method: &'static str,
    target: String,
    request_id: String,
    body: Value,
    answer: Option<Value>,
}

/// One client's own rows, and what it knows of them.
#[derive(Debug, Default)]
struct Client {
    name: usize,
    count: u64,
    /// The row it keeps changing.
    id: String,
    /// The user it creates, by email.
    created: BTreeMap<String, Value>,
    /// The last acknowledged city, and the one that was being written.
    city: [String; 2],
    /// The last product of a commit, likewise: the user's name says the same in the same commit.
    product: [String; 2],
    products: u64,
    /// For replays: the last acknowledged request of each kind, and the one without an answer.
    kinds: BTreeMap<&'static str, Sent>,
    open: Option<Sent>,
}

impl Client {
    /// Makes the row it will change.
    fn start(&mut self, connection: &mut Kept) -> io::Result<()> {
        let email = format!("client{}@x.org", self.name);
        let body =
            json!({"email": email, "name": "", "city": ""}).to_string().replace("\"name\":\"\"", "\"name\":\"-\"");
        // It may have been made by an earlier try that was killed before the answer.
        let key = format!("\"start-{}\"", self.name);
        let reply = connection.ask("POST", "/v1/users", &[("idempotency-key", &key)], &body)?;
        assert!(matches!(reply.status, 200 | 201), "{}", reply.text());
        let row: Value = serde_json::from_slice(&reply.body)?;
        row["id"].as_str().unwrap().clone_into(&mut self.id);
        self.product = ["-".to_owned(), "-".to_owned()];
        self.created.insert(email, row);
        Ok(())
    }

    /// Writes until the connection breaks.
    fn run(&mut self, address: SocketAddr, acknowledged: &AtomicU64) -> io::Result<()> {
        let mut connection = Kept::open(address)?;
        if self.id.is_empty() {
            self.start(&mut connection)?;
        }
        loop {
            self.count += 1;
            let sent = self.next();
            self.open = Some(sent.clone());
            let reply = send(&mut connection, &sent)?;
            assert!(matches!(reply.0, 200 | 201), "{sent:?} is answered {reply:?}");
            self.acknowledge(Sent { answer: Some(reply.1), ..sent });
            acknowledged.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn next(&mut self) -> Sent {
        let (name, count) = (self.name, self.count);
        let request_id = format!("{name}-{count}");
        match count % 3 {
            0 => {
                let body = json!({"email": format!("c{name}-{count}@x.org"), "name": "New", "city": "Rome"});
                Sent { method: "POST", target: "/v1/users".to_owned(), request_id, body, answer: None }
            }
            1 => {
                self.city[1] = format!("city {count}");
                let target = format!("/v1/users/{}", self.id);
                Sent { method: "PATCH", target, request_id, body: json!({"city": self.city[1]}), answer: None }
            }
            _ => {
                let sku = format!("P-{name}-{count}");
                let body = json!({"requestId": request_id, "writes": [
                    {"create": {"@type": "type.googleapis.com/shop.v1.Product", "sku": sku, "name": "Thing",
                                "price": {"value": "1.00"}}},
                    {"update": {"row": {"@type": "type.googleapis.com/shop.v1.User", "id": self.id, "name": sku}}},
                ]});
                self.product[1] = sku;
                Sent { method: "POST", target: "/v1:commit".to_owned(), request_id, body, answer: None }
            }
        }
    }

    fn acknowledge(&mut self, sent: Sent) {
        let kind = match sent.body.get("writes") {
            Some(_) => {
                self.product[0] = self.product[1].clone();
                self.products += 1;
                "commit"
            }
            None if sent.method == "PATCH" => {
                self.city[0] = self.city[1].clone();
                "update"
            }
            None => {
                self.created.insert(sent.body["email"].as_str().unwrap().to_owned(), sent.answer.clone().unwrap());
                "create"
            }
        };
        self.kinds.insert(kind, sent);
        self.open = None;
    }

    /// Holds its rows against what it knows; afterwards it knows what became of the request without an answer.
    fn check(&mut self, users: &BTreeMap<String, Value>, products: &BTreeMap<String, Value>) {
        let own = format!("client{}@x.org", self.name);
        for (email, row) in &self.created {
            let found = users.get(email).unwrap_or_else(|| panic!("{email} was acknowledged and is lost"));
            assert_eq!((&found["id"], &found["createdAt"]), (&row["id"], &row["createdAt"]));
        }
        let Some(row) = users.get(&own) else {
            assert!(self.id.is_empty(), "{own} is lost");
            return;
        };
        if self.id.is_empty() {
            assert_eq!((&row["name"], &row["city"]), (&json!("-"), &json!("")), "{own} is torn");
            return;
        }
        let (city, name) = (row["city"].as_str().unwrap(), row["name"].as_str().unwrap());
        assert!(self.city.iter().any(|known| known == city), "{own} has {city}, expected {:?}", self.city);
        assert!(self.product.iter().any(|known| known == name), "{own} has {name}, expected {:?}", self.product);
        // Both writes of a commit or none.
        let there = |sku: &str| sku == "-" || products.contains_key(sku);
        assert!(there(&self.product[0]), "{} was acknowledged and is lost", self.product[0]);
        assert_eq!(there(&self.product[1]), name == self.product[1], "half of a commit of {own}: {:?}", self.product);
        let prefix = format!("P-{}-", self.name);
        let count = products.keys().filter(|sku| sku.starts_with(&prefix)).count() as u64;
        assert!((self.products..=self.products + 1).contains(&count), "{own} has {count} products");
        let prefix = format!("c{}-", self.name);
        for email in users.keys().filter(|email| email.starts_with(&prefix) && !self.created.contains_key(*email)) {
            let open = self.open.as_ref().unwrap_or_else(|| panic!("nobody created {email}"));
            assert_eq!(open.body["email"].as_str(), Some(email.as_str()));
            assert_eq!(
                (&users[email]["name"], &users[email]["city"]),
                (&json!("New"), &json!("Rome")),
                "{email} is torn"
            );
        }
    }

    /// Sends again what was acknowledged, which must answer alike, and what was not, which must be done now, once.
    fn replay(&mut self, address: SocketAddr) {
        let mut connection = Kept::open(address).unwrap();
        for sent in self.kinds.values() {
            let (status, answer) = send(&mut connection, sent).unwrap();
            assert!(matches!(status, 200 | 201), "{sent:?}: {answer}");
            let known = sent.answer.as_ref().unwrap();
            if sent.method == "PATCH" {
                assert_eq!(answer["id"], known["id"]);
            } else {
                assert_eq!(answer, *known, "{} again", sent.request_id);
            }
        }
        if let Some(open) = self.open.take() {
            let (status, answer) = send(&mut connection, &open).unwrap();
            assert!(matches!(status, 200 | 201), "{open:?}: {answer}");
            self.acknowledge(Sent { answer: Some(answer), ..open });
        }
    }
}

fn send(connection: &mut Kept, sent: &Sent) -> io::Result<(u16, Value)> {
    let key = format!("\"{}\"", sent.request_id);
    let headers = [("idempotency-key", key.as_str())];
    // A commit carries its id in the body.
    let headers = if sent.body.get("writes").is_some() { &[][..] } else { &headers[..] };
    let reply = connection.ask(sent.method, &sent.target, headers, &sent.body.to_string())?;
    Ok((reply.status, serde_json::from_slice(&reply.body)?))
}

fn by(rows: Vec<Value>, key: &str) -> BTreeMap<String, Value> {
    rows.into_iter().map(|row| (row[key].as_str().unwrap().to_owned(), row)).collect()
}

fn kill_under_load(rounds: u32) {
    let mut dice = Dice::seeded("kill_under_load");
    let server = Rowkeep::start(SHOP, &[]);
    let address = server.address();
    let mut clients: Vec<_> = (0..CLIENTS).map(|name| Client { name, ..Client::default() }).collect();
    for round in 0..rounds {
        let acknowledged = AtomicU64::new(0);
        let until = dice.below(150);
        thread::scope(|scope| {
            for client in &mut clients {
                // It ends with the server.
                scope.spawn(|| drop(client.run(address, &acknowledged)));
            }
            wait_until("writes are acknowledged", || acknowledged.load(Ordering::Relaxed) >= until);
            for _ in 0..dice.below(2000) {
                std::hint::spin_loop();
            }
            server.kill9();
        });
        server.restart();
        let (users, products) =
            (by(every_row(&server, "/v1/users"), "email"), by(every_row(&server, "/v1/products"), "sku"));
        println!("round {round}: {} users, {} products", users.len(), products.len());
        for client in &mut clients {
            client.check(&users, &products);
        }
        for client in &mut clients {
            if !client.id.is_empty() {
                client.replay(address);
            }
        }
    }
    let created: usize = clients.iter().map(|client| client.created.len()).sum();
    let products: u64 = clients.iter().map(|client| client.products).sum();
    assert_eq!(every_row(&server, "/v1/users").len(), created, "a replay stored a row twice, or not at all");
    assert_eq!(every_row(&server, "/v1/products").len() as u64, products);
    assert!(server.terminate().success());
}

#[test]
fn acknowledged_writes_survive_being_killed_fifty_times() {
    kill_under_load(50);
}
