//! Whatever becomes of servers and networks: nothing that was told is shown as it was before, and the cache is used again
//! afterwards.

#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]

#[path = "../support/mod.rs"]
mod support;
mod world;

use std::sync::Arc;
use std::time::Duration;

use rowkeep_cache::remote::conformance::name;
use rowkeep_cache::remote::{Failed, Remote};
use rowkeep_redis::{Address, RedisOptions, RedisRemote};
use testkit::{Answer, FaultProxy, Redis, RedisCluster, RedisSentinels, wait_until};
use world::World;

const NAMESPACE: &str = "faults";

fn options() -> RedisOptions {
    RedisOptions {
        read_timeout: Duration::from_millis(300),
        tell_timeout: Duration::from_millis(600),
        connect_timeout: Duration::from_millis(600),
        cluster_shards: 64,
    }
}

async fn connected(address: &Address) -> Arc<RedisRemote> {
    support::connect(address, NAMESPACE, options()).await
}

fn single(address: std::net::SocketAddr) -> (World, Address) {
    let address = support::address(&format!("redis://{address}"));
    (World::start(&[0], || connected(&address)), address)
}

/// What was found was right, and something was found.
fn ends_well(world: World) {
    world.finds_rows();
    let (hits, _) = world.end();
    assert!(hits > 0);
}

#[test]
fn a_server_that_is_killed_and_comes_back() {
    let server = Redis::start();
    let (world, _) = single(server.address());
    for _ in 0..5 {
        world.finds_rows();
        server.kill9();
        world.is_off(0);
        server.restart();
    }
    ends_well(world);
}

#[test]
fn a_server_that_stands_still() {
    let server = Redis::start();
    let (world, _) = single(server.address());
    for _ in 0..3 {
        world.finds_rows();
        let joined = world.joined();
        server.suspend();
        world.is_off(0);
        server.resume();
        wait_until("the shard to be joined again", || world.joined() > joined);
    }
    ends_well(world);
}

#[test]
fn a_server_that_lets_its_clients_wait() {
    let server = Redis::start();
    let (world, _) = single(server.address());
    world.finds_rows();
    server.ask(&["CLIENT", "PAUSE", "3000", "ALL"]);
    world.is_off(0);
    ends_well(world);
}

#[test]
fn a_server_that_is_emptied_under_way() {
    let server = Redis::start();
    let (world, _) = single(server.address());
    for _ in 0..10 {
        world.finds_rows();
        server.ask(&["FLUSHALL"]);
        server.ask(&["SCRIPT", "FLUSH"]);
    }
    ends_well(world);
}

#[test]
fn a_network_that_breaks() {
    let server = Redis::start();
    let proxy = FaultProxy::start(server.address());
    let (world, _) = single(proxy.address());
    for round in 0..5_u64 {
        world.finds_rows();
        proxy.cut_after(1000 + round * 777);
        world.is_off(0);
        proxy.heal();
    }
    world.finds_rows();
    proxy.slice(7);
    world.finds_rows();
    proxy.heal();
    for _ in 0..3 {
        world.finds_rows();
        proxy.hold();
        world.is_off(0);
        // What was held arrives now, long after who sent it has given up.
        proxy.heal();
    }
    ends_well(world);
}

#[test]
fn answers_that_are_lost() {
    let server = Redis::start();
    let proxy = FaultProxy::start(server.address());
    let (world, _) = single(proxy.address());
    for request in ["EVALSHA", "MGET", "EVALSHA", "MGET", "EVALSHA"] {
        world.finds_rows();
        proxy.lose_answer_to(request.as_bytes());
        wait_until("an answer to be lost", || !proxy.is_waiting_to_lose());
    }
    ends_well(world);
}

/// The state of the server goes back, as when a copy that was behind takes its place.
#[test]
fn a_server_that_goes_back() {
    const SAVE: &str = "local saved = {} \
                        for _, key in ipairs(redis.call('KEYS', '*')) do \
                          saved[#saved + 1] = key; saved[#saved + 1] = redis.call('DUMP', key) \
                        end return saved";
    const RESTORE: &str = "redis.call('FLUSHDB') \
                           for i, key in ipairs(KEYS) do redis.call('RESTORE', key, 600000, ARGV[i]) end";
    let server = Redis::start();
    let (world, _) = single(server.address());
    for _ in 0..10 {
        world.finds_rows();
        let Answer::List(saved) = server.ask(&["EVAL", SAVE, "0"]) else { panic!("nothing is saved") };
        let saved: Vec<_> = saved
            .into_iter()
            .map(|saved| match saved {
                Answer::Text(bytes) => bytes,
                other => panic!("{other:?}"),
            })
            .collect();
        world.finds_rows();
        let joined = world.joined();
        let count = (saved.len() / 2).to_string();
        let mut words = vec![&b"EVAL"[..], RESTORE.as_bytes(), count.as_bytes()];
        for part in [0, 1] {
            words.extend(saved.iter().skip(part).step_by(2).map(|bytes| &bytes[..]));
        }
        assert_eq!(server.ask_bytes(&words), Answer::Nothing);
        wait_until("processes to notice and join", || world.joined() >= joined + 2);
    }
    ends_well(world);
}

#[test]
fn readers_wait_for_a_server_that_stands_still_once_and_not_each() {
    let server = Redis::start();
    let address = support::address(&format!("redis://{}", server.address()));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let remote = connected(&address).await;
        assert!(remote.get(0, vec![name("row")]).await.is_ok());
        server.suspend();
        let first = remote.get(0, vec![name("row")]).await;
        assert!(matches!(&first, Err(Failed::Gone(why)) if why.contains("no answer within 300ms")), "{first:?}");
        for _ in 0..100 {
            let next = support::at_once(remote.get(0, vec![name("row")]));
            assert!(matches!(next, Some(Err(Failed::Gone(_)))), "{next:?}");
        }
        server.resume();
        remote.is_up(testkit::PATIENCE).await.unwrap();
        assert!(remote.get(0, vec![name("row")]).await.is_ok());
    });
}

#[test]
fn a_thread_of_its_own_has_a_connection_of_its_own() {
    let server = Redis::start();
    let address = support::address(&format!("redis://{}", server.address()));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let remote = runtime.block_on(connected(&address));
    let clients = || server.info("connected_clients");
    let before = clients();
    let thread = std::thread::spawn({
        let remote = Arc::clone(&remote);
        move || {
            let own = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            own.block_on(async {
                remote.attach();
                remote.attach();
                loop {
                    if remote.get(0, vec![name("row")]).await.is_ok() {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                server.info("connected_clients")
            })
        }
    });
    assert_eq!(thread.join().unwrap(), before + 1);
}

#[test]
fn sentinels_that_choose_another_primary() {
    let all = RedisSentinels::start(1);
    let address = support::address(&all.url());
    let world = World::start(&[0], || connected(&address));
    world.finds_rows();
    // A planned change.
    all.fail_over();
    world.finds_rows();
    wait_until("the old primary to follow", || all.server(0).info_text("master_link_status") == "up");
    // The primary is lost.
    let primary = all.primary();
    all.server(primary).kill9();
    world.is_off(0);
    wait_until("another primary", || all.primary() != primary);
    world.finds_rows();
    all.server(primary).restart();
    wait_until("it to follow", || all.server(primary).info_text("master_link_status") == "up");
    // The primary stands still, another one takes its place, and it goes on as if nothing had been.
    let primary = all.primary();
    all.server(primary).suspend();
    world.is_off(0);
    wait_until("another primary", || all.primary() != primary);
    world.finds_rows();
    all.server(primary).resume();
    world.finds_rows();
    wait_until("it to follow", || all.server(primary).info_text("role") == "slave");
    ends_well(world);
}

/// Shards, among them one of each primary.
const SHARDS: [usize; 4] = [0, 1, 2, 3];

#[test]
fn a_cluster_that_chooses_other_primaries() {
    let cluster = RedisCluster::start(3, 1);
    let address = support::address(&cluster.url());
    let world = World::start(&SHARDS, || connected(&address));
    world.finds_rows();
    let slot = cluster.slot(b"{1}");
    // A planned change.
    let owner = cluster.owner(slot);
    let replica = cluster.replicas_of(owner)[0];
    cluster.promote(replica);
    world.finds_rows();
    wait_until("the old primary to follow", || cluster.replicas_of(replica) == [owner]);
    // The primary is lost.
    cluster.server(replica).kill9();
    world.is_off(1);
    wait_until("another primary", || cluster.owner(slot) == owner);
    world.finds_rows();
    cluster.server(replica).restart();
    wait_until("it to follow", || cluster.server(replica).info_text("master_link_status") == "up");
    // The primary stands still, and goes on when another one has taken its place.
    cluster.server(owner).suspend();
    world.is_off(1);
    wait_until("another primary", || cluster.server(replica).info_text("role") == "master");
    world.finds_rows();
    cluster.server(owner).resume();
    world.finds_rows();
    wait_until("it to follow", || cluster.server(owner).info_text("role") == "slave");
    ends_well(world);
}

#[test]
fn hash_slots_that_move() {
    let cluster = RedisCluster::start(3, 0);
    let address = support::address(&cluster.url());
    let world = World::start(&SHARDS, || connected(&address));
    for _ in 0..3 {
        for shard in SHARDS {
            world.finds_rows();
            let slot = cluster.slot(format!("{{{shard}}}").as_bytes());
            let owner = cluster.owner(slot);
            let to = (0..3).find(|number| *number != owner).unwrap();
            cluster.begin_to_move(slot, to);
            // One by one: meanwhile some are here and some there.
            wait_until("all keys to be moved", || cluster.move_keys(slot, to, 1) == 0);
            cluster.end_move(slot, to);
        }
    }
    ends_well(world);
}
