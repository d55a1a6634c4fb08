//! MySQL Group Replication: three members that agree on every commit and choose one of them to take the writes.
//!
//! Nobody promotes anybody: when the primary is gone, the others suspect it for five seconds, expel it and elect another.
//! A member that starts is read-only until the group says otherwise; one that was writable before it has joined would take
//! writes that the group does not know.

use std::sync::atomic::{AtomicU32, Ordering};

use super::{DatabaseServer, PASSWORD, Product};
use crate::wait_until;

const MEMBERS: usize = 3;

/// What a member thinks of itself; it alone knows whether it takes writes.
const LEADS: &str = "SELECT COUNT(*) FROM performance_schema.replication_group_members WHERE member_id = @@server_uuid \
                     AND member_state = 'ONLINE' AND member_role = 'PRIMARY' AND NOT @@super_read_only";

/// Whom a member takes for the primary, by its port.
const NAMES: &str = "SELECT member_port FROM performance_schema.replication_group_members \
                     WHERE member_state = 'ONLINE' AND member_role = 'PRIMARY'";

const ONLINE: &str = "SELECT COUNT(*) FROM performance_schema.replication_group_members WHERE member_state = 'ONLINE'";

const IS_ONLINE: &str = "SELECT COUNT(*) FROM performance_schema.replication_group_members \
                         WHERE member_id = @@server_uuid AND member_state = 'ONLINE'";

/// Three members, counted from 0. First 0 is the primary.
#[derive(Debug)]
pub struct Group {
    servers: Vec<DatabaseServer>,
}

impl Group {
    /// Starts the members and waits until all are in the group.
    ///
    /// # Panics
    /// As [`DatabaseServer::start`], or if the group does not form.
    pub fn start() -> Self {
        let (name, ports) = (name(), ports());
        let member = |number: usize| {
            let options = options(number, &name, &ports);
            move || {
                let server = DatabaseServer::start_with(Product::MySql, &options);
                server.admin(&introduction());
                server
            }
        };
        let servers = std::thread::scope(|scope| {
            let starting: Vec<_> = (0..MEMBERS).map(|number| scope.spawn(member(number))).collect();
            starting.into_iter().map(|server| server.join().expect("a server that starts")).collect()
        });
        let group = Self { servers };
        group.found(0);
        std::thread::scope(|scope| {
            for number in 1..MEMBERS {
                let group = &group;
                scope.spawn(move || group.join(number));
            }
        });
        group
    }

    /// Which takes writes; while there is none, waits for one.
    ///
    /// # Panics
    /// If there is none for long.
    pub fn primary(&self) -> usize {
        let mut found = None;
        wait_until("a primary of the group", || {
            found = self.current_primary();
            found.is_some()
        });
        found.expect("it was waited for")
    }

    /// Which takes writes at this moment. One that was suspended still believes in itself for a moment when it is resumed,
    /// so most of those that answer must say the same.
    pub fn current_primary(&self) -> Option<usize> {
        let named: Vec<String> = self.answering().map(|number| self.servers[number].admin(NAMES)).collect();
        let leads = |number: &usize| {
            let port = self.servers[*number].port().to_string();
            let votes = named.iter().filter(|name| **name == port).count();
            2 * votes > named.len() && self.servers[*number].admin(LEADS) == "1"
        };
        self.answering().find(leads)
    }

    /// The others, whether or not they run.
    pub fn secondaries(&self) -> Vec<usize> {
        let primary = self.primary();
        self.members().filter(|number| *number != primary).collect()
    }

    /// All of them, whether or not they run.
    pub fn members(&self) -> std::ops::Range<usize> {
        0..self.servers.len()
    }

    /// One of them.
    pub fn server(&self, number: usize) -> &DatabaseServer {
        &self.servers[number]
    }

    /// The address of the primary's database `test`.
    pub fn url(&self) -> String {
        self.servers[self.primary()].url()
    }

    /// How many members are in the group, as a member sees it.
    pub fn online(&self, number: usize) -> usize {
        self.servers[number].admin(ONLINE).parse().expect("a number")
    }

    /// `SIGKILL`.
    pub fn kill9(&self, number: usize) {
        self.servers[number].kill9();
    }

    /// Starts a member again that was killed. It is back in the group when this returns; where no other runs, it begins
    /// the group anew.
    pub fn restart(&self, number: usize) {
        let others = self.answering().next().is_some();
        self.servers[number].restart();
        if others {
            self.join(number);
        } else {
            self.found(number);
        }
    }

    /// A planned switch: another member takes the writes, and none was lost or refused for long.
    pub fn switch_to(&self, number: usize) {
        let server = &self.servers[number];
        let id = server.admin("SELECT @@server_uuid");
        server.admin(&format!("SELECT group_replication_set_as_primary('{id}')"));
        wait_until("the member to lead", || self.current_primary() == Some(number));
    }

    /// Waits until every member that runs has done what the primary has committed.
    pub fn catch_up(&self) {
        let primary = self.primary();
        let position = self.servers[primary].admin("SELECT REPLACE(@@gtid_executed, '\n', '')");
        for number in self.answering().filter(|number| *number != primary) {
            super::cluster::catch_up(&self.servers[number], &position);
        }
    }

    /// Those that run and are not suspended.
    fn answering(&self) -> impl Iterator<Item = usize> {
        self.members().filter(|number| self.servers[*number].is_running() && !self.servers[*number].is_suspended())
    }

    fn found(&self, number: usize) {
        self.servers[number].admin(
            "SET GLOBAL group_replication_bootstrap_group = ON; START GROUP_REPLICATION;
             SET GLOBAL group_replication_bootstrap_group = OFF",
        );
        wait_until("the first member to lead", || self.servers[number].admin(LEADS) == "1");
    }

    fn join(&self, number: usize) {
        let server = &self.servers[number];
        server.admin("START GROUP_REPLICATION");
        wait_until("a member to join", || server.admin(IS_ONLINE) == "1");
    }
}

/// What a member tells the others of itself, and how it lets itself be brought up to date.
fn introduction() -> String {
    format!(
        "SET GLOBAL super_read_only = OFF; SET sql_log_bin = 0;
         GRANT CONNECTION_ADMIN, BACKUP_ADMIN, GROUP_REPLICATION_STREAM ON *.* TO repl@'127.0.0.1';
         GRANT SELECT ON performance_schema.replication_group_members TO app@'127.0.0.1';
         RESET BINARY LOGS AND GTIDS;
         CHANGE REPLICATION SOURCE TO SOURCE_USER = 'repl', SOURCE_PASSWORD = '{PASSWORD}'
         FOR CHANNEL 'group_replication_recovery';
         SET GLOBAL super_read_only = ON"
    )
}

/// A name of its own for each group of this process.
fn name() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(1);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    format!("{:08x}-0000-4000-8000-{number:012x}", std::process::id())
}

/// Where the members talk to each other.
fn ports() -> Vec<u16> {
    (0..MEMBERS).map(|_| crate::free_port()).collect()
}

fn options(number: usize, name: &str, ports: &[u16]) -> Vec<String> {
    let addresses: Vec<String> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    let own = &addresses[number];
    let seeds = addresses.join(",");
    let plain = [
        format!("server-id={}", number + 1),
        "report-host=127.0.0.1".to_owned(),
        "relay-log=relay".to_owned(),
        // Membership is shown there.
        "performance-schema=ON".to_owned(),
        "super-read-only=ON".to_owned(),
        "plugin-load-add=group_replication.so".to_owned(),
    ];
    let of_the_plugin = [
        format!("group_name={name}"),
        format!("local_address={own}"),
        format!("group_seeds={seeds}"),
        "ip_allowlist=127.0.0.1/32".to_owned(),
        "start_on_boot=OFF".to_owned(),
        "single_primary_mode=ON".to_owned(),
        "consistency=BEFORE_ON_PRIMARY_FAILOVER".to_owned(),
        // A member that is suspected is expelled at once.
        "member_expel_timeout=0".to_owned(),
        // Without it a write to a minority waits for ever.
        "unreachable_majority_timeout=5".to_owned(),
        "exit_state_action=READ_ONLY".to_owned(),
        "recovery_get_public_key=ON".to_owned(),
    ];
    let of_the_plugin = of_the_plugin.into_iter().map(|option| format!("loose-group_replication_{option}"));
    plain.into_iter().chain(of_the_plugin).map(|option| format!("--{option}")).collect()
}
