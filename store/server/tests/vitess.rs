//! The conformance suite through the public API of a server whose data is behind Vitess's gateway.
#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]

#[path = "../../sql/tests/support/servers.rs"]
#[allow(dead_code, reason = "each test uses a part of it")]
mod servers;
mod support;

use rowkeep_engine::conformance::Subject;
use rowkeep_mysql as _;
use support::config;

fn start() -> Subject {
    let (directory, database) = (tempfile::tempdir().unwrap(), servers::Lease::new(servers::Home::Vitess));
    let mut config = config(directory.path());
    config.database = database.url().as_str().into();
    support::surface::subject(config, (database, directory))
}

rowkeep_engine::api_conformance!(crate::start, ignore = "needs Vitess, which takes minutes to build");
