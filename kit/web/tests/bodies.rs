//! Bodies over a socket: too large, too slow, cut off.
#![allow(clippy::unwrap_used, reason = "a test may give up")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::time::{Duration, Instant};

use http::{HeaderValue, StatusCode};
use kit_core::Shutdown;
use kit_core::config::{ByteSize, HumanDuration};
use kit_net::{DataPlane, Handler, NetConfig, Peer, Request, Response};
use kit_web::{BodyLimits, error_response, read_body, respond};

struct Site;

impl Handler for Site {
    async fn handle(self: Rc<Self>, request: Request, _: Peer) -> Response {
        let (head, body) = request.into_parts();
        let limits =
            BodyLimits { max_size: ByteSize::kib(64), grace: HumanDuration::millis(200), min_rate: ByteSize::kib(1) };
        match read_body(&head.headers, body, &limits).await {
            Ok(bytes) => respond(StatusCode::OK, HeaderValue::from_static("text/plain"), bytes),
            Err(error) => error_response(&error, true),
        }
    }
}

/// Runs a client against a server.
fn with_server(client: impl FnOnce(SocketAddr) + Send + 'static) {
    let listener = kit_net::bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = listener.local_addr().unwrap();
    let plane = DataPlane::start(&NetConfig { workers: 1, ..NetConfig::default() }, |_| Ok(Rc::new(Site))).unwrap();
    let shutdown = Shutdown::new();
    let watch = shutdown.watch();
    let client = std::thread::spawn(move || {
        // Stops the server also when the client panics.
        struct Stop(Shutdown);
        impl Drop for Stop {
            fn drop(&mut self) {
                self.0.stop();
            }
        }
        let _stop = Stop(shutdown);
        client(address);
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(plane.serve(listener, watch)).unwrap();
    client.join().unwrap();
}

fn post(address: SocketAddr, headers: &str, body: &[u8]) -> TcpStream {
    let mut tcp = TcpStream::connect(address).unwrap();
    tcp.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    tcp.write_all(format!("POST / HTTP/1.1\r\nhost: x\r\n{headers}\r\n\r\n").as_bytes()).unwrap();
    // The server may have refused already.
    let _ = tcp.write_all(body);
    tcp
}

fn answer(mut tcp: TcpStream) -> String {
    let mut all = Vec::new();
    let mut piece = [0; 4096];
    while !String::from_utf8_lossy(&all).contains("}}") {
        match tcp.read(&mut piece) {
            Ok(0) | Err(_) => break,
            Ok(count) => all.extend_from_slice(&piece[..count]),
        }
    }
    String::from_utf8(all).unwrap()
}

#[test]
fn a_body_past_the_limit_is_413_and_the_answer_arrives() {
    with_server(|address| {
        let claimed = answer(post(address, "content-length: 3000000", &vec![b'x'; 3_000_000]));
        assert!(claimed.starts_with("HTTP/1.1 413"), "{claimed}");
        let mut chunks = b"fffff\r\n".to_vec();
        chunks.resize(0xfffff + 7, b'x');
        let chunked = answer(post(address, "transfer-encoding: chunked", &chunks));
        assert!(chunked.starts_with("HTTP/1.1 413"), "{chunked}");
        assert!(chunked.contains("\"applied\":\"false\""), "{chunked}");
    });
}

#[test]
fn a_body_that_does_not_come_is_408() {
    with_server(|address| {
        let start = Instant::now();
        let slow = answer(post(address, "content-length: 10", b"half"));
        assert!(slow.starts_with("HTTP/1.1 408"), "{slow}");
        assert!(start.elapsed() < Duration::from_secs(5));
    });
}

#[test]
fn a_body_that_is_cut_off_is_not_taken_for_whole() {
    with_server(|address| {
        let cut = post(address, "content-length: 10", b"half");
        cut.shutdown(std::net::Shutdown::Write).unwrap();
        let cut = answer(cut);
        assert!(!cut.starts_with("HTTP/1.1 200"), "{cut}");
    });
}
