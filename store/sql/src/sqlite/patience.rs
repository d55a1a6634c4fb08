//! Reads that take too long are given up.
//!
//! SQLite asks now and then, counted in steps of its machine, whether to go on. A short read is never asked, so that it
//! need not look at the clock.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rusqlite::{Connection, Result};

/// Steps between two looks at the clock: well below a millisecond.
const STEPS: std::ffi::c_int = 20_000;

/// When the read that runs is given up. A connection runs one at a time.
#[derive(Clone, Default)]
pub(crate) struct Patience(Arc<Mutex<Option<Instant>>>);

/// Until it is dropped, reads of its connection end at the deadline.
pub(crate) struct Limited<'a>(&'a Patience);

impl Patience {
    pub(crate) fn until(&self, deadline: Option<Instant>) -> Limited<'_> {
        *self.deadline() = deadline;
        Limited(self)
    }

    fn deadline(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self) -> bool {
        self.deadline().is_some_and(|deadline| deadline <= Instant::now())
    }
}

impl Drop for Limited<'_> {
    fn drop(&mut self) {
        *self.0.deadline() = None;
    }
}

/// Makes a connection ask.
pub(crate) fn install(connection: &mut Connection) -> Result<Patience> {
    let patience = Patience::default();
    let asked = patience.clone();
    connection.progress_handler(STEPS, Some(move || asked.is_over()))?;
    Ok(patience)
}
