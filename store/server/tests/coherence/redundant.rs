//! The same where Redis has several servers, of which some are lost: with Sentinels, and as a cluster whose hash slots move.
//!
//! What database is behind it makes no difference to Redis, so each runs over one product, and over both every night.

use std::collections::BTreeSet;
use std::sync::Arc;

use testkit::{Answer, DatabaseServer, Group, Product, Redis, RedisCluster, RedisSentinels, wait_until};
use tokio::runtime::{Handle, Runtime};

use crate::clients::{Clients, Told};
use crate::lab::{Instance, until};
use crate::shared::{address, clients, clients_of, goes_on, is_used};
use crate::{KEYS, cluster, runtime};

/// Losses, each followed by another, in a long run.
const MANY: usize = 10;

#[test]
fn nobody_reads_what_is_older_than_they_may_while_sentinels_choose_another_primary() {
    sentinels(Product::MariaDb, 1);
}

#[test]
fn nobody_reads_what_is_older_than_they_may_while_a_cluster_changes() {
    redis_cluster(Product::MySql, 1);
}

#[test]
#[ignore = "long: many servers are lost, one after the other"]
fn nobody_reads_what_is_older_than_they_may_while_many_servers_of_redis_are_lost() {
    for product in [Product::MariaDb, Product::MySql] {
        sentinels(product, MANY);
        redis_cluster(product, MANY);
    }
}

/// Its members number their commits by blocks: after a switch the numbers have holes, which are filled after the next.
#[test]
#[ignore = "long: three members of a group change places"]
fn redis_is_used_behind_a_group_whose_members_change_places() {
    let (group, runtime, redis) = (Group::start(), runtime(), Redis::start());
    group.server(0).admin("GRANT REPLICATION SLAVE ON *.* TO app@'127.0.0.1'");
    group.catch_up();
    let servers: Vec<&DatabaseServer> = group.members().map(|number| group.server(number)).collect();
    let clients = clients_of(&servers, &address(&redis), runtime.handle());
    let told = Stage::run(clients, &runtime, |stage| {
        for member in [1, 0, 2, 0] {
            group.switch_to(member);
            stage.is_used();
            goes_on(&stage.told);
        }
        group.kill9(0);
        group.primary();
        stage.is_used();
        group.restart(0);
    });
    let executed = group.server(group.primary()).admin("SELECT @@global.gtid_executed");
    println!("{executed}: {told:?}");
    assert!(executed.split(',').any(|source| source.matches(':').count() > 1), "there are holes: {executed}");
    assert!(told.hits() > 500 && told.writes() > 20, "{told:?}");
}

/// Clients of processes that share Redis, and what happens to it while they read.
struct Stage {
    instances: Vec<Arc<Instance>>,
    told: Arc<Told>,
    handle: Handle,
}

impl Stage {
    /// Runs clients while something happens, and until much more was read.
    fn run(clients: Clients, runtime: &Runtime, happens: impl FnOnce(&Self) + Send) -> Arc<Told> {
        let stage = Self { instances: clients.instances(), told: clients.told(), handle: runtime.handle().clone() };
        std::thread::scope(|scope| {
            let stage = &stage;
            let happening = scope.spawn(move || {
                // Also if it fails: clients do not end by themselves.
                let _end = End(&stage.told);
                stage.is_used();
                happens(stage);
                stage.is_used();
                goes_on(&stage.told);
            });
            let told = runtime.block_on(clients.run(Told::is_over));
            happening.join().unwrap();
            told
        })
    }

    /// Waits until the items are answered by Redis to all processes: those that are read most, whose server was lost.
    fn is_used(&self) {
        is_used(&self.instances);
        for instance in &self.instances {
            for id in 1..=KEYS {
                let hits = instance.shared_hits();
                self.handle.block_on(until("Redis has the item", async || instance.is_shared(id).await));
                wait_until("Redis answers", || instance.shared_hits() > hits);
            }
        }
    }
}

/// Lets clients end.
struct End<'a>(&'a Told);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.end_after(1);
    }
}

fn sentinels(product: Product, losses: usize) {
    let (database, runtime, redis) = (cluster(product, 1), runtime(), RedisSentinels::start(1));
    let clients = clients(&database, &redis.url(), runtime.handle());
    let told = Stage::run(clients, &runtime, |stage| {
        let follows = |server: usize| redis.server(server).info_text("master_link_status") == "up";
        for _ in 0..losses {
            let primary = redis.primary();
            redis.server(primary).kill9();
            goes_on(&stage.told);
            wait_until("another primary", || redis.primary() != primary);
            stage.is_used();
            redis.server(primary).restart();
            wait_until("it to follow", || follows(primary));
        }
    });
    println!("{product:?}: {told:?}");
    assert!(told.hits() > 500 && told.writes() > 20, "{told:?}");
}

fn redis_cluster(product: Product, losses: usize) {
    let (database, runtime, redis) = (cluster(product, 1), runtime(), RedisCluster::start(3, 1));
    let clients = clients(&database, &redis.url(), runtime.handle());
    let told = Stage::run(clients, &runtime, |stage| {
        let follows = |server: usize| redis.server(server).info_text("master_link_status") == "up";
        for _ in 0..losses {
            // A planned change, of the servers that have items.
            let slot = *slots(&redis).first().unwrap();
            redis.promote(redis.replicas_of(redis.owner(slot))[0]);
            stage.is_used();
            for slot in slots(&redis) {
                let owner = redis.owner(slot);
                let to = (0..6).find(|server| *server != owner && is_primary(&redis, *server)).unwrap();
                redis.begin_to_move(slot, to);
                // One by one: meanwhile some are here and some there.
                wait_until("all keys to be moved", || redis.move_keys(slot, to, 1) == 0);
                redis.end_move(slot, to);
            }
            stage.is_used();
            let slot = *slots(&redis).first().unwrap();
            let owner = redis.owner(slot);
            redis.server(owner).kill9();
            goes_on(&stage.told);
            wait_until("another primary", || redis.owner(slot) != owner);
            stage.is_used();
            redis.server(owner).restart();
            wait_until("it to follow", || follows(owner));
        }
    });
    println!("{product:?}: {told:?}");
    assert!(told.hits() > 500 && told.writes() > 20, "{told:?}");
}

fn is_primary(redis: &RedisCluster, server: usize) -> bool {
    redis.server(server).info_text("role") == "master"
}

/// Hash slots with items.
fn slots(redis: &RedisCluster) -> BTreeSet<u16> {
    let mut slots = BTreeSet::new();
    for server in (0..6).filter(|server| is_primary(redis, *server)) {
        let Answer::List(keys) = redis.server(server).ask(&["KEYS", "rowkeep:*}:*"]) else { panic!("no list of keys") };
        for key in keys {
            let Answer::Text(key) = key else { panic!("{key:?} is no key") };
            slots.insert(redis.slot(&key));
        }
    }
    slots
}
