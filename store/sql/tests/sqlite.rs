//! The conformance suite on SQLite.

mod support;

use rowkeep_engine::conformance::{Lab, Subject};

fn start() -> Subject {
    let (rows, directory) = support::sqlite();
    Subject::over(rows, directory)
}

fn lab() -> Lab {
    let (rows, directory) = support::sqlite();
    Lab::new(rows, directory)
}

rowkeep_engine::api_conformance!(crate::start);
rowkeep_engine::engine_conformance!(crate::lab);
rowkeep_engine::change_log_conformance!(crate::lab);
