//! Answers from memory, as the [auditor](crate::audit) looks at them.

use rowkeep_engine::View;

use super::Shared;
use crate::audit::{Audited, Parts, Peeked, view};
use crate::near::{Held, Kept, Probe, RowKey};
use crate::now;

impl Audited for Shared {
    type Entry = Kept;

    const NAME: &'static str = "memory";

    fn parts(&self) -> Parts<'_> {
        let Self { rows, heard, policy, counts, sampler, .. } = self;
        Parts { sampler, counts, policy, heard, rows: &**rows }
    }

    async fn peek(&self, key: &RowKey, view: View) -> Peeked<Kept> {
        self.near.get(&key.probe()).filter(|kept| kept.suits(view, now())).map_or(Peeked::Gone, Peeked::Entry)
    }

    fn held(entry: &Kept) -> &Held {
        &entry.held
    }

    fn is_same(entry: &Kept, other: &Kept) -> bool {
        entry.is(other)
    }

    async fn drop_entry(&self, key: RowKey) {
        self.near.retract(&key.probe(), None);
    }
}

impl Shared {
    /// The entry that a reader would be answered from now.
    pub(super) fn entry(&self, probe: &Probe<'_>) -> Option<Kept> {
        self.near.get(probe).filter(|kept| kept.suits(view(), now()))
    }
}
