//! A blocking HTTP/1.1 client of one request per connection: enough for a test, and it can send what no library would.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
};

use crate::PATIENCE;

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Status code.
    pub status: u16,
    /// Headers in order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body, with any chunked coding removed.
    pub body: Vec<u8>,
}

impl Reply {
    /// The first header of a name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// `GET url`.
///
/// # Panics
/// If there is no answer.
pub fn get(url: &str) -> Reply {
    request("GET", url, &[], b"")
}

/// A request with a JSON body.
///
/// # Panics
/// If there is no answer.
pub fn json(method: &str, url: &str, body: &str) -> Reply {
    request(method, url, &[("content-type", "application/json")], body.as_bytes())
}

/// Any request.
///
/// # Panics
/// If there is no answer.
pub fn request(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    try_request(method, url, headers, body).unwrap_or_else(|error| panic!("{method} {url}: {error}"))
}

/// Any request; the error says that there was no (whole) answer.
///
/// # Errors
/// The connection failed or the answer is not HTTP.
pub fn try_request(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> io::Result<Reply> {
    let rest = url.strip_prefix("http://").ok_or_else(|| invalid("the URL does not start with http://"))?;
    let split = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(split);
    let path = if path.is_empty() { "/" } else { path };
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() || !matches!(method, "GET" | "HEAD" | "DELETE") {
        head.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(body);
    let stream = send(authority, &bytes)?;
    read_reply(&mut BufReader::new(stream), method == "HEAD")
}

/// Sends raw bytes and returns the connection, for requests that are wrong on purpose.
///
/// # Errors
/// The connection failed.
pub fn send(authority: &str, bytes: &[u8]) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(authority)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(bytes)?;
    Ok(stream)
}

/// Reads one answer.
///
/// # Errors
/// The connection failed or the answer is not HTTP.
pub fn read_reply(stream: &mut impl BufRead, head_only: bool) -> io::Result<Reply> {
    let status_line = read_line(stream)?;
    let status = status_line.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| invalid(&format!("not a status line: {status_line:?}")))?;
    let mut headers = Vec::new();
    loop {
        let line = read_line(stream)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(|| invalid(&format!("not a header: {line:?}")))?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut reply = Reply { status, headers, body: Vec::new() };
    if !head_only && status != 204 && status != 304 {
        reply.body = read_body(stream, &reply)?;
    }
    Ok(reply)
}

fn read_body(stream: &mut impl BufRead, reply: &Reply) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    if reply.header("transfer-encoding").is_some_and(|coding| coding.contains("chunked")) {
        loop {
            let size_line = read_line(stream)?;
            let size = size_line.split(';').next().unwrap_or_default();
            let size = u64::from_str_radix(size, 16).map_err(|_| invalid(&format!("not a chunk size: {size:?}")))?;
            read_exactly(stream, size, &mut body)?;
            read_line(stream)?;
            if size == 0 {
                return Ok(body);
            }
        }
    }
    match reply.header("content-length").map(str::parse::<u64>) {
        Some(Ok(length)) => read_exactly(stream, length, &mut body)?,
        Some(Err(_)) => return Err(invalid("content-length is not a number")),
        None => {
            stream.read_to_end(&mut body)?;
        }
    }
    Ok(body)
}

fn read_exactly(stream: &mut impl BufRead, length: u64, body: &mut Vec<u8>) -> io::Result<()> {
    let got = stream.take(length).read_to_end(body)?;
    if got as u64 == length { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

fn read_line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    if stream.read_until(b'\n', &mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

/// Text as part of a query: everything but unreserved characters as `%XX`.
pub fn encode(text: &str) -> String {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|b| if unreserved(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
