//! Whose reads may be answered by a cache, and what they have seen then.

use std::time::{Duration, Instant};

use rowkeep_engine::{Freshness, Position, Session};

use crate::heard::Heard;

impl Heard {
    /// Whether what is kept is as fresh as a session asks. What it has seen has to be told: a reader who knows of a change
    /// that slots may not have been told of is answered by the storage, which knows what to do. `max_lag`: while the log is
    /// silent for longer, nobody is admitted.
    pub(crate) fn admits(&self, session: &Session, max_lag: Duration, now: Instant) -> bool {
        let Some(lag) = self.lag(now).filter(|lag| *lag <= max_lag) else { return false };
        match session.freshness() {
            Freshness::Strong => false,
            Freshness::Session => self.contains_seen(&session.seen()),
            Freshness::MaxStaleness(most) => lag <= most,
            Freshness::Eventual => true,
        }
    }

    /// A session was shown a row that was read at this place at the latest. The place may be behind what the session has seen
    /// of other rows, and both count from now on.
    pub(crate) fn saw(&self, session: &Session, place: &Position) {
        let seen = session.seen();
        if place.points().iter().all(|point| self.covers(&seen, *point)) {
            return;
        }
        session.saw(place, |point| self.covers(place, point));
    }
}
