//! What an operator sees of the servers.

use std::fmt;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Server, Servers};

/// What a server is to a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It takes the writes.
    Primary,
    /// It answers reads.
    Replica,
    /// It has writes that the primary does not have.
    Diverged,
    /// It does not answer.
    Down,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Primary, Self::Replica, Self::Diverged, Self::Down];

    /// `primary`, `replica`, `diverged`, `down`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Replica => "replica",
            Self::Diverged => "diverged",
            Self::Down => "down",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One server, as it is now.
#[derive(Debug, Clone)]
pub struct ServerStatus {
    /// Without a password.
    pub address: String,
    /// What it is.
    pub role: Role,
    /// How old what it shows may be; `None` if that is not known. The primary's is how long ago it was asked.
    pub staleness: Option<Duration>,
    /// Mean time that a read took lately.
    pub latency: Duration,
    /// Reads that it has not answered.
    pub in_flight: u32,
    /// Reads sent to it. (Not counted where there is only one server.)
    pub reads: u64,
    /// How often it was found not to answer.
    pub ejections: u64,
    /// Connections that transactions may use, and those that do.
    pub write_connections: (u64, u64),
}

impl Servers {
    /// All of them, in the order they are named in.
    pub(in crate::mysql) fn status(&self) -> Vec<ServerStatus> {
        self.servers.iter().map(|server| self.status_of(server)).collect()
    }

    fn status_of(&self, server: &Server) -> ServerStatus {
        let progress = &server.progress;
        let role = match () {
            () if !progress.answers() => Role::Down,
            () if self.is_primary(server) => Role::Primary,
            () if progress.is_diverged() => Role::Diverged,
            () => Role::Replica,
        };
        let size = u64::from(server.pool.size);
        ServerStatus {
            address: server.connector.address().to_string(),
            role,
            staleness: progress.staleness(),
            latency: progress.latency(),
            in_flight: progress.in_flight(),
            reads: progress.reads.load(Ordering::Relaxed),
            ejections: progress.ejections.load(Ordering::Relaxed),
            write_connections: (size, size - server.pool.free()),
        }
    }
}
