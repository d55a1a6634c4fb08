//! A MariaDB server of a test's own.

use std::{
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
};

use tempfile::TempDir;

use crate::{Log, Process, free_port, wait_until};

/// Of the user `app`.
const PASSWORD: &str = "pass/word";

/// A running server with an empty database `test`, reached on loopback, with the binary log on.
#[derive(Debug)]
pub struct MariaDb {
    process: Mutex<Process>,
    port: u16,
    options: Vec<String>,
    log: Log,
    // Declared last: the process is gone before its directory.
    directory: TempDir,
}

impl MariaDb {
    /// Starts one and waits until it answers.
    ///
    /// # Panics
    /// If the package `mariadb-server` is not installed, or the server does not come up.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with more options, such as `--lower-case-table-names=1`.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub fn start_with(options: &[&str]) -> Self {
        let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
        let directory = tempfile::tempdir().expect("a temporary directory");
        install(directory.path());
        let (port, log) = (free_port(), Log::default());
        let process = Mutex::new(run(directory.path(), port, &options, &log));
        let server = Self { process, port, options, log, directory };
        server.wait();
        server
    }

    /// `mysql://user:password@127.0.0.1:port/test`, for a user who may do everything in `test`.
    pub fn url(&self) -> String {
        self.url_of("test")
    }

    /// The same for another database. The user may make those whose names begin with `test_`.
    pub fn url_of(&self, database: &str) -> String {
        format!("mysql://app:{}@127.0.0.1:{}/{database}", PASSWORD.replace('/', "%2F"), self.port)
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.lock().id()
    }

    /// `SIGKILL`: what was not flushed is lost.
    pub fn kill9(&self) {
        self.lock().kill9();
    }

    /// Starts it again on the same data and port.
    pub fn restart(&self) {
        *self.lock() = run(self.directory.path(), self.port, &self.options, &self.log);
        self.wait();
    }

    fn wait(&self) {
        wait_until("MariaDB to listen", || {
            if let Some(status) = self.lock().exited() {
                panic!("MariaDB ended with {status}");
            }
            TcpStream::connect(("127.0.0.1", self.port)).is_ok()
        });
    }

    fn lock(&self) -> MutexGuard<'_, Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn data(directory: &Path) -> String {
    format!("--datadir={}", directory.join("data").display())
}

/// Makes the system tables, and what the server runs at each start.
fn install(directory: &Path) {
    let statements = format!(
        "CREATE DATABASE IF NOT EXISTS test CHARACTER SET utf8mb4;\n\
         CREATE USER IF NOT EXISTS app@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';\n\
         GRANT ALL ON test.* TO app@'127.0.0.1';\n\
         GRANT ALL ON `test\\_%`.* TO app@'127.0.0.1';\n"
    );
    std::fs::write(directory.join("users.sql"), statements).expect("write the users");
    let mut command = Command::new("mariadb-install-db");
    command.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db", "--user=root"]);
    let output = command.arg(data(directory)).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("mariadb-install-db (package mariadb-server): {error}"));
    let words = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "mariadb-install-db failed\n{words}");
}

fn run(directory: &Path, port: u16, options: &[String], log: &Log) -> Process {
    let at = |name: &str| directory.join(name).display().to_string();
    let mut args = vec![
        "--no-defaults".to_owned(),
        "--user=root".to_owned(),
        data(directory),
        format!("--init-file={}", at("users.sql")),
        format!("--port={port}"),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--socket={}", at("socket")),
        format!("--pid-file={}", at("pid")),
        "--skip-name-resolve".to_owned(),
        "--server-id=1".to_owned(),
        "--log-bin=binlog".to_owned(),
        "--binlog-format=ROW".to_owned(),
        "--binlog-row-metadata=FULL".to_owned(),
        "--sync-binlog=1".to_owned(),
        "--innodb-flush-log-at-trx-commit=1".to_owned(),
        "--innodb-buffer-pool-size=64M".to_owned(),
        "--innodb-log-file-size=32M".to_owned(),
        "--performance-schema=OFF".to_owned(),
        "--max-allowed-packet=64M".to_owned(),
    ];
    args.extend_from_slice(options);
    Process::start_with_log(program(), &args, &[], log.clone())
}

/// Debian keeps servers where a user's PATH does not look.
fn program() -> PathBuf {
    let usual = Path::new("/usr/sbin/mariadbd");
    if usual.is_file() { usual.to_owned() } else { PathBuf::from("mariadbd") }
}
