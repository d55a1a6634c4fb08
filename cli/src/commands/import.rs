//! `rowkeep import`: a schema for tables that somebody else made.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use rowkeep_sql::mysql::{self, Address, ImportOptions, Imported};

use crate::args::Import;
use crate::failure::Failure;
use crate::output;
use crate::progress::counted;

pub(crate) fn run(args: Import) -> Result<ExitCode, Failure> {
    let address: Address = args.url.parse().map_err(Failure::Input)?;
    let options = ImportOptions { package: args.package, tables: args.table, keys: args.key };
    let imported = mysql::import(&mysql::Options::new(address), &options)?;
    for warning in &imported.warnings {
        eprintln!("warning: {warning}");
    }
    match &args.out {
        Some(path) => write(path, &imported)?,
        None => output::print(&imported.proto),
    }
    Ok(ExitCode::SUCCESS)
}

fn write(path: &Path, imported: &Imported) -> Result<(), Failure> {
    if path.exists() {
        return Err(Failure::Input(format!("{} exists; an import does not overwrite it", path.display())));
    }
    let written = File::create_new(path).and_then(|mut file| file.write_all(imported.proto.as_bytes()));
    written.map_err(|error| Failure::file(path, &error))?;
    let tables = u64::try_from(imported.tables).unwrap_or(u64::MAX);
    output::line(format_args!("{}: {}", path.display(), counted(tables, "table", "tables")));
    Ok(())
}
