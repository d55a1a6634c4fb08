//! Reads that are answered from the cache in the process, beside a server that sends a constant, and beside go-zero's
//! generated model when Redis has the row.

use testkit::MariaDb;

use super::{ROWS, call, compare, count, fill};
use crate::{
    Result, go_zero,
    host::{self, LOAD_CORE},
    load::Load,
    results::Line,
    server::Server,
};

pub(crate) fn run() -> Result<Vec<Line>> {
    let database = MariaDb::start_with(&["--innodb-buffer-pool-size=256M"]);
    host::pin(database.id(), LOAD_CORE)?;
    database.admin(crate::FOLLOW);
    fill(&database.url(), ROWS)?;
    let redis = go_zero::redis()?;
    let ours = Server::rowkeep_cached_on(&database.url())?;
    let shared = Server::rowkeep_shared_on(&database.url(), redis.address(), 0)?;
    let (limit, peer) = (Server::hyper_const()?, go_zero::start(&database.url(), &redis, 0)?);
    let load = |server| call(server, "GetItem", &[0x08, 42]);
    let runs = [
        (&ours, load(&ours)),
        (&limit, load(&limit)),
        (&peer, load(&peer).requests(50_000)),
        (&shared, load(&shared).requests(100_000)),
    ];
    let hits = redis.info("keyspace_hits");
    let [hit, constant, theirs, from_redis] = compare(&runs)?[..] else { return Err(count()) };
    // Two for each of ours. The peer reads once for all who ask for a row at one moment.
    let hits = redis.info("keyspace_hits") - hits;
    if hits < 3 * 190_000 {
        return Err(format!("reads that should have been answered from Redis were not: {hits} hits"));
    }
    let peers =
        (go_zero::start_rest(&database.url(), &redis, true)?, go_zero::start_rest(&database.url(), &redis, false)?);
    let load = |server: &Server| Load::get(vec![format!("{}/v1/items/42", server.url)]);
    let limit = Server::hyper_const_get()?;
    let runs = [
        (&ours, load(&ours)),
        (&limit, load(&limit)),
        (&peers.0, load(&peers.0).requests(50_000)),
        (&peers.1, load(&peers.1).requests(50_000)),
    ];
    let [rest, rest_constant, logging, silent] = compare(&runs)?[..] else { return Err(count()) };
    let rest_less = logging.cpu / rest.cpu;
    let (over, less, less_with_redis) = (hit.cpu / constant.cpu, theirs.cpu / hit.cpu, theirs.cpu / from_redis.cpu);
    Ok(vec![
        Line {
            figure: "near-cache hit, gRPC Get by id, c=8 m=16",
            value: format!("{:.1} us, {:.0}/s", hit.cpu, hit.rate),
            beside: format!("hyper with constant bytes: {:.1} us", constant.cpu),
            ratio: format!("{over:.2}x"),
            bar: "<= 6 us and <= 1.6x",
            met: hit.cpu <= 6.0 && over <= 1.6,
        },
        Line {
            figure: "near-cache hit, gRPC Get by id beside go-zero's generated model",
            value: format!("{:.1} us", hit.cpu),
            beside: format!("goctl's cached model on a Redis hit, default middleware: {:.1} us", theirs.cpu),
            ratio: format!("{less:.1}x less"),
            bar: ">= 8x less",
            met: less >= 8.0,
        },
        Line {
            figure: "Redis hit without a near cache, gRPC Get by id, c=8 m=16",
            value: format!("{:.1} us, {:.0}/s", from_redis.cpu, from_redis.rate),
            beside: format!("goctl's cached model on a Redis hit, default middleware: {:.1} us", theirs.cpu),
            ratio: format!("{less_with_redis:.1}x less"),
            bar: "<= 12 us and >= 4.5x less",
            met: from_redis.cpu <= 12.0 && less_with_redis >= 4.5,
        },
        Line {
            figure: "near-cache hit, REST Get by id",
            value: format!("{:.1} us", rest.cpu),
            beside: format!(
                "goctl's REST service on a Redis hit, default middleware: {:.1} us; without its request log: {:.1} us; \
                 hyper with constant bytes: {:.1} us",
                logging.cpu, silent.cpu, rest_constant.cpu
            ),
            ratio: format!("{rest_less:.1}x less"),
            bar: "<= 9 us and >= 8x less",
            met: rest.cpu <= 9.0 && rest_less >= 8.0,
        },
    ])
}
