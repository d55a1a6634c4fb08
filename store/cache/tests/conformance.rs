//! The conformance suite with caches before the engine in memory, in the process, shared, and the one before the other: every
//! rule of reading and writing holds with them, for a client that says what it has seen.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;

use rowkeep_cache::remote::MemoryRemote;
use rowkeep_cache::{CacheOptions, TierOptions};
use rowkeep_engine::conformance::schema;
use rowkeep_engine::{MemoryRows, Rows};

fn near() -> Arc<dyn Rows> {
    let schema = schema();
    let cached = support::cached(MemoryRows::new(&schema), &schema, CacheOptions::default());
    support::Client::of(Arc::clone(&cached) as _, move |seen| cached.is_told(seen))
}

fn shared() -> Arc<dyn Rows> {
    let (schema, remote) = (schema(), Arc::new(MemoryRemote::new(3)));
    let tier = support::tier(MemoryRows::new(&schema), remote, &schema, TierOptions::default());
    drop(support::background().spawn(Arc::clone(&tier).follow()));
    support::Client::of(Arc::clone(&tier) as _, move |seen| tier.is_on() && tier.is_told(seen))
}

fn near_before_shared() -> Arc<dyn Rows> {
    let (schema, remote) = (schema(), Arc::new(MemoryRemote::new(1)));
    let tier = support::tier(MemoryRows::new(&schema), remote, &schema, TierOptions::default());
    let cached = support::cached_over(&tier, &schema, CacheOptions::default());
    support::Client::of(Arc::clone(&cached) as _, move |seen| tier.is_on() && cached.is_told(seen))
}

/// Both suites over rows.
macro_rules! suites {
    ($($rows:ident)*) => {$(
        mod $rows {
            use rowkeep_engine::conformance::{Lab, Subject};

            pub(crate) fn start() -> Subject {
                Subject::over(super::$rows(), ())
            }

            pub(crate) fn lab() -> Lab {
                Lab::new(super::$rows(), ())
            }

            mod api {
                rowkeep_engine::api_conformance!(crate::$rows::start);
            }

            mod engine {
                rowkeep_engine::engine_conformance!(crate::$rows::lab);
            }
        }
    )*};
}

suites!(near shared near_before_shared);
