//! The domain: get, list, write and commit over port traits. Names no database, no RPC and no web framework.

mod api;
mod capabilities;
mod changes;
mod clock;
mod commit;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod counted;
mod engine;
mod errors;
mod ids;
mod list;
mod load;
mod memory;
mod needs;
mod noted;
mod number;
mod plan;
mod ports;
mod prepare;
mod program;
mod runs;
mod session;
mod shared_log;
mod sweep;
mod watch;

pub use api::*;
pub use capabilities::*;
pub use changes::*;
pub use clock::{Clock, ManualClock, SystemClock};
pub use engine::{Engine, EngineOptions};
pub use ids::{MAX_INSTANCE, SNOWFLAKE_EPOCH_MILLIS};
pub use memory::MemoryRows;
pub use needs::Needs;
pub use noted::Notes;
pub use ports::*;
pub use program::{Outcome, Program};
pub use runs::{Run, Runs};
pub use session::{Freshness, Point, Position, Session};
pub use shared_log::SharedLog;
pub use sweep::Sweep;
pub use watch::{WatchEvent, WatchOptions, WatchRequest, WatchSince, WatchStats, Watched, Watcher};
