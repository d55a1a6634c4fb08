//! Storages for the tests of this directory.
#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]
#![allow(dead_code, reason = "each test uses some of them")]

pub(crate) mod adopted;
pub(crate) mod mirror;
pub(crate) mod rows;
pub(crate) mod servers;

use std::sync::Arc;

use rowkeep_engine::conformance::schema;
use rowkeep_record::Codecs;
use rowkeep_sql::Allow;
use rowkeep_sql::sqlite::{Database, OpenOptions, SqliteStore};

/// An empty store of the suite's schema, and the directory it lies in.
pub(crate) fn sqlite() -> (Arc<SqliteStore>, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let database = Database::open(&OpenOptions::new(directory.path())).unwrap();
    let schema = schema();
    let plan = database.plan(&schema).unwrap();
    database.apply(&plan, &schema, b"snapshot", &Allow::default()).unwrap();
    let store = SqliteStore::start(database, Arc::clone(&schema), Arc::new(Codecs::new(&schema))).unwrap();
    (store, directory)
}
