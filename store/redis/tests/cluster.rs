//! The conformance suite on a cluster.

mod support;

use rowkeep_cache::remote::conformance::Stage;

fn start() -> Stage {
    support::stage(support::cluster())
}

rowkeep_cache::remote_conformance!(crate::start);
