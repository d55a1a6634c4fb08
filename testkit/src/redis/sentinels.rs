//! Servers of which Sentinels choose one.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
};

use tempfile::TempDir;

use super::{Answer, Redis, answer, server::program};
use crate::{PATIENCE, Process, free_port, scratch, wait_until};

const SENTINELS: usize = 3;
const QUORUM: &str = "2";
/// Until a server that does not answer counts as gone, in milliseconds. Short, and long enough for a loaded machine.
const GONE_AFTER: &str = "2000";

/// Servers, counted from 0, and three Sentinels, which call them `main`. First 0 is the primary.
#[derive(Debug)]
pub struct RedisSentinels {
    servers: Vec<Redis>,
    sentinels: Vec<Sentinel>,
}

#[derive(Debug)]
struct Sentinel {
    _process: Process,
    port: u16,
    _directory: TempDir,
}

impl RedisSentinels {
    /// Starts a primary with so many replicas, and waits until the Sentinels agree on it.
    ///
    /// # Panics
    /// If they do not.
    pub fn start(replicas: usize) -> Self {
        let primary = Redis::start_with(&["--repl-diskless-sync-delay", "0"]);
        let port = primary.address().port().to_string();
        let replica = |_| Redis::start_with(&["--repl-diskless-sync-delay", "0", "--replicaof", "127.0.0.1", &port]);
        let mut servers = vec![primary];
        servers.extend((0..replicas).map(replica));
        for server in &servers[1..] {
            wait_until("a replica to have a copy", || server.info_text("master_link_status") == "up");
        }
        let sentinels = (0..SENTINELS).map(|_| Sentinel::start(&port)).collect();
        let all = Self { servers, sentinels };
        wait_until("the Sentinels to agree", || all.sentinels.iter().all(|sentinel| sentinel.agrees(replicas)));
        all
    }

    /// The address of the service.
    pub fn url(&self) -> String {
        let sentinels: Vec<_> = self.sentinels.iter().map(|sentinel| sentinel.address().to_string()).collect();
        format!("redis+sentinel://{}/main", sentinels.join(","))
    }

    /// One of the servers.
    pub fn server(&self, number: usize) -> &Redis {
        &self.servers[number]
    }

    /// What a Sentinel answers to a command.
    ///
    /// # Panics
    /// If it does not answer.
    pub fn ask_sentinel(&self, number: usize, words: &[&str]) -> Answer {
        self.sentinels[number].ask(words)
    }

    /// Which is the primary, as the Sentinels say.
    ///
    /// # Panics
    /// If they do not answer.
    pub fn primary(&self) -> usize {
        let answer = self.sentinels[0].ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main"]).text();
        let of = |server: &Redis| answer == format!("127.0.0.1\n{}", server.address().port());
        self.servers.iter().position(of).unwrap_or_else(|| panic!("{answer:?} is none of the servers"))
    }

    /// Has another server made the primary, as if the one that is were gone.
    ///
    /// # Panics
    /// If that does not happen.
    pub fn fail_over(&self) {
        let before = self.primary();
        wait_until("a Sentinel to begin", || self.sentinels[0].ask(&["SENTINEL", "FAILOVER", "main"]).text() == "OK");
        wait_until("another primary", || self.primary() != before);
    }
}

impl Sentinel {
    fn start(primary: &str) -> Self {
        let directory = scratch::directory();
        let port = free_port();
        let path = directory.path().join("sentinel.conf");
        let text = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\nsentinel monitor main 127.0.0.1 {primary} {QUORUM}\n\
             sentinel down-after-milliseconds main {GONE_AFTER}\nsentinel failover-timeout main 6000\n\
             sentinel parallel-syncs main 1\n",
            directory.path().display()
        );
        fs::write(&path, text).expect("write a Sentinel's configuration");
        let arguments = [path.display().to_string(), "--sentinel".to_owned()];
        let sentinel = Self { _process: Process::start(program(), &arguments, &[]), port, _directory: directory };
        wait_until("a Sentinel to answer", || answer::ask(sentinel.address(), &[b"PING"], PATIENCE).is_ok());
        sentinel
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    fn ask(&self, words: &[&str]) -> Answer {
        let bytes: Vec<_> = words.iter().map(|word| word.as_bytes()).collect();
        answer::ask(self.address(), &bytes, PATIENCE).unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    /// Whether it knows enough others, and all replicas.
    fn agrees(&self, replicas: usize) -> bool {
        let quorum = self.ask(&["SENTINEL", "CKQUORUM", "main"]).text();
        let known =
            matches!(self.ask(&["SENTINEL", "REPLICAS", "main"]), Answer::List(known) if known.len() == replicas);
        quorum.starts_with(&format!("OK {SENTINELS} usable")) && known
    }
}
