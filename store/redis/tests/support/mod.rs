//! Servers, and caches on them.

#![allow(dead_code, reason = "each test uses its own part")]
#![allow(clippy::print_stdout, reason = "it is shown if a test fails")]

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rowkeep_cache::remote::conformance::Stage;
use rowkeep_cache::remote::{Failed, Remote};
use rowkeep_redis::{Address, RedisOptions, RedisRemote};
use tokio::runtime::Handle;

/// Far above what a loaded machine needs: here nothing depends on how long a server takes.
pub(crate) const PATIENT: RedisOptions = RedisOptions {
    read_timeout: Duration::from_secs(20),
    tell_timeout: Duration::from_secs(20),
    connect_timeout: Duration::from_secs(20),
    cluster_shards: 64,
};

/// What nobody else uses.
pub(crate) fn namespace() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("test-{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A server that all tests of a program use, each with its own namespace.
pub(crate) fn single() -> Address {
    static SERVER: OnceLock<testkit::Redis> = OnceLock::new();
    address(&format!("redis://{}", SERVER.get_or_init(testkit::Redis::start).address()))
}

pub(crate) fn address(text: &str) -> Address {
    text.parse().unwrap_or_else(|problem| panic!("{text}: {problem}"))
}

/// A cache that is connected.
pub(crate) async fn connect(address: &Address, namespace: &str, options: RedisOptions) -> Arc<RedisRemote> {
    let remote = RedisRemote::start(address, namespace, options, &Handle::current());
    remote.is_up(testkit::PATIENCE).await.unwrap_or_else(|failed| panic!("{address}: {failed}"));
    remote
}

/// Two clients in a namespace that nobody has used.
pub(crate) fn stage(address: Address) -> Stage {
    stage_in(&address, &namespace(), ())
}

/// Two clients in a namespace.
pub(crate) fn stage_in(address: &Address, namespace: &str, data: impl Send + Sync + 'static) -> Stage {
    let connect = || async { connect(address, namespace, PATIENT).await as Arc<dyn Remote> };
    Stage::new(connect, data)
}

/// Servers with Sentinels that all tests of a program use.
pub(crate) fn sentinels() -> Address {
    static SERVERS: OnceLock<testkit::RedisSentinels> = OnceLock::new();
    address(&SERVERS.get_or_init(|| testkit::RedisSentinels::start(0)).url())
}

/// A cluster that all tests of a program use.
pub(crate) fn cluster() -> Address {
    static CLUSTER: OnceLock<testkit::RedisCluster> = OnceLock::new();
    address(&CLUSTER.get_or_init(|| testkit::RedisCluster::start(3, 0)).url())
}

/// An answer that is there at once, without waiting for anything.
pub(crate) fn at_once<T>(reply: impl Future<Output = T>) -> Option<T> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(reply).poll(&mut context) {
        std::task::Poll::Ready(answer) => Some(answer),
        std::task::Poll::Pending => None,
    }
}

/// What a cache that cannot be connected comes to say, with this part.
pub(crate) fn problem(address: &str, part: &str) -> String {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let options = RedisOptions { connect_timeout: Duration::from_millis(500), ..PATIENT };
    let remote = RedisRemote::start(&self::address(address), "problem", options, runtime.handle());
    let mut said = String::new();
    testkit::wait_until(&format!("{part:?} to be said of {}", self::address(address)), || {
        let now = remote.problem().unwrap_or_default();
        if now != said {
            // Shown if the test fails.
            println!("{now}");
        }
        said = now;
        said.contains(part)
    });
    // Nobody waits for it.
    let looked = at_once(remote.get(0, Vec::new()));
    assert!(matches!(looked, Some(Err(Failed::Gone(_)))), "{looked:?}");
    let failed = runtime.block_on(remote.is_up(Duration::from_millis(1)));
    assert!(matches!(failed, Err(Failed::Gone(_))), "{failed:?}");
    said
}
