//! How far a log was told, so that somebody can begin behind it.

use std::time::Instant;

use crate::{Begin, Place, Runs, Told};

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Reach {
    history: u128,
    /// Everything up to here was told.
    pub(super) place: Place,
    /// And the first parts of the commit behind it.
    pub(super) is_inside: bool,
    /// Everything that was acknowledged before this moment was told.
    pub(super) moment: Option<Instant>,
    /// All of it, and of the beginning.
    told: Runs,
}

impl Reach {
    pub(super) fn new(begin: Begin) -> Self {
        let Begin { place, history, contained } = begin;
        Self { history, place, is_inside: false, moment: None, told: contained }
    }

    /// One item more.
    pub(super) fn take(&mut self, told: &Told) {
        match told {
            Told::Begin(begin) => *self = Self::new(begin.clone()),
            Told::Commit(_) | Told::Rewritten { .. } => {
                self.is_inside = told.end().is_none();
                if let Some(place) = told.end() {
                    self.arrive(place);
                }
            }
            Told::Current { moment, place } => {
                self.moment = Some(*moment);
                self.arrive(place);
            }
        }
    }

    fn arrive(&mut self, place: &Place) {
        self.place = place.clone();
        if place.point.number > 0 {
            self.told.add(place.run());
        }
    }

    /// A beginning behind all that was told.
    pub(super) fn begin(&self) -> Begin {
        Begin { place: self.place.clone(), contained: self.told.clone(), history: self.history }
    }
}
