//! What every cache server must do, written once.
//!
//! A test is a function of this module, and [`remote_conformance!`](crate::remote_conformance) is the list of their names. It is
//! given a [`Stage`]: two clients of one server that nobody used before. An adapter's tests are one line:
//!
//! ```ignore
//! rowkeep_cache::remote_conformance!(crate::start);
//! ```

#![allow(missing_docs, reason = "a test is documented by its name")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod list;
mod stage;

pub mod horizons;
pub mod model;
pub mod names;
pub mod races;
pub mod slots;
pub mod tellings;

pub use stage::{Client, HISTORY, HOUR, Stage, entry, name, place, places, telling};
