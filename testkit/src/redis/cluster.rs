//! A cluster.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use super::{Answer, Redis};
use crate::{free_port, wait_until};

/// Until a server that does not answer counts as gone, in milliseconds. Short, and long enough for a loaded machine.
const GONE_AFTER: &str = "2000";
const SLOTS: u16 = 16384;
/// Longer than it takes a replica to become the primary.
const ASKED_AGAIN_AFTER: Duration = Duration::from_secs(3);

/// Servers, counted from 0. First each of the primaries has as many hash slots as the others.
#[derive(Debug)]
pub struct RedisCluster {
    servers: Vec<Redis>,
}

impl RedisCluster {
    /// Starts so many primaries, at least three, with so many replicas each, and waits until all know of all.
    ///
    /// # Panics
    /// If they do not.
    pub fn start(primaries: usize, replicas: usize) -> Self {
        let servers = (0..primaries * (1 + replicas)).map(|_| member()).collect();
        let cluster = Self { servers };
        cluster.found(replicas);
        wait_until("the cluster to be whole", || cluster.servers.iter().all(|server| cluster.is_whole(server)));
        cluster
    }

    fn found(&self, replicas: usize) {
        let mut command = Command::new("redis-cli");
        command.args(["--cluster", "create"]).args(self.servers.iter().map(|server| server.address().to_string()));
        command.args(["--cluster-replicas", &replicas.to_string(), "--cluster-yes"]);
        let output = command.output().expect("run redis-cli");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }

    /// Whether the server knows all others, who are as they should be, and its own copy is whole.
    fn is_whole(&self, server: &Redis) -> bool {
        let info = server.ask(&["CLUSTER", "INFO"]).text();
        let says = |line: String| info.lines().any(|found| found == line);
        let is_copied = server.info_text("role") == "master" || server.info_text("master_link_status") == "up";
        let nodes = server.ask(&["CLUSTER", "NODES"]).text();
        let is_well = !nodes.contains("fail") && !nodes.contains("handshake");
        says("cluster_state:ok".to_owned())
            && says(format!("cluster_known_nodes:{}", self.servers.len()))
            && is_copied
            && is_well
    }

    /// The address of the cluster, by some of its servers.
    pub fn url(&self) -> String {
        let some: Vec<_> = self.servers.iter().take(3).map(|server| server.address().to_string()).collect();
        format!("redis+cluster://{}", some.join(","))
    }

    /// One of the servers.
    pub fn server(&self, number: usize) -> &Redis {
        &self.servers[number]
    }

    /// Which server has a hash slot, as most of those that run say.
    ///
    /// # Panics
    /// If none does.
    pub fn owner(&self, slot: u16) -> usize {
        let mut votes = vec![0; self.servers.len()];
        for server in &self.servers {
            let Ok(answer) = server.ask_soon(&["CLUSTER", "SLOTS"]) else { continue };
            if let Some(owner) = owner_in(&answer, slot).and_then(|port| self.with_port(port)) {
                votes[owner] += 1;
            }
        }
        let most = (0..votes.len()).max_by_key(|number| votes[*number]).filter(|number| votes[*number] > 0);
        most.unwrap_or_else(|| panic!("nobody has the hash slot {slot}"))
    }

    /// The hash slot of a key.
    ///
    /// # Panics
    /// If the first server does not answer.
    pub fn slot(&self, key: &[u8]) -> u16 {
        match self.servers[0].ask_bytes(&[b"CLUSTER", b"KEYSLOT", key]) {
            Answer::Number(slot) => u16::try_from(slot).ok().filter(|slot| *slot < SLOTS).expect("a hash slot"),
            other => panic!("no hash slot: {other:?}"),
        }
    }

    /// Replicas of a server, whether or not they run.
    ///
    /// # Panics
    /// If nobody answers.
    pub fn replicas_of(&self, number: usize) -> Vec<usize> {
        let port = self.servers[number].address().port().to_string();
        let follows = |server: &Redis| server.info_text("role") == "slave" && server.info_text("master_port") == port;
        (0..self.servers.len()).filter(|other| follows(&self.servers[*other])).collect()
    }

    /// Has a replica take its primary's place, without loss, and waits until that one's own copy is whole: one that never
    /// had a copy is not chosen when the new primary is lost.
    ///
    /// # Panics
    /// If it does not.
    pub fn promote(&self, replica: usize) {
        let port = self.servers[replica].info_text("master_port").parse().expect("the port of a primary");
        let before = self.with_port(port).expect("a primary of this cluster");
        let mut asked: Option<Instant> = None;
        wait_until("a replica to take over", || {
            // One that has only just become a replica may let the time for it pass.
            if asked.is_none_or(|asked| asked.elapsed() > ASKED_AGAIN_AFTER) {
                assert_eq!(self.servers[replica].ask(&["CLUSTER", "FAILOVER"]).text(), "OK");
                asked = Some(Instant::now());
            }
            self.servers[replica].info_text("role") == "master"
        });
        wait_until("the primary before to follow", || self.servers[before].info_text("master_link_status") == "up");
    }

    /// Tells both servers that a hash slot is on its way from one to the other.
    ///
    /// # Panics
    /// If they refuse.
    pub fn begin_to_move(&self, slot: u16, to: usize) {
        let from = self.owner(slot);
        let slot = slot.to_string();
        let ok = |server: usize, state: &str, node: usize| {
            let answer = self.servers[server].ask(&["CLUSTER", "SETSLOT", &slot, state, &self.id(node)]);
            assert_eq!(answer.text(), "OK");
        };
        ok(to, "IMPORTING", from);
        ok(from, "MIGRATING", to);
    }

    /// Moves some keys of a hash slot, at most so many, and answers how many it has still.
    ///
    /// # Panics
    /// If the server refuses.
    pub fn move_keys(&self, slot: u16, to: usize, count: usize) -> usize {
        let from = &self.servers[self.owner(slot)];
        let slot = slot.to_string();
        let keys = match from.ask(&["CLUSTER", "GETKEYSINSLOT", &slot, &count.to_string()]) {
            Answer::List(keys) => keys,
            other => panic!("no keys: {other:?}"),
        };
        let port = self.servers[to].address().port().to_string();
        for key in keys {
            let Answer::Text(key) = key else { panic!("{key:?} is no key") };
            let words = [b"MIGRATE", &b"127.0.0.1"[..], port.as_bytes(), &key, b"0", b"5000", b"REPLACE"];
            let answer = from.ask_bytes(&words).text();
            assert!(answer == "OK" || answer == "NOKEY", "{answer}");
        }
        from.ask(&["CLUSTER", "COUNTKEYSINSLOT", &slot]).text().parse().expect("a number of keys")
    }

    /// The hash slot, all of whose keys were moved, is the other server's.
    ///
    /// # Panics
    /// If somebody refuses.
    pub fn end_move(&self, slot: u16, to: usize) {
        let from = self.owner(slot);
        let (slot_text, id) = (slot.to_string(), self.id(to));
        // The one that gets it first: so that somebody has it all the while.
        for number in [to, from] {
            let answer = self.servers[number].ask(&["CLUSTER", "SETSLOT", &slot_text, "NODE", &id]);
            assert_eq!(answer.text(), "OK");
        }
        wait_until("all to know who has a hash slot", || self.owner(slot) == to);
    }

    fn id(&self, number: usize) -> String {
        self.servers[number].ask(&["CLUSTER", "MYID"]).text()
    }

    fn with_port(&self, port: i64) -> Option<usize> {
        self.servers.iter().position(|server| i64::from(server.address().port()) == port)
    }
}

fn member() -> Redis {
    let bus = free_port().to_string();
    Redis::start_with(&[
        "--cluster-enabled",
        "yes",
        "--cluster-config-file",
        "nodes.conf",
        "--cluster-node-timeout",
        GONE_AFTER,
        "--cluster-port",
        &bus,
        "--cluster-require-full-coverage",
        "no",
        "--repl-diskless-sync-delay",
        "0",
    ])
}

/// The port of who has the hash slot.
fn owner_in(answer: &Answer, slot: u16) -> Option<i64> {
    let Answer::List(ranges) = answer else { return None };
    ranges.iter().find_map(|range| {
        let Answer::List(parts) = range else { return None };
        let [Answer::Number(first), Answer::Number(last), Answer::List(primary), ..] = &parts[..] else { return None };
        let Answer::Number(port) = primary.get(1)? else { return None };
        (*first..=*last).contains(&i64::from(slot)).then_some(*port)
    })
}
