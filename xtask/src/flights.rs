//! Loads the flights example with `rowkeep load` and compares the store with the files.

use testkit::Table;

use crate::{
    Result,
    fetch::{FILES, flights_directory},
    shell,
};

const SCHEMA: &str = "examples/flights/flights.proto";
const DATA: &str = "rowkeep-data";
/// How the files write an absent value.
const ABSENT: &str = "NA";

/// Entity of each file, in an order in which references hold.
const ENTITIES: &[(&str, &str)] = &[
    ("airlines", "Airline"),
    ("airports", "Airport"),
    ("planes", "Plane"),
    ("flights", "Flight"),
    ("weather", "Weather"),
];

/// Loads every file.
pub(crate) fn load() -> Result<()> {
    crate::fetch::flights()?;
    shell::run(shell::cargo().args(["build", "--release", "--locked", "--package", "rowkeep"]))?;
    for (file, entity) in ENTITIES {
        let csv = flights_directory().join(format!("{file}.csv"));
        let mut rowkeep = shell::program(shell::target().join("release/rowkeep"));
        rowkeep.args(["load", entity]).arg(csv).args(["--schema", SCHEMA, "--null", ABSENT, "--data", DATA]);
        shell::run(&mut rowkeep)?;
    }
    Ok(())
}

/// Compares what `rowkeep dump` gives with the files.
pub(crate) fn verify() -> Result<()> {
    let mut differences = Vec::new();
    for (file, entity) in ENTITIES {
        let path = flights_directory().join(format!("{file}.csv"));
        let text = shell::read(&path)?;
        let file_rows = Table::parse(&text, ABSENT);
        let csv = file_rows.sum();
        let mut rowkeep = shell::program(shell::target().join("release/rowkeep"));
        rowkeep.args(["dump", entity, "--schema", SCHEMA, "--data", DATA, "--format", "ndjson"]);
        let store = file_rows.sum_of_ndjson(&shell::output(&mut rowkeep)?)?;
        println!(
            "{entity:<8} file {} rows {:016x}   store {} rows {:016x}",
            csv.rows, csv.hash, store.rows, store.hash
        );
        let expected = FILES.iter().find(|(name, _)| name == file).map(|(_, rows)| *rows);
        if csv != store || Some(store.rows) != expected {
            differences.push(*entity);
        }
    }
    if differences.is_empty() { Ok(()) } else { Err(format!("store and files differ in {}", differences.join(", "))) }
}
