//! How far a log was told, so that somebody can begin behind it.

use std::sync::Arc;
use std::time::Instant;

use crate::{Begin, Place, Point, Position, Told};

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Reach {
    begin: Begin,
    /// Everything up to here was told.
    pub(super) place: Place,
    /// And the first parts of the commit behind it.
    pub(super) is_inside: bool,
    /// Everything that was acknowledged before this moment was told.
    pub(super) moment: Option<Instant>,
    told: Vec<Stretch>,
}

/// Commits of one source without a hole, the last of which was told since the history began.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    source: u128,
    first: u64,
    last: u64,
}

impl Stretch {
    fn has(&self, point: Point) -> bool {
        point.source == self.source && (self.first..=self.last).contains(&point.number)
    }

    /// Takes another in, if there is no hole between.
    fn join(&mut self, other: &Self) -> bool {
        let is_near = other.first <= self.last.saturating_add(1) && self.first <= other.last.saturating_add(1);
        let joins = self.source == other.source && is_near;
        if joins {
            (self.first, self.last) = (self.first.min(other.first), self.last.max(other.last));
        }
        joins
    }
}

impl Reach {
    pub(super) fn new(begin: Begin) -> Self {
        let place = begin.place.clone();
        Self { begin, place, is_inside: false, moment: None, told: Vec::new() }
    }

    /// One item more.
    pub(super) fn take(&mut self, told: &Told) {
        match told {
            Told::Begin(begin) => *self = Self::new(begin.clone()),
            Told::Commit(commit) if commit.more => self.is_inside = true,
            Told::Commit(commit) => {
                self.is_inside = false;
                self.arrive(&commit.place);
            }
            // Between two parts of its commit it is not the end of it.
            Told::Rewritten { .. } if self.is_inside => {}
            Told::Rewritten { place, .. } => self.arrive(place),
            Told::Current { moment, place } => {
                self.moment = Some(*moment);
                self.arrive(place);
            }
        }
    }

    fn arrive(&mut self, place: &Place) {
        self.place = place.clone();
        let Place { point: Point { source, number }, first, .. } = *place;
        if (self.begin.contains)(place.point) {
            return;
        }
        let mut joined = Stretch { source, first, last: number };
        self.told.retain(|stretch| !joined.join(stretch));
        self.told.push(joined);
    }

    /// A beginning behind all that was told.
    pub(super) fn begin(&self) -> Begin {
        let (told, contained) = (self.told.clone(), Arc::clone(&self.begin.contains));
        let position = self.position();
        let contains = move |point| told.iter().any(|stretch| stretch.has(point)) || contained(point);
        Begin { place: self.place.clone(), position, history: self.begin.history, contains: Arc::new(contains) }
    }

    /// The last of each stretch stands for all of it.
    fn position(&self) -> Position {
        let is_passed = |point: &Point| self.told.iter().any(|stretch| stretch.has(*point));
        let kept = self.begin.position.points().iter().filter(|point| !is_passed(point));
        let told = self.told.iter().map(|stretch| Point { source: stretch.source, number: stretch.last });
        Position::of(&kept.copied().chain(told).collect::<Vec<Point>>())
    }
}
