//! The conformance suite on one server.

mod support;

use rowkeep_cache::remote::conformance::Stage;

fn start() -> Stage {
    support::stage(support::single())
}

rowkeep_cache::remote_conformance!(crate::start);
