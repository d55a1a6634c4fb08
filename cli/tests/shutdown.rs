//! SIGTERM under load: everything that was accepted is answered, and then the process is gone.

#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]

mod support;

use std::collections::BTreeSet;
use std::io::{ErrorKind, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use support::kept::Kept;
use support::python::python_client;
use support::{Dice, SHOP, every_row};
use testkit::{PATIENCE, Rowkeep, http, wait_until};

/// Creates users, on one connection as long as the server keeps it, until nobody listens any more. Answers their emails.
/// Whatever else goes wrong is a request that was accepted and failed.
fn create_until_gone(address: SocketAddr, name: &str, keep: bool, done: &AtomicU64) -> BTreeSet<String> {
    let mut created = BTreeSet::new();
    let mut connection: Option<Kept> = None;
    for number in 0.. {
        if connection.as_ref().is_none_or(|kept| kept.closing || !keep) {
            connection = match Kept::open(address) {
                Ok(connection) => Some(connection),
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => break,
                Err(error) => panic!("{name}-{number}: {error}"),
            };
        }
        let email = format!("{name}-{number}@x.org");
        let body = json!({"email": email, "name": "N"}).to_string();
        let reply = connection.as_mut().unwrap().ask("POST", "/v1/users", &[], &body);
        let reply = reply.unwrap_or_else(|error| panic!("{email} was accepted and not answered: {error}"));
        assert_eq!(reply.status, 201, "{email}: {}", reply.text());
        created.insert(email);
        done.fetch_add(1, Ordering::Relaxed);
    }
    created
}

fn emails(server: &Rowkeep) -> BTreeSet<String> {
    let rows: Vec<Value> = every_row(server, "/v1/users");
    rows.iter().map(|row| row["email"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn no_accepted_rest_request_fails_while_the_server_drains() {
    let mut dice = Dice::seeded("no_accepted_rest_request_fails");
    let server = Rowkeep::start(SHOP, &[]);
    let address = server.address();
    for round in 0..3 {
        let before = emails(&server);
        let done = &AtomicU64::new(0);
        let until = 50 + dice.below(200);
        let created: BTreeSet<String> = thread::scope(|scope| {
            let clients: Vec<_> = (0..8)
                .map(|name| {
                    let name = format!("r{round}c{name}");
                    scope.spawn(move || create_until_gone(address, &name, !name.ends_with(['6', '7']), done))
                })
                .collect();
            wait_until("requests are answered", || done.load(Ordering::Relaxed) >= until);
            assert!(server.terminate().success());
            clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
        });
        server.restart();
        assert_eq!(emails(&server), &before | &created);
    }
}

#[test]
fn no_accepted_grpc_call_fails_while_the_server_drains() {
    let server = Rowkeep::start(SHOP, &[]);
    let mut client = python_client(server.address(), "writes_until_the_server_is_gone");
    let client = client.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let total = |server: &Rowkeep| {
        let page = support::get(server, "/v1/users?page_size=1&include_total_size=true");
        page["totalSize"].as_str().map_or(0, |total| total.parse::<u64>().unwrap())
    };
    wait_until("calls are answered", || total(&server) > 100);
    assert!(server.terminate().success());
    let output = client.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let complaints: Vec<_> = said.lines().filter(|line| !line.starts_with("ok ")).collect();
    assert!(complaints.is_empty() && output.status.success(), "{complaints:#?}");
    server.restart();
    let created: BTreeSet<_> = said.lines().map(|line| format!("{}@x.org", &line[3..])).collect();
    assert_eq!(emails(&server), created);
}

#[test]
fn a_slow_request_is_waited_for_and_a_second_signal_waits_for_nothing() {
    let begin = |server: &Rowkeep| {
        let head = "POST /v1/users HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 38\r\n\r\n";
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        // Behind it on the same worker or not: answered, so the slow one has been read, too.
        for _ in 0..8 {
            assert_eq!(http::get(&format!("{}/v1/users", server.url())).status, 200);
        }
        let mark = server.log().len();
        server.ask_to_stop();
        let told = server.log().wait_for(mark, PATIENCE, |line| line.contains("signal received").then_some(()));
        assert!(told.is_some(), "{}", server.log().text());
        stream
    };
    let server = Rowkeep::start(SHOP, &[]);
    let mut stream = begin(&server);
    stream.write_all(b"{\"email\":\"slow@x.org\",\"name\":\"Slowly\"}").unwrap();
    let reply = http::read_reply(&mut std::io::BufReader::new(stream), false).unwrap();
    assert_eq!(reply.status, 201, "{}", reply.text());
    assert!(server.wait(PATIENCE).unwrap().success());

    server.restart();
    let _stream = begin(&server);
    assert!(server.wait(Duration::from_millis(300)).is_none(), "a request that was accepted is dropped");
    server.ask_to_stop();
    assert!(server.wait(Duration::from_secs(3)).is_some(), "a second signal is waited for\n{}", server.log().text());
    server.restart();
    assert_eq!(emails(&server), BTreeSet::from(["slow@x.org".to_owned()]));
}
