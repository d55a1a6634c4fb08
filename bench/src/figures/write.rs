//! Durable creates: 64 clients, a 200 means on disk.

use std::{
    fs::File,
    io::Write,
    time::{Duration, Instant},
};

use crate::{
    ROUNDS, Result,
    host::{self, median},
    items,
    load::Load,
    results::Line,
    server::{PocketBase, Server, store_with_items},
};

const ROWS: u64 = 10_000;

pub(crate) fn create() -> Result<Vec<Line>> {
    let data = store_with_items(ROWS)?;
    let rowkeep = Server::rowkeep(data.path())?;
    let peer = Server::pocketbase(&PocketBase { rows: ROWS, log: true, durable: true })?;
    let ours = Load::post(format!("{}/v1/items", rowkeep.url), items::json(7)).requests(60_000);
    let theirs = Load::post(format!("{}/api/collections/items/records", peer.url), items::json(7)).requests(5_000);
    let (mut rates, mut costs) = ([Vec::new(), Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for _ in 0..ROUNDS {
        for (index, (server, load)) in [(&rowkeep, &ours), (&peer, &theirs)].into_iter().enumerate() {
            let outcome = load.run(server.id())?;
            rates[index].push(outcome.rate);
            costs[index].push(outcome.cpu);
        }
        rates[2].push(fsyncs_per_second().map_err(|error| error.to_string())?);
    }
    let [ours, theirs, fsyncs] = rates.map(median);
    let [our_cost, their_cost] = costs.map(median);
    Ok(vec![
        Line {
            figure: "durable Create by REST, 64 clients",
            value: format!("{ours:.0}/s, {our_cost:.1} us"),
            beside: format!("PocketBase, synchronous=FULL: {theirs:.0}/s, {their_cost:.0} us"),
            ratio: format!("{:.1}x", ours / theirs),
            bar: ">= 8x",
            met: ours / theirs >= 8.0,
        },
        Line {
            figure: "durable Create against one fsync each",
            value: format!("{ours:.0}/s"),
            beside: format!("append of 200 B + fdatasync, one after the other: {fsyncs:.0}/s"),
            ratio: format!("{:.1}x", ours / fsyncs),
            bar: ">= 10x",
            met: ours / fsyncs >= 10.0,
        },
    ])
}

/// The physical limit without group commit: one writer, one flush per row, on the disk that the store uses.
fn fsyncs_per_second() -> std::io::Result<f64> {
    let directory = host::scratch()?;
    let mut file = File::create(directory.path().join("log"))?;
    let (started, mut count) = (Instant::now(), 0_u32);
    while started.elapsed() < Duration::from_secs(2) {
        file.write_all(&[b'x'; 200])?;
        file.sync_data()?;
        count += 1;
    }
    Ok(f64::from(count) / started.elapsed().as_secs_f64())
}
