//! What was told last, for watchers who are a little behind.
//!
//! One for all entities: who watches a quiet one is not behind because another one is busy. So the ring knows for each
//! entity the last thing it has dropped of it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use rowkeep_schema::EntityId;

use crate::{Committed, Place};

/// What a watcher has to look at.
#[derive(Debug, Clone)]
pub(super) enum Heard {
    Commit(Arc<Committed>),
    Rewritten {
        /// Of all entities, if `None`.
        of: Option<EntityId>,
        place: Place,
        more: bool,
    },
}

impl Heard {
    pub(super) fn is_about(&self, entity: EntityId) -> bool {
        match self {
            Self::Commit(commit) => commit.changes.iter().any(|change| change.entity == entity),
            Self::Rewritten { of, .. } => of.is_none_or(|of| of == entity),
        }
    }

    /// The place behind it, unless more of the same commit follows.
    pub(super) fn place(&self) -> Option<&Place> {
        match self {
            Self::Commit(commit) => (!commit.more).then_some(&commit.place),
            Self::Rewritten { place, more, .. } => (!more).then_some(place),
        }
    }
}

/// How far a follower has told.
#[derive(Debug, Clone)]
pub(super) struct Reached {
    /// Everything up to here.
    pub(super) place: Place,
    /// Everything that was acknowledged by then.
    pub(super) moment: Option<Instant>,
    /// The first parts of the commit behind it as well.
    pub(super) is_inside: bool,
}

/// See the [module](self).
pub(super) struct Ring {
    /// Number of the first item.
    first: u64,
    items: VecDeque<(Heard, usize)>,
    bytes: usize,
    max_bytes: usize,
    /// By entity: behind the last item about it that was dropped.
    dropped: Vec<u64>,
    pub(super) reached: Reached,
}

/// What is next for a watcher.
pub(super) enum Next {
    Item(Heard),
    /// Nothing, up to where the follower is.
    Nothing,
    /// It was dropped.
    Dropped,
}

impl Ring {
    pub(super) fn new(entities: usize, max_bytes: usize, place: Place) -> Self {
        let reached = Reached { place, moment: None, is_inside: false };
        Self { first: 0, items: VecDeque::new(), bytes: 0, max_bytes, dropped: vec![0; entities], reached }
    }

    pub(super) fn end(&self) -> u64 {
        self.first + self.items.len() as u64
    }

    pub(super) fn push(&mut self, item: Heard) {
        if let Some(place) = item.place() {
            self.reached.place = place.clone();
        }
        self.reached.is_inside = item.place().is_none();
        let bytes = weight(&item);
        self.bytes += bytes;
        self.items.push_back((item, bytes));
        while self.bytes > self.max_bytes && self.items.len() > 1 {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        let Some((item, bytes)) = self.items.pop_front() else { return };
        self.bytes -= bytes;
        self.first += 1;
        let first = self.first;
        match &item {
            Heard::Commit(commit) => {
                for change in &commit.changes {
                    if let Some(dropped) = self.dropped.get_mut(change.entity.index()) {
                        *dropped = first;
                    }
                }
            }
            Heard::Rewritten { of: Some(entity), .. } => self.dropped[entity.index()] = first,
            Heard::Rewritten { of: None, .. } => self.dropped.fill(first),
        }
    }

    /// The next item about an entity from `at` on, which moves behind it.
    pub(super) fn next(&self, entity: EntityId, at: &mut u64) -> Next {
        if *at < self.dropped.get(entity.index()).copied().unwrap_or(0) {
            return Next::Dropped;
        }
        *at = (*at).max(self.first);
        while let Some((item, _)) = usize::try_from(*at - self.first).ok().and_then(|at| self.items.get(at)) {
            *at += 1;
            if item.is_about(entity) {
                return Next::Item(item.clone());
            }
        }
        Next::Nothing
    }

    /// Behind which item a place is, if it is one that is remembered.
    pub(super) fn find(&self, place: &Place) -> Option<u64> {
        if self.reached.place == *place && !self.reached.is_inside {
            return Some(self.end());
        }
        let found = self.items.iter().rposition(|(item, _)| item.place() == Some(place))?;
        Some(self.first + found as u64 + 1)
    }
}

/// About the memory that it takes.
fn weight(item: &Heard) -> usize {
    match item {
        Heard::Commit(commit) => commit.weight(),
        Heard::Rewritten { .. } => size_of::<Heard>(),
    }
}

#[cfg(test)]
mod tests {
    use rowkeep_record::Value;

    use super::*;
    use crate::{Point, RowChange, Stored};

    fn place(number: u64) -> Place {
        Place { base: Arc::from(*b"log"), point: Point { source: 0, number }, first: 0 }
    }

    fn commit(number: u64, entity: u16, bytes: usize, more: bool) -> Heard {
        let values = vec![Value::Blob(vec![0; bytes].into())];
        let after = Some(Stored { values, version: number, deleted_at: None });
        let changes = vec![RowChange { entity: EntityId(entity), before: None, after }];
        Heard::Commit(Arc::new(Committed { place: place(number), more, at: 0, changes }))
    }

    fn number(next: &Next) -> Option<u64> {
        match next {
            Next::Item(item) => item.place().map(|place| place.point.number),
            Next::Nothing | Next::Dropped => None,
        }
    }

    #[test]
    fn who_watches_a_quiet_entity_is_not_behind_because_another_is_busy() {
        let mut ring = Ring::new(2, 10_000, place(0));
        let (mut busy, mut quiet) = (ring.end(), ring.end());
        for at in 1..100 {
            ring.push(commit(at, 0, 1000, false));
        }
        assert!(matches!(ring.next(EntityId(0), &mut busy), Next::Dropped));
        assert!(matches!(ring.next(EntityId(1), &mut quiet), Next::Nothing));
        ring.push(commit(100, 1, 10, false));
        assert_eq!(number(&ring.next(EntityId(1), &mut quiet)), Some(100));
        assert!(ring.bytes <= 10_000 && ring.items.len() < 20);
    }

    #[test]
    fn a_place_is_found_as_long_as_what_is_behind_it_is_kept() {
        let mut ring = Ring::new(1, 5000, place(7));
        assert_eq!(ring.find(&place(7)), Some(0));
        for at in 8..30 {
            ring.push(commit(at, 0, 1000, false));
        }
        let mut from = ring.find(&place(28)).expect("kept");
        assert_eq!(number(&ring.next(EntityId(0), &mut from)), Some(29));
        assert_eq!(ring.find(&place(29)), Some(ring.end()));
        assert_eq!(ring.find(&place(9)), None);
        assert_eq!(ring.find(&place(31)), None);
    }

    #[test]
    fn nobody_joins_inside_a_commit() {
        let mut ring = Ring::new(1, 5000, place(7));
        ring.push(commit(8, 0, 10, true));
        assert_eq!(ring.find(&place(8)), None);
        assert_eq!(ring.find(&place(7)), None, "behind its first part it is too late");
        ring.push(Heard::Rewritten { of: Some(EntityId(0)), place: place(8), more: true });
        assert_eq!(ring.find(&place(8)), None, "what follows would be missed");
        ring.push(commit(8, 0, 10, false));
        assert_eq!(ring.find(&place(8)), Some(3));
    }
}
