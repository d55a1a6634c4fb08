//! HTTP/1.1 over a socket: what must work, and what must be refused.

#[allow(unreachable_pub, reason = "shared by the test files")]
mod support;

use std::time::{Duration, Instant};

use kit_core::config::HumanDuration;
use kit_net::NetConfig;
use support::{PATIENCE, Server, config};

/// The answer to bytes after which the server closes.
fn answer_to(bytes: impl AsRef<[u8]>) -> String {
    let server = Server::start(config());
    let mut client = server.connect();
    client.send(bytes);
    client.read_to_end()
}

fn status_of(answer: &str) -> &str {
    answer.get(9..12).unwrap_or(answer)
}

#[test]
fn requests_are_answered_one_after_the_other_and_pipelined() {
    let server = Server::start(config());
    let mut client = server.connect();
    assert!(client.hello().starts_with("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n"));
    assert!(client.hello().contains("hello"));
    client.send("GET /wait HTTP/1.1\r\nhost: x\r\n\r\nGET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let both = client.read_to_end();
    assert!(both.find("waited").unwrap() < both.find("hello").unwrap());
}

#[test]
fn bodies_with_a_length_and_chunked_are_read() {
    for request in [
        "POST /echo HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 4\r\n\r\nabcd",
        "POST /echo HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n",
    ] {
        let answer = answer_to(request);
        assert!(answer.ends_with("\r\n\r\nabcd"), "{answer}");
    }
}

#[test]
fn two_ways_to_tell_the_length_are_refused() {
    for headers in [
        "transfer-encoding: chunked\r\ncontent-length: 4",
        "content-length: 4\r\ntransfer-encoding: chunked",
        "content-length: 4\r\ncontent-length: 5",
        "content-length: -4",
        "transfer-encoding: gzip",
    ] {
        let request = format!("POST /echo HTTP/1.1\r\nhost: x\r\n{headers}\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n");
        let answer = answer_to(request);
        assert_eq!(status_of(&answer), "400", "{headers}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "nothing after it is answered: {answer}");
    }
}

#[test]
fn a_length_told_twice_across_reads_is_refused_too() {
    let server = Server::start(config());
    let mut client = server.connect();
    client.hello();
    client.send("POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-enc");
    client.send("oding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n");
    let answer = client.read_to_end();
    assert_eq!(status_of(&answer), "400");
    assert!(answer.contains("\"status\":\"INVALID_ARGUMENT\""), "{answer}");
}

#[test]
fn exactly_one_host_is_needed_in_http_1_1() {
    assert_eq!(status_of(&answer_to("GET / HTTP/1.1\r\n\r\n")), "400");
    assert_eq!(status_of(&answer_to("GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n")), "400");
    assert_eq!(status_of(&answer_to("GET / HTTP/1.0\r\n\r\n")), "200");
}

#[test]
fn headers_past_the_limits_are_refused() {
    let long = format!("GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "y".repeat(20 << 10));
    assert_eq!(status_of(&answer_to(long)), "431");
    let endless = format!("GET / HTTP/1.1\r\nhost: x\r\nx: {}", "y".repeat(1 << 20));
    assert_eq!(status_of(&answer_to(endless)), "431");
    let many = format!("GET / HTTP/1.1\r\nhost: x\r\n{}\r\n", "a: b\r\n".repeat(200));
    assert_eq!(status_of(&answer_to(many)), "431");
}

#[test]
fn what_is_not_http_is_refused() {
    for bytes in ["\0\0\0\0", "GET / HTTP/1.1\r\nhost : x\r\n\r\n", "GET / HTTP/1.1\r\nhost: x\r\nx: a\0b\r\n\r\n"] {
        let answer = answer_to(bytes);
        assert_eq!(status_of(&answer), "400", "{bytes:?}: {answer}");
    }
}

#[test]
fn a_header_that_trickles_in_is_cut_off_also_on_a_used_connection() {
    let server = Server::start(config());
    for is_used in [false, true] {
        let mut client = server.connect();
        if is_used {
            client.hello();
        }
        client.send("GET / HTTP/1.1\r\n");
        let start = Instant::now();
        let mut trickle = client.0.try_clone().unwrap();
        let sender = std::thread::spawn(move || {
            use std::io::Write;
            while trickle.write_all(b"a").is_ok() && start.elapsed() < Duration::from_secs(5) {
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        assert_eq!(client.read_to_end(), "", "no answer");
        assert!(start.elapsed() < Duration::from_secs(3), "cut off after {:?}", start.elapsed());
        sender.join().unwrap();
    }
}

#[test]
fn a_connection_that_says_nothing_is_closed() {
    let server = Server::start(config());
    assert_eq!(server.connect().read_to_end(), "");
    server.wait_for("the end of the connection", |stats| stats.open() == 0);
}

#[test]
fn an_idle_connection_is_closed_after_the_idle_timeout() {
    let server = Server::start(NetConfig { idle_timeout: HumanDuration::millis(200), ..config() });
    let mut client = server.connect();
    client.hello();
    assert_eq!(client.read_to_end(), "");
}

#[test]
fn an_old_connection_is_told_to_go() {
    let server = Server::start(NetConfig { max_connection_age: HumanDuration::millis(50), ..config() });
    let mut client = server.connect();
    let start = Instant::now();
    while !client.hello().contains("connection: close") {
        assert!(start.elapsed() < PATIENCE, "it is never told");
    }
    assert!(start.elapsed() >= Duration::from_millis(50), "it was not old yet");
    assert_eq!(client.read_to_end(), "");
}

#[test]
fn a_panic_is_answered_and_the_connection_lives_on() {
    let server = Server::start(config());
    let mut client = server.connect();
    client.send("GET /panic HTTP/1.1\r\nhost: x\r\n\r\n");
    let answer = client.read_until("\"INTERNAL\"}}");
    assert_eq!(status_of(&answer), "500");
    client.hello();
    assert_eq!(server.stats.panics(), 1);
}

#[test]
fn a_response_that_is_not_taken_ends_the_connection() {
    let server = Server::start(NetConfig { write_timeout: HumanDuration::millis(200), ..config() });
    let mut client = server.connect();
    client.send("GET /large HTTP/1.1\r\nhost: x\r\n\r\n");
    server.wait_for("the connection", |stats| stats.accepted() == 1);
    server.wait_for("the end of the connection", |stats| stats.open() == 0);
}

#[test]
fn a_silent_stream_outlives_the_write_timeout() {
    let server = Server::start(NetConfig { write_timeout: HumanDuration::millis(100), ..config() });
    let mut client = server.connect();
    client.send("GET /silent HTTP/1.1\r\nhost: x\r\n\r\n");
    client.read_until("\r\n\r\n");
    std::thread::sleep(Duration::from_millis(400));
    assert_eq!(server.stats.open(), 1);
}

#[test]
fn connections_past_the_caps_are_closed_at_once() {
    for limits in [
        NetConfig { max_connections: 2, ..config() },
        NetConfig { max_connections_per_ip: 2, count_loopback: true, ..config() },
    ] {
        let server = Server::start(limits);
        let mut open = [server.connect(), server.connect()];
        open.iter_mut().for_each(|client| drop(client.hello()));
        assert_eq!(server.connect().read_to_end(), "");
        assert_eq!(server.stats.refused(), 1);
        drop(open);
        server.wait_for("the end of the connections", |stats| stats.open() == 0);
        server.connect().hello();
    }
}
