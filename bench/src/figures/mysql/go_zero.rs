//! A Get that finds nothing in any cache, beside the same of go-zero's generated model: Redis is asked, then the database,
//! then Redis is told. Rowkeep asks the database each time.

use testkit::MariaDb;

use super::{ROWS, call, compare, count, fill};
use crate::{
    Result, go_zero,
    host::{self, LOAD_CORE},
    results::Line,
    server::Server,
};

/// With what comes before them, and three times over, still fewer than there are rows: none is asked for twice.
const REQUESTS: u64 = 25_000;

pub(crate) fn run() -> Result<Vec<Line>> {
    let database = MariaDb::start_with(&["--innodb-buffer-pool-size=256M"]);
    host::pin(database.id(), LOAD_CORE)?;
    fill(&database.url(), ROWS)?;
    let redis = go_zero::redis()?;
    let ours = Server::rowkeep_on(&database.url())?;
    let peer = go_zero::start(&database.url(), &redis, ROWS)?;
    let load = |server| call(server, "GetItem", &[0x08, 42]).requests(REQUESTS);
    let [ours, theirs] = compare(&[(&ours, load(&ours)), (&peer, load(&peer))])?[..] else { return Err(count()) };
    let (hits, misses) = (redis.info("keyspace_hits"), redis.info("keyspace_misses"));
    if hits > 0 || misses < REQUESTS {
        return Err(format!("go-zero's cache had {hits} rows and lacked {misses}: that is no miss each"));
    }
    let ratio = theirs.cpu / ours.cpu;
    Ok(vec![Line {
        figure: "MariaDB, uncached gRPC Get by id beside go-zero's generated model",
        value: format!("{:.1} us", ours.cpu),
        beside: format!("goctl's cached model on a miss, default middleware: {:.1} us", theirs.cpu),
        ratio: format!("{ratio:.1}x less"),
        bar: ">= 5.5x less",
        met: ratio >= 5.5,
    }])
}
