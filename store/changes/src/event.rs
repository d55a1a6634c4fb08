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
    /// Something was done to tables that the log does not show. Between two parts of its commit if anything else was done
    /// in it.
    Rewritten {
        /// Which table; any, if `None`.
        table: Option<T>,
        /// Behind the commit.
        place: Place,
    },
    /// Everything that was acknowledged before the moment was told.
    Current {
        /// The moment.
        moment: Instant,
        /// Behind all that was told.
        place: Place,
    },
}

/// A commit as events, or the end of one whose first parts were told before (`begun`).
pub(crate) fn tell<T, R>(
    place: &Place,
    at: i64,
    begun: bool,
    rows: Vec<R>,
    touched: Touched<T>,
    out: &mut Vec<Event<T, R>>,
) {
    let tables: Vec<Option<T>> = match touched {
        Touched::All => vec![None],
        Touched::Some(tables) => tables.into_iter().map(Some).collect(),
    };
    let part = |rows, more| Event::Commit { place: place.clone(), more, at, rows };
    let rewritten = |table| Event::Rewritten { table, place: place.clone() };
    // Parts that were told wait for one that says it is the last.
    let alone = !begun && rows.is_empty() && tables.len() == 1;
    if tables.is_empty() || alone {
        out.extend(tables.into_iter().map(rewritten));
        if !alone {
            out.push(part(rows, false));
        }
        return;
    }
    out.push(part(rows, true));
    out.extend(tables.into_iter().map(rewritten));
    out.push(part(Vec::new(), false));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(rows: Vec<u8>, touched: Touched<u8>) -> Vec<String> {
        told_after(false, rows, touched)
    }

    fn told_after(begun: bool, rows: Vec<u8>, touched: Touched<u8>) -> Vec<String> {
        let place = Place { base: (*b"").into(), commit: None, first: 0 };
        let mut out = Vec::new();
        tell(&place, 5, begun, rows, touched, &mut out);
        let name = |event: &Event<u8, u8>| match event {
            Event::Commit { more, rows, .. } => format!("{}{}", rows.len(), if *more { "+" } else { "" }),
            Event::Rewritten { table, .. } => format!("{table:?}"),
            other => panic!("{other:?}"),
        };
        out.iter().map(name).collect()
    }

    #[test]
    fn what_belongs_to_one_commit_lies_between_its_parts() {
        let some = |tables: &[u8]| Touched::Some(tables.iter().copied().collect());
        assert_eq!(told(vec![1, 2], some(&[])), ["2"]);
        assert_eq!(told(vec![], some(&[3])), ["Some(3)"]);
        assert_eq!(told(vec![], Touched::All), ["None"]);
        assert_eq!(told(vec![1], some(&[3])), ["1+", "Some(3)", "0"]);
        assert_eq!(told(vec![], some(&[3, 4])), ["0+", "Some(3)", "Some(4)", "0"]);
    }

    #[test]
    fn a_commit_whose_first_parts_were_told_has_a_last_one() {
        let some = |tables: &[u8]| Touched::Some(tables.iter().copied().collect());
        assert_eq!(told_after(true, vec![], some(&[])), ["0"]);
        assert_eq!(told_after(true, vec![], some(&[3])), ["0+", "Some(3)", "0"]);
        assert_eq!(told_after(true, vec![], Touched::All), ["0+", "None", "0"]);
        assert_eq!(told_after(true, vec![1], some(&[3])), ["1+", "Some(3)", "0"]);
    }
}
