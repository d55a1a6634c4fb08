//! The conformance suite on SQLite.

mod support;

use rowkeep_engine::conformance::{EngineSurface, Lab, Subject, schema};
use rowkeep_engine::{Engine, EngineOptions, Rows};

fn start() -> Subject {
    let (rows, directory) = support::sqlite();
    let engine = Engine::new(schema(), rows as std::sync::Arc<dyn Rows>, EngineOptions::default()).unwrap();
    Subject::new(EngineSurface::new(engine, directory))
}

fn lab() -> Lab {
    let (rows, directory) = support::sqlite();
    Lab::new(rows, directory)
}

rowkeep_engine::api_conformance!(crate::start);
rowkeep_engine::engine_conformance!(crate::lab);
