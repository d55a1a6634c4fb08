//! Redis, as the distribution installs it.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
};

use tempfile::TempDir;

use crate::Process;

/// A server on a free port that keeps nothing on disk. Ends when dropped.
#[derive(Debug)]
pub struct Redis {
    process: Process,
    port: u16,
    _directory: TempDir,
}

impl Redis {
    /// Starts a server and waits until it answers.
    ///
    /// # Panics
    /// If it does not.
    pub fn start() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let port = crate::free_port();
        let path = directory.path().display().to_string();
        let args =
            ["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir", &path].map(str::to_owned);
        let process = Process::start("redis-server", &args, &[]);
        let redis = Self { process, port, _directory: directory };
        crate::wait_until("redis-server to answer", || redis.answers());
        redis
    }

    fn answers(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(self.address()) else { return false };
        let mut answer = [0; 7];
        let asked = stream.write_all(b"PING\r\n").and_then(|()| stream.read_exact(&mut answer));
        asked.is_ok() && answer == *b"+PONG\r\n"
    }

    /// A number that `INFO` tells, such as `keyspace_hits`.
    ///
    /// # Panics
    /// If it does not.
    pub fn info(&self, field: &str) -> u64 {
        let mut stream = TcpStream::connect(self.address()).expect("connect to Redis");
        stream.write_all(b"INFO\r\nQUIT\r\n").expect("ask Redis");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the answer of Redis");
        let value = answer.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')?.trim().parse().ok());
        value.unwrap_or_else(|| panic!("INFO tells no {field}:\n{answer}"))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }
}
