//! Sets of commits.

use std::sync::Arc;

use crate::{Point, Position};

/// Commits of one source without a hole between their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The stream of commits, as of a [`Point`].
    pub source: u128,
    /// The first number.
    pub first: u64,
    /// The last.
    pub last: u64,
}

impl Run {
    /// Whether a commit is in it.
    pub fn contains(&self, point: Point) -> bool {
        self.source == point.source && (self.first..=self.last).contains(&point.number)
    }

    /// Whether all of another run is in it.
    pub fn contains_all(&self, other: &Self) -> bool {
        self.source == other.source && self.first <= other.first && other.last <= self.last
    }

    /// Takes another one in, if no number lies between the two.
    fn join(&mut self, other: &Self) -> bool {
        let is_near = other.first <= self.last.saturating_add(1) && self.first <= other.last.saturating_add(1);
        let joins = self.source == other.source && is_near;
        if joins {
            (self.first, self.last) = (self.first.min(other.first), self.last.max(other.last));
        }
        joins
    }

    fn end(&self) -> Point {
        Point { source: self.source, number: self.last }
    }
}

/// A set of commits: of each source one run, or several with holes between.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Runs(Kept);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Kept {
    #[default]
    None,
    /// Without an allocation, because it is the ordinary case.
    One([Run; 1]),
    Many(Arc<[Run]>),
}

impl Runs {
    /// The runs, in the order of their addition. Each is as long as it can be.
    pub fn as_slice(&self) -> &[Run] {
        match &self.0 {
            Kept::None => &[],
            Kept::One(run) => run,
            Kept::Many(runs) => runs,
        }
    }

    /// There are no commits.
    pub fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }

    /// Whether a commit is among them.
    pub fn contains(&self, point: Point) -> bool {
        self.as_slice().iter().any(|run| run.contains(point))
    }

    /// Whether all of another set are.
    pub fn contains_all(&self, other: &Self) -> bool {
        other.as_slice().iter().all(|run| self.as_slice().iter().any(|own| own.contains_all(run)))
    }

    /// Adds commits. What they join takes the place of the first run that they touch.
    pub fn add(&mut self, run: Run) {
        if self.as_slice().iter().any(|own| own.contains_all(&run)) {
            return;
        }
        if let Kept::One([own]) = &mut self.0
            && own.join(&run)
        {
            return;
        }
        let (mut joined, mut place) = (run, None);
        let mut runs = Vec::with_capacity(self.as_slice().len() + 1);
        for own in self.as_slice() {
            if !joined.join(own) {
                runs.push(*own);
            } else if place.is_none() {
                place = Some(runs.len());
            }
        }
        runs.insert(place.unwrap_or(runs.len()), joined);
        self.0 = match runs[..] {
            [run] => Kept::One([run]),
            _ => Kept::Many(runs.into()),
        };
    }

    /// Adds all of another set.
    pub fn add_all(&mut self, other: &Self) {
        other.as_slice().iter().for_each(|run| self.add(*run));
    }

    /// The last commits before the holes and the ends: who contains these contains all, if he takes in the commits of a source in
    /// the order of their numbers.
    pub fn position(&self) -> Position {
        match self.as_slice() {
            [] => Position::default(),
            [run] => run.end().into(),
            runs => Position::of(&runs.iter().map(Run::end).collect::<Vec<Point>>()),
        }
    }
}

impl From<Run> for Runs {
    fn from(run: Run) -> Self {
        Self(Kept::One([run]))
    }
}

impl FromIterator<Run> for Runs {
    fn from_iter<I: IntoIterator<Item = Run>>(runs: I) -> Self {
        let mut all = Self::default();
        runs.into_iter().for_each(|run| all.add(run));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(source: u128, first: u64, last: u64) -> Run {
        Run { source, first, last }
    }

    fn runs(of: &[(u64, u64)]) -> Runs {
        of.iter().map(|(first, last)| run(7, *first, *last)).collect()
    }

    #[test]
    fn runs_grow_join_and_keep_their_place() {
        let mut all: Runs = [run(1, 1, 5), run(7, 1, 5), run(9, 3, 3)].into_iter().collect();
        all.add(run(7, 8, 9));
        all.add(run(7, 1, 6));
        assert_eq!(all.as_slice(), [run(1, 1, 5), run(7, 1, 6), run(9, 3, 3), run(7, 8, 9)]);
        all.add(run(7, 7, 7));
        assert_eq!(all.as_slice(), [run(1, 1, 5), run(7, 1, 9), run(9, 3, 3)]);
        all.add(run(7, 2, 4));
        assert_eq!(all.as_slice()[1], run(7, 1, 9));
        let at = |source, number| Point { source, number };
        assert_eq!(all.position().points(), [at(1, 5), at(7, 9), at(9, 3)]);
        assert!(all.contains(at(7, 7)) && !all.contains(at(9, 4)) && !all.contains(at(2, 1)));
        assert_eq!(runs(&[(u64::MAX, u64::MAX), (1, u64::MAX - 1)]), runs(&[(1, u64::MAX)]));
    }

    /// Against sets of numbers.
    #[test]
    fn runs_are_sets() {
        let sets: Vec<(Runs, u64)> = (0..512_u64)
            .map(|bits| {
                let of = (0..9).filter(|bit| bits & 1 << bit != 0);
                (of.map(|bit| run(7, bit + 1, bit + 1)).collect(), bits)
            })
            .collect();
        for (set, bits) in &sets {
            let in_order = set.as_slice().windows(2).all(|pair| pair[0].last + 1 < pair[1].first);
            assert!(
                in_order
                    && set.as_slice().iter().map(|run| run.last - run.first + 1).sum::<u64>()
                        == u64::from(bits.count_ones())
            );
            for (other, other_bits) in &sets {
                assert_eq!(set.contains_all(other), bits & other_bits == *other_bits, "{set:?} {other:?}");
                let mut both = set.clone();
                both.add_all(other);
                let mut expected = sets[usize::try_from(bits | other_bits).unwrap()].0.as_slice().to_vec();
                let mut found = both.as_slice().to_vec();
                expected.sort_by_key(|run| run.first);
                found.sort_by_key(|run| run.first);
                assert_eq!(found, expected, "{set:?} {other:?}");
            }
        }
    }
}
