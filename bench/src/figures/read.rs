//! Reads: Get by id over gRPC and REST, a list by an index, and what the access log adds.

use crate::{
    ROUNDS, Result,
    host::median,
    items,
    load::{Load, Outcome},
    results::Line,
    server::{PocketBase, Server, store_with_items},
};

pub(crate) const ROWS: u64 = 100_000;
const GET: &str = "/bench.v1.ItemService/GetItem";

/// Lets the servers take turns and returns each one's median CPU time per request.
fn compare<const N: usize>(runs: [(&Server, &Load); N]) -> Result<[f64; N]> {
    let mut outcomes: [Vec<Outcome>; N] = std::array::from_fn(|_| Vec::new());
    for _ in 0..ROUNDS {
        for ((server, load), outcomes) in runs.iter().zip(&mut outcomes) {
            outcomes.push(load.run(server.id())?);
        }
    }
    Ok(outcomes.map(|outcomes| median(outcomes.iter().map(|outcome| outcome.cpu).collect())))
}

/// `GetItemRequest { id: 42 }`.
fn get_request() -> [u8; 2] {
    [0x08, 42]
}

pub(crate) fn get_grpc() -> Result<Vec<Line>> {
    let data = store_with_items(ROWS)?;
    let (rowkeep, hyper) = (Server::rowkeep(data.path())?, Server::hyper_const()?);
    let load = |server: &Server| Load::grpc(format!("{}{GET}", server.url), &get_request());
    let [ours, bound] = compare([(&rowkeep, &load(&rowkeep)), (&hyper, &load(&hyper))])?;
    let ratio = ours / bound;
    Ok(vec![Line {
        figure: "gRPC Get by id, 200 B, c=8 m=16",
        value: format!("{ours:.2} us"),
        beside: format!("hyper, constant bytes: {bound:.2} us"),
        ratio: format!("{ratio:.2}x"),
        bar: "<= 14 us and <= 2.2x",
        met: ours <= 14.0 && ratio <= 2.2,
    }])
}

/// Item URLs of Rowkeep.
pub(crate) fn rowkeep_urls(server: &Server, rows: u64) -> Vec<String> {
    items::scattered_ids(rows, 5_000).into_iter().map(|id| format!("{}/v1/items/{id}", server.url)).collect()
}

fn pocketbase_urls(server: &Server) -> Vec<String> {
    let ids = items::scattered_ids(ROWS, 5_000).into_iter();
    ids.map(|id| format!("{}/api/collections/items/records/{id:015}", server.url)).collect()
}

pub(crate) fn get_rest() -> Result<Vec<Line>> {
    let data = store_with_items(ROWS)?;
    let quiet_data = copy(&data)?;
    let (logging, silent) = (Server::rowkeep_logging(data.path())?, Server::rowkeep(quiet_data.path())?);
    let shipped = Server::pocketbase(&PocketBase { rows: ROWS, log: true, durable: false })?;
    let quiet = Server::pocketbase(&PocketBase { rows: ROWS, log: false, durable: false })?;
    let peer = |server: &Server| Load::get(pocketbase_urls(server)).requests(20_000);
    let ours = |server: &Server| Load::get(rowkeep_urls(server, ROWS));
    let [logged, peer_logged, plain, peer_plain] = compare([
        (&logging, &ours(&logging)),
        (&shipped, &peer(&shipped)),
        (&silent, &ours(&silent)),
        (&quiet, &peer(&quiet)),
    ])?;
    Ok(vec![
        Line {
            figure: "REST Get by id, JSON, HTTP/1.1 c=32, request log on",
            value: format!("{logged:.2} us"),
            beside: format!("PocketBase as shipped: {peer_logged:.1} us"),
            ratio: format!("{:.1}x less", peer_logged / logged),
            bar: "<= 15 us and >= 10x less",
            met: logged <= 15.0 && peer_logged / logged >= 10.0,
        },
        Line {
            figure: "REST Get by id, JSON, HTTP/1.1 c=32, request log off",
            value: format!("{plain:.2} us"),
            beside: format!("PocketBase, log off: {peer_plain:.1} us"),
            ratio: format!("{:.1}x less", peer_plain / plain),
            bar: "<= 15 us and >= 4.5x less",
            met: plain <= 15.0 && peer_plain / plain >= 4.5,
        },
    ])
}

pub(crate) fn list() -> Result<Vec<Line>> {
    let data = store_with_items(ROWS)?;
    let rowkeep = Server::rowkeep(data.path())?;
    let shipped = Server::pocketbase(&PocketBase { rows: ROWS, log: true, durable: false })?;
    let ours = list_load(&rowkeep).requests(40_000);
    let query = "perPage=20&skipTotal=1&filter=category%3D";
    let url = |id| format!("{}/api/collections/items/records?{query}{id}", shipped.url);
    let peer = Load::get(categories().map(url).collect()).requests(10_000).answer(4_000);
    let [ours, theirs] = compare([(&rowkeep, &ours), (&shipped, &peer)])?;
    Ok(vec![Line {
        figure: "REST list of 20, filter on an index, no total",
        value: format!("{ours:.1} us"),
        beside: format!("PocketBase as shipped, skipTotal: {theirs:.0} us"),
        ratio: format!("{:.1}x less", theirs / ours),
        bar: "<= 50 us and >= 8x less",
        met: ours <= 50.0 && theirs / ours >= 8.0,
    }])
}

/// Lists of the first 20 items of scattered categories.
pub(crate) fn list_load(server: &Server) -> Load {
    let url = |id| format!("{}/v1/items?filter=category%3D{id}&page_size=20", server.url);
    Load::get(categories().map(url).collect()).answer(4_000)
}

fn categories() -> impl Iterator<Item = u64> {
    items::scattered_ids(items::CATEGORIES - 1, 1_000).into_iter()
}

pub(crate) fn access_log() -> Result<Vec<Line>> {
    let data = store_with_items(ROWS)?;
    let quiet_data = copy(&data)?;
    let (on, off) = (Server::rowkeep_logging(data.path())?, Server::rowkeep(quiet_data.path())?);
    let load = |server: &Server| Load::get(rowkeep_urls(server, ROWS));
    let [on, off] = compare([(&on, &load(&on)), (&off, &load(&off))])?;
    let share = (on - off) / off * 100.0;
    Ok(vec![Line {
        figure: "access log of every request, share of a REST Get",
        value: format!("{on:.2} us on"),
        beside: format!("{off:.2} us off"),
        ratio: format!("{share:+.0} %"),
        bar: "<= 10 %",
        met: share <= 10.0,
    }])
}

/// A second server needs a store of its own: two processes on one file are refused.
fn copy(data: &tempfile::TempDir) -> Result<tempfile::TempDir> {
    let parent = data.path().parent().ok_or("no parent directory")?;
    let copy = tempfile::tempdir_in(parent).map_err(|error| error.to_string())?;
    for entry in std::fs::read_dir(data.path()).map_err(|error| error.to_string())?.flatten() {
        if entry.path().is_file() {
            std::fs::copy(entry.path(), copy.path().join(entry.file_name())).map_err(|error| error.to_string())?;
        }
    }
    Ok(copy)
}
