//! Schedules that failed once.

use std::fs::OpenOptions;
use std::io::Write as _;

/// A test and a seed in each line; `#` begins a remark.
const KEPT: &str = include_str!("seeds.txt");

/// Those of a test.
pub(crate) fn kept(test: &str) -> Vec<u64> {
    let lines = KEPT.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let split = lines.map(|line| line.split_once(' ').unwrap_or_else(|| panic!("seeds.txt: no test and seed: {line}")));
    let of_test = split.filter(|(name, _)| *name == test);
    of_test.map(|(_, seed)| seed.parse().unwrap_or_else(|error| panic!("seeds.txt: {seed}: {error}"))).collect()
}

/// Adds one, and says so.
pub(crate) fn keep(test: &str, seed: u64) -> String {
    if kept(test).contains(&seed) {
        return String::new();
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/simulation/seeds.txt");
    let added = OpenOptions::new().append(true).open(path).and_then(|mut file| writeln!(file, "{test} {seed}"));
    match added {
        Ok(()) => format!("; it is kept in {path}"),
        Err(error) => format!("; it cannot be kept in {path}: {error}"),
    }
}
