//! Forgets what this process writes, before the writer is answered.
//!
//! The log will tell of it, in a moment; until then others would be answered what the writer knows to be old. Rows have no
//! number yet that the cache could remember, and need none ([`Fills::retract`](crate::Fills::retract)).

use std::sync::Arc;

use kit_core::{Error, Reply};
use rowkeep_engine::{LoadBatch, LoadOutcome, Notes, Outcome, Program};

use super::Shared;
use crate::noted::{Noted, Written};

impl Shared {
    pub(super) fn transact(&self, mut program: Program) -> Reply<'static, Result<Outcome, Error>> {
        let noted = self.noted();
        program.note(Arc::clone(&noted) as Arc<dyn Notes>);
        self.rows.transact(program).map(move |outcome| {
            noted.forget();
            outcome
        })
    }

    pub(super) fn load(&self, batch: LoadBatch) -> Reply<'static, Result<LoadOutcome, Error>> {
        let noted = self.noted();
        noted.load(&batch);
        self.rows.load(batch).map(move |outcome| {
            noted.forget();
            outcome
        })
    }

    fn noted(&self) -> Arc<Noted> {
        let near = Arc::clone(&self.near);
        Noted::new(&self.policy, move |written| {
            written.iter().for_each(|Written { key, version }| near.retract(&key.probe(), *version))
        })
    }
}
