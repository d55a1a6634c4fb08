//! The conformance suite on MySQL's Group Replication.

mod support;

use kit_core::Code;
use rowkeep_engine::conformance::{Lab, Subject};
use serde_json::json;
use support::{adopted::Adopted, servers::Home};

fn start() -> Subject {
    let (rows, database) = support::servers::store(Home::Group);
    Subject::over(rows, database)
}

fn lab() -> Lab {
    let (rows, database) = support::servers::store(Home::Group);
    Lab::new(rows, database)
}

rowkeep_engine::api_conformance!(crate::start, ignore = "a group takes minutes for all of it");
rowkeep_engine::engine_conformance!(crate::lab, ignore = "a group takes minutes for all of it");

#[test]
#[ignore = "a group takes ten seconds to form"]
fn a_table_of_another_engine_takes_no_writes_until_it_is_one_of_innodb() {
    let script = "CREATE TABLE notes (id INT PRIMARY KEY, words VARCHAR(20) NOT NULL) ENGINE = MyISAM";
    let adopted = Adopted::new(Home::Group, script);
    let refused = adopted.api.create_fails("Note", json!({ "id": 1, "words": "one" }));
    refused.is(Code::FailedPrecondition, "TABLE_UNFIT_FOR_GROUP");
    adopted.sql("ALTER TABLE notes ENGINE = InnoDB");
    adopted.api.create("Note", json!({ "id": 1, "words": "one" }));
    assert_eq!(adopted.sql("SELECT words FROM notes"), ["one"]);
}
