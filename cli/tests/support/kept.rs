//! A connection that is kept for many requests, as a real client keeps it.

use std::io::{self, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};

use testkit::PATIENCE;
use testkit::http::{Reply, read_reply};

/// An open connection. After an error it is of no further use.
pub struct Kept {
    address: SocketAddr,
    stream: BufReader<TcpStream>,
    /// The server said that it takes no further request on it.
    pub closing: bool,
}

impl Kept {
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { address, stream: BufReader::new(stream), closing: false })
    }

    pub fn send(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> io::Result<()> {
        let mut text = format!("{method} {target} HTTP/1.1\r\nhost: {}\r\n", self.address);
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            text.push_str(&format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len()));
        }
        text.push_str("\r\n");
        text.push_str(body);
        self.stream.get_mut().write_all(text.as_bytes())
    }

    pub fn receive(&mut self) -> io::Result<Reply> {
        let reply = read_reply(&mut self.stream, false)?;
        self.closing |= reply.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        Ok(reply)
    }

    pub fn ask(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> io::Result<Reply> {
        self.send(method, target, headers, body)?;
        self.receive()
    }
}
