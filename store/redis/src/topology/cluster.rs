//! Asks servers of a cluster which of them has which hash slots.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use redis::Value;
use rowkeep_cache::remote::Failed;
use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::{PATIENCE, Topology};
use crate::address::Host;
use crate::info::text;
use crate::keys::Keys;
use crate::link::{Link, Request, Way};

/// Servers that can be asked: those of the address, and those that were found.
pub(super) struct Finder {
    seeds: Vec<Host>,
    way: Arc<Way>,
    runtime: Handle,
    links: HashMap<Host, Link>,
    changed: Arc<Notify>,
    /// Whom to ask first.
    turn: usize,
}

/// Hash slots and their primary.
struct Range {
    slots: RangeInclusive<u16>,
    server: Host,
}

impl Finder {
    pub(super) fn new(seeds: &[Host], way: Way, runtime: &Handle) -> Self {
        let way = Arc::new(Way { is_told_of: false, is_primary: false, ..way });
        Self {
            seeds: seeds.to_vec(),
            way,
            runtime: runtime.clone(),
            links: HashMap::new(),
            changed: Arc::default(),
            turn: 0,
        }
    }

    pub(super) async fn run(mut self, topology: Arc<Topology>) {
        loop {
            let found = self.ask(&topology).await;
            let is_known = found.is_ok();
            match found {
                Ok(ranges) => {
                    let of = |slot: u16| ranges.iter().find(|range| range.slots.contains(&slot));
                    let (_, known) = topology.servers();
                    let server = |shard| of(Keys::hash_slot(shard)).map(|range| range.server.clone());
                    topology.are_at(&(0..known.len()).map(server).collect::<Vec<_>>());
                }
                Err(problem) => topology.is_unknown(problem),
            }
            topology.pause(is_known).await;
        }
    }

    /// One answer is enough. Each time another one is asked first: a server that was cut off from the others does not know better
    /// than they do.
    async fn ask(&mut self, topology: &Topology) -> Result<Vec<Range>, String> {
        self.know(topology);
        let mut servers: Vec<_> = self.links.keys().cloned().collect();
        servers.sort_by(|one, other| (&one.name, one.port).cmp(&(&other.name, other.port)));
        self.turn = (self.turn + 1) % servers.len();
        servers.rotate_left(self.turn);
        let mut problem = "the address names no server".to_owned();
        for server in servers {
            let link = &self.links[&server];
            let mut command = redis::cmd("CLUSTER");
            command.arg("SLOTS");
            match link.ask(&Request::Command(command), PATIENCE, false).await {
                Ok(answer) => match ranges(&answer, &server) {
                    Some(ranges) if !ranges.is_empty() => return Ok(ranges),
                    _ => problem = format!("{server} has no hash slots to tell of"),
                },
                Err(why) => problem = Failed::from(why).to_string(),
            }
        }
        Err(problem)
    }

    /// Servers that came are connected to, and those that went are left.
    fn know(&mut self, topology: &Topology) {
        let (_, servers) = topology.servers();
        let known: Vec<_> = self.seeds.iter().cloned().chain(servers.into_iter().flatten()).collect();
        self.links.retain(|server, _| known.contains(server));
        for server in known {
            let (way, changed) = (&self.way, &self.changed);
            let link = |server: &Host| Link::new(server.clone(), Arc::clone(way), &self.runtime, Arc::clone(changed));
            self.links.entry(server).or_insert_with_key(link);
        }
    }
}

/// Each range is its first and last slot, its primary, and its replicas.
fn ranges(answer: &Value, asked: &Host) -> Option<Vec<Range>> {
    let Value::Array(ranges) = answer else { return None };
    ranges.iter().map(|range| read_range(range, asked)).collect()
}

fn read_range(range: &Value, asked: &Host) -> Option<Range> {
    let Value::Array(parts) = range else { return None };
    let [Value::Int(first), Value::Int(last), Value::Array(primary), ..] = &parts[..] else { return None };
    let [name, Value::Int(port), ..] = &primary[..] else { return None };
    // A server may not know by which name it is reached.
    let name = text(name).filter(|name| !name.is_empty() && name != "?").unwrap_or_else(|| asked.name.clone());
    Some(Range {
        slots: u16::try_from(*first).ok()?..=u16::try_from(*last).ok()?,
        server: Host { name, port: u16::try_from(*port).ok()? },
    })
}
