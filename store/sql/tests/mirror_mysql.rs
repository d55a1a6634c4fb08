//! The conformance suite on MySQL, with a copy of all rows beside it that is made of the log of changes alone: after each test
//! it is equal to what reads answer, and each change began with the row as it was.

mod support;

use rowkeep_engine::conformance::{Lab, Subject};
use testkit::Product;

fn start() -> Subject {
    let (rows, held) = support::mirror::store(Product::MySql);
    Subject::over(rows, held)
}

fn lab() -> Lab {
    let (rows, held) = support::mirror::store(Product::MySql);
    Lab::new(rows, held)
}

rowkeep_engine::api_conformance!(crate::start, ignore = "takes minutes");
rowkeep_engine::engine_conformance!(crate::lab, ignore = "takes minutes");
