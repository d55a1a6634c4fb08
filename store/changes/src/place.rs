//! Which commits were told, in a form that costs nothing per commit.
//!
//! A server's history is a set: of MySQL runs of numbers with holes, of MariaDB the last commit of each domain. Nearly
//! always the next commit is the next number of the same server, so that the set is written down once, and a place is that
//! text with one number. Another one begins only when commits of another server, tag or domain come in between.

use std::sync::Arc;

use rowkeep_binlog::{Gtid, Gtids, MariaDbGtid, MySqlGtid};

/// Stands between the set and the first commit of what follows it without a hole.
const MARK: char = '|';

/// Behind one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// What [`resume`] needs besides the commit's number: shared by all places of a stretch.
    pub base: Arc<[u8]>,
    /// The commit; `None` if nothing was committed yet.
    pub commit: Option<Gtid>,
    /// All numbers of the commit's source from this one to its own are behind the place. Of MariaDB all of the domain are.
    pub first: u64,
}

/// All that was told, and the place behind it.
#[derive(Debug, Clone)]
pub struct Progress {
    told: Gtids,
    place: Place,
}

impl Progress {
    /// These were told, or happened before there was anything to tell. `last`: the one that a place is best named by.
    pub fn new(told: Gtids, last: Option<Gtid>) -> Self {
        let first = last.as_ref().map_or(0, |last| run_start(&told, last));
        let place = Place { base: told.to_string().into_bytes().into(), commit: last, first };
        Self { told, place }
    }

    /// One more.
    pub fn passed(&mut self, gtid: Gtid) {
        self.place = self.behind(&gtid);
        self.told.follow(&gtid);
    }

    /// The place behind the one that comes next.
    pub fn behind(&self, gtid: &Gtid) -> Place {
        let commit = Some(*gtid);
        if self.continues(gtid) {
            return Place { base: Arc::clone(&self.place.base), commit, first: self.place.first };
        }
        let base = format!("{}{MARK}{gtid}", self.told).into_bytes().into();
        Place { base, commit, first: run_start(&self.told, gtid) }
    }

    /// Behind the last one.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// All of them.
    pub fn told(&self) -> &Gtids {
        &self.told
    }

    /// Whether the stretch goes on: the number alone says which commits are in it.
    fn continues(&self, gtid: &Gtid) -> bool {
        if !self.place.base.contains(&(MARK as u8)) {
            return false;
        }
        match (&self.place.commit, gtid) {
            (Some(Gtid::MySql(last)), Gtid::MySql(next)) => {
                last.source == next.source && last.number.checked_add(1) == Some(next.number)
            }
            (Some(Gtid::MariaDb(last)), Gtid::MariaDb(next)) => {
                last.domain == next.domain && last.server == next.server && last.number < next.number
            }
            _ => false,
        }
    }
}

/// The commits up to a place, from the base and the number of its commit. `None` if that is no place of this product's log.
pub fn resume(mariadb: bool, base: &[u8], number: u64) -> Option<Progress> {
    let text = std::str::from_utf8(base).ok()?;
    let Some((set, first)) = text.split_once(MARK) else {
        return Some(Progress::new(parse(mariadb, text)?, None));
    };
    let mut told = parse(mariadb, set)?;
    let commit = if let Gtids::MySql(told) = &mut told {
        let first: MySqlGtid = first.parse().ok()?;
        (first.number <= number).then(|| told.add_run(first.source, first.number, number))?;
        Gtid::MySql(MySqlGtid { number, ..first })
    } else {
        Gtid::MariaDb(MariaDbGtid { number, ..first.parse().ok()? })
    };
    told.follow(&commit);
    let first = run_start(&told, &commit);
    Some(Progress { told, place: Place { base: base.into(), commit: Some(commit), first } })
}

/// The first number of the unbroken run that a commit is in, or would be the last of.
fn run_start(told: &Gtids, commit: &Gtid) -> u64 {
    let (Gtids::MySql(told), Gtid::MySql(commit)) = (told, commit) else { return 0 };
    let before = MySqlGtid { number: commit.number.saturating_sub(1), ..*commit };
    told.run(commit).or_else(|| told.run(&before)).map_or(commit.number, |(first, _)| first)
}

/// A set as the product prints it.
pub(crate) fn parse(mariadb: bool, text: &str) -> Option<Gtids> {
    if mariadb { text.parse().map(Gtids::MariaDb).ok() } else { text.parse().map(Gtids::MySql).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
    const B: &str = "4e11fa47-71ca-11e1-9e33-c80aa9429562";

    fn mysql(text: &str) -> Gtid {
        Gtid::MySql(text.parse().unwrap())
    }

    fn mariadb(text: &str) -> Gtid {
        Gtid::MariaDb(text.parse().unwrap())
    }

    fn number(place: &Place) -> u64 {
        match place.commit {
            Some(Gtid::MySql(gtid)) => gtid.number,
            Some(Gtid::MariaDb(gtid)) => gtid.number,
            None => 0,
        }
    }

    fn firsts(progress: &mut Progress, gtids: &[Gtid]) -> Vec<u64> {
        let pass = |gtid: &Gtid| {
            progress.passed(*gtid);
            progress.place().first
        };
        gtids.iter().map(pass).collect()
    }

    #[test]
    fn a_place_says_since_when_its_source_has_no_hole() {
        let mut progress =
            Progress::new(parse(false, &format!("{A}:1-5:8,{B}:4-6")).unwrap(), Some(mysql(&format!("{A}:8"))));
        assert_eq!(progress.place().first, 8);
        let gtids = [format!("{A}:9"), format!("{A}:11"), format!("{A}:12"), format!("{B}:8"), format!("{A}:6")];
        assert_eq!(firsts(&mut progress, &gtids.map(|text| mysql(&text))), [8, 11, 11, 8, 1]);
        let gtids = [format!("{A}:7"), format!("{A}:10"), format!("{A}:13"), format!("{B}:7"), format!("{B}:9")];
        assert_eq!(firsts(&mut progress, &gtids.map(|text| mysql(&text))), [1, 1, 1, 4, 4]);
        let mut progress = Progress::new(parse(true, "0-1-4").unwrap(), Some(mariadb("0-1-4")));
        assert_eq!(firsts(&mut progress, &["0-1-9", "1-1-3", "0-2-10"].map(mariadb)), [0, 0, 0]);
    }

    /// Every place leads back to all that was told.
    fn check(mut progress: Progress, is_mariadb: bool, gtids: &[Gtid]) -> Progress {
        for gtid in gtids {
            progress.passed(*gtid);
            let again = resume(is_mariadb, &progress.place().base, number(progress.place())).unwrap();
            assert_eq!(again.told(), progress.told());
            assert_eq!(again.place(), progress.place());
        }
        progress
    }

    #[test]
    fn commits_of_one_server_share_their_base() {
        let start = Progress::new(parse(false, &format!("{A}:1-5:8,{B}:1-3")).unwrap(), None);
        let progress = check(start, false, &[mysql(&format!("{A}:9")), mysql(&format!("{A}:10"))]);
        let base = Arc::clone(&progress.place().base);
        let progress = check(progress, false, &[mysql(&format!("{A}:11"))]);
        assert!(Arc::ptr_eq(&base, &progress.place().base));
        assert_eq!(progress.told().to_string(), format!("{A}:1-5:8-11,{B}:1-3"));
    }

    #[test]
    fn holes_other_servers_and_tags_begin_another_stretch() {
        let gtids: Vec<Gtid> =
            [format!("{A}:1"), format!("{A}:3"), format!("{A}:2"), format!("{B}:1"), format!("{A}:4")]
                .iter()
                .chain(&[format!("{A}:blue:1"), format!("{A}:blue:2"), format!("{A}:5")])
                .map(|text| mysql(text))
                .collect();
        let progress = check(Progress::new(parse(false, "").unwrap(), None), false, &gtids);
        assert_eq!(progress.told().to_string(), format!("{A}:1-5:blue:1-2,{B}:1"));
    }

    #[test]
    fn domains_go_on_by_themselves_and_may_go_back() {
        let gtids = ["0-1-5", "0-1-9", "1-1-1", "0-2-10", "0-2-4", "0-2-5"].map(mariadb);
        let progress = check(Progress::new(parse(true, "0-1-4").unwrap(), None), true, &gtids);
        assert_eq!(progress.told().to_string(), "0-2-5,1-1-1");
    }

    #[test]
    fn what_is_no_place_is_none() {
        assert!(resume(true, format!("{A}:1-5|{A}:6").as_bytes(), 7).is_none());
        assert!(resume(false, b"0-1-5|0-1-6", 7).is_none());
        assert!(resume(false, format!("|{A}:6").as_bytes(), 5).is_none(), "before the first of its stretch");
        assert!(resume(false, &[0xff], 5).is_none());
    }
}
