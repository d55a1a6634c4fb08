//! Places and points: between the log's own names of commits and those that sessions have.

use std::sync::Arc;

use rowkeep_binlog::{Gtid, Gtids};
use rowkeep_changes::{Place as LogPlace, Progress, resume};
use rowkeep_engine::{Place, Point, Run, Runs};

use crate::mysql::servers::hashed;

/// Before the first commit of all: no server, tag or domain has it.
pub(super) const NOTHING: Point = Point { source: 0, number: 0 };

/// The same point that the answer to a commit and the position of a server have for it.
pub(super) fn point(gtid: &Gtid) -> Point {
    match gtid {
        Gtid::MySql(gtid) => Point { source: mysql_source(&gtid.source), number: gtid.number },
        Gtid::MariaDb(gtid) => Point { source: gtid.domain.into(), number: gtid.number },
    }
}

fn mysql_source(source: &rowkeep_binlog::Source) -> u128 {
    if source.tag.is_none() { source.uuid } else { source.uuid ^ hashed(source.tag.as_str()) }
}

/// A place for whoever follows.
pub(super) fn place(of: &LogPlace) -> Place {
    Place { base: Arc::clone(&of.base), point: of.commit.as_ref().map_or(NOTHING, point), first: of.first }
}

/// All commits up to a place; `None` if it is none of this product's log.
pub(super) fn progress(mariadb: bool, place: &Place) -> Option<Progress> {
    let progress = resume(mariadb, &place.base, place.point.number)?;
    // Where the base is all there is, the point only names it.
    let is_same = progress.place().commit.as_ref().is_none_or(|commit| point(commit) == place.point);
    is_same.then_some(progress)
}

/// What a history contains.
pub(super) fn runs(gtids: &Gtids) -> Runs {
    match gtids {
        Gtids::MySql(gtids) => {
            let runs = gtids.iter().flat_map(|(source, runs)| {
                let source = mysql_source(source);
                runs.iter().map(move |(first, last)| Run { source, first: *first, last: *last })
            });
            runs.collect()
        }
        // Numbers only grow within a domain: the last stands for all before it.
        Gtids::MariaDb(gtids) => {
            gtids.iter().map(|gtid| Run { source: gtid.domain.into(), first: 0, last: gtid.number }).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Dialect;
    use crate::mysql::servers::{Reached, written};

    const A: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";

    #[test]
    fn a_commit_has_the_point_that_its_writer_was_told() {
        for text in [format!("{A}:77"), format!("{A}:blue:9")] {
            let gtid = Gtid::MySql(text.parse().unwrap());
            assert_eq!(Some(point(&gtid)), written(Dialect::MySql, &text));
        }
        let gtid = Gtid::MariaDb("3-2-95".parse().unwrap());
        assert_eq!(Some(point(&gtid)), written(Dialect::MariaDb, "3-2-95"));
    }

    #[test]
    fn a_history_contains_what_the_server_says_it_does() {
        let text = format!("{A}:1-5:8:blue:1-3");
        let history = runs(&Gtids::MySql(text.parse().unwrap()));
        let reached = Reached::read(Dialect::MySql, true, b"", text.as_bytes());
        for text in [format!("{A}:5"), format!("{A}:6"), format!("{A}:8"), format!("{A}:blue:3"), format!("{A}:blue:4")]
        {
            let point = written(Dialect::MySql, &text).unwrap();
            assert_eq!(history.contains(point), reached.contains(point), "{text}");
        }
        assert_eq!(history.position(), reached.place);
        let history = runs(&Gtids::MariaDb("0-1-9,4-1-2".parse().unwrap()));
        let at = |source, number| Point { source, number };
        assert!(history.contains(at(0, 9)) && history.contains(at(4, 1)));
        assert_eq!(history.position().points(), [at(0, 9), at(4, 2)]);
        assert!(!history.contains(at(0, 10)) && !history.contains(at(1, 1)));
    }

    #[test]
    fn a_place_leads_back_to_its_commits_unless_it_is_of_another_log() {
        let mut told = Progress::new(Gtids::MySql(format!("{A}:1-5").parse().unwrap()), None);
        told.passed(Gtid::MySql(format!("{A}:6").parse().unwrap()));
        let place = place(told.place());
        assert_eq!(progress(false, &place).unwrap().told(), told.told());
        assert!(progress(true, &place).is_none());
        let other = Place { point: Point { source: 5, ..place.point }, ..place };
        assert!(progress(false, &other).is_none());
    }
}
