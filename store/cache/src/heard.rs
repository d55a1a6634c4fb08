//! What the log told, and whom that is enough for.
//!
//! The places of sessions ([`Point`]s) are not ordered with the numbers that the cache gives to changes. What can be asked of
//! them is whether the log told them: then the cache contains them, since it drops what lacks a change before readers are told
//! of it. For the ordinary session, which has one point of the source that is told now, that is two atomic reads.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rowkeep_engine::{Begin, Point, Position};

use crate::now;

/// Sources of commits that are told of at a time. Commits of further ones are not known to be told, and what copies of the
/// storage would have to be asked is not known either.
const SOURCES: usize = 32;

/// What was told.
pub(crate) struct Heard {
    start: Instant,
    /// Microseconds from `start` to the moment before which everything was told; 0: none is known.
    moment: AtomicU64,
    known: AtomicUsize,
    sources: Box<[Source]>,
    /// There were more.
    overflown: AtomicBool,
    /// The beginning of the history that is told.
    history: Mutex<Option<Begin>>,
}

/// The commits of one source, since the history began.
#[derive(Debug, Default)]
struct Source {
    /// Both halves of its name, which does not change once it is known.
    name: [AtomicU64; 2],
    /// The first and the last that readers may know to be told; none while the last is 0.
    first: AtomicU64,
    last: AtomicU64,
    /// The last that a copy of the storage is asked for. Ahead of `last` while slots are told.
    asked: AtomicU64,
}

impl Default for Heard {
    fn default() -> Self {
        Self {
            start: now(),
            moment: AtomicU64::new(0),
            known: AtomicUsize::new(0),
            sources: (0..SOURCES).map(|_| Source::default()).collect(),
            overflown: AtomicBool::new(false),
            history: Mutex::default(),
        }
    }
}

impl Heard {
    /// Nothing is known to be told any more.
    pub(crate) fn forget(&self) {
        self.moment.store(0, Ordering::Release);
        for source in self.sources() {
            source.last.store(0, Ordering::Release);
            source.asked.store(0, Ordering::Release);
        }
        *self.history() = None;
    }

    /// A history begins, after the one before was [forgotten](Self::forget).
    pub(crate) fn begin(&self, begin: Begin) {
        *self.history() = Some(begin);
    }

    /// Copies of the storage are asked for this commit from now on. Before slots are told of it.
    pub(crate) fn ask(&self, point: Point) {
        match self.source_or_add(point.source) {
            Some(source) => drop(source.asked.fetch_max(point.number, Ordering::AcqRel)),
            None => self.overflown.store(true, Ordering::Release),
        }
    }

    /// Slots were told of this commit, and of all before it.
    pub(crate) fn tell(&self, point: Point) {
        let Some(source) = self.source_or_add(point.source) else { return };
        if source.last.load(Ordering::Acquire) == 0 {
            source.first.store(point.number, Ordering::Release);
        }
        source.last.fetch_max(point.number, Ordering::AcqRel);
    }

    /// Everything that was acknowledged before this moment was told.
    pub(crate) fn current(&self, moment: Instant) {
        let micros = moment.saturating_duration_since(self.start).as_micros();
        self.moment.fetch_max(u64::try_from(micros).unwrap_or(u64::MAX).max(1), Ordering::AcqRel);
    }

    /// How long ago everything that was acknowledged had been told; `None` if that is not known.
    pub(crate) fn lag(&self, now: Instant) -> Option<Duration> {
        match self.moment.load(Ordering::Acquire) {
            0 => None,
            micros => Some(now.saturating_duration_since(self.start + Duration::from_micros(micros))),
        }
    }

    /// Whether everything here was told.
    pub(crate) fn contains(&self, seen: &Position) -> bool {
        seen.points().iter().all(|point| self.contains_point(*point))
    }

    /// What to ask of a copy of the storage, so that it contains all changes that slots were told of; `None` if that is not
    /// known.
    pub(crate) fn asked(&self) -> Option<Position> {
        if self.overflown.load(Ordering::Acquire) {
            return None;
        }
        let base = self.history().as_ref()?.position.clone();
        let told = self.sources().iter().filter_map(Source::asked);
        let points: Vec<Point> = told.chain(base.points().iter().copied()).collect();
        Some(Position::of(&points))
    }

    /// Whether who has seen `by` has seen this as well, as far as is known.
    pub(crate) fn covers(&self, by: &Position, point: Point) -> bool {
        if by.points().contains(&point) {
            return true;
        }
        match self.source(point.source).and_then(Source::first) {
            // Numbers of one source and one history are in the order of its commits.
            Some(first) if point.number >= first => {
                by.points().iter().any(|other| other.source == point.source && other.number >= point.number)
            }
            // Of the beginning, which is in everything that is read since.
            _ => !by.is_empty() && self.is_of_the_beginning(point),
        }
    }

    fn contains_point(&self, point: Point) -> bool {
        let is_told = self.source(point.source).is_some_and(|source| source.is_told(point.number));
        is_told || self.is_of_the_beginning(point)
    }

    fn is_of_the_beginning(&self, point: Point) -> bool {
        let contains = self.history().as_ref().map(|begin| begin.contains.clone());
        contains.is_some_and(|contains| contains(point))
    }

    fn sources(&self) -> &[Source] {
        &self.sources[..self.known.load(Ordering::Acquire)]
    }

    fn source(&self, name: u128) -> Option<&Source> {
        self.sources().iter().find(|source| source.is(name))
    }

    /// Only the follower adds.
    fn source_or_add(&self, name: u128) -> Option<&Source> {
        if let Some(source) = self.source(name) {
            return Some(source);
        }
        let known = self.known.load(Ordering::Acquire);
        let source = self.sources.get(known)?;
        source.name[0].store((name >> 64) as u64, Ordering::Relaxed);
        #[expect(clippy::cast_possible_truncation, reason = "the other half is in the other number")]
        source.name[1].store(name as u64, Ordering::Relaxed);
        self.known.store(known + 1, Ordering::Release);
        Some(source)
    }

    fn history(&self) -> MutexGuard<'_, Option<Begin>> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source {
    fn name(&self) -> u128 {
        let [high, low] = &self.name;
        u128::from(high.load(Ordering::Relaxed)) << 64 | u128::from(low.load(Ordering::Relaxed))
    }

    fn is(&self, name: u128) -> bool {
        self.name() == name
    }

    fn is_told(&self, number: u64) -> bool {
        let last = self.last.load(Ordering::Acquire);
        number <= last && number >= self.first.load(Ordering::Acquire) && last > 0
    }

    fn first(&self) -> Option<u64> {
        (self.last.load(Ordering::Acquire) > 0).then(|| self.first.load(Ordering::Acquire))
    }

    fn asked(&self) -> Option<Point> {
        let number = self.asked.load(Ordering::Acquire);
        (number > 0).then(|| Point { source: self.name(), number })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rowkeep_engine::Place;

    use super::*;

    fn at(source: u128, number: u64) -> Point {
        Point { source, number }
    }

    /// A history that contains the first 100 commits of source 1.
    fn heard() -> Heard {
        let heard = Heard::default();
        let place = Place { base: [].into(), point: at(1, 100) };
        let contains = Arc::new(|point: Point| point.source == 1 && point.number <= 100);
        heard.begin(Begin { position: place.point.into(), place, history: 1, contains });
        heard
    }

    #[test]
    fn a_point_is_contained_once_it_is_told() {
        let heard = heard();
        let seen = |points: &[Point]| heard.contains(&Position::of(points));
        assert!(seen(&[]) && seen(&[at(1, 100)]) && !seen(&[at(1, 101)]) && !seen(&[at(2, 1)]));
        heard.ask(at(1, 101));
        assert!(!seen(&[at(1, 101)]), "slots are being told");
        heard.tell(at(1, 101));
        heard.tell(at(2, 7));
        assert!(seen(&[at(1, 101), at(2, 7)]) && !seen(&[at(1, 101), at(2, 8)]) && !seen(&[at(3, 1)]));
        // Before the first that was told, and not of the beginning: of a history that is lost.
        assert!(!seen(&[at(2, 6)]));
        heard.forget();
        assert!(!seen(&[at(1, 100)]) && !seen(&[at(1, 101)]) && heard.lag(now()).is_none());
    }

    #[test]
    fn a_copy_is_asked_for_what_slots_are_about_to_be_told() {
        let heard = heard();
        assert_eq!(heard.asked().unwrap().points(), [at(1, 100)]);
        heard.ask(at(1, 102));
        heard.ask(at(2, 7));
        assert_eq!(heard.asked().unwrap().points(), [at(1, 102), at(2, 7), at(1, 100)]);
    }

    #[test]
    fn more_sources_than_there_is_room_for_are_not_contained() {
        let heard = heard();
        (0..100).for_each(|source| heard.tell(at(1000 + source, 1)));
        assert!(heard.contains(&at(1000, 1).into()) && !heard.contains(&at(1099, 1).into()));
        assert!(heard.asked().is_some());
        heard.ask(at(1099, 1));
        assert!(heard.asked().is_none());
    }

    #[test]
    fn a_point_is_covered_by_a_later_one_of_its_source_and_history() {
        let heard = heard();
        heard.tell(at(1, 101));
        heard.tell(at(1, 103));
        let by = Position::of(&[at(1, 102)]);
        assert!(heard.covers(&by, at(1, 101)) && heard.covers(&by, at(1, 102)) && !heard.covers(&by, at(1, 103)));
        assert!(heard.covers(&by, at(1, 50)), "of the beginning");
        assert!(!heard.covers(&by, at(3, 1)), "of nobody knows what");
        assert!(!heard.covers(&Position::default(), at(1, 50)));
    }
}
