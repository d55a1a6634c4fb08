//! Reads and creates with the data in MariaDB, beside the same service written by hand on tonic and sqlx. The database
//! shares the load generator's core.

mod cached;
mod commit;
mod go_zero;
mod session;

pub(crate) use cached::run as cached;
pub(crate) use commit::run as commit;
pub(crate) use go_zero::run as go_zero;
pub(crate) use session::run as session;

use testkit::MariaDb;

use crate::{
    ROUNDS, Result,
    host::{self, LOAD_CORE, median},
    items,
    load::{Load, Outcome},
    results::Line,
    server::{self, Server},
};

const ROWS: u64 = 100_000;
const SERVICE: &str = "/bench.v1.ItemService";
/// Keys of a batch, rows of a list.
const MANY: u64 = 100;

pub(crate) fn run() -> Result<Vec<Line>> {
    let database = MariaDb::start_with(&["--innodb-buffer-pool-size=256M"]);
    host::pin(database.id(), LOAD_CORE)?;
    fill(&database.url(), ROWS)?;
    let (ours, peer) = (Server::rowkeep_on(&database.url())?, Server::tonic_sqlx(&database.url())?);
    let mut lines = vec![get(&ours, &peer)?, batch(&ours)?, list(&ours, &peer)?];
    lines.push(create(&ours, &peer)?);
    Ok(lines)
}

/// Makes the table of the items in a database, with so many rows.
pub(crate) fn fill(url: &str, rows: u64) -> Result<()> {
    let files = host::scratch().map_err(|error| error.to_string())?;
    let csv = files.path().join("items.csv");
    items::write_csv(&csv, rows).map_err(|error| error.to_string())?;
    server::load_into("Item", &csv, &server::schema(), &["--database", url]).map(drop)
}

fn call(server: &Server, method: &str, message: &[u8]) -> Load {
    Load::grpc(format!("{}{SERVICE}/{method}", server.url), message)
}

/// Medians of CPU time per request, of servers that take turns.
fn compare(runs: &[(&Server, Load)]) -> Result<Vec<Outcome>> {
    let mut outcomes: Vec<Vec<Outcome>> = runs.iter().map(|_| Vec::new()).collect();
    for _ in 0..ROUNDS {
        for ((server, load), outcomes) in runs.iter().zip(&mut outcomes) {
            outcomes.push(load.run(server.id())?);
        }
    }
    let of = |outcomes: Vec<Outcome>| Outcome {
        cpu: median(outcomes.iter().map(|outcome| outcome.cpu).collect()),
        rate: median(outcomes.iter().map(|outcome| outcome.rate).collect()),
        p50: median(outcomes.iter().map(|outcome| outcome.p50).collect()),
    };
    Ok(outcomes.into_iter().map(of).collect())
}

fn get(ours: &Server, peer: &Server) -> Result<Line> {
    let load = |server| call(server, "GetItem", &[0x08, 42]).requests(100_000);
    let [ours, theirs] = compare(&[(ours, load(ours)), (peer, load(peer))])?[..] else { return Err(count()) };
    let ratio = ours.cpu / theirs.cpu;
    Ok(Line {
        figure: "MariaDB, uncached gRPC Get by id, c=8 m=16",
        value: format!("{:.1} us", ours.cpu),
        beside: format!("tonic and sqlx by hand: {:.1} us", theirs.cpu),
        ratio: format!("{ratio:.2}x"),
        bar: "<= 20 us and <= 0.5x",
        met: ours.cpu <= 20.0 && ratio <= 0.5,
    })
}

fn batch(ours: &Server) -> Result<Line> {
    // `ids`, packed: all of one byte each.
    let mut message = vec![0x0a, u8::try_from(MANY).unwrap_or(u8::MAX)];
    message.extend((1..=MANY).map(|id| u8::try_from(id).unwrap_or(u8::MAX)));
    let load = call(ours, "BatchGetItems", &message).requests(10_000).answer(15_000);
    let [ours] = compare(&[(ours, load)])?[..] else { return Err(count()) };
    let row = ours.cpu / MANY as f64;
    Ok(Line {
        figure: "MariaDB, gRPC batch Get of 100 keys, per row",
        value: format!("{row:.2} us"),
        beside: format!("{:.0} us for the batch", ours.cpu),
        ratio: "-".to_owned(),
        bar: "<= 1.2 us",
        met: row <= 1.2,
    })
}

fn list(ours: &Server, peer: &Server) -> Result<Line> {
    let load = |server| call(server, "ListItems", &[0x08, 100]).requests(10_000).answer(15_000);
    let [ours, theirs] = compare(&[(ours, load(ours)), (peer, load(peer))])?[..] else { return Err(count()) };
    Ok(Line {
        figure: "MariaDB, gRPC list of 100 rows",
        value: format!("{:.1} us", ours.cpu),
        beside: format!("tonic and sqlx by hand: {:.0} us", theirs.cpu),
        ratio: format!("{:.2}x", ours.cpu / theirs.cpu),
        bar: "<= 60 us",
        met: ours.cpu <= 60.0,
    })
}

fn create(ours: &Server, peer: &Server) -> Result<Line> {
    let mut item = vec![0x12, 8];
    item.extend(b"an item!");
    let mut message = vec![0x0a, u8::try_from(item.len()).unwrap_or(u8::MAX)];
    message.extend(item);
    let load = |server| {
        let load = call(server, "CreateItem", &message).requests(10_000).answer(10);
        Load { streams: 1, ..load }.connections(64)
    };
    let [ours, theirs] = compare(&[(ours, load(ours)), (peer, load(peer))])?[..] else { return Err(count()) };
    let ratio = ours.rate / theirs.rate;
    Ok(Line {
        figure: "MariaDB, durable gRPC Create, 64 clients",
        value: format!("{:.0}/s, {:.1} us", ours.rate, ours.cpu),
        beside: format!("one transaction each, tonic and sqlx by hand: {:.0}/s, {:.1} us", theirs.rate, theirs.cpu),
        ratio: format!("{ratio:.2}x"),
        bar: ">= 3x",
        met: ratio >= 3.0,
    })
}

fn count() -> String {
    "as many outcomes as servers".to_owned()
}
