//! The conformance suite through the public API of a server whose data is in a group of MySQL servers, by a client with a
//! session: the secondaries answer its reads, and it must not notice.
#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]

#[path = "../../sql/tests/support/servers.rs"]
#[allow(dead_code, reason = "each test uses a part of it")]
mod servers;
mod support;

use rowkeep_engine::conformance::Subject;
use rowkeep_mysql as _;
use servers::{Home, Lease};
use support::config;

fn start() -> Subject {
    let (directory, database) = (tempfile::tempdir().unwrap(), Lease::new(Home::Group));
    let mut config = config(directory.path());
    config.database = database.url().as_str().into();
    config.replicas = database.replicas().iter().map(|url| url.as_str().into()).collect();
    support::surface::subject(config, (database, directory))
}

rowkeep_engine::api_conformance!(crate::start, ignore = "a group takes minutes for all of it");
