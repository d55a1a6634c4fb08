//! The `rowkeep` command: parses arguments, calls the library, prints.
//!
//! Standard output carries results only; logs, progress and mistakes go to standard error. Exit codes: 0 fine, 1 failed,
//! 2 wrong usage or input.

#![allow(clippy::print_stderr, reason = "a program for a terminal")]

mod args;
mod commands;
mod failure;
mod output;
mod progress;
mod schema;
mod settings;

use std::process::ExitCode;

use clap::Parser as _;

use args::{Args, Cache, Command};
use failure::Failure;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = Args::parse();
    match run(args.command) {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

fn run(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Serve(args) => commands::serve::run(args),
        Command::Check(args) => commands::check::run(&args),
        Command::Plan(args) => commands::migrate::plan(args),
        Command::Apply(args) => commands::migrate::apply(args),
        Command::Proto(args) => commands::proto::run(&args),
        Command::Openapi(args) => commands::openapi::run(&args),
        Command::Import(args) => commands::import::run(args),
        Command::Load(args) => commands::load::run(args),
        Command::Dump(args) => commands::dump::run(args),
        Command::Backup(args) => commands::backup::run(args),
        Command::Status(args) => commands::status::run(args),
        Command::Cache(Cache::Inspect(args)) => commands::inspect::run(&args),
        Command::Config(args) => commands::config::run(args),
    }
}
