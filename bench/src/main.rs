//! Runs benchmarks beside their peers or limits and keeps `RESULTS.md`.
//!
//! The figure that travels between machines is the server's CPU time per request, and its ratio to a peer in the same run
//! on the same core. Each is the median of [`ROUNDS`] rounds; within a round the servers take turns, so that a slow moment
//! of the machine meets all of them.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for a terminal")]

mod coherence;
mod figures;
mod go_zero;
mod host;
mod items;
mod load;
mod results;
mod server;

use std::process::ExitCode;

/// What went wrong, ready to print.
type Result<T> = std::result::Result<T, String>;

/// Lets the usual user follow the database's log.
const FOLLOW: &str = "GRANT REPLICATION SLAVE ON *.* TO app@'127.0.0.1'";

/// Measurements per figure; the median counts.
const ROUNDS: usize = 3;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(names: &[String]) -> Result<()> {
    let all = figures::BENCHMARKS;
    if names.is_empty() || names == ["--list"] {
        for benchmark in all {
            println!("{:<14} {}", benchmark.name, benchmark.what);
        }
        return Ok(());
    }
    let unknown = names.iter().find(|name| *name != "all" && all.iter().all(|benchmark| benchmark.name != **name));
    if let Some(unknown) = unknown {
        return Err(format!("no benchmark is called {unknown}; `cargo xtask bench --list` lists them"));
    }
    let mut failed = Vec::new();
    for benchmark in all.iter().filter(|b| names.iter().any(|name| name == "all" || name == b.name)) {
        println!("== bench {}: {}", benchmark.name, benchmark.what);
        match (benchmark.run)() {
            Ok(lines) => {
                for line in &lines {
                    println!("{line}");
                }
                results::keep(&lines)?;
            }
            Err(error) => {
                eprintln!("{error}");
                failed.push(benchmark.name);
            }
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("failed benchmarks: {}", failed.join(", "))) }
}
