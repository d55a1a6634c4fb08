//! What the log told, and whom that is enough for.
//!
//! The places of sessions ([`Point`]s) are not ordered with the numbers that the cache gives to changes. What can be asked of
//! them is whether the log told them: then the cache contains them, since it drops what lacks a change before readers are told
//! of it. For the ordinary session, which has one point of the source that is told now, that is two atomic reads.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rowkeep_engine::{Begin, Place, Point, Position};

use crate::now;

/// Stretches of commits that are known at a time. Commits of further ones are not known to be told, and what copies of the
/// storage would have to be asked is not known either.
const STRETCHES: usize = 32;

/// What was told.
pub(crate) struct Heard {
    start: Instant,
    /// Microseconds from `start` to the moment before which everything was told; 0: none is known.
    moment: AtomicU64,
    known: AtomicUsize,
    stretches: Box<[Stretch]>,
    /// There were more.
    overflown: AtomicBool,
    /// The beginning of the history that is told.
    history: Mutex<Option<Begin>>,
}

/// Commits of one source without a hole between their numbers. There is one of each source, unless commits are told in
/// another order than that of their numbers.
#[derive(Debug, Default)]
struct Stretch {
    /// Both halves of the source's name, which does not change once it is known.
    name: [AtomicU64; 2],
    /// The first and the last that readers may know to be told; none while the last is 0.
    first: AtomicU64,
    last: AtomicU64,
    /// The last that a copy of the storage is asked for; none if it is 0. Ahead of `last` while slots are told.
    asked: AtomicU64,
    /// The last that a session had seen when it was not told yet.
    missed: AtomicU64,
}

impl Default for Heard {
    fn default() -> Self {
        Self {
            start: now(),
            moment: AtomicU64::new(0),
            known: AtomicUsize::new(0),
            stretches: (0..STRETCHES).map(|_| Stretch::default()).collect(),
            overflown: AtomicBool::new(false),
            history: Mutex::default(),
        }
    }
}

impl Heard {
    /// Nothing is known to be told any more.
    pub(crate) fn forget(&self) {
        self.moment.store(0, Ordering::Release);
        // Held until the stretches are empty: what is asked for in between would be less than was told.
        let mut history = self.history();
        self.stretches().iter().for_each(Stretch::empty);
        self.overflown.store(false, Ordering::Release);
        *history = None;
    }

    /// A history begins, after the one before was [forgotten](Self::forget).
    pub(crate) fn begin(&self, begin: Begin) {
        *self.history() = Some(begin);
    }

    /// Copies of the storage are asked for the commit before this place from now on. Before slots are told of it.
    pub(crate) fn ask(&self, place: &Place) {
        let number = place.point.number;
        match self.reached(place).or_else(|| self.add(place)) {
            Some(stretch) => drop(stretch.asked.fetch_max(number, Ordering::AcqRel)),
            None => self.overflown.store(true, Ordering::Release),
        }
    }

    /// Slots were told of the commit before this place, and of all that lead up to it without a hole. It was
    /// [asked](Self::ask) for.
    pub(crate) fn tell(&self, place: &Place) {
        let Some(stretch) = self.reached(place) else { return };
        stretch.last.fetch_max(place.point.number, Ordering::AcqRel);
        // It may fill the hole before another one.
        let next = |other: &&Stretch| other.is(place.point.source) && other.begins_behind(stretch);
        // Held while one becomes part of the other, so that what is asked for lacks neither.
        let _history = self.history();
        while let Some(other) = self.stretches().iter().find(next) {
            stretch.asked.fetch_max(other.asked.load(Ordering::Acquire), Ordering::AcqRel);
            stretch.last.fetch_max(other.last.load(Ordering::Acquire), Ordering::AcqRel);
            other.empty();
        }
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

    /// The same of what a session has seen, whose reader goes past the cache if it is not so.
    pub(crate) fn contains_seen(&self, seen: &Position) -> bool {
        let is_told = self.contains(seen);
        if !is_told {
            self.miss(seen);
        }
        is_told
    }

    #[cold]
    fn miss(&self, seen: &Position) {
        for point in seen.points() {
            // What lies behind the last commit of its source. One of a source that was never told may be of a lost history.
            if let Some(stretch) = self.stretches_of(point.source).max_by_key(|stretch| stretch.last()) {
                stretch.missed.fetch_max(point.number, Ordering::AcqRel);
            }
        }
    }

    /// How many commits behind the last that was told a session had seen.
    pub(crate) fn behind(&self) -> u64 {
        let of = |stretch: &Stretch| stretch.missed.load(Ordering::Acquire).saturating_sub(stretch.last());
        self.stretches().iter().filter(|stretch| stretch.last() > 0).map(of).sum()
    }

    /// What to ask of a copy of the storage, so that it contains all changes that slots were told of; `None` if that is not
    /// known.
    pub(crate) fn asked(&self) -> Option<Position> {
        if self.overflown.load(Ordering::Acquire) {
            return None;
        }
        let history = self.history();
        let base = history.as_ref()?.contained.position();
        let told = self.stretches().iter().filter_map(Stretch::asked);
        let points: Vec<Point> = told.chain(base.points().iter().copied()).collect();
        Some(Position::of(&points))
    }

    /// Whether who has seen `by` has seen this as well, as far as is known.
    pub(crate) fn covers(&self, by: &Position, point: Point) -> bool {
        if by.is_empty() {
            return false;
        }
        if by.points().contains(&point) {
            return true;
        }
        let firsts = self.stretches_of(point.source).filter_map(Stretch::first);
        let Some(first) = firsts.filter(|first| *first <= point.number).max() else {
            return self.covers_beginning(by, point);
        };
        let of_it = by.points().iter().filter(|other| other.source == point.source && other.number >= first);
        // Several of one stretch are the last before a hole each: of what lies behind a hole nothing is known.
        of_it.map(|other| other.number).min().is_some_and(|number| number >= point.number)
    }

    /// The same for a commit of the beginning: it is in everything that was read since, and in what was read before and has a
    /// later one of the same source, unless there is a hole between them.
    fn covers_beginning(&self, by: &Position, point: Point) -> bool {
        let history = self.history();
        let Some(begin) = history.as_ref() else { return false };
        let Some(run) = begin.contained.as_slice().iter().find(|run| run.contains(point)) else { return false };
        let before = by.points().iter().filter(|other| run.contains(**other)).map(|other| other.number).min();
        let is_since = |other: &Point| !begin.contained.contains(*other) && self.is_told(*other);
        before.is_some_and(|number| number >= point.number) || by.points().iter().any(is_since)
    }

    fn is_told(&self, point: Point) -> bool {
        self.stretches_of(point.source).any(|stretch| stretch.is_told(point.number))
    }

    fn contains_point(&self, point: Point) -> bool {
        self.is_told(point) || self.is_of_the_beginning(point)
    }

    fn is_of_the_beginning(&self, point: Point) -> bool {
        self.history().as_ref().is_some_and(|begin| begin.contained.contains(point))
    }

    fn stretches(&self) -> &[Stretch] {
        &self.stretches[..self.known.load(Ordering::Acquire)]
    }

    fn stretches_of(&self, source: u128) -> impl Iterator<Item = &Stretch> {
        self.stretches().iter().filter(move |stretch| stretch.is(source))
    }

    /// The stretch that goes on to this place.
    fn reached(&self, place: &Place) -> Option<&Stretch> {
        self.stretches_of(place.point.source).find(|stretch| stretch.goes_on_to(place))
    }

    /// A stretch that this place is the end of. Only the follower adds.
    fn add(&self, place: &Place) -> Option<&Stretch> {
        let source = place.point.source;
        let stretch = match self.stretches_of(source).find(|stretch| stretch.asked().is_none()) {
            Some(stretch) => stretch,
            None => {
                let known = self.known.load(Ordering::Acquire);
                let stretch = self.stretches.get(known)?;
                stretch.name[0].store((source >> 64) as u64, Ordering::Relaxed);
                #[expect(clippy::cast_possible_truncation, reason = "the other half is in the other number")]
                stretch.name[1].store(source as u64, Ordering::Relaxed);
                self.known.store(known + 1, Ordering::Release);
                stretch
            }
        };
        stretch.first.store(place.first, Ordering::Release);
        Some(stretch)
    }

    fn history(&self) -> MutexGuard<'_, Option<Begin>> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stretch {
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

    fn last(&self) -> u64 {
        self.last.load(Ordering::Acquire)
    }

    fn first(&self) -> Option<u64> {
        (self.last.load(Ordering::Acquire) > 0).then(|| self.first.load(Ordering::Acquire))
    }

    fn asked(&self) -> Option<Point> {
        let number = self.asked.load(Ordering::Acquire);
        (number > 0).then(|| Point { source: self.name(), number })
    }

    fn goes_on_to(&self, place: &Place) -> bool {
        let (first, asked) = (self.first.load(Ordering::Acquire), self.asked.load(Ordering::Acquire));
        asked > 0 && first <= place.point.number && place.first <= asked.saturating_add(1)
    }

    /// Whether all of it was told and nothing lies between another's end and its beginning.
    fn begins_behind(&self, other: &Self) -> bool {
        let (first, last) = (self.first.load(Ordering::Acquire), self.last.load(Ordering::Acquire));
        let (begins, ends) = (other.first.load(Ordering::Acquire), other.last.load(Ordering::Acquire));
        last > 0 && begins < first && first <= ends.saturating_add(1)
    }

    fn empty(&self) {
        self.last.store(0, Ordering::Release);
        self.asked.store(0, Ordering::Release);
        self.missed.store(0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(source: u128, number: u64) -> Point {
        Point { source, number }
    }

    fn place(source: u128, first: u64, number: u64) -> Place {
        Place { base: [].into(), point: at(source, number), first }
    }

    /// A history that contains the first 100 commits of source 1.
    fn heard() -> Heard {
        let heard = Heard::default();
        let place = place(1, 1, 100);
        heard.begin(Begin { contained: place.run().into(), place, history: 1 });
        heard
    }

    fn tell(heard: &Heard, place: &Place) {
        heard.ask(place);
        heard.tell(place);
    }

    /// Which of the first 200 commits of source 1 count as told.
    fn told(heard: &Heard) -> Vec<u64> {
        (101..200).filter(|number| heard.contains(&at(1, *number).into())).collect()
    }

    #[test]
    fn a_point_is_contained_once_it_is_told() {
        let heard = heard();
        let seen = |points: &[Point]| heard.contains(&Position::of(points));
        assert!(seen(&[]) && seen(&[at(1, 100)]) && !seen(&[at(1, 101)]) && !seen(&[at(2, 1)]));
        heard.ask(&place(1, 1, 101));
        assert!(!seen(&[at(1, 101)]), "slots are being told");
        heard.tell(&place(1, 1, 101));
        tell(&heard, &place(2, 7, 7));
        assert!(seen(&[at(1, 101), at(2, 7)]) && !seen(&[at(1, 101), at(2, 8)]) && !seen(&[at(3, 1)]));
        // Before the first that was told, and not of the beginning: of a history that is lost.
        assert!(!seen(&[at(2, 6)]));
        heard.forget();
        assert!(!seen(&[at(1, 100)]) && !seen(&[at(1, 101)]) && heard.lag(now()).is_none());
    }

    #[test]
    fn commits_that_were_seen_and_not_told_are_counted() {
        let heard = heard();
        let sees = |points: &[Point]| heard.contains_seen(&Position::of(points));
        assert!(!sees(&[at(1, 120)]) && heard.behind() == 0, "nothing of this source was told");
        tell(&heard, &place(1, 1, 101));
        tell(&heard, &place(2, 1, 7));
        assert!(sees(&[at(1, 101)]) && heard.behind() == 0);
        assert!(!sees(&[at(1, 105), at(2, 9)]) && !sees(&[at(1, 103)]));
        assert_eq!(heard.behind(), 4 + 2);
        tell(&heard, &place(1, 1, 104));
        tell(&heard, &place(2, 1, 30));
        assert_eq!(heard.behind(), 1);
        tell(&heard, &place(1, 1, 105));
        assert_eq!(heard.behind(), 0);
        assert!(!sees(&[at(3, 1)]) && heard.behind() == 0);
    }

    #[test]
    fn commits_that_are_told_by_a_later_one_are_contained() {
        let heard = heard();
        tell(&heard, &place(1, 1, 104));
        assert_eq!(told(&heard), [101, 102, 103, 104]);
        tell(&heard, &place(1, 1, 106));
        assert_eq!(told(&heard), [101, 102, 103, 104, 105, 106]);
    }

    #[test]
    fn a_number_that_was_passed_over_is_contained_once_it_is_told() {
        let heard = heard();
        tell(&heard, &place(1, 1, 101));
        tell(&heard, &place(1, 103, 103));
        tell(&heard, &place(1, 103, 104));
        tell(&heard, &place(1, 107, 107));
        assert_eq!(told(&heard), [101, 103, 104, 107]);
        assert_eq!(heard.asked().unwrap().points(), [at(1, 101), at(1, 104), at(1, 107), at(1, 100)]);
        heard.ask(&place(1, 1, 102));
        assert_eq!(told(&heard), [101, 103, 104, 107]);
        heard.tell(&place(1, 1, 102));
        assert_eq!(told(&heard), [101, 102, 103, 104, 107]);
        tell(&heard, &place(1, 1, 106));
        assert_eq!(told(&heard), [101, 102, 103, 104, 105, 106, 107]);
        assert_eq!(heard.asked().unwrap().points(), [at(1, 107), at(1, 100)]);
    }

    #[test]
    fn a_hole_of_the_beginning_is_not_contained() {
        let heard = heard();
        tell(&heard, &place(1, 150, 152));
        assert_eq!(told(&heard), [150, 151, 152]);
        tell(&heard, &place(1, 1, 101));
        assert_eq!(told(&heard), [101, 150, 151, 152]);
    }

    #[test]
    fn a_copy_is_asked_for_what_slots_are_about_to_be_told() {
        let heard = heard();
        assert_eq!(heard.asked().unwrap().points(), [at(1, 100)]);
        heard.ask(&place(1, 1, 102));
        heard.ask(&place(2, 7, 7));
        assert_eq!(heard.asked().unwrap().points(), [at(1, 102), at(2, 7), at(1, 100)]);
    }

    #[test]
    fn more_stretches_than_there_is_room_for_are_not_contained() {
        let heard = heard();
        (0..100).for_each(|source| tell(&heard, &place(1000 + source, 1, 1)));
        assert!(heard.contains(&at(1000, 1).into()) && !heard.contains(&at(1099, 1).into()));
        assert!(heard.asked().is_none());
        heard.forget();
        let place_before = place(1000, 1, 1);
        heard.begin(Begin { contained: place_before.run().into(), place: place_before, history: 2 });
        tell(&heard, &place(1000, 1, 2));
        assert_eq!(heard.asked().unwrap().points(), [at(1000, 2), at(1000, 1)]);
    }

    #[test]
    fn a_point_is_covered_by_a_later_one_of_its_source_and_history() {
        let heard = heard();
        tell(&heard, &place(1, 1, 101));
        tell(&heard, &place(1, 1, 103));
        let by = Position::of(&[at(1, 102)]);
        assert!(heard.covers(&by, at(1, 101)) && heard.covers(&by, at(1, 102)) && !heard.covers(&by, at(1, 103)));
        assert!(heard.covers(&by, at(1, 50)), "of the beginning");
        assert!(!heard.covers(&by, at(3, 1)), "of nobody knows what");
        assert!(!heard.covers(&Position::default(), at(1, 50)));
    }

    #[test]
    fn the_beginning_is_covered_by_what_was_read_since_and_not_by_what_was_read_before() {
        let heard = heard();
        let by = |points: &[Point]| Position::of(points);
        assert!(!heard.covers(&by(&[at(1, 30)]), at(1, 50)), "a session from before");
        assert!(heard.covers(&by(&[at(1, 50)]), at(1, 50)) && heard.covers(&by(&[at(1, 60)]), at(1, 50)));
        assert!(!heard.covers(&by(&[at(1, 30), at(1, 60)]), at(1, 50)), "behind a hole");
        assert!(!heard.covers(&by(&[at(2, 7)]), at(1, 50)), "nobody knows of it");
        tell(&heard, &place(2, 7, 7));
        assert!(heard.covers(&by(&[at(2, 7)]), at(1, 50)) && heard.covers(&by(&[at(1, 30), at(2, 7)]), at(1, 50)));
    }

    #[test]
    fn a_point_behind_a_hole_of_what_was_seen_is_not_covered() {
        let heard = heard();
        tell(&heard, &place(1, 1, 106));
        // Read before 104 was committed.
        let by = Position::of(&[at(1, 103), at(1, 105)]);
        assert!(heard.covers(&by, at(1, 103)) && !heard.covers(&by, at(1, 104)) && heard.covers(&by, at(1, 105)));
        tell(&heard, &place(1, 1000, 1009));
        let by = Position::of(&[at(1, 106), at(1, 1005)]);
        assert!(heard.covers(&by, at(1, 104)) && heard.covers(&by, at(1, 1003)) && !heard.covers(&by, at(1, 1006)));
    }
}
