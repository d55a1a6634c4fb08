//! The conformance suite through the public API of a server whose tables are spread over two shards.
#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]

#[path = "../../sql/tests/support/servers.rs"]
#[allow(dead_code, reason = "each test uses a part of it")]
mod servers;
mod support;

use rowkeep_engine::conformance::{Promises, Subject};
use rowkeep_mysql as _;
use support::config;

fn start() -> Subject {
    let (directory, database) = (tempfile::tempdir().unwrap(), servers::Lease::new(servers::Home::Shards));
    let mut config = config(directory.path());
    config.database = database.url().as_str().into();
    support::surface::subject(config, (database, directory)).promising(Promises::OF_SHARDS)
}

rowkeep_engine::api_conformance!(crate::start, ignore = "needs Vitess, which takes minutes to build");
