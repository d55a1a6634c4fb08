//! What a source tells.

use std::time::Instant;

use rowkeep_binlog::Gtids;

use crate::{Place, Touched};

/// What a source tells, in order.
#[derive(Debug)]
pub enum Event<T, R> {
    /// The log of another server, or the first: what follows is all that is not in this history.
    Begin {
        /// Behind the history.
        place: Place,
        /// The history, as far as it was told.
        told: Gtids,
        /// The server, as it names itself: the same to whoever follows it.
        server: String,
    },
    /// Rows were changed, and reads show it.
    Commit {
        /// Behind the commit: of all its parts the same.
        place: Place,
        /// More of it follows: rows, or what was done to tables.
        more: bool,
        /// Microseconds since 1970, by the clock of the server that wrote it first.
        at: i64,
        /// In the order of their changes.
        rows: Vec<R>,
    },
    /// Something was done to a table that the log does not show.
    Rewritten {
        /// Which table; any, if `None`.
        table: Option<T>,
        /// Behind the commit.
        place: Place,
        /// More of it follows.
        more: bool,
    },
    /// Everything that was acknowledged before the moment was told.
    Current {
        /// The moment.
        moment: Instant,
        /// Behind all that was told.
        place: Place,
    },
}

/// A commit as events, or the end of one whose first parts were told before.
pub(crate) fn tell<T, R>(place: &Place, at: i64, rows: Vec<R>, touched: Touched<T>, out: &mut Vec<Event<T, R>>) {
    let tables: Vec<Option<T>> = match touched {
        Touched::All => vec![None],
        Touched::Some(tables) => tables.into_iter().map(Some).collect(),
    };
    // Something has to say that it was the last.
    if tables.is_empty() || !rows.is_empty() {
        out.push(Event::Commit { place: place.clone(), more: !tables.is_empty(), at, rows });
    }
    let last = tables.len().saturating_sub(1);
    let rewritten = |(at, table)| Event::Rewritten { table, place: place.clone(), more: at < last };
    out.extend(tables.into_iter().enumerate().map(rewritten));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(rows: Vec<u8>, touched: Touched<u8>) -> Vec<String> {
        let place = Place { base: (*b"").into(), commit: None, first: 0 };
        let mut out = Vec::new();
        tell(&place, 5, rows, touched, &mut out);
        let name = |event: &Event<u8, u8>| {
            let (name, more) = match event {
                Event::Commit { more, rows, .. } => (rows.len().to_string(), *more),
                Event::Rewritten { table, more, .. } => (format!("{table:?}"), *more),
                other => panic!("{other:?}"),
            };
            name + if more { "+" } else { "" }
        };
        out.iter().map(name).collect()
    }

    #[test]
    fn all_of_a_commit_but_its_last_event_says_that_more_follows() {
        let some = |tables: &[u8]| Touched::Some(tables.iter().copied().collect());
        assert_eq!(told(vec![1, 2], some(&[])), ["2"]);
        assert_eq!(told(vec![], some(&[3])), ["Some(3)"]);
        assert_eq!(told(vec![], Touched::All), ["None"]);
        assert_eq!(told(vec![1], some(&[3])), ["1+", "Some(3)"]);
        assert_eq!(told(vec![], some(&[3, 4])), ["Some(3)+", "Some(4)"]);
        assert_eq!(told(vec![1], some(&[3, 4])), ["1+", "Some(3)+", "Some(4)"]);
        assert_eq!(told(vec![], some(&[])), ["0"], "the end of one whose rows were told before");
    }
}
