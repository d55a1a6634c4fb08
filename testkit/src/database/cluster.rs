//! A primary with replicas: GTIDs, row events, semi-synchronous.
//!
//! A commit is answered once a replica has its events on disk, so an answered write is not lost with the primary: it is on
//! the replica that received most. The primary begins to wait only when all replicas are there; if it did from its start,
//! its first write would wait for the whole patience of a server without replicas.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::{DatabaseServer, PASSWORD, Product};
use crate::wait_until;

/// How long a commit waits for a replica, in milliseconds. Afterwards it is answered all the same.
const PATIENCE_MILLIS: u32 = 60_000;

/// Servers, counted from 0, of which one is the primary; first it is 0.
#[derive(Debug)]
pub struct Cluster {
    servers: Vec<DatabaseServer>,
    primary: AtomicUsize,
}

impl Cluster {
    /// A primary and as many replicas, which follow it.
    ///
    /// # Panics
    /// As [`DatabaseServer::start`], or if replication does not begin.
    pub fn start(product: Product, replicas: usize) -> Self {
        let server = |number| move || DatabaseServer::start_with(product, &product.options(number));
        let servers = std::thread::scope(|scope| {
            let starting: Vec<_> = (0..=replicas).map(|number| scope.spawn(server(number))).collect();
            starting.into_iter().map(|server| server.join().expect("a server that starts")).collect()
        });
        let cluster = Self { servers, primary: AtomicUsize::new(0) };
        for replica in 1..=replicas {
            cluster.follow(replica);
        }
        cluster.wait_for_replicas();
        cluster
    }

    /// Which is the primary.
    pub fn primary(&self) -> usize {
        self.primary.load(Ordering::Acquire)
    }

    /// The others, whether or not they run.
    pub fn replicas(&self) -> Vec<usize> {
        (0..self.servers.len()).filter(|number| *number != self.primary()).collect()
    }

    /// One of them.
    pub fn server(&self, number: usize) -> &DatabaseServer {
        &self.servers[number]
    }

    /// The address of the primary's database `test`.
    pub fn url(&self) -> String {
        self.servers[self.primary()].url()
    }

    /// `SIGKILL`.
    pub fn kill9(&self, number: usize) {
        self.servers[number].kill9();
    }

    /// Starts a server again that was killed, as a replica of the primary if it is not the primary itself.
    pub fn restart(&self, number: usize) {
        self.servers[number].restart();
        if number != self.primary() {
            self.follow(number);
        }
        self.wait_for_replicas();
    }

    /// The replica that received most of what the dead primary wrote, of those that run. Until [`Cluster::promote`] none
    /// receives any more: what still lay between the two could make another the most advanced.
    ///
    /// # Panics
    /// If none runs.
    pub fn most_advanced(&self) -> usize {
        let running = self.replicas().into_iter().filter(|number| self.servers[*number].is_running());
        let running: Vec<_> =
            running.inspect(|number| drop(self.servers[*number].admin("STOP REPLICA IO_THREAD"))).collect();
        // They follow one primary: the last number tells them apart.
        let last = |position: &str| position.rsplit(['-', ':']).next().and_then(|number| number.parse::<u64>().ok());
        running.into_iter().max_by_key(|number| last(&self.received(*number))).expect("a replica that runs")
    }

    /// Makes a replica the primary once it has done what it received. The others that run follow it; the old primary, if
    /// it runs, takes no more writes first and gives what it has.
    pub fn promote(&self, number: usize) {
        let old = &self.servers[self.primary()];
        let new = &self.servers[number];
        let product = new.product();
        if old.is_running() {
            old.admin(product.read_only(true));
            old.admin(&product.waits_for_replicas(false));
            catch_up(new, &old.admin(product.written()));
        }
        new.admin("STOP REPLICA IO_THREAD");
        new.admin("START REPLICA SQL_THREAD");
        catch_up(new, &self.received(number));
        new.admin("STOP REPLICA");
        new.admin("RESET REPLICA ALL");
        new.admin(product.read_only(false));
        self.primary.store(number, Ordering::Release);
        for replica in self.replicas().into_iter().filter(|number| self.servers[*number].is_running()) {
            self.follow(replica);
        }
        self.wait_for_replicas();
    }

    /// Waits until every replica has done what the primary has.
    pub fn catch_up(&self) {
        let primary = &self.servers[self.primary()];
        let written = primary.admin(primary.product().written());
        self.replicas().into_iter().for_each(|replica| catch_up(&self.servers[replica], &written));
    }

    /// What a replica receives is no more done: it grows old.
    pub fn stop_sql_thread(&self, replica: usize) {
        self.servers[replica].admin("STOP REPLICA SQL_THREAD");
    }

    /// The opposite.
    pub fn start_sql_thread(&self, replica: usize) {
        self.servers[replica].admin("START REPLICA SQL_THREAD");
    }

    /// What a replica receives is done so many seconds after it was written.
    pub fn delay(&self, replica: usize, seconds: u32) {
        let server = &self.servers[replica];
        server.admin("STOP REPLICA");
        server.admin(&server.product().delay(seconds));
        server.admin("START REPLICA");
    }

    fn follow(&self, replica: usize) {
        let (server, primary) = (&self.servers[replica], &self.servers[self.primary()]);
        server.admin("STOP REPLICA");
        server.admin(&server.product().follow(primary.port()));
        server.admin("START REPLICA");
        server.admin(server.product().read_only(true));
    }

    /// Until all that run are there; then the primary's commits wait for one of them.
    fn wait_for_replicas(&self) {
        let primary = &self.servers[self.primary()];
        let running = self.replicas().into_iter().filter(|number| self.servers[*number].is_running()).count();
        let product = primary.product();
        // One that was killed is counted until the primary notices.
        let followers = || primary.admin(product.followers()).parse::<usize>().unwrap_or(0);
        wait_until("replicas to follow", || followers() >= running);
        primary.admin(&product.waits_for_replicas(running > 0));
    }

    /// The GTIDs that a replica has, done or not.
    fn received(&self, replica: usize) -> String {
        let server = &self.servers[replica];
        let status = server.admin_by_name("SHOW REPLICA STATUS");
        let name = server.product().received();
        let mut lines = status.lines().map(str::trim).skip_while(|line| !line.starts_with(name)).peekable();
        assert!(lines.peek().is_some(), "a replica does not say {name}\n{status}");
        // A long set goes on in the next line.
        let mut position = String::new();
        for line in lines {
            position.push_str(line.trim_start_matches(name).trim());
            if !line.ends_with(',') {
                break;
            }
        }
        position
    }
}

/// Waits until a replica has done all of these GTIDs.
pub(super) fn catch_up(replica: &DatabaseServer, position: &str) {
    let waited = replica.admin(&replica.product().wait_for(position));
    assert_eq!(waited, "0", "a replica does not catch up with {position}");
}

/// How the products say it.
impl Product {
    fn options(self, number: usize) -> Vec<String> {
        let options: &[&str] = match self {
            Self::MariaDb => &["log-slave-updates", "gtid-strict-mode", "rpl-semi-sync-slave-enabled"],
            Self::MySql => &[
                "plugin-load-add=semisync_source.so",
                "plugin-load-add=semisync_replica.so",
                "rpl-semi-sync-replica-enabled=ON",
            ],
        };
        let timeout = match self {
            Self::MariaDb => "rpl-semi-sync-master-timeout",
            Self::MySql => "rpl-semi-sync-source-timeout",
        };
        let own = [format!("server-id={}", number + 1), format!("{timeout}={PATIENCE_MILLIS}")];
        let all = options.iter().map(|option| (*option).to_owned()).chain(own);
        all.chain(["relay-log=relay".to_owned()]).map(|option| format!("--{option}")).collect()
    }

    /// Also for one that was the primary: what it wrote is where it goes on from.
    fn follow(self, port: u16) -> String {
        match self {
            Self::MariaDb => format!(
                "SET GLOBAL gtid_slave_pos = @@gtid_current_pos;
                 CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {port}, MASTER_USER = 'repl',
                 MASTER_PASSWORD = '{PASSWORD}', MASTER_USE_GTID = slave_pos, MASTER_CONNECT_RETRY = 1,
                 MASTER_SSL = 0"
            ),
            Self::MySql => format!(
                "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = {port}, SOURCE_USER = 'repl',
                 SOURCE_PASSWORD = '{PASSWORD}', SOURCE_AUTO_POSITION = 1, GET_SOURCE_PUBLIC_KEY = 1,
                 SOURCE_CONNECT_RETRY = 1"
            ),
        }
    }

    fn delay(self, seconds: u32) -> String {
        match self {
            Self::MariaDb => format!("CHANGE MASTER TO MASTER_DELAY = {seconds}"),
            Self::MySql => format!("CHANGE REPLICATION SOURCE TO SOURCE_DELAY = {seconds}"),
        }
    }

    fn read_only(self, on: bool) -> &'static str {
        match (self, on) {
            (Self::MariaDb, true) => "SET GLOBAL read_only = ON",
            (Self::MariaDb, false) | (Self::MySql, false) => "SET GLOBAL read_only = OFF",
            (Self::MySql, true) => "SET GLOBAL super_read_only = ON",
        }
    }

    fn waits_for_replicas(self, on: bool) -> String {
        let name = match self {
            Self::MariaDb => "rpl_semi_sync_master_enabled",
            Self::MySql => "rpl_semi_sync_source_enabled",
        };
        format!("SET GLOBAL {name} = {}", u8::from(on))
    }

    fn followers(self) -> &'static str {
        match self {
            Self::MariaDb => {
                "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS \
                 WHERE VARIABLE_NAME = 'Rpl_semi_sync_master_clients'"
            }
            Self::MySql => {
                "SELECT VARIABLE_VALUE FROM performance_schema.global_status \
                 WHERE VARIABLE_NAME = 'Rpl_semi_sync_source_clients'"
            }
        }
    }

    /// What a primary wrote.
    fn written(self) -> &'static str {
        match self {
            Self::MariaDb => "SELECT @@gtid_binlog_pos",
            Self::MySql => "SELECT REPLACE(@@gtid_executed, '\n', '')",
        }
    }

    /// In what replicas say of themselves.
    fn received(self) -> &'static str {
        match self {
            Self::MariaDb => "Gtid_IO_Pos:",
            Self::MySql => "Retrieved_Gtid_Set:",
        }
    }

    fn wait_for(self, position: &str) -> String {
        match self {
            Self::MariaDb => format!("SELECT MASTER_GTID_WAIT('{position}', 30)"),
            Self::MySql => format!("SELECT WAIT_FOR_EXECUTED_GTID_SET('{position}', 30)"),
        }
    }
}
