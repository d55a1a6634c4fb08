//! One server.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{Answer, answer};
use crate::{Log, PATIENCE, Process, Signal, scratch};

/// A server on a free port that keeps nothing on disk. Ends when dropped.
#[derive(Debug)]
pub struct Redis {
    process: Mutex<Process>,
    arguments: Vec<String>,
    log: Log,
    port: u16,
    _directory: TempDir,
}

/// `redis-server`, or what [`Redis::PROGRAM_VARIABLE`] names: another version, or Valkey.
pub(super) fn program() -> PathBuf {
    std::env::var_os(Redis::PROGRAM_VARIABLE).map_or_else(|| "redis-server".into(), PathBuf::from)
}

impl Redis {
    /// Names a program that is started in place of `redis-server`.
    pub const PROGRAM_VARIABLE: &str = "TESTKIT_REDIS";

    /// Starts a server and waits until it answers.
    ///
    /// # Panics
    /// If it does not.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with further arguments, such as `--maxmemory` and `10mb`.
    ///
    /// # Panics
    /// If it does not answer.
    pub fn start_with(options: &[&str]) -> Self {
        let directory = scratch::directory();
        let port = crate::free_port();
        let (port_text, path) = (port.to_string(), directory.path().display().to_string());
        let own = ["--port", &port_text, "--bind", "127.0.0.1", "--save", "", "--dir", &path];
        let arguments: Vec<String> = own.iter().chain(options).map(|word| (*word).to_owned()).collect();
        let log = Log::default();
        let process = Mutex::new(Process::start_with_log(program(), &arguments, &[], log.clone()));
        let redis = Self { process, arguments, log, port, _directory: directory };
        redis.wait();
        redis
    }

    fn wait(&self) {
        let pong = Answer::Text(b"PONG".to_vec());
        let is_denied = |answer: &Answer| matches!(answer, Answer::Error(problem) if problem.starts_with("NOAUTH"));
        crate::wait_until("redis-server to answer", || {
            self.try_ask(&["PING"]).is_ok_and(|answer| answer == pong || is_denied(&answer))
        });
    }

    /// A number that `INFO` tells, such as `keyspace_hits`.
    ///
    /// # Panics
    /// If it does not.
    pub fn info(&self, field: &str) -> u64 {
        let answer = self.info_text(field);
        answer.parse().unwrap_or_else(|_| panic!("INFO tells no number {field} but {answer:?}"))
    }

    /// What `INFO everything` tells of something; empty if nothing. Asked again if the connection was cut: Sentinels cut those
    /// of a server that they make a replica.
    ///
    /// # Panics
    /// If it does not answer.
    pub fn info_text(&self, field: &str) -> String {
        let until = Instant::now() + PATIENCE;
        let answer = loop {
            match self.try_ask(&["INFO", "everything"]) {
                Ok(answer) => break answer.text(),
                Err(error) => {
                    let is_gone = error.kind() == io::ErrorKind::ConnectionRefused || Instant::now() > until;
                    assert!(!is_gone, "INFO: {error}");
                }
            }
        };
        let value = answer.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':').map(str::trim));
        value.unwrap_or_default().to_owned()
    }

    /// How often a command was run, in scripts or out of them, since [`forget_commands`](Self::forget_commands).
    ///
    /// # Panics
    /// If it does not answer.
    pub fn commands(&self, command: &str) -> u64 {
        let told = self.info_text(&format!("cmdstat_{command}"));
        let calls = told.split(',').find_map(|part| part.strip_prefix("calls=")?.parse().ok());
        calls.unwrap_or(0)
    }

    /// Begins to count commands anew.
    ///
    /// # Panics
    /// If it does not answer.
    pub fn forget_commands(&self) {
        self.ask(&["CONFIG", "RESETSTAT"]);
    }

    /// What it answers to a command.
    ///
    /// # Panics
    /// If it does not answer.
    pub fn ask(&self, words: &[&str]) -> Answer {
        self.try_ask(words).unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    /// The same, if it may be gone.
    ///
    /// # Errors
    /// If there is no answer.
    pub fn try_ask(&self, words: &[&str]) -> io::Result<Answer> {
        let words: Vec<_> = words.iter().map(|word| word.as_bytes()).collect();
        answer::ask(self.address(), &words, PATIENCE)
    }

    /// What it answers to a command whose words are bytes.
    ///
    /// # Panics
    /// If it does not answer.
    pub fn ask_bytes(&self, words: &[&[u8]]) -> Answer {
        answer::ask(self.address(), words, PATIENCE).unwrap_or_else(|error| panic!("no answer: {error}"))
    }

    /// The same, for who does not wait long.
    pub(super) fn ask_soon(&self, words: &[&str]) -> io::Result<Answer> {
        let words: Vec<_> = words.iter().map(|word| word.as_bytes()).collect();
        answer::ask(self.address(), &words, Duration::from_millis(500))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.process().id()
    }

    /// `SIGKILL`. What it had is gone.
    pub fn kill9(&self) {
        self.process().kill9();
    }

    /// Starts it again after it was killed, on the same port, with nothing.
    ///
    /// # Panics
    /// If it does not answer.
    pub fn restart(&self) {
        *self.process() = Process::start_with_log(program(), &self.arguments, &[], self.log.clone());
        self.wait();
    }

    /// Stops it where it is: its connections stay open, and nothing answers.
    pub fn suspend(&self) {
        self.process().signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.process().signal(Signal::CONT);
    }

    fn process(&self) -> MutexGuard<'_, Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
