//! The conformance suite on Vitess, in keyspaces of one shard.

mod support;

use rowkeep_engine::conformance::{Lab, Subject};
use support::servers::Home;

fn start() -> Subject {
    let (rows, database) = support::servers::store(Home::Vitess);
    Subject::over(rows, database)
}

fn lab() -> Lab {
    let (rows, database) = support::servers::store(Home::Vitess);
    Lab::new(rows, database)
}

rowkeep_engine::api_conformance!(crate::start, ignore = "needs Vitess, which takes minutes to build");
rowkeep_engine::engine_conformance!(crate::lab, ignore = "needs Vitess, which takes minutes to build");
rowkeep_engine::change_log_conformance!(crate::lab, ignore = "needs Vitess, which takes minutes to build");
