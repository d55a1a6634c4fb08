//! `rowkeep load` of the flights: rows per second of one core, and memory that does not follow the file's size.

use std::{fs, io::Write, path::Path};

use crate::{
    ROUNDS, Result,
    host::{self, median},
    results::Line,
    server::{self, Loaded},
};

const FLIGHTS: f64 = 336_776.0;
/// What flights refer to comes first.
const FILES: [(&str, &str); 3] = [("Airline", "airlines"), ("Airport", "airports"), ("Flight", "flights")];

pub(crate) fn flights() -> Result<Vec<Line>> {
    let example = testkit::workspace_root().join("examples/flights");
    let file = example.join("data/flights.csv");
    if !file.is_file() {
        return Err("the data is missing: cargo xtask fetch flights".to_owned());
    }
    let runs = (0..ROUNDS).map(|_| load_all(&example, &file)).collect::<Result<Vec<_>>>()?;
    let rate = FLIGHTS / median(runs.iter().map(|run| run.seconds).collect());
    let peak = median(runs.iter().map(|run| run.peak_mib).collect());
    let tripled = host::scratch().map_err(|error| error.to_string())?;
    let big = tripled.path().join("flights.csv");
    triple(&file, &big).map_err(|error| error.to_string())?;
    let big_peak = load_all(&example, &big)?.peak_mib;
    Ok(vec![
        Line {
            figure: "rowkeep load, flights.csv (19 columns, 3 indexes, 2 references)",
            value: format!("{rate:.0} rows/s"),
            beside: "one core, whole process from start to end".to_owned(),
            ratio: "-".to_owned(),
            bar: ">= 150,000 rows/s",
            met: rate >= 150_000.0,
        },
        Line {
            figure: "rowkeep load, peak memory",
            value: format!("{peak:.0} MiB"),
            beside: format!("a file three times as long: {big_peak:.0} MiB"),
            ratio: format!("{:.2}x", big_peak / peak),
            bar: "< 150 MB, flat",
            met: peak < 143.0 && big_peak < 143.0,
        },
    ])
}

/// Loads what flights refer to, then the flights; the cost of the flights.
fn load_all(example: &Path, flights: &Path) -> Result<Loaded> {
    let data = host::scratch().map_err(|error| error.to_string())?;
    let mut last = Err("nothing loaded".to_owned());
    for (entity, name) in FILES {
        let csv = example.join(format!("data/{name}.csv"));
        let csv = if entity == "Flight" { flights } else { &csv };
        last = Ok(server::load(entity, csv, &example.join("flights.proto"), data.path(), &["--null", "NA"])?);
    }
    last
}

/// The same flights in three decades: the key holds the time, in UTC, so that the last ones are of the year after.
fn triple(from: &Path, to: &Path) -> std::io::Result<()> {
    let text = fs::read_to_string(from)?;
    let (header, rows) = text.split_once('\n').unwrap_or_default();
    let mut out = std::io::BufWriter::new(fs::File::create(to)?);
    writeln!(out, "{header}")?;
    for decade in ["20", "21", "22"] {
        let moved = rows.replace(",2013-", &format!(",{decade}13-")).replace(",2014-", &format!(",{decade}14-"));
        out.write_all(moved.as_bytes())?;
    }
    out.flush()
}
