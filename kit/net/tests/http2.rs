//! HTTP/2 over a socket, frame by frame: what must be refused, and what must end.
#![allow(clippy::unwrap_used, reason = "a test may give up")]

#[allow(unreachable_pub, reason = "shared by the test files")]
mod support;

use std::io::{ErrorKind, Read};
use std::sync::atomic::Ordering;
use std::time::Duration;

use kit_core::config::HumanDuration;
use kit_net::NetConfig;
use support::{Client, Server, config};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;

#[derive(Debug, PartialEq)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Frame {
    fn bytes(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
        bytes.extend([kind, flags]);
        bytes.extend(stream.to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    fn error(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

/// The header of `GET path` in HPACK, without dynamic entries.
fn get(path: &str) -> Vec<u8> {
    let mut block = vec![0x82, 0x86, 0x04, u8::try_from(path.len()).unwrap()];
    block.extend(path.as_bytes());
    block.extend([0x01, 1, b'x']);
    block
}

fn open_stream(server: &Server, settings: &[u8]) -> Client {
    let mut client = server.connect();
    client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    client.send(Frame::bytes(SETTINGS, 0, 0, settings));
    client
}

impl Client {
    /// The next frame, or `None` once the server closed.
    fn frame(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        match self.0.read_exact(&mut head) {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => return None,
            Err(error) => panic!("neither a frame nor the end: {error}"),
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; length];
        self.0.read_exact(&mut payload).ok()?;
        let stream = u32::from_be_bytes(head[5..9].try_into().unwrap());
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    fn frame_of(&mut self, kind: u8) -> Frame {
        loop {
            let frame = self.frame().unwrap_or_else(|| panic!("closed before a frame of kind {kind}"));
            if frame.kind == kind {
                return frame;
            }
        }
    }

    /// Reads until the server closes, answering nothing.
    fn until_closed(&mut self) -> Vec<Frame> {
        std::iter::from_fn(|| self.frame()).collect()
    }

    fn request(&mut self, stream: u32, path: &str, flags: u8) {
        self.send(Frame::bytes(HEADERS, END_HEADERS | flags, stream, &get(path)));
    }
}

#[test]
fn requests_that_are_ready_and_requests_that_wait_are_answered_together() {
    let server = Server::start(config());
    let mut client = open_stream(&server, &[]);
    for stream in [1, 3, 5] {
        client.request(stream, if stream == 3 { "/wait" } else { "/" }, END_STREAM);
    }
    let order: Vec<_> = (0..3).map(|_| client.frame_of(DATA)).map(|frame| (frame.stream, frame.payload)).collect();
    assert_eq!(order, [(1, b"hello".to_vec()), (5, b"hello".to_vec()), (3, b"waited".to_vec())]);
}

#[test]
fn a_panic_resets_nothing_but_its_own_request() {
    let server = Server::start(config());
    let mut client = open_stream(&server, &[]);
    client.request(1, "/panic", END_STREAM);
    assert!(client.frame_of(DATA).payload.starts_with(b"{\"error\""));
    client.request(3, "/panic-late", END_STREAM);
    assert_eq!(client.frame_of(RST_STREAM).stream, 3);
    client.request(5, "/", END_STREAM);
    assert_eq!(client.frame_of(DATA).payload, b"hello");
    assert_eq!(server.stats.panics(), 1);
}

#[test]
fn rapid_resets_end_the_connection() {
    let server = Server::start(config());
    let mut client = open_stream(&server, &[]);
    let mut flood = Vec::new();
    for stream in (1..4000).step_by(2) {
        flood.extend(Frame::bytes(HEADERS, END_HEADERS | END_STREAM, stream, &get("/wait")));
        flood.extend(Frame::bytes(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
    }
    client.send(flood);
    assert_eq!(client.frame_of(GOAWAY).error(), ENHANCE_YOUR_CALM);
}

#[test]
fn made_you_reset_ends_the_connection() {
    let server = Server::start(config());
    let mut client = open_stream(&server, &[]);
    let mut flood = Vec::new();
    for stream in (1..6000).step_by(2) {
        flood.extend(Frame::bytes(HEADERS, END_HEADERS | END_STREAM, stream, &get("/wait")));
        flood.extend(Frame::bytes(WINDOW_UPDATE, 0, stream, &0x7fff_ffff_u32.to_be_bytes()));
    }
    client.send(flood);
    let frames = client.until_closed();
    let resets = frames.iter().filter(|frame| frame.kind == RST_STREAM).count();
    assert!(resets <= 1100, "{resets} resets were let through");
    let goaway = frames.iter().find(|frame| frame.kind == GOAWAY).map(Frame::error);
    assert_eq!(goaway, Some(ENHANCE_YOUR_CALM));
}

#[test]
fn more_streams_than_allowed_are_refused_and_the_others_live() {
    let server = Server::start(config());
    let mut client = open_stream(&server, &[]);
    // The limit holds once the client has acknowledged it.
    client.frame_of(SETTINGS);
    client.send(Frame::bytes(SETTINGS, ACK, 0, &[]));
    let last = 2 * 200 + 1;
    for stream in (1..=last).step_by(2) {
        client.request(stream, "/silent", END_STREAM);
    }
    let reset = client.frame_of(RST_STREAM);
    assert_eq!((reset.stream, reset.error()), (last, REFUSED_STREAM));
    client.send(Frame::bytes(PING, 0, 0, b"12345678"));
    assert_eq!(client.frame_of(PING).payload, b"12345678");
}

#[test]
fn a_window_that_stays_closed_ends_the_connection() {
    let server = Server::start(NetConfig { write_timeout: HumanDuration::millis(200), ..config() });
    // SETTINGS_INITIAL_WINDOW_SIZE = 0
    let mut client = open_stream(&server, &[0, 4, 0, 0, 0, 0]);
    client.request(1, "/", END_STREAM);
    assert!(client.until_closed().iter().all(|frame| frame.kind != DATA));
}

#[test]
fn more_than_a_socket_takes_arrives_whole_and_what_is_small_beside_it_too() {
    let server = Server::start(config());
    let open = (1_u32 << 31) - 1;
    // SETTINGS_INITIAL_WINDOW_SIZE, and the connection's own window.
    let mut client = open_stream(&server, &[&[0, 4], &open.to_be_bytes()[..]].concat());
    client.send(Frame::bytes(WINDOW_UPDATE, 0, 0, &(open - 65_535).to_be_bytes()));
    client.request(1, "/large", END_STREAM);
    client.request(3, "/wait", END_STREAM);
    let (mut large, mut small, mut ended) = (0, Vec::new(), 0);
    while ended < 2 {
        let frame = client.frame_of(DATA);
        ended += u32::from(frame.flags & END_STREAM);
        match frame.stream {
            1 if frame.payload.iter().all(|byte| *byte == b'x') => large += frame.payload.len(),
            3 => small.extend(frame.payload),
            _ => panic!("a byte that was not sent: {frame:?}"),
        }
    }
    assert_eq!((large, small), (64 << 20, b"waited".to_vec()));
}

#[test]
fn a_peer_that_answers_no_ping_is_closed() {
    let server = Server::start(NetConfig {
        keepalive_interval: HumanDuration::millis(100),
        keepalive_timeout: HumanDuration::millis(100),
        ..config()
    });
    let mut client = open_stream(&server, &[]);
    assert!(client.until_closed().iter().any(|frame| frame.kind == PING));
}

#[test]
fn a_header_list_past_the_limit_is_refused() {
    let server = Server::start(config());
    let mut client = open_stream(&server, &[]);
    let mut block = get("/");
    // `x: yyy...` as a literal, 17,000 bytes long, over two frames.
    block.extend([0x00, 1, b'x', 0x7f, 0xe9, 0x83, 0x01]);
    block.extend(std::iter::repeat_n(b'y', 17_000));
    let (first, rest) = block.split_at(16_000);
    client.send(Frame::bytes(HEADERS, END_STREAM, 1, first));
    client.send(Frame::bytes(CONTINUATION, END_HEADERS, 1, rest));
    loop {
        let frame = client.frame().expect("an answer before the end");
        match frame.kind {
            // 431 or a reset, both refuse.
            HEADERS => {
                break assert!(String::from_utf8_lossy(&frame.payload).contains("431") || !frame.payload.is_empty());
            }
            RST_STREAM | GOAWAY => break,
            _ => {}
        }
    }
}

#[test]
fn a_flood_of_continuations_ends_the_connection() {
    let server = Server::start(config());
    let mut client = open_stream(&server, &[]);
    client.send(Frame::bytes(HEADERS, END_STREAM, 1, &get("/")));
    let one = Frame::bytes(CONTINUATION, 0, 1, &[0; 0]);
    client.send(one.repeat(200_000));
    assert!(client.until_closed().iter().any(|frame| frame.kind == GOAWAY));
}

#[test]
fn what_only_begins_like_the_preface_is_refused() {
    let server = Server::start(config());
    let mut client = server.connect();
    client.send(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n");
    assert!(!client.read_to_end().contains("200 OK"));
    // A part of the preface and then nothing is a slow header.
    let mut client = server.connect();
    client.send(b"PRI * HTTP");
    assert_eq!(client.read_to_end(), "");
}

#[test]
fn an_old_or_idle_connection_gets_a_goaway() {
    for limits in [
        NetConfig { max_connection_age: HumanDuration::millis(100), ..config() },
        NetConfig { idle_timeout: HumanDuration::millis(100), ..config() },
    ] {
        let server = Server::start(limits);
        let mut client = open_stream(&server, &[]);
        client.request(1, "/", END_STREAM);
        assert_eq!(client.frame_of(DATA).payload, b"hello");
        assert_eq!(client.frame_of(GOAWAY).error(), 0);
    }
}

#[test]
fn a_drain_finishes_what_runs() {
    let server = Server::start(config());
    let mut client = open_stream(&server, &[]);
    client.request(1, "/late", END_STREAM);
    server.wait_for("the request to arrive", |_| server.late.load(Ordering::Relaxed) == 1);
    server.shutdown.drain();
    let goaway = client.frame_of(GOAWAY);
    assert_eq!(goaway.error(), 0);
    assert_eq!(client.frame_of(DATA).payload, b"late");
    drop(client);
    assert_eq!(server.join(), kit_net::DrainOutcome::Complete);
}

#[test]
fn a_second_signal_cuts_what_still_runs() {
    let server = Server::start(config());
    let mut client = open_stream(&server, &[]);
    client.request(1, "/silent", END_STREAM);
    client.frame_of(HEADERS);
    server.shutdown.drain();
    client.frame_of(GOAWAY);
    std::thread::sleep(Duration::from_millis(50));
    server.shutdown.stop();
    assert_eq!(server.join(), kit_net::DrainOutcome::Cut { connections: 1 });
}
