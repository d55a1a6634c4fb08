//! `rowkeep proto`: the service definition that clients are generated from.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rowkeep_schema::{OPTIONS_PROTO, STORE_PROTO, Schema};

use crate::args::Proto;
use crate::failure::Failure;
use crate::output;
use crate::schema::compile;

pub(crate) fn run(args: &Proto) -> Result<ExitCode, Failure> {
    if let Some(text) = built_in(&args.schema) {
        output::print(text);
        return Ok(ExitCode::SUCCESS);
    }
    let schema = compile(&args.schema, &args.includes)?;
    match &args.out {
        Some(directory) => write(&schema, directory)?,
        None => print(&schema),
    }
    Ok(ExitCode::SUCCESS)
}

/// `options` and `store` name texts, unless there are files of these names.
fn built_in(names: &[PathBuf]) -> Option<&'static str> {
    let [name] = names else { return None };
    if name.is_file() {
        return None;
    }
    match name.to_str()? {
        "options" => Some(OPTIONS_PROTO),
        "store" => Some(STORE_PROTO),
        _ => None,
    }
}

fn print(schema: &Schema) {
    for (place, file) in schema.derived.iter().enumerate() {
        if place > 0 {
            output::line("");
        }
        if schema.derived.len() > 1 {
            output::line(format_args!("// ---- {}", file.path));
        }
        output::print(&file.source);
    }
}

fn write(schema: &Schema, directory: &Path) -> Result<(), Failure> {
    for (path, text) in schema.client_files() {
        let file = directory.join(path);
        let parent = file.parent().unwrap_or(directory);
        fs::create_dir_all(parent).map_err(|error| Failure::file(parent, &error))?;
        fs::write(&file, text).map_err(|error| Failure::file(&file, &error))?;
        output::line(format_args!("{}", file.display()));
    }
    Ok(())
}
