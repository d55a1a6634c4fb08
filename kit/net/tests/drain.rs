//! Draining while HTTP/1.1 clients are connected: no accepted request fails.

#[allow(unreachable_pub, reason = "shared by the test files")]
mod support;

use std::io::ErrorKind;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use kit_core::config::HumanDuration;
use kit_net::{DrainOutcome, NetConfig};
use support::{Client, Server, config};

/// Drains that the race of a closing listener gets. Each takes the second after which a client's kernel asks again.
const ROUNDS: u32 = 5;

#[test]
fn a_request_that_runs_is_answered_and_the_connection_closed() {
    let server = Server::start(config());
    let mut client = server.connect();
    client.send("GET /late HTTP/1.1\r\nhost: x\r\n\r\n");
    server.wait_for("the request to arrive", |_| server.late.load(Ordering::Relaxed) == 1);
    server.shutdown.drain();
    let answer = client.read_to_end();
    assert!(answer.contains("connection: close") && answer.ends_with("late"), "{answer}");
    assert_eq!(server.join(), DrainOutcome::Complete);
}

#[test]
fn idle_connections_are_closed_soon_and_new_ones_refused() {
    let server = Server::start(config());
    let mut client = server.connect();
    client.hello();
    let address = server.address;
    let start = Instant::now();
    assert_eq!(server.drain(), DrainOutcome::Complete);
    assert!(start.elapsed() < Duration::from_secs(3), "took {:?}", start.elapsed());
    assert_eq!(client.read_to_end(), "");
    assert!(TcpStream::connect(address).is_err());
}

/// Clients that send as fast as they can see `Connection: close` or a refused connection, never a lost answer.
#[test]
fn clients_in_full_flight_lose_no_request() {
    let server = Server::start(config());
    let (is_over, answered) = (AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let Some(mut client) = server.connect_again() else { return };
                    loop {
                        client.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
                        let answer = client.read_until("hello");
                        answered.fetch_add(1, Ordering::Relaxed);
                        if answer.contains("connection: close") {
                            break;
                        }
                    }
                }
            });
        }
        while answered.load(Ordering::Relaxed) < 200 {
            std::thread::yield_now();
        }
        server.shutdown.drain();
        server.wait_for("the end of all connections", |stats| stats.open() == 0);
        is_over.store(true, Ordering::Relaxed);
    });
    assert_eq!(server.join(), DrainOutcome::Complete);
}

/// Whoever is connected is answered: a listener's queue is empty when it closes.
#[test]
fn clients_that_connect_while_the_listener_closes_are_answered_or_refused() {
    for _ in 0..ROUNDS {
        let server = Server::start(config());
        let address = server.address;
        let answered = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    loop {
                        let tcp = match TcpStream::connect(address) {
                            Ok(tcp) => tcp,
                            Err(error) if error.kind() == ErrorKind::ConnectionRefused => return,
                            Err(error) => panic!("neither connected nor refused: {error}"),
                        };
                        tcp.set_read_timeout(Some(support::PATIENCE)).unwrap();
                        let mut client = Client(tcp);
                        client.hello();
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            while answered.load(Ordering::Relaxed) < 20 {
                std::thread::yield_now();
            }
            server.shutdown.drain();
        });
        assert_eq!(server.join(), DrainOutcome::Complete);
    }
}

#[test]
fn a_drain_is_bounded() {
    let server = Server::start(NetConfig { drain_timeout: HumanDuration::millis(200), ..config() });
    let mut client = server.connect();
    client.send("GET /silent HTTP/1.1\r\nhost: x\r\n\r\n");
    client.read_until("\r\n\r\n");
    let start = Instant::now();
    assert_eq!(server.drain(), DrainOutcome::Complete, "the sweep closed it");
    assert!(start.elapsed() < Duration::from_secs(3), "took {:?}", start.elapsed());
}
