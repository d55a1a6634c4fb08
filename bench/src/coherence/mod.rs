//! How often a service answers with what is not so any more, with writes all the time and one fault after the other.
//!
//! Four services over the same table, two instances each: Rowkeep without a cache, go-zero's generated model with Redis
//! (delete after a write, seven days to live), and Rowkeep with its cache, in the process alone
//! and with Redis behind it. One write in ten is made in SQL, past them. Reads ask
//! for nothing beyond what the services do by default.

mod client;
mod faults;
mod judge;
mod missed;
mod mixed;
mod seen;
mod workload;
mod zipf;

pub(crate) use missed::run as missed;
pub(crate) use mixed::run as mixed;
pub(crate) use seen::run as seen;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use testkit::{FaultProxy, MariaDb, Redis};

use crate::{Result, figures, go_zero, results::Line, server::Server};
use faults::Instance;
use judge::Tally;
use workload::Workload;

const ROWS: u64 = 1000;
const INSTANCES: usize = 2;
const READERS: usize = 16;
const WRITERS: usize = 4;
/// Writes that have to be answered for a result to be one. One in ten goes past the service.
const WRITES: usize = 5_000;
/// Each service is read and written, and broken, for as long.
const LENGTH: Duration = Duration::from_secs(30);

/// Who is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Service {
    Uncached,
    GoZero,
    Cached,
    Shared,
}

pub(crate) fn run() -> Result<Vec<Line>> {
    let uncached = measure("no cache", Service::Uncached)?;
    let go_zero = measure("go-zero", Service::GoZero)?;
    let cached = measure("rowkeep", Service::Cached)?;
    let shared = measure("+ redis", Service::Shared)?;
    let [_, _, ours] = cached.per_million();
    let [_, _, with_redis] = shared.per_million();
    let [_, _, theirs] = go_zero.per_million();
    let [_, _, none] = uncached.per_million();
    Ok(vec![Line {
        figure: "reads more than 1 s out of date, per million, under writes and faults",
        value: format!("{ours:.0} of {} reads; with Redis {with_redis:.0} of {}", cached.reads, shared.reads),
        beside: format!(
            "go-zero's cached model: {theirs:.0} of {}; no cache: {none:.0} of {}",
            go_zero.reads, uncached.reads
        ),
        ratio: "-".to_owned(),
        bar: "0",
        met: [cached, shared].iter().all(|tally| tally.stale[judge::BOUNDS.len() - 1] == 0),
    }])
}

/// Stale reads per million by bound, and the oldest.
fn show(name: &str, tally: &Tally) {
    let bounds = judge::BOUNDS.iter().zip(tally.per_million());
    let counts: Vec<_> = bounds.map(|(bound, count)| format!("{count:>9.0} over {bound:?}")).collect();
    let Tally { reads, failed, oldest, .. } = tally;
    println!("{name:<10} {} per million; oldest {oldest:.1?}; {reads} reads, {failed} failed", counts.join(", "));
}

fn measure(name: &str, service: Service) -> Result<Tally> {
    let database = MariaDb::start_with(&["--innodb-buffer-pool-size=256M"]);
    database.admin(crate::FOLLOW);
    figures::fill_items(&database.url(), ROWS)?;
    let redis = matches!(service, Service::GoZero | Service::Shared).then(Redis::start);
    let instances = (0..INSTANCES).map(|_| instance(service, &database, redis.as_ref()));
    let instances = instances.collect::<Result<Vec<_>>>()?;
    let urls: Vec<&str> = instances.iter().map(|instance| instance.server.url.as_str()).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    // Clients connect in the background.
    let entered = runtime.enter();
    let workload = Workload::new(&urls, &database.url(), usize::try_from(ROWS).unwrap_or(usize::MAX))?;
    drop(entered);
    let running = runtime.spawn({
        let workload = Arc::clone(&workload);
        async move { workload.run(READERS, WRITERS).await }
    });
    faults::run(&instances, &workload, LENGTH);
    let tally = runtime.block_on(running).map_err(|error| error.to_string())??;
    let writes = workload.writes();
    if writes < WRITES || tally.reads < WRITES as u64 {
        return Err(format!("{name}: {} reads and {writes} writes were answered: too few to tell", tally.reads));
    }
    show(name, &tally);
    Ok(tally)
}

fn instance(service: Service, database: &MariaDb, redis: Option<&Redis>) -> Result<Instance> {
    let to_database = FaultProxy::start(SocketAddr::from(([127, 0, 0, 1], database.port())));
    let port = to_database.address().port();
    let url = database.url().replace(&format!(":{}/", database.port()), &format!(":{port}/"));
    let cache = redis.map(|redis| FaultProxy::start(redis.address()));
    let server = match (service, &cache) {
        (Service::GoZero, Some(cache)) => go_zero::start_at(&url, cache.address(), 0)?,
        (Service::Shared, Some(cache)) => Server::rowkeep_shared_on(&url, cache.address(), 64 << 20)?,
        (Service::Cached, _) => Server::rowkeep_cached_on(&url)?,
        _ => Server::rowkeep_on(&url)?,
    };
    Ok(Instance { server, database: to_database, cache })
}
