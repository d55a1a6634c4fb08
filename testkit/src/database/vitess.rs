//! Vitess over one MySQL server: a gateway and its tablets in one process, in which every shard is a database of that
//! server. Right for trying SQL and routing; nothing of durability or failover is to be seen here.
//!
//! Only `vtcombo` is needed of it, which is built from source by `cargo xtask test --nightly`. It does not run as root, so
//! there it is given to a user without rights, who has to reach the server's socket.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{DatabaseServer, Product, folder};
use crate::{Log, Process, free_port, wait_until};

/// Names the program elsewhere.
pub const PROGRAM_VARIABLE: &str = "TESTKIT_VTCOMBO";

/// The version of the module that it is built from, and what the program is made for.
pub const MODULE_VERSION: &str = "v0.24.0";

/// Nobody's number.
const NOBODY: u32 = 65_534;

/// Databases and their shards.
const SHARDS: [&str; 2] = ["-80", "80-"];

/// How often it is started again.
const STARTS: u32 = 5;

/// Where the gateway keeps what it is told of tables.
const LEARNED: &str = "learned";

/// Where the program lies.
pub fn program() -> PathBuf {
    std::env::var_os(PROGRAM_VARIABLE)
        .map_or_else(|| folder::cache().join(format!("rowkeep/vitess-{MODULE_VERSION}/vtcombo")), PathBuf::from)
}

/// A gateway before two kinds of keyspaces: of one shard, and of two.
#[derive(Debug)]
pub struct Vitess {
    port: u16,
    keyspaces: Vec<String>,
    arguments: Vec<String>,
    // The gateway ends before the server that it needs.
    process: Mutex<Process>,
    server: DatabaseServer,
}

impl Vitess {
    /// Starts one with as many unsharded keyspaces, `test_1` and so on, and as many of two shards, `test_sharded_1` and so
    /// on.
    ///
    /// # Panics
    /// If MySQL or Vitess is missing or does not come up.
    pub fn start(unsharded: u32, sharded: u32) -> Self {
        Self::start_with(unsharded, sharded, &[])
    }

    /// The same with more options of the gateway, such as `--enable-system-settings=false`.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub fn start_with(unsharded: u32, sharded: u32, flags: &[&str]) -> Self {
        let program = program();
        assert!(
            program.is_file(),
            "{} is missing: `cargo xtask test --nightly` builds it, or {PROGRAM_VARIABLE} names it elsewhere",
            program.display()
        );
        let options = [
            "--innodb-flush-log-at-trx-commit=2",
            "--sync-binlog=0",
            "--innodb-doublewrite=0",
            "--max-connections=2000",
        ];
        let server = DatabaseServer::start_with(Product::MySql, &options);
        server.admin("CREATE USER vitess@localhost; GRANT ALL ON *.* TO vitess@localhost WITH GRANT OPTION");
        let keyspaces: Vec<(String, &[&str])> = (1..=unsharded)
            .map(|number| (format!("test_{number}"), &["0"][..]))
            .chain((1..=sharded).map(|number| (format!("test_sharded_{number}"), &SHARDS[..])))
            .collect();
        for (keyspace, shards) in &keyspaces {
            for shard in *shards {
                server.admin(&format!("CREATE DATABASE `vt_{keyspace}_{shard}` CHARACTER SET utf8mb4"));
            }
        }
        let directory = server.directory.path();
        write_vschemas(&directory.join("vschema"), &keyspaces);
        let learned = directory.join(LEARNED);
        fs::create_dir(&learned).expect("a directory for what the gateway learns");
        fs::set_permissions(&learned, fs::Permissions::from_mode(0o777)).expect("let it write there");
        let port = free_port();
        let mut arguments = arguments(directory, &keyspaces, port);
        arguments.extend(flags.iter().map(|flag| (*flag).to_owned()));
        let process = Mutex::new(run(&program, directory, &arguments));
        let keyspaces = keyspaces.into_iter().map(|(keyspace, _)| keyspace).collect();
        let vitess = Self { port, keyspaces, arguments, process, server };
        vitess.wait();
        vitess
    }

    /// Kills gateway and tablets together with the server behind them, as when a machine is lost, and starts them again.
    ///
    /// # Panics
    /// If they do not come up.
    pub fn lose_machine(&self) {
        self.server.kill9();
        self.lock().kill9();
        self.server.restart();
        // A client that tries to come back may hold the very port it connects to, for a moment.
        for _ in 0..STARTS {
            *self.lock() = run(&program(), self.server.directory.path(), &self.arguments);
            if self.comes_up() {
                return;
            }
        }
        self.wait();
    }

    /// Whether it serves before it ends.
    fn comes_up(&self) -> bool {
        let mut ended = false;
        wait_until("the gateway to come up", || {
            ended = self.lock().exited().is_some();
            ended || self.keyspaces.iter().all(|keyspace| self.serves(keyspace))
        });
        !ended
    }

    fn wait(&self) {
        assert!(self.comes_up(), "vtcombo ended: {}", self.lock().log().text());
    }

    fn lock(&self) -> MutexGuard<'_, Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The address of a keyspace.
    pub fn url_of(&self, keyspace: &str) -> String {
        format!("mysql://root@127.0.0.1:{}/{keyspace}", self.port)
    }

    /// The port of the gateway.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The server behind it, in which each shard is a database `vt_KEYSPACE_SHARD`.
    pub fn server(&self) -> &DatabaseServer {
        &self.server
    }

    fn serves(&self, keyspace: &str) -> bool {
        let mut command = Command::new("mariadb");
        command.args(["--no-defaults", "--user=root", "--host=127.0.0.1", "--execute=SELECT 1 FROM dual"]);
        command.arg(format!("--port={}", self.port)).arg(keyspace).stdin(Stdio::null());
        command.output().is_ok_and(|output| output.status.success())
    }
}

fn write_vschemas(directory: &Path, keyspaces: &[(String, &[&str])]) {
    for (keyspace, shards) in keyspaces {
        let directory = directory.join(keyspace);
        fs::create_dir_all(&directory).expect("a directory for a keyspace");
        let sharded = shards.len() > 1;
        fs::write(directory.join("vschema.json"), format!("{{\"sharded\": {sharded}}}")).expect("write a keyspace");
    }
}

fn arguments(directory: &Path, keyspaces: &[(String, &[&str])], port: u16) -> Vec<String> {
    let mut topology = String::from("cells:\"test\" ");
    for (keyspace, shards) in keyspaces {
        let shards: String = shards.iter().map(|shard| format!("shards:{{name:\"{shard}\"}} ")).collect();
        topology.push_str(&format!("keyspaces:{{name:\"{keyspace}\" {shards}replica_count:2 rdonly_count:1}} "));
    }
    let at = |name: &str| directory.join(name).display().to_string();
    let mut arguments = vec![
        format!("--proto-topo={topology}"),
        format!("--schema-dir={}", at("vschema")),
        // Where rows lie must be known after a restart.
        format!("--vschema-persistence-dir={}", at(LEARNED)),
        format!("--db-socket={}", at("socket")),
        "--db-charset=utf8mb4".to_owned(),
        "--mysql-server-version=8.4.6-Vitess".to_owned(),
        "--mysql-auth-server-impl=none".to_owned(),
        "--mysql-server-bind-address=127.0.0.1".to_owned(),
        format!("--mysql-server-port={port}"),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--port={}", free_port()),
        "--grpc-bind-address=127.0.0.1".to_owned(),
        format!("--grpc-port={}", free_port()),
        "--service-map=grpc-vtgateservice".to_owned(),
        // Tables and vindexes are made through the gateway.
        "--enable-direct-ddl=true".to_owned(),
        "--vschema-ddl-authorized-users=%".to_owned(),
        "--enable-system-settings=true".to_owned(),
        // The logs of shards are handed on.
        "--enable-binlog-dump".to_owned(),
        "--binlog-dump-authorized-users=%".to_owned(),
        // As many transactions as clients may want at once.
        "--queryserver-config-transaction-cap=64".to_owned(),
        "--queryserver-config-pool-size=16".to_owned(),
        "--queryserver-config-stream-pool-size=16".to_owned(),
    ];
    let users = ["app", "dba", "allprivs", "appdebug", "filtered", "repl"];
    arguments.extend(users.map(|user| format!("--db-{user}-user=vitess")));
    arguments
}

/// As root, as somebody else: the program refuses to run otherwise.
fn run(program: &Path, directory: &Path, arguments: &[String]) -> Process {
    let root = directory.display().to_string();
    let env = [("VTDATAROOT", root.as_str()), ("VTROOT", &root), ("TMPDIR", "/tmp"), ("HOME", &root)];
    let is_root = fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    if !is_root {
        return Process::start_with_log(program, arguments, &env, Log::default());
    }
    fs::set_permissions(directory, fs::Permissions::from_mode(0o711)).expect("let others through");
    // It lies where only its owner looks, often.
    let copy = directory.join("vtcombo");
    if !copy.is_file() {
        fs::copy(program, &copy).expect("copy the program");
    }
    let mut all = vec![format!("--reuid={NOBODY}"), format!("--regid={NOBODY}"), "--clear-groups".to_owned()];
    // Another user's process forgets whose death it was to die with.
    all.extend(["--pdeathsig", "KILL", "--"].map(str::to_owned));
    all.push(copy.display().to_string());
    all.extend_from_slice(arguments);
    Process::start_with_log("setpriv", &all, &env, Log::default())
}
