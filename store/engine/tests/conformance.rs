//! The conformance suite on the engine in memory.

use rowkeep_engine::MemoryRows;
use rowkeep_engine::conformance::{EngineSurface, Lab, Subject, schema};
use rowkeep_engine::{Engine, EngineOptions};

fn start() -> Subject {
    let engine = Engine::new(schema(), MemoryRows::new(&schema()), EngineOptions::default()).unwrap();
    Subject::new(EngineSurface::new(engine, ()))
}

fn lab() -> Lab {
    Lab::new(MemoryRows::new(&schema()), ())
}

rowkeep_engine::api_conformance!(crate::start);
rowkeep_engine::engine_conformance!(crate::lab);
