//! MySQL and MariaDB.
//!
//! [`Database`] is a server whose tables are planned and migrated. [`MySqlStore`] serves it. Connections live on a
//! runtime of the store's own: reads are handed to lanes that send many at once ([`lanes`]), each transaction has a
//! connection for itself ([`writes`]) and goes on to its end whether or not its caller still waits.

mod adding;
mod aside;
mod capable;
mod catalogue;
mod changes;
mod checks;
mod database;
mod discovery;
mod errors;
mod gateway;
mod groups;
mod held;
mod import;
mod keyed;
mod lanes;
mod load;
mod meta;
mod migrate;
#[cfg(test)]
mod migrate_tests;
mod pool;
mod readers;
mod reads;
mod servers;
mod session;
mod shards;
mod steps;
mod store;
mod train;
mod tx;
mod values;
mod watch;
mod writes;

pub use database::{Database, Options};
pub use discovery::{Sight, SightedServer, look};
pub use import::{GivenKey, ImportOptions, Imported, import};
pub use migrate::preview;
pub use rowkeep_mysql::Address;
pub use servers::{Role, RowCopy, ServerStatus};
pub use store::{MySqlStore, Stats};
