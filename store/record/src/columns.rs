//! A set of columns.

use rowkeep_schema::ColumnId;
use smallvec::SmallVec;

/// A set of an entity's columns. Up to 128 columns need no allocation.
#[derive(Debug, Clone, Default)]
pub struct ColumnSet(SmallVec<[u64; 2]>);

impl ColumnSet {
    /// No column.
    pub fn new() -> Self {
        Self::default()
    }

    /// The first `count` columns.
    pub fn all(count: usize) -> Self {
        (0..count).map(column).collect()
    }

    /// Adds a column; whether it was new.
    pub fn insert(&mut self, id: ColumnId) -> bool {
        let (word, bit) = place(id);
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        let new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        new
    }

    /// Takes a column out; whether it was in.
    pub fn remove(&mut self, id: ColumnId) -> bool {
        let (word, bit) = place(id);
        let Some(word) = self.0.get_mut(word) else { return false };
        let was = *word & bit != 0;
        *word &= !bit;
        was
    }

    /// Whether a column is in.
    pub fn contains(&self, id: ColumnId) -> bool {
        let (word, bit) = place(id);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }

    /// Whether no column is in.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// How many columns are in.
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// The columns, in order.
    pub fn iter(&self) -> impl Iterator<Item = ColumnId> + '_ {
        (0..self.0.len() * 64).map(column).filter(|id| self.contains(*id))
    }
}

impl FromIterator<ColumnId> for ColumnSet {
    fn from_iter<I: IntoIterator<Item = ColumnId>>(ids: I) -> Self {
        let mut set = Self::new();
        for id in ids {
            set.insert(id);
        }
        set
    }
}

impl PartialEq for ColumnSet {
    fn eq(&self, other: &Self) -> bool {
        let word = |set: &Self, at: usize| set.0.get(at).copied().unwrap_or(0);
        (0..self.0.len().max(other.0.len())).all(|at| word(self, at) == word(other, at))
    }
}

impl Eq for ColumnSet {}

fn place(id: ColumnId) -> (usize, u64) {
    (id.index() / 64, 1 << (id.index() % 64))
}

#[expect(clippy::cast_possible_truncation, reason = "column ids are 16 bits wide")]
fn column(index: usize) -> ColumnId {
    ColumnId(index as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_in_whatever_its_capacity() {
        let mut set = ColumnSet::new();
        assert!(set.insert(ColumnId(3)));
        assert!(set.insert(ColumnId(200)));
        assert!(!set.insert(ColumnId(200)));
        assert_eq!(set.iter().collect::<Vec<_>>(), [ColumnId(3), ColumnId(200)]);
        assert_eq!(set.len(), 2);
        assert!(set.remove(ColumnId(200)));
        assert_eq!(set, ColumnSet::from_iter([ColumnId(3)]));
        assert!(!set.contains(ColumnId(9999)));
    }
}
