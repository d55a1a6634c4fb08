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

/// The commits of one source that were told since the history began.
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
        let Point { source, number } = place.point;
        if (self.begin.contains)(place.point) {
            return;
        }
        match self.told.iter_mut().find(|stretch| stretch.source == source) {
            Some(stretch) => stretch.last = stretch.last.max(number),
            None => self.told.push(Stretch { source, first: number, last: number }),
        }
    }

    /// A beginning behind all that was told.
    pub(super) fn begin(&self) -> Begin {
        let (told, contained) = (self.told.clone(), Arc::clone(&self.begin.contains));
        let position = self.position();
        let contains = move |point| told.iter().any(|stretch| stretch.has(point)) || contained(point);
        Begin { place: self.place.clone(), position, history: self.begin.history, contains: Arc::new(contains) }
    }

    /// What was told last stands for all of its source, unless that had holes when the history began.
    fn position(&self) -> Position {
        let before = self.begin.position.points();
        let is_alone = |point: &Point| before.iter().filter(|other| other.source == point.source).count() == 1;
        let is_passed = |point: &Point| {
            self.told.iter().any(|stretch| stretch.source == point.source && stretch.last >= point.number)
        };
        let kept = before.iter().filter(|point| !(is_alone(point) && is_passed(point)));
        let told = self.told.iter().map(|stretch| Point { source: stretch.source, number: stretch.last });
        Position::of(&kept.copied().chain(told).collect::<Vec<Point>>())
    }
}
