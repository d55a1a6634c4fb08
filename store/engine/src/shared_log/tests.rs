//! A log that a test writes, and followers who share it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kit_core::{Code, Error, Reply};
use rowkeep_record::Value;
use rowkeep_schema::EntityId;
use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::*;
use crate::{Begin, Committed, Place, Point, RowChange, Stored, Told};

/// What was written, and who reads it.
#[derive(Default)]
struct Tape {
    told: Mutex<Vec<Told>>,
    written: Notify,
    /// Why nobody can read on.
    broken: Mutex<Option<Error>>,
    reading: AtomicUsize,
    opened: AtomicUsize,
}

fn place(number: u64) -> Place {
    Place { base: Arc::from(*b"tape"), point: Point { source: 7, number }, first: 0 }
}

/// A history with everything up to a commit.
fn beginning(number: u64) -> Told {
    let place = place(number);
    Told::Begin(Begin { contained: place.run().into(), place, history: 1 })
}

fn row(number: u64) -> RowChange {
    let values = vec![Value::Uint(number), Value::Blob(vec![0; 1000].into())];
    RowChange { entity: EntityId(0), before: None, after: Some(Stored { values, version: number, deleted_at: None }) }
}

fn part(number: u64, rows: std::ops::Range<u64>, more: bool) -> Told {
    let changes = rows.map(row).collect();
    Told::Commit(Arc::new(Committed { place: place(number), more, at: 0, changes }))
}

impl Tape {
    fn write(&self, told: Told) {
        self.told.lock().unwrap().push(told);
        self.written.notify_waiters();
    }

    /// Commits of one row each, which has the number of its commit.
    fn commit(&self, numbers: std::ops::Range<u64>) {
        numbers.for_each(|number| self.write(part(number, number..number + 1, false)));
    }

    /// Says that all is told.
    fn current(&self, number: u64) {
        self.write(Told::Current { moment: Instant::now(), place: place(number) });
    }

    fn break_off(&self) {
        *self.broken.lock().unwrap() = Some(Error::new(Code::Unavailable, "BROKEN", "the tape is torn"));
        self.written.notify_waiters();
    }

    fn reading(&self) -> usize {
        self.reading.load(Ordering::SeqCst)
    }

    /// How often it was opened.
    fn opened(&self) -> usize {
        self.opened.load(Ordering::SeqCst)
    }

    /// The number of the last commit before an item.
    fn number(&self, at: usize) -> u64 {
        let told = self.told.lock().unwrap();
        told[..at].iter().rev().find_map(Told::end).map_or(0, |place| place.point.number)
    }
}

struct Reading {
    tape: Arc<Tape>,
    at: usize,
    first: Option<Told>,
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.tape.reading.fetch_sub(1, Ordering::SeqCst);
    }
}

impl ChangeStream for Reading {
    fn next(&mut self) -> Reply<'_, Result<Vec<Told>, Error>> {
        Reply::later(async move {
            loop {
                if let Some(first) = self.first.take() {
                    return Ok(vec![first]);
                }
                let mut written = std::pin::pin!(self.tape.written.notified());
                written.as_mut().enable();
                if let Some(error) = &*self.tape.broken.lock().unwrap() {
                    return Err(copy(error));
                }
                let told: Vec<Told> = self.tape.told.lock().unwrap()[self.at..].iter().take(3).cloned().collect();
                self.at += told.len();
                if !told.is_empty() {
                    return Ok(told);
                }
                written.await;
            }
        })
    }
}

/// A tape as a log.
struct Log(Arc<Tape>);

impl ChangeLog for Log {
    fn follow(&self, since: Since) -> Reply<'static, Result<Box<dyn ChangeStream>, Error>> {
        let tape = Arc::clone(&self.0);
        Reply::later(async move {
            if let Some(error) = &*tape.broken.lock().unwrap() {
                return Err(copy(error));
            }
            let at = match &since {
                Since::Now => tape.told.lock().unwrap().len(),
                Since::Place(place) => {
                    let told = tape.told.lock().unwrap();
                    told.iter().rposition(|told| told.end() == Some(place)).map_or(0, |at| at + 1)
                }
            };
            tape.reading.fetch_add(1, Ordering::SeqCst);
            tape.opened.fetch_add(1, Ordering::SeqCst);
            let first = Some(beginning(tape.number(at)));
            Ok(Box::new(Reading { tape, at, first }) as Box<dyn ChangeStream>)
        })
    }
}

struct Lab {
    tape: Arc<Tape>,
    log: SharedLog,
}

impl Lab {
    fn new(kept: usize) -> Self {
        let tape = Arc::new(Tape::default());
        let log = SharedLog::keeping(Arc::new(Log(Arc::clone(&tape))), &Handle::current(), kept);
        Self { tape, log }
    }

    async fn follow(&self, since: Since) -> Follower {
        let stream = self.log.follow(since).await.unwrap();
        Follower { stream, rows: Vec::new(), rewritten: 0, begins: Vec::new(), is_inside: false }
    }

    async fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let waited = async {
            while !is_so() {
                // The log is heard of once a second in truth.
                let written = self.tape.told.lock().unwrap().len();
                self.tape.current(self.tape.number(written));
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), waited).await.expect(what);
    }
}

struct Follower {
    stream: Box<dyn ChangeStream>,
    /// First columns of the rows that were told.
    rows: Vec<u64>,
    rewritten: usize,
    begins: Vec<Begin>,
    is_inside: bool,
}

impl Follower {
    async fn more(&mut self) -> Result<(), Error> {
        for told in self.stream.next().await? {
            match told {
                Told::Begin(begin) => self.begins.push(begin),
                Told::Commit(commit) => {
                    self.is_inside = commit.more;
                    self.rows.extend(commit.changes.iter().map(|change| change.after.as_ref().unwrap().version));
                }
                Told::Rewritten { more, .. } => {
                    self.is_inside = more;
                    self.rewritten += 1;
                }
                Told::Current { .. } => {}
            }
        }
        Ok(())
    }

    async fn until(&mut self, last: u64) {
        while self.rows.last() != Some(&last) {
            let more = tokio::time::timeout(Duration::from_secs(60), self.more()).await;
            more.unwrap_or_else(|_| panic!("{last} after {:?}", self.rows.last())).unwrap();
        }
    }
}

#[tokio::test]
async fn all_who_follow_from_now_on_share_one_reading_and_are_told_the_same() {
    let lab = Lab::new(KEPT);
    let mut first = lab.follow(Since::Now).await;
    let mut second = lab.follow(Since::Now).await;
    lab.tape.commit(1..50);
    lab.tape.write(Told::Rewritten { entity: None, place: place(50), more: false });
    lab.tape.commit(51..60);
    for follower in [&mut first, &mut second] {
        follower.until(59).await;
        assert_eq!(follower.rows, (1..50).chain(51..60).collect::<Vec<_>>());
        assert_eq!((follower.rewritten, follower.begins.len()), (1, 1));
    }
    assert_eq!((lab.tape.opened(), lab.tape.reading()), (1, 1));
}

#[tokio::test]
async fn who_comes_later_begins_behind_what_was_told() {
    let lab = Lab::new(KEPT);
    lab.tape.commit(1..11);
    let mut first = lab.follow(Since::Now).await;
    lab.tape.commit(11..21);
    first.until(20).await;
    let mut later = lab.follow(Since::Now).await;
    lab.tape.commit(21..31);
    later.until(30).await;
    assert_eq!(later.rows, (21..31).collect::<Vec<_>>());
    let [begin] = &later.begins[..] else { panic!("{:?}", later.begins) };
    assert_eq!((begin.place.clone(), begin.history), (place(20), 1));
    assert_eq!(begin.contained, crate::Runs::from(crate::Run { source: 7, first: 0, last: 20 }));
}

#[test]
fn a_beginning_contains_what_was_told_by_no_item_of_its_own_and_no_hole() {
    let run = |first, last| crate::Run { source: 7, first, last };
    let contained = [run(1, 5), run(8, 8)].into_iter().collect();
    let mut reach = reach::Reach::new(Begin { place: place(8), contained, history: 1 });
    let mut pass = |number, first| {
        let place = Place { first, ..place(number) };
        reach.take(&Told::Rewritten { entity: None, place, more: false });
        reach.begin().contained.as_slice().to_vec()
    };
    assert_eq!(pass(11, 8), [run(1, 5), run(8, 11)]);
    assert_eq!(pass(13, 13), [run(1, 5), run(8, 11), run(13, 13)]);
    assert_eq!(pass(7, 7), [run(1, 5), run(7, 11), run(13, 13)]);
    assert_eq!(pass(12, 7), [run(1, 5), run(7, 13)]);
}

#[tokio::test]
async fn nobody_begins_between_two_parts_of_a_commit() {
    let lab = Lab::new(KEPT);
    let mut first = lab.follow(Since::Now).await;
    lab.tape.commit(1..2);
    lab.tape.write(part(2, 100..110, true));
    first.until(109).await;
    let mut later = lab.follow(Since::Now).await;
    lab.tape.write(part(2, 110..120, true));
    lab.tape.write(Told::Rewritten { entity: Some(EntityId(0)), place: place(2), more: true });
    lab.tape.write(part(2, 120..121, false));
    lab.tape.commit(3..5);
    later.until(4).await;
    assert_eq!((later.rows, later.rewritten, later.begins[0].place.clone()), (vec![3, 4], 0, place(2)));
    first.until(4).await;
    assert_eq!(first.rows, (1..2).chain(100..121).chain(3..5).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_slow_one_holds_up_nobody_misses_nothing_and_comes_back() {
    let lab = Lab::new(20_000);
    let mut slow = lab.follow(Since::Now).await;
    let mut quick = lab.follow(Since::Now).await;
    for number in 1..300 {
        lab.tape.commit(number..number + 1);
        quick.until(number).await;
    }
    assert_eq!(lab.tape.opened(), 1);
    slow.until(299).await;
    assert_eq!(lab.tape.opened(), 2);
    assert!(slow.begins.len() == 2 && quick.begins.len() == 1, "who goes on alone begins");
    // It takes more only while it is waited for.
    let took = async {
        loop {
            slow.more().await.unwrap();
        }
    };
    tokio::select! {
        () = took => {}
        () = lab.until("one reading is enough again", || lab.tape.reading() == 1) => {}
    }
    lab.tape.commit(300..310);
    slow.until(309).await;
    quick.until(309).await;
    assert_eq!((&slow.rows, &quick.rows), (&(1..310).collect::<Vec<_>>(), &(1..310).collect::<Vec<_>>()));
    assert_eq!(lab.tape.opened(), 2);
}

#[tokio::test]
async fn one_that_falls_behind_inside_of_a_commit_is_told_the_rest_of_it() {
    let lab = Lab::new(20_000);
    let mut slow = lab.follow(Since::Now).await;
    let mut quick = lab.follow(Since::Now).await;
    lab.tape.commit(1..2);
    lab.tape.write(part(2, 100..105, true));
    slow.until(104).await;
    for first in (105..200).step_by(5) {
        lab.tape.write(part(2, first..first + 5, true));
        quick.until(first + 4).await;
    }
    lab.tape.write(part(2, 200..200, false));
    lab.tape.commit(3..4);
    let expected: Vec<u64> = (1..2).chain(100..200).chain(3..4).collect();
    for follower in [&mut slow, &mut quick] {
        follower.until(3).await;
        assert!(follower.rows == expected && !follower.is_inside, "{:?}", follower.rows);
    }
}

#[tokio::test]
async fn one_that_begins_at_a_place_reads_alone_until_it_is_where_the_others_are() {
    let lab = Lab::new(KEPT);
    lab.tape.commit(1..100);
    let mut old = lab.follow(Since::Place(place(10))).await;
    let mut first = lab.follow(Since::Now).await;
    assert_eq!(lab.tape.reading(), 2);
    let took = async {
        loop {
            old.more().await.unwrap();
        }
    };
    tokio::select! {
        () = took => {}
        () = lab.until("one reading is enough", || lab.tape.reading() == 1) => {}
    }
    lab.tape.commit(100..110);
    old.until(109).await;
    first.until(109).await;
    assert_eq!((old.rows, first.rows), ((11..110).collect::<Vec<_>>(), (100..110).collect()));
}

#[tokio::test]
async fn a_log_that_breaks_off_ends_all_and_is_followed_anew() {
    let lab = Lab::new(KEPT);
    let mut followers = [lab.follow(Since::Now).await, lab.follow(Since::Now).await];
    lab.tape.commit(1..5);
    for follower in &mut followers {
        follower.until(4).await;
    }
    lab.tape.break_off();
    for follower in &mut followers {
        assert_eq!(follower.more().await.unwrap_err().reason(), "BROKEN");
    }
    assert_eq!(lab.log.follow(Since::Now).await.err().unwrap().reason(), "BROKEN");
    *lab.tape.broken.lock().unwrap() = None;
    let mut again = lab.follow(Since::Now).await;
    lab.tape.commit(5..8);
    again.until(7).await;
    assert_eq!(again.rows, [5, 6, 7]);
}

#[tokio::test]
async fn nothing_is_read_once_the_last_follower_is_gone() {
    let lab = Lab::new(KEPT);
    for round in 0..3_u64 {
        let mut follower = lab.follow(Since::Now).await;
        drop(lab.follow(Since::Now).await);
        lab.tape.commit(round * 2..round * 2 + 2);
        follower.until(round * 2 + 1).await;
        assert_eq!(lab.tape.reading(), 1);
        drop(follower);
        lab.until("nobody reads", || lab.tape.reading() == 0).await;
    }
}

#[test]
fn followers_are_told_when_the_runtime_ends() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let tape = Arc::new(Tape::default());
    let log = SharedLog::new(Arc::new(Log(tape)), runtime.handle());
    let own = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut stream = own.block_on(log.follow(Since::Now)).unwrap();
    drop(runtime);
    let mut ended = || own.block_on(async { tokio::time::timeout(Duration::from_secs(60), stream.next()).await });
    let error = std::iter::from_fn(|| Some(ended().expect("it is told"))).find_map(Result::err).unwrap();
    assert_eq!(error.reason(), "LOG_NOT_FOLLOWED");
}
