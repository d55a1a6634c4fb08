//! What one client may expect of its reads: how fresh they are, and that they never go back behind what it has seen.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How fresh a read must be. Storage that keeps one copy of its rows is always strong, whatever is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Every write that was acknowledged before the read began is seen.
    Strong,
    /// What the client itself wrote and has seen is seen: read your writes, monotonic reads.
    Session,
    /// Every write that was acknowledged this long before the read began is seen.
    MaxStaleness(Duration),
    /// Some committed state is seen.
    Eventual,
}

/// How far a stream of commits is seen. What streams there are is the storage's matter: a server's or a group's GTIDs, a
/// domain's, a shard's, the commits of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// The stream.
    pub source: u128,
    /// Commits of the stream up to and with this one are seen.
    pub number: u64,
}

/// A place in the commit history: how far each stream of commits is seen. Opaque, and comparable only by the storage
/// that it comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Position(Points);

#[derive(Debug, Clone, Default)]
enum Points {
    #[default]
    None,
    /// Without an allocation, because it is the ordinary case.
    One([Point; 1]),
    Many(Arc<[Point]>),
}

impl PartialEq for Points {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Points {}

impl Points {
    fn as_slice(&self) -> &[Point] {
        match self {
            Self::None => &[],
            Self::One(point) => point,
            Self::Many(points) => points,
        }
    }
}

impl Position {
    /// These points.
    pub fn of(points: &[Point]) -> Self {
        match points {
            [] => Self::default(),
            [point] => (*point).into(),
            points => Self(Points::Many(points.into())),
        }
    }

    /// Its points; none if nothing is seen.
    pub fn points(&self) -> &[Point] {
        self.0.as_slice()
    }

    /// Nothing is seen: every place in the history contains it.
    pub fn is_empty(&self) -> bool {
        self.points().is_empty()
    }
}

impl From<Point> for Position {
    fn from(point: Point) -> Self {
        Self(Points::One([point]))
    }
}

/// The session of a client during one request: what its reads need, and how far it has seen. The storage reports what it
/// answers from, and the client is given that as a token for its next request.
#[derive(Debug)]
pub struct Session {
    freshness: Freshness,
    seen: Mutex<Position>,
}

impl Session {
    /// A session that has seen this much, and whose reads must be so fresh.
    pub const fn new(freshness: Freshness, seen: Position) -> Self {
        Self { freshness, seen: Mutex::new(seen) }
    }

    /// One of the server itself, whose reads see everything.
    pub const fn strong() -> Self {
        Self::new(Freshness::Strong, Position(Points::None))
    }

    /// How fresh its reads must be.
    pub fn freshness(&self) -> Freshness {
        self.freshness
    }

    /// How far it has seen.
    pub fn seen(&self) -> Position {
        self.lock().clone()
    }

    /// Takes in where an answer was read. What that place does not contain of what was seen before stays.
    pub fn saw(&self, place: &Position, contains: impl Fn(Point) -> bool) {
        let mut seen = self.lock();
        if seen.points().iter().all(|point| contains(*point)) {
            if *seen != *place {
                *seen = place.clone();
            }
            return;
        }
        let kept = seen.points().iter().copied().filter(|point| !contains(*point) && !place.points().contains(point));
        let points: Vec<Point> = place.points().iter().copied().chain(kept).collect();
        *seen = Position::of(&points);
    }

    fn lock(&self) -> MutexGuard<'_, Position> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(source: u128, number: u64) -> Point {
        Point { source, number }
    }

    #[test]
    fn a_place_that_contains_what_was_seen_takes_its_stead() {
        let session = Session::new(Freshness::Session, point(1, 5).into());
        session.saw(&point(1, 9).into(), |point| point.number <= 9);
        assert_eq!(session.seen().points(), [point(1, 9)]);
    }

    #[test]
    fn what_a_place_does_not_contain_is_not_forgotten() {
        let session = Session::new(Freshness::Eventual, Position::of(&[point(1, 5), point(2, 7)]));
        session.saw(&point(1, 6).into(), |point| point.source == 1 && point.number <= 6);
        assert_eq!(session.seen().points(), [point(1, 6), point(2, 7)]);
        // An older place of the same stream: both are kept, and only a place that contains both is enough.
        session.saw(&point(2, 3).into(), |point| point.source == 2 && point.number <= 3);
        assert_eq!(session.seen().points(), [point(2, 3), point(1, 6), point(2, 7)]);
    }
}
