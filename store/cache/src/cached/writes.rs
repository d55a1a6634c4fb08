//! Forgets what this process writes, before the writer is answered.
//!
//! The log will tell of it, in a moment; until then others would be answered what the writer knows to be old. Rows have no
//! number yet that the cache could remember, and need none ([`Fills::retract`](crate::Fills::retract)).

use std::sync::{Arc, Mutex, PoisonError};

use kit_core::{Error, Reply};
use rowkeep_engine::{LoadBatch, LoadOutcome, Notes, Outcome, Program, Stored};
use rowkeep_record::Key;
use rowkeep_schema::EntityId;

use super::Shared;
use crate::near::RowKey;

/// What one program wrote.
struct Written {
    shared: Arc<Shared>,
    keys: Mutex<Vec<RowKey>>,
}

impl Notes for Written {
    fn wrote(&self, entity: EntityId, key: &Key, row: Option<&Stored>) {
        let Some(policy) = self.shared.policy.of(entity) else { return };
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let mut put = |key| keys.push(key);
        policy.row_keys(key, &mut put);
        // Lookups that led to the row as it was find that it is another, or not there.
        if let Some(row) = row {
            policy.index_keys(row, &mut put);
        }
    }
}

impl Written {
    fn forget(&self) {
        for key in self.keys.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            self.shared.near.retract(&key.probe());
        }
    }
}

/// A commit may have happened though it failed, or its caller did not wait for it.
impl Drop for Written {
    fn drop(&mut self) {
        self.forget();
    }
}

impl Shared {
    pub(super) fn transact(self: &Arc<Self>, mut program: Program) -> Reply<'static, Result<Outcome, Error>> {
        let written = Arc::new(Written { shared: Arc::clone(self), keys: Mutex::default() });
        program.note(Arc::clone(&written) as Arc<dyn Notes>);
        self.rows.transact(program).map(move |outcome| {
            written.forget();
            outcome
        })
    }

    pub(super) fn load(self: &Arc<Self>, batch: LoadBatch) -> Reply<'static, Result<LoadOutcome, Error>> {
        let mut keys = Vec::new();
        if let Some(policy) = self.policy.of(batch.entity) {
            batch.rows.iter().for_each(|row| policy.keys(row, &mut |key| keys.push(key)));
        }
        let written = Written { shared: Arc::clone(self), keys: Mutex::new(keys) };
        self.rows.load(batch).map(move |outcome| {
            written.forget();
            outcome
        })
    }
}
