//! JSON tests of a filter as a function in SQLite, so that they mean exactly what they mean in memory.
//!
//! The tests of a statement are handed over beside it, and the statement calls them by number. A connection runs one
//! statement at a time, so one place for them is enough.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rowkeep_record::query::{JsonTest, json_matches};
use rusqlite::functions::FunctionFlags;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Result};

use crate::filter_sql::{JSON_FUNCTION, JsonProbe};

type Test = (Vec<Box<str>>, JsonTest);

/// The tests of the statement that runs.
#[derive(Clone, Default)]
pub(crate) struct Probes(Arc<Mutex<Vec<Test>>>);

impl Probes {
    pub(crate) fn set(&self, probes: &[JsonProbe<'_>]) {
        if probes.is_empty() {
            return;
        }
        let mut tests = self.tests();
        tests.clear();
        tests.extend(probes.iter().map(|probe| (probe.path.to_vec(), probe.test.clone())));
    }

    fn tests(&self) -> MutexGuard<'_, Vec<Test>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn holds(&self, number: i64, text: Option<&str>) -> bool {
        let tests = self.tests();
        let test = usize::try_from(number).ok().and_then(|number| tests.get(number));
        test.is_some_and(|(path, test)| json_matches(text, path, test))
    }
}

/// Makes the function known to a connection.
pub(crate) fn install(connection: &Connection) -> Result<Probes> {
    let probes = Probes::default();
    let shared = probes.clone();
    // Not deterministic: SQLite must not remember an answer beyond a statement.
    connection.create_scalar_function(JSON_FUNCTION, 2, FunctionFlags::SQLITE_UTF8, move |context| {
        let text = match context.get_raw(0) {
            ValueRef::Text(text) => Some(std::str::from_utf8(text)?),
            _ => None,
        };
        Ok(shared.holds(context.get(1)?, text))
    })?;
    Ok(probes)
}
