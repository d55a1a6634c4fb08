//! 10 million rows instead of 100 thousand: median latency of a Get and of a list, few clients, scattered keys.

use crate::{
    ROUNDS, Result,
    figures::read::{ROWS, list_load, rowkeep_urls},
    host::median,
    load::Load,
    results::Line,
    server::{Server, store_with_items},
};

const MANY: u64 = 10_000_000;

pub(crate) fn run() -> Result<Vec<Line>> {
    let (small_data, big_data) = (store_with_items(ROWS)?, store_with_items(MANY)?);
    let (small, big) = (Server::rowkeep(small_data.path())?, Server::rowkeep(big_data.path())?);
    let get = |server: &Server, rows| Load::get(rowkeep_urls(server, rows)).connections(4).requests(40_000);
    let list = |server: &Server| list_load(server).connections(4).requests(20_000);
    let gets = p50s([(&small, get(&small, ROWS)), (&big, get(&big, MANY))])?;
    let lists = p50s([(&small, list(&small)), (&big, list(&big))])?;
    let line = |figure, [small, big]: [f64; 2]| Line {
        figure,
        value: format!("{big:.0} us at 10 M rows"),
        beside: format!("{small:.0} us at 100 k rows"),
        ratio: format!("{:.2}x", big / small),
        bar: "<= 1.5x",
        met: big / small <= 1.5,
    };
    Ok(vec![line("REST Get p50, c=4", gets), line("REST list of 20 p50, c=4", lists)])
}

fn p50s(runs: [(&Server, Load); 2]) -> Result<[f64; 2]> {
    let mut values = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for ((server, load), values) in runs.iter().zip(&mut values) {
            values.push(load.run(server.id())?.p50);
        }
    }
    Ok(values.map(median))
}
