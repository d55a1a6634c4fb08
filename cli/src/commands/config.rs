//! `rowkeep config`: what a server would run with, and who said so.

use std::process::ExitCode;

use serde_json::{Value, json};

use crate::args::Config;
use crate::failure::Failure;
use crate::output;
use crate::settings;

pub(crate) fn run(args: Config) -> Result<ExitCode, Failure> {
    let effective = settings::load(&args.settings, Vec::new())?;
    if args.json {
        let entry = |(key, value, origin): &(String, String, _)| json!({"key": key, "value": value, "origin": format!("{origin}")});
        output::line(format_args!("{:#}", effective.values.iter().map(entry).collect::<Value>()));
        return Ok(ExitCode::SUCCESS);
    }
    let shown: Vec<_> = effective.values.iter().map(|(key, value, _)| format!("{key} = {value}")).collect();
    let width = shown.iter().map(|line| line.chars().count()).max().unwrap_or(0).min(60);
    for (line, (_, _, origin)) in shown.iter().zip(&effective.values) {
        output::line(format_args!("{line:width$}  # {origin}"));
    }
    Ok(ExitCode::SUCCESS)
}
