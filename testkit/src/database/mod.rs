//! Database servers of a test's own: MariaDB and MySQL, the same to who uses them.

mod cluster;
pub mod folder;
mod group;
pub mod mariadb;
pub mod mysql;
pub mod vitess;

use std::{
    io::{BufRead as _, BufReader, Read},
    net::{Ipv4Addr, TcpStream},
    ops::Deref,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tempfile::TempDir;

pub use cluster::Cluster;
pub use group::Group;
pub use vitess::Vitess;

use crate::{Log, PATIENCE, Process, free_port, scratch, wait_until};

/// Of all users.
const PASSWORD: &str = "pass/word";

/// What a user has to be allowed to.
const LEAST: &str = "SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP";

/// Whose server it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Product {
    /// From the package `mariadb-server`, or from the folder that [`mariadb::ROOT_VARIABLE`] names.
    MariaDb,
    /// From the folder that [`mysql::root`] names.
    MySql,
}

/// A running server with an empty database `test`, reached on loopback, with the binary log on.
#[derive(Debug)]
pub struct DatabaseServer {
    product: Product,
    process: Mutex<Process>,
    suspended: AtomicBool,
    port: u16,
    options: Vec<String>,
    log: Log,
    // Declared last: the process is gone before its directory.
    directory: TempDir,
}

/// A MariaDB server.
#[derive(Debug)]
pub struct MariaDb(DatabaseServer);

/// A MySQL server.
#[derive(Debug)]
pub struct MySql(DatabaseServer);

impl MariaDb {
    /// As [`DatabaseServer::start`].
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// As [`DatabaseServer::start_with`].
    pub fn start_with(options: &[&str]) -> Self {
        Self(DatabaseServer::start_with(Product::MariaDb, options))
    }
}

impl MySql {
    /// As [`DatabaseServer::start`].
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// As [`DatabaseServer::start_with`].
    pub fn start_with(options: &[&str]) -> Self {
        Self(DatabaseServer::start_with(Product::MySql, options))
    }
}

impl Deref for MariaDb {
    type Target = DatabaseServer;

    fn deref(&self) -> &DatabaseServer {
        &self.0
    }
}

impl Deref for MySql {
    type Target = DatabaseServer;

    fn deref(&self) -> &DatabaseServer {
        &self.0
    }
}

impl DatabaseServer {
    /// Starts one and waits until it answers.
    ///
    /// # Panics
    /// If the product is not installed, or the server does not come up.
    pub fn start(product: Product) -> Self {
        Self::start_with(product, &[""; 0])
    }

    /// The same with more options, such as `--lower-case-table-names=1`.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub fn start_with(product: Product, options: &[impl AsRef<str>]) -> Self {
        let options: Vec<String> = options.iter().map(|option| option.as_ref().to_owned()).collect();
        let directory = scratch::directory();
        product.prepare(directory.path(), &options);
        product.write_users(directory.path());
        let (port, log) = (free_port(), Log::default());
        let process = Mutex::new(product.run(directory.path(), port, &options, &log));
        let suspended = AtomicBool::new(false);
        let server = Self { product, process, suspended, port, options, log, directory };
        server.wait();
        server
    }

    /// One for all tests of this process.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub fn shared(product: Product) -> &'static Self {
        static MARIADB: OnceLock<DatabaseServer> = OnceLock::new();
        static MYSQL: OnceLock<DatabaseServer> = OnceLock::new();
        let server = match product {
            Product::MariaDb => &MARIADB,
            Product::MySql => &MYSQL,
        };
        server.get_or_init(|| Self::start(product))
    }

    /// `mysql://user:password@127.0.0.1:port/test`, for a user who may do everything in `test`. Two more users with the
    /// same password are let in only as their names say: `encrypted` over TLS, `certified` with a certificate of their own.
    pub fn url(&self) -> String {
        self.url_of("test")
    }

    /// The same for another database. The user may make those whose names begin with `test_`.
    pub fn url_of(&self, database: &str) -> String {
        self.url_for("app", database)
    }

    /// The same for the user `least`, who may do in `test` and `test_...` what `docs/mysql.md` says is needed, and nothing
    /// else.
    pub fn least_url_of(&self, database: &str) -> String {
        self.url_for("least", database)
    }

    /// Makes a user with these grants, each what stands between `GRANT` and `TO`. The address of a database for them.
    ///
    /// # Panics
    /// If the server takes one of the grants for none.
    pub fn user(&self, name: &str, database: &str, grants: &[&str]) -> String {
        let user = format!("{name}@'127.0.0.1'");
        self.admin(&format!("CREATE USER {user} IDENTIFIED BY '{PASSWORD}'"));
        for grant in grants {
            self.admin(&format!("GRANT {grant} TO {user}"));
        }
        self.url_for(name, database)
    }

    fn url_for(&self, user: &str, database: &str) -> String {
        format!("mysql://{user}:{}@127.0.0.1:{}/{database}", PASSWORD.replace('/', "%2F"), self.port)
    }

    /// The directory of its data and its binary log.
    pub fn data_directory(&self) -> PathBuf {
        data(self.directory.path())
    }

    /// Whose server it is.
    pub fn product(&self) -> Product {
        self.product
    }

    /// The first two numbers of its version.
    ///
    /// # Panics
    /// If it does not say them.
    pub fn version(&self) -> (u16, u16) {
        let said = self.admin("SELECT VERSION()");
        let mut numbers = said.split('.').map_while(|number| number.parse().ok());
        numbers.next().zip(numbers.next()).unwrap_or_else(|| panic!("{said} is no version"))
    }

    /// Runs statements as the server's administrator; what they answer, a line for each row with tabs between its values.
    ///
    /// # Panics
    /// If one fails.
    pub fn admin(&self, statements: &str) -> String {
        self.client(&["--skip-column-names"], statements)
    }

    /// The same with one line for each value: its name, a colon, and the value, which may go on in further lines.
    pub(crate) fn admin_by_name(&self, statement: &str) -> String {
        self.client(&["--vertical"], statement)
    }

    fn client(&self, options: &[&str], statements: &str) -> String {
        let socket = self.directory.path().join("socket");
        let mut command = Command::new("mariadb");
        command.args(["--no-defaults", "--user=root", "--batch", "--raw"]).args(options);
        command.arg(format!("--socket={}", socket.display())).arg("--execute").arg(statements);
        let output = command.stdin(Stdio::null()).output();
        let output = output.unwrap_or_else(|error| panic!("mariadb (package mariadb-client): {error}"));
        assert!(output.status.success(), "{statements}\n{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// What the product's own tool prints of the whole log, line by line.
    ///
    /// # Panics
    /// If the tool is not there, or cannot read the log.
    pub fn print_log(&self, options: &[&str], mut line: impl FnMut(&str)) {
        self.admin("FLUSH BINARY LOGS");
        let files = self.admin("SHOW BINARY LOGS");
        let files = files.lines().filter_map(|file| file.split('\t').next());
        let files = files.map(|file| self.data_directory().join(file));
        let (program, args) = match self.product {
            Product::MariaDb => mariadb::log_printer(),
            Product::MySql => mysql::log_printer(&mysql::root()),
        };
        let mut command = Command::new(program);
        command.args(args).arg("--no-defaults").args(options).args(files).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut printer = command.spawn().unwrap_or_else(|error| panic!("the printer of logs: {error}"));
        let printed = printer.stdout.take().expect("it is a pipe");
        for printed in BufReader::new(printed).split(b'\n') {
            line(&String::from_utf8_lossy(&printed.expect("read what is printed")));
        }
        assert!(printer.wait().is_ok_and(|status| status.success()), "the log cannot be printed");
    }

    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        self.lock().exited().is_none()
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.lock().id()
    }

    /// `SIGSTOP`: it keeps its connections and says nothing.
    pub fn suspend(&self) {
        self.signal("STOP");
        // Its threads go on until one of them has taken the signal.
        let status = format!("/proc/{}/stat", self.id());
        wait_until("a server to stop", || {
            let text = std::fs::read_to_string(&status).unwrap_or_default();
            text.rsplit_once(')').is_some_and(|(_, state)| state.trim_start().starts_with('T'))
        });
        self.suspended.store(true, Ordering::Release);
    }

    /// `SIGCONT`.
    pub fn resume(&self) {
        self.signal("CONT");
        self.suspended.store(false, Ordering::Release);
    }

    /// Whether it was suspended and not resumed: who asks it anything waits.
    pub fn is_suspended(&self) -> bool {
        self.suspended.load(Ordering::Acquire)
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.id().to_string()]).status();
        assert!(status.is_ok_and(|status| status.success()), "send SIG{name}");
    }

    /// `SIGKILL`: what was not flushed is lost.
    pub fn kill9(&self) {
        self.lock().kill9();
    }

    /// Starts it again on the same data and port; once more, as a supervisor would, if a signal ends it meanwhile. MariaDB
    /// 10.11 now and then fails an assertion of its own (`trx0purge.cc`) while it recovers from a kill.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn restart(&self) {
        self.suspended.store(false, Ordering::Release);
        let run = || {
            *self.lock() = self.product.run(self.directory.path(), self.port, &self.options, &self.log);
            self.greeting()
        };
        let came_up = run().or_else(|status| if status.signal().is_some() { run() } else { Err(status) });
        came_up.unwrap_or_else(|status| panic!("{:?} ended with {status}", self.product));
    }

    fn wait(&self) {
        self.greeting().unwrap_or_else(|status| panic!("{:?} ended with {status}", self.product));
    }

    /// Waits until it answers, or has ended.
    fn greeting(&self) -> Result<(), ExitStatus> {
        let mut ended = None;
        wait_until("a database server to greet", || {
            ended = self.lock().exited();
            ended.is_some() || greets(self.port)
        });
        ended.map_or(Ok(()), Err)
    }

    fn lock(&self) -> MutexGuard<'_, Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tests that run on both products: the names of functions that take a [`Product`], after `async` if they are.
#[macro_export]
macro_rules! on_both_products {
    (async $($test:ident)*) => {
        mod mariadb {
            $(#[tokio::test] async fn $test() { super::$test($crate::Product::MariaDb).await; })*
        }
        mod mysql {
            $(#[tokio::test] async fn $test() { super::$test($crate::Product::MySql).await; })*
        }
    };
    ($($test:ident)*) => {
        mod mariadb {
            $(#[test] fn $test() { super::$test($crate::Product::MariaDb); })*
        }
        mod mysql {
            $(#[test] fn $test() { super::$test($crate::Product::MySql); })*
        }
    };
}

/// A server that listens may still be at its beginnings; one that greets takes logins.
fn greets(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { return false };
    stream.set_read_timeout(Some(PATIENCE)).is_ok() && stream.read_exact(&mut [0; 5]).is_ok()
}

impl Product {
    /// Makes a data directory with the system's own tables.
    fn prepare(self, directory: &Path, options: &[String]) {
        match self {
            Self::MariaDb => mariadb::prepare(&data(directory)),
            Self::MySql => mysql::prepare(&data(directory), options),
        }
    }

    fn run(self, directory: &Path, port: u16, options: &[String], log: &Log) -> Process {
        let (program, mut args) = match self {
            Self::MariaDb => mariadb::program(),
            Self::MySql => mysql::program(&mysql::root()),
        };
        // A server that was killed leaves it behind, and the next one takes it for another's.
        let _ = std::fs::remove_file(directory.join("socket.lock"));
        args.extend(settings(directory, port));
        args.extend_from_slice(options);
        Process::start_with_log(program, &args, &[], log.clone())
    }

    /// What the server runs at each start. Not logged: every server of a cluster does it by itself, also one that starts
    /// read-only.
    fn write_users(self, directory: &Path) {
        let (before, after) = match self {
            Self::MariaDb => ("", ""),
            Self::MySql => (
                "SET @read_only = @@GLOBAL.super_read_only;\nSET GLOBAL super_read_only = OFF;\n",
                "SET GLOBAL super_read_only = @read_only;\n",
            ),
        };
        std::fs::write(directory.join("users.sql"), format!("{before}{}{after}", users())).expect("write the users");
    }
}

fn users() -> String {
    format!(
        "SET SESSION sql_log_bin = 0;\n\
         CREATE DATABASE IF NOT EXISTS test CHARACTER SET utf8mb4;\n\
         CREATE USER IF NOT EXISTS app@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';\n\
         GRANT ALL ON test.* TO app@'127.0.0.1';\n\
         GRANT ALL ON `test\\_%`.* TO app@'127.0.0.1';\n\
         CREATE USER IF NOT EXISTS least@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';\n\
         GRANT {LEAST} ON test.* TO least@'127.0.0.1';\n\
         GRANT {LEAST} ON `test\\_%`.* TO least@'127.0.0.1';\n\
         CREATE USER IF NOT EXISTS encrypted@'127.0.0.1' IDENTIFIED BY '{PASSWORD}' REQUIRE SSL;\n\
         GRANT ALL ON test.* TO encrypted@'127.0.0.1';\n\
         CREATE USER IF NOT EXISTS certified@'127.0.0.1' IDENTIFIED BY '{PASSWORD}' REQUIRE X509;\n\
         GRANT ALL ON test.* TO certified@'127.0.0.1';\n\
         CREATE USER IF NOT EXISTS repl@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';\n\
         GRANT REPLICATION SLAVE ON *.* TO repl@'127.0.0.1';\n"
    )
}

fn data(directory: &Path) -> PathBuf {
    directory.join("data")
}

/// What both products understand.
fn settings(directory: &Path, port: u16) -> Vec<String> {
    let at = |name: &str| directory.join(name).display().to_string();
    vec![
        format!("--datadir={}", data(directory).display()),
        format!("--tmpdir={}", directory.display()),
        format!("--init-file={}", at("users.sql")),
        format!("--port={port}"),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--socket={}", at("socket")),
        format!("--pid-file={}", at("pid")),
        "--skip-name-resolve".to_owned(),
        "--server-id=1".to_owned(),
        "--log-bin=binlog".to_owned(),
        "--binlog-row-metadata=FULL".to_owned(),
        "--sync-binlog=1".to_owned(),
        "--innodb-flush-log-at-trx-commit=1".to_owned(),
        "--innodb-buffer-pool-size=64M".to_owned(),
        "--performance-schema=OFF".to_owned(),
        "--max-allowed-packet=64M".to_owned(),
    ]
}
