//! The conformance suite through the public API of a server with a cache in memory, whose data is in MariaDB and on replicas: a
//! client with a session must not notice either.
#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]

#[path = "../../sql/tests/support/servers.rs"]
#[allow(dead_code, reason = "each test uses a part of it")]
mod servers;
mod support;

use std::sync::{Once, OnceLock};

use kit_core::config::ByteSize;
use rowkeep_engine::conformance::Subject;
use rowkeep_mysql as _;
use servers::{Home, Lease, cluster};
use support::{config, following};
use testkit::Product;

/// Lets the store's user follow the log, whichever server is the primary.
fn allow() {
    static ALLOWED: Once = Once::new();
    ALLOWED.call_once(|| {
        (0..3).for_each(|number| following::allow(cluster(Product::MariaDb).server(number), "least"));
    });
}

/// One Redis for all tests: each has a database of its own.
fn redis() -> &'static str {
    static REDIS: OnceLock<(testkit::Redis, String)> = OnceLock::new();
    let start = || {
        let server = testkit::Redis::start();
        let url = format!("redis://{}", server.address());
        (server, url)
    };
    &REDIS.get_or_init(start).1
}

fn start(kind: &str, memory: u64) -> Subject {
    allow();
    let (directory, database) = (tempfile::tempdir().unwrap(), Lease::new(Home::Cluster(Product::MariaDb)));
    let mut config = config(directory.path());
    config.database = database.url().as_str().into();
    config.replicas = database.replicas().iter().map(|url| url.as_str().into()).collect();
    config.cache.kind = kind.into();
    config.cache.memory = ByteSize::mib(memory);
    support::surface::subject(config, (database, directory))
}

mod memory {
    fn start() -> rowkeep_engine::conformance::Subject {
        crate::start("memory", 64)
    }
    rowkeep_engine::api_conformance!(super::start);
}

mod redis_behind_memory {
    fn start() -> rowkeep_engine::conformance::Subject {
        crate::start(crate::redis(), 64)
    }
    rowkeep_engine::api_conformance!(super::start);
}

mod redis_alone {
    fn start() -> rowkeep_engine::conformance::Subject {
        crate::start(crate::redis(), 0)
    }
    rowkeep_engine::api_conformance!(super::start);
}
