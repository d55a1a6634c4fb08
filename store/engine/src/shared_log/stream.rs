//! One follower's way: with the others, or alone until it is where they are.

use std::sync::Arc;

use kit_core::{Error, Reply};

use super::SharedLog;
use super::seat::{Seat, Taken};
use crate::{ChangeStream, Committed, Place, Since, Told};

/// See the [module](self).
pub(super) struct Stream {
    shared: SharedLog,
    from: From,
    /// Everything up to here was told; `None` before the beginning was.
    reached: Option<Place>,
    /// And so many rows of the first parts of the commit behind it.
    inside: Option<usize>,
    /// So many rows of the commit that comes next were told before it went on alone.
    skip: usize,
}

enum From {
    Shared(Arc<Seat>),
    Alone {
        stream: Box<dyn ChangeStream>,
        /// What the others are told meanwhile.
        meet: Option<Arc<Seat>>,
    },
}

impl ChangeStream for Stream {
    fn next(&mut self) -> Reply<'_, Result<Vec<Told>, Error>> {
        Reply::later(self.go_on())
    }
}

impl Stream {
    pub(super) fn together(shared: SharedLog, seat: Arc<Seat>) -> Self {
        Self { shared, from: From::Shared(seat), reached: None, inside: None, skip: 0 }
    }

    pub(super) fn alone(shared: SharedLog, stream: Box<dyn ChangeStream>) -> Self {
        Self { shared, from: From::Alone { stream, meet: None }, reached: None, inside: None, skip: 0 }
    }

    async fn go_on(&mut self) -> Result<Vec<Told>, Error> {
        loop {
            let told = match &mut self.from {
                From::Shared(seat) => match seat.next().await? {
                    Taken::Told(told) => told,
                    Taken::Behind => {
                        self.part().await?;
                        continue;
                    }
                },
                From::Alone { stream, .. } => {
                    let told = stream.next().await?;
                    // The others are told the same.
                    if self.comes_back() {
                        continue;
                    }
                    told
                }
            };
            let told: Vec<Told> = told.into_iter().filter_map(|item| self.take(item)).collect();
            if !told.is_empty() {
                return Ok(told);
            }
        }
    }

    /// Goes on alone behind what was told.
    async fn part(&mut self) -> Result<(), Error> {
        // The beginning is kept for whoever has not taken it.
        let place = self.reached.clone().ok_or_else(|| Error::internal("a follower without a beginning"))?;
        let stream = self.shared.log.follow(Since::Place(place)).await?;
        tracing::debug!("a follower of the log of changes is slower than the others and goes on alone");
        self.skip = self.inside.take().unwrap_or(0);
        self.from = From::Alone { stream, meet: None };
        Ok(())
    }

    /// Goes on with the others if they have been told what this one was told last.
    fn comes_back(&mut self) -> bool {
        let From::Alone { meet: Some(seat), .. } = &self.from else { return false };
        let is_met = self.inside.is_none() && self.reached.as_ref().is_some_and(|place| seat.pass(place));
        if is_met {
            self.from = From::Shared(Arc::clone(seat));
        }
        is_met
    }

    /// An item, without the rows that were told before.
    fn take(&mut self, item: Told) -> Option<Told> {
        if let (Told::Current { .. }, From::Alone { meet, .. }) = (&item, &mut self.from)
            && meet.as_ref().is_none_or(|seat| seat.is_given_up())
        {
            *meet = self.shared.meet();
        }
        if let Some(end) = item.end() {
            (self.reached, self.inside) = (Some(end.clone()), None);
        } else {
            let rows = if let Told::Commit(commit) = &item { commit.changes.len() } else { 0 };
            *self.inside.get_or_insert(0) += rows;
        }
        match item {
            Told::Commit(commit) if self.skip > 0 => self.rest_of(&commit),
            Told::Rewritten { more: false, .. } => {
                self.skip = 0;
                Some(item)
            }
            item => Some(item),
        }
    }

    fn rest_of(&mut self, commit: &Committed) -> Option<Told> {
        let skipped = self.skip.min(commit.changes.len());
        self.skip = if commit.more { self.skip - skipped } else { 0 };
        let changes = commit.changes[skipped..].to_vec();
        let rest = Committed { changes, place: commit.place.clone(), ..*commit };
        (!rest.changes.is_empty() || !rest.more).then(|| Told::Commit(Arc::new(rest)))
    }
}
