//! Developer commands. `cargo xtask` lists them.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for a terminal")]

mod bench;
mod check;
mod fetch;
mod flights;
mod metadata;
mod needs;
mod shell;
mod test;
mod versions;

use std::process::ExitCode;

/// What went wrong, ready to print.
type Result<T> = std::result::Result<T, String>;

const USAGE: &str = "\
cargo xtask COMMAND

  check [STEP...]                every static check, or the ones named (`check --list` lists them)
  test [--crate X] [--nightly]   installs what the tests need and runs them all; --nightly adds the long ones, and some
                                 once more on other versions of MariaDB
  test --on mariadb-11.8         only those, on one version; with --crate X only those of a crate
  setup                          only installs what the tests need
  fetch flights                  fetches the data of examples/flights
  fetch mariadb                  fetches the other versions that --nightly needs
  flights load|verify            loads it into a fresh store; compares the store with the files
  bench NAME...|all|--list       runs benchmarks beside their peers; writes bench/RESULTS.md";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match args.as_slice() {
        ["check", rest @ ..] => check::run(rest),
        ["test", rest @ ..] => test::run(rest),
        ["setup"] => needs::install(),
        ["fetch", "flights"] => fetch::flights(),
        ["fetch", "mariadb"] => needs::mariadb::install(),
        ["flights", "load"] => flights::load(),
        ["flights", "verify"] => flights::verify(),
        ["bench", rest @ ..] => bench::run(rest),
        [] | ["help" | "--help" | "-h", ..] => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("unknown command: {}\n\n{USAGE}", args.join(" "));
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
