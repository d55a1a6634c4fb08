//! What every service stands on: result codes and errors, replies, deadlines, configuration value types, lifecycle.
//!
//! Knows nothing of the data store, of gRPC or of a web framework.

mod code;
pub mod config;
mod deadline;
mod error;
mod nearest;
mod reply;
mod shutdown;

pub use code::Code;
pub use deadline::Deadline;
pub use error::{Applied, BoxError, ERROR_DOMAIN, Error, FieldViolation, PreconditionViolation, ResourceInfo};
pub use nearest::nearest;
pub use reply::Reply;
pub use shutdown::{Shutdown, ShutdownWatch, Stage};
