//! The conformance suite on MySQL.

mod support;

use rowkeep_engine::conformance::{Lab, Subject};
use testkit::Product;

fn start() -> Subject {
    let (rows, database) = support::servers::store(Product::MySql);
    Subject::over(rows, database)
}

fn lab() -> Lab {
    let (rows, database) = support::servers::store(Product::MySql);
    Lab::new(rows, database)
}

rowkeep_engine::api_conformance!(crate::start);
rowkeep_engine::engine_conformance!(crate::lab);
rowkeep_engine::change_log_conformance!(crate::lab);
