//! The fault proxy does each of its faults, and nothing when it is told nothing.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

use testkit::FaultProxy;

/// Answers every byte with itself.
fn echo_server() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || std::io::copy(&mut stream.try_clone().unwrap(), &mut { stream }));
        }
    });
    address
}

fn connect(proxy: &FaultProxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

fn round_trip(stream: &mut TcpStream, data: &[u8]) -> std::io::Result<Vec<u8>> {
    stream.write_all(data)?;
    let mut back = vec![0; data.len()];
    stream.read_exact(&mut back)?;
    Ok(back)
}

#[test]
fn passes_data_on_unchanged() {
    let proxy = FaultProxy::start(echo_server());
    let data: Vec<u8> = (0..50_000_u32).map(|i| u8::try_from(i % 251).unwrap()).collect();
    assert_eq!(round_trip(&mut connect(&proxy), &data).unwrap(), data);
}

#[test]
fn cuts_open_connections_and_refuses_new_ones_until_healed() {
    let proxy = FaultProxy::start(echo_server());
    let mut before = connect(&proxy);
    assert_eq!(round_trip(&mut before, b"hello").unwrap(), b"hello");
    proxy.cut();
    assert!(round_trip(&mut before, b"hello").is_err());
    assert!(round_trip(&mut connect(&proxy), b"hello").is_err());
    proxy.heal();
    assert_eq!(round_trip(&mut connect(&proxy), b"hello").unwrap(), b"hello");
}

#[test]
fn delays_both_directions() {
    let proxy = FaultProxy::start(echo_server());
    let mut stream = connect(&proxy);
    proxy.delay(Duration::from_millis(30));
    let started = Instant::now();
    assert_eq!(round_trip(&mut stream, b"hello").unwrap(), b"hello");
    assert!(started.elapsed() >= Duration::from_millis(60));
}

#[test]
fn holds_data_back_without_losing_it() {
    let proxy = FaultProxy::start(echo_server());
    let mut stream = connect(&proxy);
    proxy.hold();
    stream.write_all(b"hello").unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let mut answer = [0; 5];
    assert!(stream.read_exact(&mut answer).is_err());
    proxy.heal();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"hello");
}

#[test]
fn slices_without_losing_bytes() {
    let proxy = FaultProxy::start(echo_server());
    proxy.slice(1);
    assert_eq!(round_trip(&mut connect(&proxy), b"one byte at a time").unwrap(), b"one byte at a time");
}

#[test]
fn cuts_after_the_given_number_of_bytes() {
    let proxy = FaultProxy::start(echo_server());
    proxy.cut_after(3);
    let mut stream = connect(&proxy);
    stream.write_all(b"hello").unwrap();
    let mut back = Vec::new();
    let _ = stream.read_to_end(&mut back);
    assert_eq!(back, b"hel");
}

#[test]
fn loses_one_request_or_its_answer() {
    let proxy = FaultProxy::start(echo_server());
    let losing: [fn(&FaultProxy); 2] = [|proxy| proxy.lose_answer_to(b"lose"), |proxy| proxy.lose_request(b"lose")];
    for lose in losing {
        lose(&proxy);
        let (mut other, mut stream) = (connect(&proxy), connect(&proxy));
        assert_eq!(round_trip(&mut stream, b"keep").unwrap(), b"keep");
        stream.write_all(b"please lose this").unwrap();
        let mut back = Vec::new();
        let _ = stream.read_to_end(&mut back);
        assert_eq!(back, b"");
        assert!(!proxy.is_waiting_to_lose());
        assert_eq!(round_trip(&mut other, b"lose").unwrap(), b"lose");
    }
}
