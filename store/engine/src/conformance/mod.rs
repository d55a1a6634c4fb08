//! What every storage and every door to it must do, written once.
//!
//! Two suites. The tests of the *API* speak the public API's own messages through a [`Surface`]: the engine over any
//! storage ([`EngineSurface`]), or a real server over the wire. The tests of the *engine* ([`Lab`]) hold the clock and
//! what no request can ask for: loads, sweeps, limits, deadlines.
//!
//! A test is a function of this module; [`api_conformance!`](crate::api_conformance) and
//! [`engine_conformance!`](crate::engine_conformance) are the lists of their names; those of the log of changes, and of
//! watching, are in [`change_log_conformance!`](crate::change_log_conformance). A new adapter's tests are one line:
//!
//! ```ignore
//! rowkeep_engine::api_conformance!(crate::start);
//! ```

#![allow(missing_docs, reason = "a test is documented by its name")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod engine_surface;
mod fields;
mod lab;
mod list;
mod requests;
mod subject;

pub mod batches;
pub mod changes;
pub mod commits;
pub mod deletes;
pub mod etags;
pub mod expiry;
pub mod filters;
pub mod isolation;
pub mod keys;
pub mod limits;
pub mod loads;
pub mod masks;
pub mod paging;
pub mod plans;
pub mod preconditions;
pub mod races;
pub mod reads;
pub mod references;
pub mod replays;
pub mod rules;
pub mod structures;
pub mod sweeps;
pub mod time;
pub mod transforms;
pub mod types;
pub mod unique;
pub mod watches;
pub mod writes;

pub use engine_surface::EngineSurface;
pub use lab::{Lab, NOW, SECOND};
pub use subject::{Answer, Failure, Promises, Subject, Surface};

use std::sync::{Arc, OnceLock};

use rowkeep_schema::{Schema, compile_str};

/// The schema that the tests are about.
pub fn schema() -> Arc<Schema> {
    static SCHEMA: OnceLock<Arc<Schema>> = OnceLock::new();
    let compiled = || compile_str(&[("conformance/v1/everything.proto", include_str!("everything.proto"))]);
    let schema = || Arc::new(compiled().unwrap_or_else(|diagnostics| panic!("{diagnostics}")));
    Arc::clone(SCHEMA.get_or_init(schema))
}
