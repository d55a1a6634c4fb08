//! Empties the slots of what this process writes, before the writer is answered.
//!
//! The log will tell of it, in a moment; until then others would be answered what the writer knows to be old. The writer waits for it,
//! but not long: nothing depends on it that was promised.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kit_core::{Error, Reply};
use rowkeep_engine::{LoadBatch, LoadOutcome, Notes, Outcome, Program};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::Shared;
use super::entry::name;
use super::many::all;
use crate::counts::Count;
use crate::near::RowKey;
use crate::noted::{Noted, Written};
use crate::now;
use crate::remote::Name;

/// How long a writer waits.
const LIMIT: Duration = Duration::from_millis(50);
/// Names that are sent together.
const PIECE: usize = 1_000;

impl Shared {
    pub(super) fn transact(self: &Arc<Self>, mut program: Program) -> Reply<'static, Result<Outcome, Error>> {
        let (shared, noted) = (Arc::clone(self), self.noted());
        program.note(Arc::clone(&noted) as Arc<dyn Notes>);
        let done = self.rows.transact(program);
        Reply::later(async move {
            let outcome = done.await;
            shared.retract(keys(noted.take())).await;
            outcome
        })
    }

    pub(super) fn load(self: &Arc<Self>, batch: LoadBatch) -> Reply<'static, Result<LoadOutcome, Error>> {
        let (shared, noted) = (Arc::clone(self), self.noted());
        noted.load(&batch);
        let done = self.rows.load(batch);
        Reply::later(async move {
            let outcome = done.await;
            shared.retract(keys(noted.take())).await;
            outcome
        })
    }

    /// Who does not wait for what he writes leaves it to be emptied by itself.
    fn noted(self: &Arc<Self>) -> Arc<Noted> {
        let shared = Arc::clone(self);
        Noted::new(&self.policy, move |written| {
            let shared = Arc::clone(&shared);
            // Without a runtime nobody is left to be answered.
            if let (false, Ok(runtime)) = (written.is_empty(), Handle::try_current()) {
                drop(runtime.spawn(async move { shared.retract(keys(written)).await }));
            }
        })
    }

    /// Empties slots that this process wrote, and ends what is on its way to them.
    async fn retract(&self, keys: Vec<RowKey>) {
        self.empty(&keys).await;
        // Behind that: what began before may have found the slots as they were.
        self.flights.end_written(&keys);
    }

    /// Empties slots.
    pub(super) async fn empty(&self, keys: &[RowKey]) {
        let mut names: HashMap<usize, Vec<Name>> = HashMap::new();
        for key in keys {
            let (shard, name) = name(key, self.keepers.len());
            // Nobody is answered from a shard that is passed by, and nobody need wait for it.
            if self.keepers[shard].link.is_on() {
                names.entry(shard).or_default().push(name);
            }
        }
        let mut pieces = Vec::new();
        for (shard, names) in &names {
            pieces.extend(names.chunks(PIECE).map(|piece| (*shard, piece.to_vec())));
        }
        let retracted = all(pieces.into_iter().map(|(shard, names)| async move {
            let asked = now();
            let retracted = self.remote.retract(shard, names).await;
            self.timed(asked, &retracted);
            retracted.is_ok()
        }));
        let is_done = timeout(LIMIT, retracted).await.is_ok_and(|done| done.into_iter().all(|done| done));
        if !is_done {
            self.counts.add(Count::Unretracted);
        }
    }
}

fn keys(written: Vec<Written>) -> Vec<RowKey> {
    written.into_iter().map(|written| written.key).collect()
}
