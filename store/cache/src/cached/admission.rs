//! Whose reads may be answered from memory, and what they have seen then.

use std::time::Instant;

use rowkeep_engine::{Freshness, Position, Session};

use super::Shared;

impl Shared {
    /// Whether what is kept is as fresh as a session asks. What it has seen has to be told: a reader who knows of a change
    /// that slots may not have been told of is answered by the storage, which knows what to do.
    pub(super) fn admits(&self, session: &Session, now: Instant) -> bool {
        let Some(lag) = self.heard.lag(now).filter(|lag| *lag <= self.options.max_lag) else { return false };
        match session.freshness() {
            Freshness::Strong => false,
            Freshness::Session => self.heard.contains(&session.seen()),
            Freshness::MaxStaleness(most) => lag <= most,
            Freshness::Eventual => true,
        }
    }

    /// A session was shown a row that was read at this place at the latest. The place may be behind what the session has seen
    /// of other rows, and both count from now on.
    pub(super) fn saw(&self, session: &Session, place: &Position) {
        let seen = session.seen();
        if place.points().iter().all(|point| self.heard.covers(&seen, *point)) {
            return;
        }
        session.saw(place, |point| self.heard.covers(place, point));
    }
}
