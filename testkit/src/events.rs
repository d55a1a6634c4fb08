//! A client of server-sent events that sees every line.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::PATIENCE;

/// A response of server-sent events, read as it comes.
#[derive(Debug)]
pub struct Events {
    stream: BufReader<TcpStream>,
    /// The head of the response.
    pub head: String,
    /// What was read of the chunks and is no whole event yet.
    text: String,
    /// As an `EventSource` keeps it.
    pub last_id: Option<String>,
    /// Lines that are comments, so far.
    pub comments: usize,
}

/// An event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What `event:` said.
    pub name: String,
    /// What `data:` said.
    pub data: String,
    /// The last `id:` by then.
    pub id: Option<String>,
}

impl Events {
    /// Sends the request and reads the head of the response, whatever its status.
    ///
    /// # Panics
    /// If there is no response.
    pub fn open(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Self {
        Self::try_open(address, path, headers).unwrap_or_else(|error| panic!("GET {path}: {error}"))
    }

    /// The same.
    ///
    /// # Errors
    /// If there is no response.
    pub fn try_open(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> io::Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n");
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        stream.write_all(format!("{request}\r\n").as_bytes())?;
        // Small, as a test may have very many.
        let mut stream = BufReader::with_capacity(512, stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(Self { stream, head, text: String::new(), last_id: None, comments: 0 })
    }

    /// The status of the response; 0 if it has none.
    pub fn status(&self) -> u16 {
        self.head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    fn event(&mut self, block: &str) -> Option<Event> {
        let (mut name, mut data) = (String::new(), String::new());
        for line in block.lines() {
            match line.split_once(": ") {
                Some(("", _)) => self.comments += 1,
                Some(("id", id)) => self.last_id = Some(id.to_owned()),
                Some(("event", text)) => text.clone_into(&mut name),
                Some(("data", text)) => data.push_str(text),
                _ => {}
            }
        }
        (!data.is_empty()).then(|| Event { name, data, id: self.last_id.clone() })
    }

    /// The next chunk; empty at the end.
    fn chunk(&mut self) -> io::Result<String> {
        let mut size = String::new();
        self.stream.read_line(&mut size)?;
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        let mut bytes = vec![0; size + 2];
        self.stream.read_exact(&mut bytes)?;
        bytes.truncate(size);
        String::from_utf8(bytes).map_err(|_| io::ErrorKind::InvalidData.into())
    }
}

/// The events as they come, to the end of the response, also if it breaks off.
impl Iterator for Events {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        loop {
            while let Some(end) = self.text.find("\n\n") {
                let block: String = self.text.drain(..end + 2).collect();
                if let Some(event) = self.event(&block) {
                    return Some(event);
                }
            }
            let chunk = self.chunk().ok()?;
            if chunk.is_empty() {
                return None;
            }
            self.text.push_str(&chunk);
        }
    }
}
