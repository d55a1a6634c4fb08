//! Starts real servers as child processes on free ports with temporary data, and breaks the network between them.
//!
//! ```no_run
//! # fn test() {
//! let server = testkit::Rowkeep::start("examples/shop/shop.proto", &[]);
//! let reply = testkit::http::get(&format!("{}/v1/users", server.url()));
//! assert_eq!(reply.status, 200);
//! server.kill9();                 // as a power cut would
//! server.restart();               // same data, same port
//! # }
//! ```
//!
//! What holds for every process started here:
//! - It answers before the call that started it returns; if it does not, the test fails with the process's own log.
//! - Its log is shown when the test panics, and only then.
//! - Nothing is left behind: the guard's `Drop` kills the process group; if the test process itself is killed and no
//!   `Drop` runs, the kernel kills the child (`PR_SET_PDEATHSIG`, see [`process`]).
//! - Its data lies in a temporary directory that goes with the guard.

pub mod database;
mod events;
pub mod http;
pub mod log;
mod port;
pub mod process;
pub mod proxy;
mod redis;
mod rowkeep;
mod scratch;
pub mod table;

pub use database::{Cluster, DatabaseServer, Group, MariaDb, MySql, Product, Vitess};
pub use events::{Event, Events};
pub use log::Log;
pub use port::free_port;
pub use process::Process;
pub use proxy::FaultProxy;
pub use redis::{Answer, Redis, RedisCluster, RedisSentinels};
pub use rowkeep::{Builder, Rowkeep, binary, command, listening_address};
pub use rustix::process::Signal;
pub use table::Table;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

/// How long anything in here waits before it fails the test: far above what is needed, below a test runner's patience.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The repository's root, for fixtures.
pub fn workspace_root() -> PathBuf {
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().map(PathBuf::from).unwrap_or(manifest)
}

/// Polls until the condition holds; panics with `what` after [`PATIENCE`].
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < PATIENCE, "still waiting after {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The Python interpreter with the tests' packages: the one `cargo xtask test` names, or the one `cargo xtask setup` made
/// in the target directory.
///
/// # Panics
/// If there is none.
pub fn python() -> PathBuf {
    let made = || {
        let this = std::env::current_exe().ok()?;
        let candidates = this.ancestors().map(|directory| directory.join("py/bin/python"));
        candidates.chain([workspace_root().join("target/py/bin/python")]).find(|path| path.is_file())
    };
    let python = std::env::var_os("TESTKIT_PYTHON").map(PathBuf::from).or_else(made);
    python.expect("the tests' Python environment; `cargo xtask setup` makes it")
}
