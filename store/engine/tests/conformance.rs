//! The conformance suite on the engine in memory.

use rowkeep_engine::MemoryRows;
use rowkeep_engine::conformance::{Lab, Subject, schema};

fn start() -> Subject {
    Subject::over(MemoryRows::new(&schema()), ())
}

fn lab() -> Lab {
    Lab::new(MemoryRows::new(&schema()), ())
}

rowkeep_engine::api_conformance!(crate::start);
rowkeep_engine::engine_conformance!(crate::lab);
rowkeep_engine::change_log_conformance!(crate::lab);
