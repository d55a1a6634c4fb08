//! A cache that several processes share.

mod port;

pub use port::{Beginning, Entry, Failed, Heard, Horizon, Leased, Looked, Remote, Telling, covers};
