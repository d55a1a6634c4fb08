//! A cache that several processes share.

#[cfg(feature = "conformance")]
pub mod conformance;
mod port;
#[cfg(feature = "conformance")]
mod twin;

pub use port::{Beginning, Entry, Failed, Heard, Horizon, Leased, Looked, Name, Remote, Telling};
#[cfg(feature = "conformance")]
pub use twin::{MemoryRemote, Saved};
