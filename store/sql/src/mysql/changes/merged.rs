//! What was told of several shards, as one history.

use std::sync::Arc;
use std::time::Instant;

use kit_core::Error;
use rowkeep_binlog::{Gtids, MySqlGtids};
use rowkeep_changes::{Event, Place as LogPlace, Progress, resume};
use rowkeep_engine::{Begin, Committed, Place, Point, RowChange, Run, Runs, Told};
use rowkeep_schema::EntityId;

use super::points::{NOTHING, point, runs};
use crate::mysql::servers::hashed;

/// Begins the text of a place.
const MARK: &str = "shards";

/// How far the log of one shard was told.
struct Shard {
    name: String,
    /// The server whose log it is; `None` before it has begun.
    server: Option<String>,
    told: Gtids,
    /// The last commit, and the first number of the run that it is in.
    point: Point,
    first: u64,
    /// Everything that was acknowledged before was told.
    moment: Option<Instant>,
}

/// How far the logs were told.
pub(super) struct Merged {
    shards: Vec<Shard>,
    has_begun: bool,
    /// Parts of a commit to this shard were told.
    inside: Option<usize>,
    moment: Option<Instant>,
}

impl Merged {
    pub(super) fn new(names: &[String]) -> Self {
        let shard = |name: &String| Shard {
            name: name.clone(),
            server: None,
            told: Gtids::MySql(MySqlGtids::default()),
            point: NOTHING,
            first: 0,
            moment: None,
        };
        Self { shards: names.iter().map(shard).collect(), has_begun: false, inside: None, moment: None }
    }

    /// Of which shard alone something may be told next, if a commit to it is told in parts.
    pub(super) fn inside(&self) -> Option<usize> {
        self.inside
    }

    /// Takes in what a shard's log told.
    ///
    /// # Errors
    /// If its place cannot be read.
    pub(super) fn take(
        &mut self,
        shard: usize,
        event: Event<EntityId, RowChange>,
        out: &mut Vec<Told>,
    ) -> Result<(), Error> {
        match event {
            Event::Begin { place, told, server } => {
                let of = &mut self.shards[shard];
                (of.server, of.told) = (Some(server), told);
                of.name_by(&place);
                if self.shards.iter().all(|shard| shard.server.is_some()) {
                    self.has_begun = true;
                    out.push(Told::Begin(self.begin(shard)));
                }
            }
            Event::Commit { place, more, at, rows } => {
                self.shards[shard].advance(&place)?;
                self.inside = more.then_some(shard);
                out.push(Told::Commit(Arc::new(Committed { place: self.place(shard), more, at, changes: rows })));
            }
            Event::Rewritten { table, place, more } => {
                self.shards[shard].advance(&place)?;
                self.inside = more.then_some(shard);
                out.push(Told::Rewritten { entity: table, place: self.place(shard), more });
            }
            Event::Current { moment, place } => {
                let of = &mut self.shards[shard];
                of.advance(&place)?;
                of.moment = Some(moment);
            }
        }
        Ok(())
    }

    /// Whether everything was told that was acknowledged before a later moment than it was said of.
    pub(super) fn current(&mut self) -> Option<Told> {
        let least = self.shards.iter().map(|shard| shard.moment).min()??;
        let is_later = self.moment.is_none_or(|moment| moment < least);
        if !self.has_begun || !is_later || self.inside.is_some() {
            return None;
        }
        self.moment = Some(least);
        // The same for all who were told the same, whatever they were told last.
        Some(Told::Current { moment: least, place: self.place(0) })
    }

    /// Behind all that was told, named by the last commit to a shard.
    fn place(&self, shard: usize) -> Place {
        let Shard { point, first, .. } = self.shards[shard];
        let mut base = MARK.to_owned();
        for Shard { name, told, .. } in &self.shards {
            base.push_str(&format!("\n{name} {told}"));
        }
        Place { base: base.into_bytes().into(), point, first }
    }

    fn begin(&self, shard: usize) -> Begin {
        let contained = history(self.shards.iter().map(|shard| (shard.name.as_str(), &shard.told)));
        let servers: Vec<String> = self
            .shards
            .iter()
            .map(|shard| format!("{}={}", shard.name, shard.server.as_deref().unwrap_or_default()))
            .collect();
        Begin { place: self.place(shard), contained, history: hashed(&servers.join(",")) }
    }
}

impl Shard {
    fn advance(&mut self, place: &LogPlace) -> Result<(), Error> {
        let number = place.commit.as_ref().map_or(0, |commit| point(commit).number);
        let progress = resume(false, &place.base, number);
        let progress = progress.ok_or_else(|| Error::internal("a place of a shard that does not lead back"))?;
        self.told = progress.told().clone();
        self.name_by(place);
        Ok(())
    }

    fn name_by(&mut self, place: &LogPlace) {
        self.first = place.first;
        self.point = place.commit.as_ref().map_or(NOTHING, |commit| salted(&self.name, point(commit)));
    }
}

/// Servers of different shards are told apart also where they are one server.
fn salted(shard: &str, point: Point) -> Point {
    Point { source: point.source ^ hashed(shard), ..point }
}

fn history<'a>(shards: impl Iterator<Item = (&'a str, &'a Gtids)>) -> Runs {
    let mut all = Runs::default();
    for (name, told) in shards {
        let salt = hashed(name);
        runs(told).as_slice().iter().for_each(|run| all.add(Run { source: run.source ^ salt, ..*run }));
    }
    all
}

/// What was told of each shard up to a place; `None` if it is a place of none of these shards.
pub(super) fn open(names: &[String], place: &Place) -> Option<Vec<Progress>> {
    let mut lines = std::str::from_utf8(&place.base).ok()?.split('\n');
    if lines.next() != Some(MARK) {
        return None;
    }
    let mut told = Vec::with_capacity(names.len());
    for name in names {
        let (shard, set) = lines.next()?.split_once(' ')?;
        if shard != name {
            return None;
        }
        told.push(Gtids::MySql(set.parse().ok()?));
    }
    let contained = history(names.iter().map(String::as_str).zip(&told));
    let is_whole = lines.next().is_none() && (place.point == NOTHING || contained.contains(place.point));
    is_whole.then(|| told.into_iter().map(|told| Progress::new(told, None)).collect())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rowkeep_binlog::Gtid;

    use super::*;

    const A: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";

    /// Two shards in one server, each with its own progress in what is one log.
    struct Logs {
        merged: Merged,
        progress: [Progress; 2],
        out: Vec<Told>,
    }

    fn names() -> Vec<String> {
        ["-80", "80-"].map(str::to_owned).into()
    }

    fn logs() -> Logs {
        let told = Gtids::MySql(format!("{A}:1-9").parse().unwrap());
        let last = Gtid::MySql(format!("{A}:9").parse().unwrap());
        let progress = Progress::new(told, Some(last));
        let mut logs = Logs { merged: Merged::new(&names()), progress: [progress.clone(), progress], out: Vec::new() };
        logs.begin(0, "one");
        assert!(logs.out.is_empty(), "not before every shard has begun");
        logs.begin(1, "two");
        logs
    }

    impl Logs {
        fn begin(&mut self, shard: usize, server: &str) {
            let progress = &self.progress[shard];
            let (place, told) = (progress.place().clone(), progress.told().clone());
            let begin = Event::Begin { place, told, server: server.to_owned() };
            self.merged.take(shard, begin, &mut self.out).unwrap();
        }

        fn commit(&mut self, shard: usize, number: u64, more: bool) -> Place {
            let gtid = Gtid::MySql(format!("{A}:{number}").parse().unwrap());
            let place = self.progress[shard].behind(&gtid);
            if !more {
                self.progress[shard].passed(gtid);
            }
            let commit = Event::Commit { place, more, at: 0, rows: Vec::new() };
            self.merged.take(shard, commit, &mut self.out).unwrap();
            self.out
                .last()
                .and_then(|told| match told {
                    Told::Commit(commit) => Some(commit.place.clone()),
                    _ => None,
                })
                .unwrap()
        }

        fn current(&mut self, shard: usize, moment: Instant) -> Option<Instant> {
            let place = self.progress[shard].place().clone();
            self.merged.take(shard, Event::Current { moment, place }, &mut self.out).unwrap();
            match self.merged.current()? {
                Told::Current { moment, .. } => Some(moment),
                other => panic!("{other:?}"),
            }
        }
    }

    fn sets(place: &Place) -> Vec<String> {
        open(&names(), place).unwrap().iter().map(|progress| progress.told().to_string()).collect()
    }

    #[test]
    fn a_place_leads_back_to_all_shards() {
        let mut logs = logs();
        let first = logs.commit(0, 10, false);
        assert_eq!(sets(&first), [format!("{A}:1-10"), format!("{A}:1-9")]);
        let second = logs.commit(1, 11, false);
        assert_eq!(sets(&second), [format!("{A}:1-10"), format!("{A}:1-9:11")]);
        assert_ne!(first.point.source, second.point.source, "shards are told apart");
        assert_eq!((first.first, second.first), (1, 11));
    }

    #[test]
    fn a_place_of_other_shards_or_of_another_log_is_none() {
        let place = logs().commit(0, 10, false);
        for names in [&["-80"][..], &["-40", "80-"], &["-80", "80-", "c0-"]] {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            assert!(open(&names, &place).is_none(), "{names:?}");
        }
        let other = Place { point: Point { number: 77, ..place.point }, ..place.clone() };
        assert!(open(&names(), &other).is_none());
        assert!(open(&names(), &Place { base: Arc::from(*b"none"), ..place }).is_none());
    }

    #[test]
    fn all_is_told_once_it_is_of_every_shard() {
        let (mut logs, now) = (logs(), Instant::now());
        let later = now + Duration::from_millis(5);
        assert_eq!(logs.current(0, later), None);
        assert_eq!(logs.current(1, now), Some(now));
        assert_eq!(logs.current(0, later + Duration::from_millis(5)), None, "no later than of the other");
        logs.commit(1, 10, true);
        assert_eq!(logs.merged.inside(), Some(1));
        assert_eq!(logs.current(1, later), None, "inside of a commit");
        logs.commit(1, 10, false);
        assert_eq!((logs.merged.inside(), logs.current(1, later)), (None, Some(later)));
    }

    #[test]
    fn another_primary_of_a_shard_begins_another_history_that_has_all_that_was_told() {
        let mut logs = logs();
        let told = [logs.commit(0, 10, false).point, logs.commit(1, 11, false).point];
        logs.begin(1, "three");
        let begun: Vec<&Begin> = logs
            .out
            .iter()
            .filter_map(|told| match told {
                Told::Begin(begin) => Some(begin),
                _ => None,
            })
            .collect();
        let [before, after] = begun.as_slice() else { panic!("{begun:?}") };
        assert_ne!(before.history, after.history);
        assert_eq!(told.map(|point| before.contained.contains(point)), [false, false]);
        assert_eq!(told.map(|point| after.contained.contains(point)), [true, true]);
        assert_eq!(after.contained.position().points().len(), 3, "the last before each hole: {after:?}");
        assert!(after.contained.position().points().iter().all(|point| after.contained.contains(*point)));
    }
}
