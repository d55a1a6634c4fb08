//! The domain: get, list, write and commit over port traits. Names no database, no RPC and no web framework.

mod api;
mod ports;
mod program;

pub use api::*;
pub use ports::*;
pub use program::{Outcome, Program};
