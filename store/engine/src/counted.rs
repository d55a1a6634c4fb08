//! Following a log whose commits are counted by one number and made in this process: the embedded store's, and that of
//! the model in memory.
//!
//! ## Waiting
//! A follower sleeps until the next commit, and once a second wakes by itself to say how far it is. It never asks the
//! storage whether there is something: the number of the last commit is in memory.
//!
//! ## What is told
//! Commits up to the number that was last shown to readers, so that nothing is told before it can be read.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kit_core::{Code, Error, Reply};
use tokio::sync::Notify;

use crate::{Begin, ChangeStream, Place, Point, Since, Told};

/// How often a follower is told how far it is, at least.
const CURRENT: Duration = Duration::from_secs(1);

/// A log whose commits are counted.
pub trait CountedLog: Send + Sync + 'static {
    /// What tells this log from every other one: 16 bytes.
    fn id(&self) -> Arc<[u8]>;

    /// The last commit that every read begun now shows.
    fn shown(&self) -> u64;

    /// The last commit that is not kept any more: nobody can go on from behind an earlier one.
    fn forgotten(&self) -> u64;

    /// Wakes those who wait for the next commit.
    fn committed(&self) -> &Notify;

    /// Whether it can still be followed.
    ///
    /// # Errors
    /// `UNAVAILABLE` once it is being closed.
    fn check(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Some of what was committed behind `after`, up to `until` at most; all of it, if it is not much.
    ///
    /// # Errors
    /// `DATA_LOSS` `CHANGES_LOST` if some of it is not kept any more; what the storage says.
    fn read(&self, after: u64, until: u64) -> Result<Read, Error>;
}

/// A piece of a counted log.
#[derive(Debug, Default)]
pub struct Read {
    /// What was committed, in order.
    pub told: Vec<Told>,
    /// Everything up to this commit is in it.
    pub until: u64,
}

/// Begins to follow a counted log.
///
/// # Errors
/// `DATA_LOSS` `CHANGES_LOST`, as [`ChangeLog::follow`](crate::ChangeLog::follow).
pub fn follow<L: CountedLog>(log: Arc<L>, since: Since) -> Result<Box<dyn ChangeStream>, Error> {
    let (id, shown) = (log.id(), log.shown());
    let at = match since {
        Since::Now => shown,
        Since::Place(place) if place.base != id || place.point.source != 0 => return Err(other_log()),
        Since::Place(place) if place.point.number > shown => return Err(other_log()),
        Since::Place(place) => place.point.number,
    };
    if at < log.forgotten() {
        return Err(forgotten());
    }
    Ok(Box::new(Follower { log, id, at, state: State::Fresh }))
}

/// `CHANGES_LOST`: the log does not reach back so far.
pub fn forgotten() -> Error {
    lost("the log of changes does not reach back to that place any more: take everything anew")
}

fn other_log() -> Error {
    lost("that place is not one of this log of changes: take everything anew")
}

fn lost(message: &'static str) -> Error {
    Error::new(Code::DataLoss, "CHANGES_LOST", message)
}

/// The place behind a commit of a counted log.
pub fn place(id: &Arc<[u8]>, number: u64) -> Place {
    Place { base: Arc::clone(id), point: Point { source: 0, number }, first: 0 }
}

/// A log's name as a number.
fn number(id: &[u8]) -> u128 {
    id.iter().fold(0, |number, byte| number.rotate_left(8) ^ u128::from(*byte))
}

struct Follower<L> {
    log: Arc<L>,
    id: Arc<[u8]>,
    /// Everything up to this commit was told.
    at: u64,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Nothing was told yet.
    Fresh,
    /// When it was last said that all is told.
    Current(Option<Instant>),
}

impl<L: CountedLog> Follower<L> {
    async fn wait(&mut self) -> Result<Vec<Told>, Error> {
        let State::Current(last) = self.state else { return Ok(self.begin()) };
        let log = Arc::clone(&self.log);
        loop {
            let mut committed = std::pin::pin!(log.committed().notified());
            // From here on a commit wakes, so that none falls between the look and the sleep.
            committed.as_mut().enable();
            log.check()?;
            let told = self.look(last)?;
            if !told.is_empty() {
                return Ok(told);
            }
            let rest = last.map_or(CURRENT, |last| CURRENT.saturating_sub(last.elapsed()));
            // Either is a reason to look again.
            let _ = tokio::time::timeout(rest, committed).await;
        }
    }

    fn begin(&mut self) -> Vec<Told> {
        self.state = State::Current(None);
        let place = place(&self.id, self.at);
        vec![Told::Begin(Begin { contained: place.run().into(), place, history: number(&self.id) })]
    }

    /// What is new; at its end that it was all, if that was not said for a while.
    fn look(&mut self, last: Option<Instant>) -> Result<Vec<Told>, Error> {
        // Taken before the number: what was acknowledged by then is counted in it.
        let moment = Instant::now();
        let shown = self.log.shown();
        let Read { mut told, until } =
            if shown > self.at { self.log.read(self.at, shown)? } else { Read { told: Vec::new(), until: self.at } };
        self.at = until;
        let is_due = last.is_none_or(|last| moment.duration_since(last) >= CURRENT);
        if until == shown && (is_due || !told.is_empty()) {
            told.push(Told::Current { moment, place: place(&self.id, until) });
            self.state = State::Current(Some(moment));
        }
        Ok(told)
    }
}

impl<L: CountedLog> ChangeStream for Follower<L> {
    fn next(&mut self) -> Reply<'_, Result<Vec<Told>, Error>> {
        Reply::later(self.wait())
    }
}
