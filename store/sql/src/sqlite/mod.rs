//! The embedded store: one SQLite file in a data directory.
//!
//! [`Database`] is the opened and checked file, for plans and migrations. [`SqliteStore`] serves it: reads on the thread
//! that asks ([`reader`]), writes on one thread that commits in groups ([`writer`]) and keeps a log of them ([`changes`]),
//! the write-ahead log moved into the data file by a third ([`checkpoint`]).

mod backup;
mod catalogue;
mod changes;
mod checkpoint;
mod connect;
mod database;
mod errors;
#[cfg(test)]
mod filter_tests;
mod left_out;
#[cfg(test)]
mod left_out_tests;
mod load;
#[cfg(test)]
mod measure;
mod meta;
mod migrate;
#[cfg(test)]
mod migrate_tests;
mod numbers;
mod patience;
mod probe;
mod reader;
mod reads;
mod stats;
mod steps;
mod store;
mod sweep;
#[cfg(test)]
mod tests;
mod tx;
mod values;
mod writer;

pub use backup::backup;
pub use changes::ChangeOptions;
pub use connect::FILE_NAME;
pub use database::{Database, OpenOptions};
pub use migrate::preview;
pub use stats::{GROUP_BOUNDS, Stats};
use store::Shared;
pub use store::SqliteStore;
pub(crate) use values::flip;
