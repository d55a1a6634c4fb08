//! The conformance suite through the public API of a server in this process: real gRPC requests over a socket.
#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]

mod support;

use rowkeep_engine::conformance::Subject;
use support::config;

fn start() -> Subject {
    let directory = tempfile::tempdir().unwrap();
    support::surface::subject(config(directory.path()), directory)
}

rowkeep_engine::api_conformance!(crate::start);
