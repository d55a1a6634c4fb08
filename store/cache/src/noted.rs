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
    keys: Mutex<Vec<RowKey>>,
    forget: Box<dyn Fn(Vec<RowKey>) + Send + Sync>,
}

impl Noted {
    pub(crate) fn new(policy: &Arc<Policy>, forget: impl Fn(Vec<RowKey>) + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { policy: Arc::clone(policy), keys: Mutex::default(), forget: Box::new(forget) })
    }

    /// All that a load may write.
    pub(crate) fn load(&self, batch: &LoadBatch) {
        let Some(policy) = self.policy.of(batch.entity) else { return };
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        batch.rows.iter().for_each(|row| policy.keys(row, &mut |key| keys.push(key)));
    }

    /// Forgets what was noted since the last time.
    pub(crate) fn forget(&self) {
        (self.forget)(self.take());
    }

    /// What was noted since the last time.
    pub(crate) fn take(&self) -> Vec<RowKey> {
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
        let mut put = |key| keys.push(key);
        policy.row_keys(key, &mut put);
        // Lookups that led to the row as it was find that it is another, or not there.
        if let Some(row) = row {
            policy.index_keys(row, &mut put);
        }
    }
}
