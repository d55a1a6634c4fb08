//! What is there before the first request: the binary's size, memory at rest, time to the first answer.

use std::{fs, path::Path};

use crate::{
    ROUNDS, Result,
    host::{self, median},
    results::Line,
    server::{PocketBase, Server},
};

pub(crate) fn run() -> Result<Vec<Line>> {
    let (mut starts, mut peer_starts, mut memory, mut peer_memory) = (vec![], vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        // A fresh store, so that creating it counts.
        let data = tempfile::tempdir().map_err(|error| error.to_string())?;
        let server = Server::rowkeep(data.path())?;
        starts.push(server.start.as_secs_f64() * 1e3);
        memory.push(host::memory_mib(server.id(), "VmRSS")?);
        let peer = Server::pocketbase(&PocketBase { rows: 0, log: true, durable: false })?;
        peer_starts.push(peer.start.as_secs_f64() * 1e3);
        peer_memory.push(host::memory_mib(peer.id(), "VmRSS")?);
    }
    let [start, peer_start, memory, peer_memory] = [starts, peer_starts, memory, peer_memory].map(median);
    let size = binary_mib(testkit::binary())?;
    let peer_size = binary_mib(&host::directory().join("cache/pocketbase"))?;
    let line = |figure, [ours, theirs]: [f64; 2], unit, bar, most| Line {
        figure,
        value: format!("{ours:.1} {unit}"),
        beside: format!("PocketBase: {theirs:.1} {unit}"),
        ratio: format!("{:.2}x", ours / theirs),
        bar,
        met: ours <= most,
    };
    Ok(vec![
        line("start to first answer, empty store", [start, peer_start], "ms", "<= 50 ms", 50.0),
        line("memory at rest", [memory, peer_memory], "MiB", "<= 20 MB", 19.1),
        line("binary, stripped", [size, peer_size], "MiB", "<= 30 MB", 28.6),
    ])
}

fn binary_mib(path: &Path) -> Result<f64> {
    let metadata = fs::metadata(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(metadata.len() as f64 / f64::from(1 << 20))
}
