//! The log of changes: what every copy of rows (cache, watch, index) follows, and nothing else.
//!
//! A storage tells its commits in their order, each only once reads of the storage show it. Whoever follows keeps the
//! [`Place`] of the last commit it took in together with what it derived, and goes on from there: nothing is told twice
//! without being asked for, and nothing is left out, or the log says that it cannot go on
//! ([`CHANGES_LOST`](ChangeLog::follow)).

use std::sync::Arc;
use std::time::Instant;

use kit_core::{Error, Reply};
use rowkeep_record::Value;
use rowkeep_schema::EntityId;

use crate::{Point, Run, Runs, Stored};

/// Where reading a log goes on: behind one commit. Read only by the log that it comes from.
#[derive(Debug, Clone)]
pub struct Place {
    /// What else is behind it, in the log's own form; shared by the places of one stretch of the log.
    pub base: Arc<[u8]>,
    /// The commit.
    pub point: Point,
    /// All numbers of the commit's source from this one to its own are behind the place; its own where no more is known.
    pub first: u64,
}

/// Whatever is known of the numbers before it.
impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        self.point == other.point && self.base == other.base
    }
}

impl Eq for Place {}

impl Place {
    /// Whether two places that one log has told are behind the same commit: what is before it may be written down in other words,
    /// where it was read from another place on.
    pub fn meets(&self, other: &Self) -> bool {
        self.point == other.point
    }

    /// The commits of the point's source that are known to be behind it.
    pub fn run(&self) -> Run {
        Run { source: self.point.source, first: self.first, last: self.point.number }
    }
}

/// Where to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Since {
    /// With the first commit that a read, begun once [`ChangeLog::follow`] has answered, may not show.
    Now,
    /// Behind this commit.
    Place(Place),
}

/// A log of changes.
pub trait ChangeLog: Send + Sync + 'static {
    /// Begins to follow. Several may follow at once.
    ///
    /// # Errors
    /// `DATA_LOSS` `CHANGES_LOST`: the log does not reach back to that place, or the place is of another log; what was derived
    /// has to be made anew. What the storage says otherwise, `UNAVAILABLE` among it: try again.
    fn follow(&self, since: Since) -> Reply<'static, Result<Box<dyn ChangeStream>, Error>>;
}

/// One follower's way through a log. Dropped, it ends.
pub trait ChangeStream: Send {
    /// What comes next: at least one item, and as many as are there. May be given up half way (a dropped future): nothing is
    /// lost. A storage that lost its connection finds its way back by itself, as long as the log has what follows.
    ///
    /// # Errors
    /// As of [`ChangeLog::follow`]; the stream is of no use then, and the place of the last commit is.
    fn next(&mut self) -> Reply<'_, Result<Vec<Told>, Error>>;
}

/// What a log tells.
#[derive(Debug, Clone)]
pub enum Told {
    /// The storage commits into a history of its own from here on: the first item of every stream, and again once another
    /// server has become the primary. Reads before may have shown what the new history does not have.
    Begin(Begin),
    /// Rows changed.
    Commit(Arc<Committed>),
    /// Rows of this entity, or of any, may have changed in ways the log does not show: a table was emptied or changed its
    /// form, a statement was logged as text, the server lost part of its log. `place` is behind it.
    Rewritten {
        /// Of all entities, if `None`.
        entity: Option<EntityId>,
        /// Where to go on behind the commit.
        place: Place,
        /// More of the commit follows.
        more: bool,
    },
    /// Everything that was acknowledged before this moment has been told. Comes once a second or more often, also if nothing
    /// changes.
    Current {
        /// The moment.
        moment: Instant,
        /// Where to go on.
        place: Place,
    },
}

impl Told {
    /// The place behind it, unless more of the same commit follows.
    pub(crate) fn end(&self) -> Option<&Place> {
        match self {
            Self::Commit(commit) => (!commit.more).then_some(&commit.place),
            Self::Rewritten { place, more, .. } => (!more).then_some(place),
            Self::Begin(Begin { place, .. }) | Self::Current { place, .. } => Some(place),
        }
    }

    /// About the memory that it takes.
    pub(crate) fn weight(&self) -> usize {
        let outside = if let Self::Commit(commit) = self { commit.weight() } else { 0 };
        outside + size_of::<Self>()
    }
}

/// A history begins.
#[derive(Debug, Clone)]
pub struct Begin {
    /// Behind all that the history contains at its beginning.
    pub place: Place,
    /// Who commits, as the log names it: the same for every process that follows the same primary, and another one for another
    /// primary, or for a log that was begun anew.
    pub history: u128,
    /// What the history contained at its beginning. Commits that are told later add their [`run`](Place::run) to it.
    pub contained: Runs,
}

/// One commit, or a part of one that is too large to be told at once.
#[derive(Debug, Clone, PartialEq)]
pub struct Committed {
    /// Behind it. All parts of a commit have the same.
    pub place: Place,
    /// Further parts follow. It happened all the same, and is seen by reads.
    pub more: bool,
    /// When it was committed, microseconds since 1970, by the storage's clock; seconds where it knows no finer.
    pub at: i64,
    /// The rows, in the order they were changed. One row may come several times.
    pub changes: Vec<RowChange>,
}

impl Committed {
    /// About the memory that it takes.
    pub(crate) fn weight(&self) -> usize {
        self.changes.iter().map(RowChange::weight).sum::<usize>() + size_of::<Self>()
    }
}

/// One row before and after.
#[derive(Debug, Clone, PartialEq)]
pub struct RowChange {
    /// Of which entity.
    pub entity: EntityId,
    /// As it was; `None` if it was added.
    pub before: Option<Stored>,
    /// As it is; `None` if it was deleted. A changed key is one change with two keys.
    pub after: Option<Stored>,
}

impl RowChange {
    fn weight(&self) -> usize {
        let rows = self.before.iter().chain(&self.after);
        rows.flat_map(|row| &row.values).map(value_weight).sum::<usize>() + size_of::<Self>()
    }
}

fn value_weight(value: &Value) -> usize {
    let outside = match value {
        Value::Text(text) => text.len(),
        Value::Blob(bytes) => bytes.len(),
        _ => 0,
    };
    outside + size_of::<Value>()
}
