//! The same of processes that share a cache in Redis, while everything is done to it that may happen.

use std::sync::Arc;

use rowkeep_engine::{Freshness, Position, Session};
use testkit::{Cluster, DatabaseServer, Product, Redis};

use crate::clients::{Clients, Told};
use crate::lab::{Instance, until};
use crate::{KEYS, cluster, runtime};

pub(crate) fn clients(cluster: &Cluster, redis: &str, runtime: &tokio::runtime::Handle) -> Clients {
    let servers: Vec<_> = (0..=cluster.replicas().len()).map(|number| cluster.server(number)).collect();
    let clients = clients_of(&servers, redis, runtime);
    cluster.catch_up();
    clients
}

/// The first of the servers is the primary.
pub(crate) fn clients_of(servers: &[&DatabaseServer], redis: &str, runtime: &tokio::runtime::Handle) -> Clients {
    let instances = [true, false].map(|has_near| Instance::sharing(servers, runtime, redis, has_near));
    Clients::of(instances, servers[0], KEYS)
}

pub(crate) fn address(redis: &Redis) -> String {
    format!("redis://{}", redis.address())
}

/// Waits until the shared cache answers both processes.
pub(crate) fn is_used(instances: &[Arc<Instance>]) {
    for instance in instances {
        let before = instance.shared_hits();
        testkit::wait_until("the shared cache answers", || {
            instance.shared_hits() > before && instance.shared.as_ref().is_some_and(|tier| tier.is_on())
        });
    }
}

/// Waits until much more was read.
pub(crate) fn goes_on(told: &Told) {
    let reads = told.reads();
    testkit::wait_until("reads go on", || told.reads() > reads + 500);
}

/// Every value that is there becomes another's, is cut, or is nothing.
fn spoil(redis: &Redis) {
    let script = "local all = redis.call('KEYS', 'rowkeep:*') \
                  for at, key in ipairs(all) do \
                    local value = redis.call('GET', key) \
                    if at % 3 == 0 then redis.call('SET', key, 'garbage') \
                    elseif at % 3 == 1 then redis.call('SET', key, string.sub(value, 1, #value - 3)) \
                    else redis.call('SET', key, redis.call('GET', all[at - 1])) end \
                  end";
    redis.ask(&["EVAL", script, "0"]);
}

pub(crate) fn nobody_reads_what_is_older_than_they_may_while_the_shared_cache_fails(product: Product) {
    let (cluster, runtime, redis) = (cluster(product, 1), runtime(), Redis::start());
    let clients = clients(&cluster, &address(&redis), runtime.handle());
    let (progress, instances) = (clients.told(), clients.instances());
    let told = std::thread::scope(|scope| {
        let redis = &redis;
        let breaking = scope.spawn(move || {
            let faults: [(&str, &dyn Fn()); 7] = [
                ("everything is gone", &|| drop(redis.ask(&["FLUSHALL"]))),
                ("values are spoilt", &|| spoil(redis)),
                ("the server is silent", &|| {
                    redis.suspend();
                    goes_on(&progress);
                    redis.resume();
                }),
                ("connections are cut", &|| drop(redis.ask(&["CLIENT", "KILL", "TYPE", "normal"]))),
                ("the server starts again", &|| {
                    redis.kill9();
                    goes_on(&progress);
                    redis.restart();
                }),
                ("scripts are forgotten", &|| drop(redis.ask(&["SCRIPT", "FLUSH"]))),
                ("there is no memory", &|| {
                    redis.ask(&["CONFIG", "SET", "maxmemory", "1"]);
                    goes_on(&progress);
                    redis.ask(&["CONFIG", "SET", "maxmemory", "0"]);
                }),
            ];
            for (what, fault) in faults {
                is_used(&instances);
                println!("{what}");
                fault();
                goes_on(&progress);
            }
            is_used(&instances);
            progress.end_after(progress.reads() + 500);
        });
        let told = runtime.block_on(clients.run(Told::is_over));
        breaking.join().unwrap();
        told
    });
    println!("{product:?}: {told:?}");
    assert!(told.hits() > 1000 && told.writes() > 20, "{told:?}");
}

pub(crate) fn nobody_reads_what_is_older_than_they_may_from_a_shared_cache_while_the_primary_is_switched(
    product: Product,
) {
    let (cluster, runtime, redis) = (cluster(product, 1), runtime(), Redis::start());
    let clients = clients(&cluster, &address(&redis), runtime.handle());
    let (progress, instances) = (clients.told(), clients.instances());
    let told = std::thread::scope(|scope| {
        let cluster = &cluster;
        let switching = scope.spawn(move || {
            is_used(&instances);
            cluster.promote(1);
            let writes = progress.writes();
            testkit::wait_until("writes on the new primary", || progress.writes() > writes + 20);
            is_used(&instances);
            progress.end_after(progress.reads() + 1000);
        });
        let told = runtime.block_on(clients.run(Told::is_over));
        switching.join().unwrap();
        told
    });
    println!("{product:?}: {told:?}");
    assert!(told.hits() > 100, "{told:?}");
}

pub(crate) fn what_one_process_reads_another_has(product: Product) {
    let (cluster, runtime, redis) = (cluster(product, 0), runtime(), Redis::start());
    let (servers, at) = ([cluster.server(0)], address(&redis));
    let instances = [true, false].map(|has_near| Instance::sharing(&servers, runtime.handle(), &at, has_near));
    let [one, other] = &instances;
    crate::Writer::open(cluster.server(0)).fill(KEYS);
    let session = || Session::new(Freshness::Eventual, Position::default());
    runtime.block_on(async {
        one.is_hot(1).await;
        until("both use it", async || instances.iter().all(|it| it.shared.as_ref().is_some_and(|tier| tier.is_on())))
            .await;
        // The first reads every item, and the second finds it.
        let misses = || other.shared.as_ref().unwrap().stats().misses;
        let before = misses();
        until("the second finds all of them", async || {
            let (hits, reads) = (other.shared_hits(), KEYS as u64);
            for id in 1..=KEYS {
                assert_eq!(one.value(id, &session()).await, Some(0));
            }
            for id in 1..=KEYS {
                assert_eq!(other.value(id, &session()).await, Some(0));
            }
            other.shared_hits() >= hits + reads
        })
        .await;
        assert!(misses() - before < KEYS as u64, "{:?}", other.shared.as_ref().unwrap().stats());
    });
}
