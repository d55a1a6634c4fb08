//! Answers from the server, as the [auditor](crate::audit) looks at them.

use rowkeep_engine::View;

use super::Shared;
use super::entry::Found;
use super::read::Looked;
use crate::audit::{Audited, Parts, Peeked};
use crate::near::{Held, RowKey};

impl Audited for Shared {
    type Entry = Found;

    const NAME: &'static str = "shared";

    fn parts(&self) -> Parts<'_> {
        let Self { rows, heard, policy, counts, sampler, .. } = self;
        Parts { sampler, counts, policy, heard, rows: &**rows }
    }

    /// As readers do: whatever this process told the shard before has to be in what it answers.
    async fn peek(&self, key: &RowKey, view: View) -> Peeked<Found> {
        match self.look(key, view).await {
            Looked::Found(found) => Peeked::Entry(found),
            Looked::Missing(_) => Peeked::Gone,
            Looked::Past => Peeked::Away,
        }
    }

    fn held(entry: &Found) -> &Held {
        &entry.held
    }

    /// Of two that say the same of a row that was another meanwhile, the later has seen what changed it back.
    fn is_same(entry: &Found, other: &Found) -> bool {
        entry == other
    }

    async fn drop_entry(&self, key: RowKey) {
        self.empty(&[key]).await;
    }
}
