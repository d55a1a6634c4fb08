//! `rowkeep plan` and `rowkeep apply`: what a schema changes in the data.

use std::process::ExitCode;

use rowkeep_server::{Migration, storage};

use crate::args::Migrate;
use crate::failure::Failure;
use crate::output;
use crate::settings;

/// Fails if the plan cannot be applied with the flags that were given, so that a script can ask.
pub(crate) fn plan(args: Migrate) -> Result<ExitCode, Failure> {
    let schema = args.schema.compile()?;
    let config = settings::config(&args.settings)?;
    let migration = storage::plan(&schema, &config.place()?)?;
    show(&migration, args.json);
    let obstacles = migration.obstacles(&settings::allow(&config));
    Ok(if obstacles.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub(crate) fn apply(args: Migrate) -> Result<ExitCode, Failure> {
    let schema = args.schema.compile()?;
    let config = settings::config(&args.settings)?;
    let migration = storage::apply(&schema, &config.place()?, &settings::allow(&config))?;
    show(&migration, args.json);
    Ok(ExitCode::SUCCESS)
}

fn show(migration: &Migration, json: bool) {
    if json {
        output::line(format_args!("{:#}", migration.to_json()));
    } else {
        output::print(migration);
    }
}
