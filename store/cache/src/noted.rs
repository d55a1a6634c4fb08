//! What this process writes, as the keys of what a cache has of it.

use std::sync::{Arc, Mutex, PoisonError};

use rowkeep_engine::{LoadBatch, Notes, Stored};
use rowkeep_record::Key;
use rowkeep_schema::EntityId;

use crate::near::RowKey;
use crate::policy::Policy;

/// What one program writes, while it does, or a load. Dropped by all who have it, the program among them, it has forgotten what
/// was not [taken](Self::take): a commit may have happened though it failed, or its caller did not wait for it.
pub(crate) struct Noted {
    policy: Arc<Policy>,
    keys: Mutex<Vec<Written>>,
    forget: Box<dyn Fn(Vec<Written>) + Send + Sync>,
}

/// What may be kept of a row that is written.
pub(crate) struct Written {
    pub(crate) key: RowKey,
    /// The version of its own that the row gets, if this is the row and it has one.
    pub(crate) version: Option<u64>,
}

impl Noted {
    pub(crate) fn new(policy: &Arc<Policy>, forget: impl Fn(Vec<Written>) + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { policy: Arc::clone(policy), keys: Mutex::default(), forget: Box::new(forget) })
    }

    /// All that a load may write.
    pub(crate) fn load(&self, batch: &LoadBatch) {
        let Some(policy) = self.policy.of(batch.entity) else { return };
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        batch.rows.iter().for_each(|row| policy.keys(row, &mut |key| keys.push(Written { key, version: None })));
    }

    /// Forgets what was noted since the last time.
    pub(crate) fn forget(&self) {
        (self.forget)(self.take());
    }

    /// What was noted since the last time.
    pub(crate) fn take(&self) -> Vec<Written> {
        std::mem::take(&mut *self.keys.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        self.forget();
    }
}

impl Notes for Noted {
    fn wrote(&self, entity: EntityId, key: &Key, row: Option<&Stored>) {
        let Some(policy) = self.policy.of(entity) else { return };
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let version = row.map(|row| row.version).filter(|version| *version > 0);
        policy.row_keys(key, &mut |key| keys.push(Written { key, version }));
        // Lookups that led to the row as it was find that it is another, or not there.
        if let Some(row) = row {
            policy.index_keys(row, &mut |key| keys.push(Written { key, version: None }));
        }
    }
}
