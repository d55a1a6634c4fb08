//! How far a server is in the history of commits, read from its GTIDs.
//!
//! What a read is said to have seen must not be less than it saw: it is asked for *behind* the rows, and counts what is
//! being committed, because rows can be seen a moment before their GTID counts as done. What a server is trusted to
//! contain may be less than it does; a commit in doubt is then waited for a little longer. MySQL: `gtid_owned` (asked for
//! first, since a GTID goes from there to `gtid_executed` and not back) joined with `gtid_executed`, and `gtid_executed`
//! alone. MariaDB: the higher of `gtid_binlog_pos` and `gtid_slave_pos` of each domain, and, of a replica,
//! `gtid_slave_pos` alone; the binlog is written before a commit can be seen, the other after.

use rowkeep_engine::{Point, Position};

use crate::dialect::Dialect;

/// Asks a server whether it takes writes and how far it is. Three columns.
pub(in crate::mysql) const fn question(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::MySql => {
            "SELECT @@global.read_only OR @@global.super_read_only, @@global.gtid_owned, @@global.gtid_executed"
        }
        Dialect::Sqlite | Dialect::MariaDb => {
            "SELECT @@global.read_only, @@global.gtid_slave_pos, @@global.gtid_binlog_pos"
        }
        // What any one server behind it says is not how far the others are.
        Dialect::Vitess => "SELECT 0, '', ''",
    }
}

/// A run of commits of one stream: all from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    source: u128,
    first: u64,
    last: u64,
}

/// What a server answered.
#[derive(Debug, Clone, Default)]
pub(in crate::mysql) struct Reached {
    /// It takes writes.
    pub(in crate::mysql) writable: bool,
    /// What it contains for sure.
    done: Vec<Run>,
    /// The same with what it may have shown before it counted as done.
    shown: Vec<Run>,
    /// No row that it has shown is behind this.
    pub(in crate::mysql) place: Position,
    /// The answer, by which the next one is known to be the same.
    texts: [Vec<u8>; 2],
}

impl Reached {
    /// Reads an answer.
    pub(in crate::mysql) fn read(dialect: Dialect, writable: bool, one: &[u8], other: &[u8]) -> Self {
        let texts = [one.to_vec(), other.to_vec()];
        let (one, other) = (String::from_utf8_lossy(one), String::from_utf8_lossy(other));
        let (done, begun) = match dialect {
            Dialect::MySql | Dialect::Vitess => (runs(&other), runs(&one)),
            Dialect::Sqlite | Dialect::MariaDb => domains(writable, &one, &other),
        };
        let shown = join(done.iter().copied().chain(begun).collect());
        let points: Vec<Point> = shown.iter().map(|run| Point { source: run.source, number: run.last }).collect();
        Self { writable, done, shown, place: Position::of(&points), texts }
    }

    /// Whether this is what the server answered.
    pub(in crate::mysql) fn is(&self, writable: bool, one: &[u8], other: &[u8]) -> bool {
        self.writable == writable && self.texts[0] == one && self.texts[1] == other
    }

    /// Whether a server contains this.
    pub(in crate::mysql) fn contains(&self, point: Point) -> bool {
        self.done.iter().any(|run| run.source == point.source && run.first <= point.number && point.number <= run.last)
    }

    /// Whether it contains everything that another contains, or is about to.
    pub(in crate::mysql) fn contains_all(&self, other: &Self) -> bool {
        within(&other.done, &self.shown)
    }

    /// The same for what the other may have shown.
    pub(in crate::mysql) fn knows_all(&self, other: &Self) -> bool {
        within(&other.shown, &self.shown)
    }

    /// How many commits of another it does not contain. (Of a domain of MariaDB: how far apart the numbers are.)
    pub(in crate::mysql) fn lacks(&self, other: &Self) -> u64 {
        let length = |run: &Run| run.last.saturating_sub(run.first).saturating_add(1);
        let overlap = |run: &Run| {
            let of = self.done.iter().filter(|own| own.source == run.source);
            of.map(|own| {
                let (first, last) = (own.first.max(run.first), own.last.min(run.last));
                if first <= last { length(&Run { source: run.source, first, last }) } else { 0 }
            })
            .sum::<u64>()
        };
        other.done.iter().map(|run| length(run) - overlap(run)).sum()
    }

    /// Whether it contains everything that another may have shown.
    pub(in crate::mysql) fn contains_place_of(&self, other: &Self) -> bool {
        other.place.points().iter().all(|point| self.contains(*point))
    }
}

/// The commit that a server names in its answer to `COMMIT`.
pub(in crate::mysql) fn written(dialect: Dialect, gtid: &str) -> Option<Point> {
    let run = match dialect {
        Dialect::MySql => runs(gtid).pop()?,
        Dialect::Vitess => return None,
        Dialect::Sqlite | Dialect::MariaDb => domain(gtid)?,
    };
    Some(Point { source: run.source, number: run.last })
}

/// `uuid:1-5:7,uuid:tag:1`, and as `gtid_owned` has it: `uuid:8#12:9#13`. What cannot be read is left out: it is then not
/// contained.
fn runs(set: &str) -> Vec<Run> {
    let mut runs = Vec::new();
    for part in set.split([',', '\n']) {
        let mut fields = part.trim().split(':');
        let Some(uuid) = fields.next().and_then(uuid) else { continue };
        let mut source = uuid;
        for field in fields {
            let field = field.split('#').next().unwrap_or(field);
            let (first, last) = field.split_once('-').unwrap_or((field, field));
            match (first.parse(), last.parse()) {
                (Ok(first), Ok(last)) => runs.push(Run { source, first, last }),
                // A tag: its commits are a stream of their own.
                _ => source = uuid ^ hashed(field),
            }
        }
    }
    runs
}

fn within(runs: &[Run], outer: &[Run]) -> bool {
    let holds =
        |outer: &Run, run: &Run| outer.source == run.source && outer.first <= run.first && run.last <= outer.last;
    runs.iter().all(|run| outer.iter().any(|outer| holds(outer, run)))
}

/// Puts together what touches, in the order of streams and numbers.
fn join(mut runs: Vec<Run>) -> Vec<Run> {
    runs.sort_unstable_by_key(|run| (run.source, run.first));
    let mut joined: Vec<Run> = Vec::with_capacity(runs.len());
    for run in runs {
        match joined.last_mut().filter(|last| last.source == run.source && run.first <= last.last.saturating_add(1)) {
            Some(last) => last.last = last.last.max(run.last),
            None => joined.push(run),
        }
    }
    joined
}

fn uuid(text: &str) -> Option<u128> {
    let digits: String = text.chars().filter(|character| *character != '-').collect();
    (digits.len() == 32).then(|| u128::from_str_radix(&digits, 16).ok()).flatten()
}

/// Tells names of tags and of servers apart (FNV-1a).
pub(in crate::mysql) fn hashed(text: &str) -> u128 {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    text.bytes().fold(OFFSET, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME))
}

/// What is done and what is begun of each domain.
fn domains(writable: bool, replicated: &str, logged: &str) -> (Vec<Run>, Vec<Run>) {
    let parse = |list: &str| list.split(',').filter_map(domain).collect::<Vec<Run>>();
    let (replicated, logged) = (parse(replicated), parse(logged));
    let mut begun = replicated.clone();
    for run in logged {
        match begun.iter_mut().find(|other| other.source == run.source) {
            Some(other) => other.last = other.last.max(run.last),
            None => begun.push(run),
        }
    }
    // A primary contains what it wrote, and what it replicated before it was one; nobody asks it more exactly.
    let done = if writable { begun.clone() } else { replicated };
    (done, begun)
}

/// `domain-server-number`: within a domain, numbers only grow, whichever server gives them.
fn domain(gtid: &str) -> Option<Run> {
    let mut fields = gtid.trim().split('-');
    let (source, _, last) = (fields.next()?.parse().ok()?, fields.next()?, fields.next()?.parse().ok()?);
    Some(Run { source, first: 0, last })
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: u128 = 0x3e11_fa47_71ca_11e1_9e33_c80a_a942_9562;
    const UUID: &str = "3E11FA47-71CA-11E1-9E33-C80AA9429562";

    fn mysql(owned: &str, executed: &str) -> Reached {
        Reached::read(Dialect::MySql, false, owned.as_bytes(), executed.as_bytes())
    }

    fn mariadb(writable: bool, replicated: &str, logged: &str) -> Reached {
        Reached::read(Dialect::MariaDb, writable, replicated.as_bytes(), logged.as_bytes())
    }

    fn at(source: u128, number: u64) -> Point {
        Point { source, number }
    }

    #[test]
    fn sets_with_holes_contain_what_is_not_in_a_hole() {
        let reached = mysql("", &format!("{UUID}:1-1104:1000003-1001486,\n{}:7", UUID.replace("3E", "3F")));
        for (number, expected) in [(1, true), (1104, true), (1105, false), (1_000_002, false), (1_001_486, true)] {
            assert_eq!(reached.contains(at(A, number)), expected, "{number}");
        }
        assert!(!reached.contains(at(A + 1, 1)));
        assert_eq!(reached.place.points().len(), 3);
    }

    #[test]
    fn what_is_being_committed_may_have_been_seen_and_is_not_trusted_to_be_there() {
        let reached = mysql(&format!("{UUID}:11#50:12#51"), &format!("{UUID}:1-10"));
        assert_eq!(reached.place.points(), [at(A, 12)]);
        assert!(reached.contains(at(A, 10)) && !reached.contains(at(A, 11)));
        // A hole: both ends are needed.
        let reached = mysql(&format!("{UUID}:12#51"), &format!("{UUID}:1-10"));
        assert_eq!(reached.place.points(), [at(A, 10), at(A, 12)]);
    }

    #[test]
    fn tagged_commits_are_streams_of_their_own() {
        let reached = mysql("", &format!("{UUID}:1-3:blue:1-9"));
        assert!(reached.contains(at(A, 3)) && !reached.contains(at(A, 9)));
        let tagged = written(Dialect::MySql, &format!("{UUID}:blue:9")).unwrap();
        assert!(reached.contains(tagged) && tagged.source != A);
        assert_eq!(written(Dialect::MySql, &format!("{UUID}:77")), Some(at(A, 77)));
    }

    #[test]
    fn a_replica_is_as_far_as_it_applied_and_shows_what_its_log_has() {
        let reached = mariadb(false, "0-1-90,3-2-5", "0-1-91");
        assert!(reached.contains(at(0, 90)) && !reached.contains(at(0, 91)) && reached.contains(at(3, 5)));
        assert_eq!(reached.place.points(), [at(0, 91), at(3, 5)]);
        assert_eq!(written(Dialect::MariaDb, "0-1-91"), Some(at(0, 91)));
        let primary = mariadb(true, "0-1-90", "0-2-95");
        assert!(primary.contains(at(0, 95)) && primary.contains_all(&reached.clone()) == primary.contains(at(3, 5)));
    }

    #[test]
    fn what_a_server_lacks_is_counted() {
        let ahead = mysql("", &format!("{UUID}:1-1104:1000003-1000012"));
        assert_eq!(mysql("", &format!("{UUID}:1-1100")).lacks(&ahead), 14);
        assert_eq!(ahead.lacks(&mysql("", &format!("{UUID}:5-7"))), 0);
        assert_eq!(mariadb(false, "0-1-90", "").lacks(&mariadb(true, "", "0-1-95")), 5);
        assert_eq!(mysql("", "").lacks(&mysql("", &format!("{UUID}:1-5"))), 5);
    }

    #[test]
    fn sets_are_compared_run_by_run() {
        let (small, large) = (mysql("", &format!("{UUID}:1-5")), mysql("", &format!("{UUID}:1-9")));
        assert!(large.contains_all(&small) && !small.contains_all(&large) && small.contains_all(&small));
        assert!(large.contains_place_of(&small) && !small.contains_place_of(&large));
        assert!(mysql("", "").contains_all(&mysql("", "")) && !mysql("", "").contains_all(&small));
    }
}
