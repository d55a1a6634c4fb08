//! What every service stands on: result codes and errors, replies, configuration value types, lifecycle.
//!
//! Knows nothing of the data store, of gRPC or of a web framework.

mod code;
mod error;
mod reply;

pub use code::Code;
pub use error::{
    Applied, BoxError, ERROR_DOMAIN, Error, FieldViolation, PreconditionViolation, ResourceInfo,
};
pub use reply::Reply;
