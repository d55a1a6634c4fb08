//! The conformance suite on a server that Sentinels name.

mod support;

use rowkeep_cache::remote::conformance::Stage;

fn start() -> Stage {
    support::stage(support::sentinels())
}

rowkeep_cache::remote_conformance!(crate::start);
