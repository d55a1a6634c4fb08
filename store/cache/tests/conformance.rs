//! The conformance suite with a cache before the engine in memory: every rule of reading and writing holds with it, for a
//! client that says what it has seen.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;

use rowkeep_cache::CacheOptions;
use rowkeep_engine::conformance::{Lab, Subject, schema};
use rowkeep_engine::{MemoryRows, Rows};

fn client() -> Arc<dyn Rows> {
    let schema = schema();
    support::Client::of(support::cached(MemoryRows::new(&schema), &schema, CacheOptions::default()))
}

fn start() -> Subject {
    Subject::over(client(), ())
}

fn lab() -> Lab {
    Lab::new(client(), ())
}

rowkeep_engine::api_conformance!(crate::start);
rowkeep_engine::engine_conformance!(crate::lab);
