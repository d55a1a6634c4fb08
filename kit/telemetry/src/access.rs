//! The access log: one JSON line per request, or per sampled request; failures of the server always.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use kit_core::Code;
use serde::{Deserialize, Serialize};

use crate::sink::{Sink, SinkBuffer};
use crate::trace::TraceParent;

/// Which requests have a line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AccessMode {
    /// None.
    #[default]
    Off,
    /// One of `sample`, and every failure of the server.
    Sampled,
    /// Every one.
    All,
}

/// Configuration of the access log.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccessConfig {
    /// Which requests have a line.
    pub mode: AccessMode,
    /// With `sampled`, one of so many.
    pub sample: u32,
}

impl Default for AccessConfig {
    fn default() -> Self {
        Self { mode: AccessMode::Off, sample: 100 }
    }
}

/// What a line tells.
#[derive(Debug, Clone, Copy)]
pub struct AccessEntry<'a> {
    /// `grpc`, `grpc-web`, `rest`.
    pub protocol: &'static str,
    /// The HTTP method.
    pub method: &'a str,
    /// The path without its query, which may hold what should not be logged.
    pub path: &'a str,
    /// The HTTP status.
    pub status: u16,
    /// Why it failed; `None` if it did not.
    pub code: Option<Code>,
    /// Time from the head of the request to the answer.
    pub elapsed: Duration,
    /// Size of the answer's body, if it is known.
    pub bytes: usize,
    /// Who asked.
    pub peer: SocketAddr,
    /// The trace the request belongs to.
    pub trace: Option<&'a TraceParent>,
}

/// The access log of a process.
pub struct AccessLog {
    config: AccessConfig,
    sink: Sink,
}

impl AccessLog {
    /// A log on `sink`.
    pub fn new(config: AccessConfig, sink: Sink) -> Self {
        Self { config, sink }
    }

    /// A worker's way to it; `None` when it is off.
    pub fn writer(&self) -> Option<AccessWriter> {
        let every = match self.config.mode {
            AccessMode::Off => return None,
            AccessMode::Sampled => self.config.sample.max(1),
            AccessMode::All => 1,
        };
        Some(AccessWriter { every, count: Cell::new(0), buffer: self.sink.buffer(), clock: RefCell::default() })
    }

    /// Lines dropped because the output was too slow.
    pub fn dropped(&self) -> u64 {
        self.sink.dropped()
    }
}

/// One worker's access log.
pub struct AccessWriter {
    every: u32,
    count: Cell<u32>,
    buffer: SinkBuffer,
    clock: RefCell<Clock>,
}

/// The second that was formatted last.
#[derive(Default)]
struct Clock {
    second: u64,
    text: String,
}

impl Clock {
    /// `2026-11-24T17:00:00`, formatted once a second.
    fn text(&mut self, second: u64) -> &str {
        if self.second != second || self.text.is_empty() {
            self.second = second;
            let now = Timestamp::from_second(i64::try_from(second).unwrap_or_default()).unwrap_or_default();
            self.text = now.strftime("%Y-%m-%dT%H:%M:%S").to_string();
        }
        &self.text
    }
}

impl AccessWriter {
    /// Writes the line of a request, if it is to have one.
    pub fn record(&self, entry: &AccessEntry<'_>) {
        let count = self.count.get() + 1;
        let is_due = count >= self.every;
        self.count.set(if is_due { 0 } else { count });
        if is_due || entry.status >= 500 {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let mut clock = self.clock.borrow_mut();
            let second = clock.text(now.as_secs());
            self.buffer.line(|line| write_line(line, second, now.subsec_micros(), entry));
        }
    }
}

fn write_line(line: &mut Vec<u8>, second: &str, micros: u32, entry: &AccessEntry<'_>) {
    let mut digits = itoa::Buffer::new();
    line.extend_from_slice(b"{\"timestamp\":\"");
    line.extend_from_slice(second.as_bytes());
    line.push(b'.');
    // Six digits: a leading one makes the zeros, and is cut off.
    line.extend_from_slice(&digits.format(1_000_000 + micros).as_bytes()[1..]);
    line.extend_from_slice(b"Z\",\"target\":\"access\",\"protocol\":\"");
    line.extend_from_slice(entry.protocol.as_bytes());
    line.extend_from_slice(b"\",\"method\":\"");
    escape(entry.method, line);
    line.extend_from_slice(b"\",\"path\":\"");
    escape(entry.path, line);
    line.extend_from_slice(b"\",\"status\":");
    line.extend_from_slice(digits.format(entry.status).as_bytes());
    line.extend_from_slice(b",\"code\":\"");
    line.extend_from_slice(entry.code.map_or("OK", Code::name).as_bytes());
    line.extend_from_slice(b"\",\"micros\":");
    line.extend_from_slice(digits.format(entry.elapsed.as_micros()).as_bytes());
    line.extend_from_slice(b",\"bytes\":");
    line.extend_from_slice(digits.format(entry.bytes).as_bytes());
    line.extend_from_slice(b",\"peer\":\"");
    write_peer(entry.peer, line);
    if let Some(trace) = entry.trace {
        line.extend_from_slice(b"\",\"trace\":\"");
        line.extend_from_slice(trace.trace_id_hex().as_bytes());
    }
    line.extend_from_slice(b"\"}\n");
}

fn write_peer(peer: SocketAddr, line: &mut Vec<u8>) {
    use std::io::Write;
    if let SocketAddr::V4(address) = peer {
        let mut digits = itoa::Buffer::new();
        for (index, octet) in address.ip().octets().into_iter().enumerate() {
            if index > 0 {
                line.push(b'.');
            }
            line.extend_from_slice(digits.format(octet).as_bytes());
        }
        line.push(b':');
        line.extend_from_slice(digits.format(address.port()).as_bytes());
    } else {
        let _ = write!(line, "{peer}");
    }
}

/// Appends text as the inside of a JSON string.
fn escape(text: &str, line: &mut Vec<u8>) {
    let is_plain = |byte: u8| byte >= 0x20 && byte != b'"' && byte != b'\\' && byte != 0x7f;
    if text.bytes().all(is_plain) {
        return line.extend_from_slice(text.as_bytes());
    }
    for character in text.chars() {
        match character {
            '"' | '\\' => line.extend_from_slice(&[b'\\', character as u8]),
            control if (control as u32) < 0x20 || control as u32 == 0x7f => {
                line.extend_from_slice(format!("\\u{:04x}", control as u32).as_bytes());
            }
            other => line.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, status: u16) -> AccessEntry<'_> {
        AccessEntry {
            protocol: "rest",
            method: "GET",
            path,
            status,
            code: (status == 500).then_some(Code::Internal),
            elapsed: Duration::from_micros(42),
            bytes: 7,
            peer: ([10, 0, 0, 255], 1234).into(),
            trace: None,
        }
    }

    fn lines(mode: AccessMode, entries: &[AccessEntry<'_>]) -> Vec<serde_json::Value> {
        let out = tests_output::Shared::default();
        let log = AccessLog::new(AccessConfig { mode, sample: 10 }, Sink::start(out.clone()).unwrap());
        if let Some(writer) = log.writer() {
            entries.iter().for_each(|entry| writer.record(entry));
        }
        drop(log);
        out.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    mod tests_output {
        use std::sync::{Arc, Mutex};

        #[derive(Clone, Default)]
        pub(super) struct Shared(Arc<Mutex<Vec<u8>>>);

        impl Shared {
            pub(super) fn text(&self) -> String {
                String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
            }
        }

        impl std::io::Write for Shared {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.lock().unwrap().extend_from_slice(bytes);
                Ok(bytes.len())
            }

            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
    }

    #[test]
    fn a_line_is_json_and_tells_what_happened() {
        let lines = lines(AccessMode::All, &[entry("/v1/users/\"1\"\n\u{e9}", 500)]);
        let line = &lines[0];
        assert_eq!(line["path"], "/v1/users/\"1\"\n\u{e9}");
        assert_eq!((&line["status"], &line["code"]), (&500.into(), &"INTERNAL".into()));
        assert_eq!((&line["micros"], &line["peer"]), (&42.into(), &"10.0.0.255:1234".into()));
        let timestamp = line["timestamp"].as_str().unwrap();
        assert!(timestamp.parse::<Timestamp>().is_ok() && timestamp.len() == 27, "{timestamp}");
    }

    #[test]
    fn sampling_keeps_one_in_so_many_and_every_failure_of_the_server() {
        let mut entries = vec![entry("/ok", 200); 100];
        entries.push(entry("/broken", 500));
        assert_eq!(lines(AccessMode::Sampled, &entries).len(), 11);
        assert_eq!(lines(AccessMode::All, &entries).len(), 101);
        assert!(lines(AccessMode::Off, &entries).is_empty());
    }
}
