//! One watcher: first the snapshot, if there is one, then what the feed brings.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use kit_core::{Code, Error};
use rowkeep_record::Record;
use rowkeep_record::query::Filter;
use rowkeep_schema::EntityId;

use super::feed::{Feed, Step};
use super::judge::Judge;
use super::ring::Heard;
use super::snapshot::{MANY, Sent, Snapshot};
use super::token::Resume;
use super::{WatchEvent, Watched, changes_lost, count};
use crate::engine::Shared;
use crate::{Committed, Place};

/// Items of the log that are taken between two pages.
const BETWEEN_PAGES: usize = 100;
/// Events that may wait before more of the log is taken between two pages.
const WAITING: usize = 1000;

/// A watch under way. Dropped, it ends.
pub struct Watcher {
    shared: Arc<Shared>,
    entity: EntityId,
    filter: Option<Arc<Filter>>,
    /// What its tokens are bound to.
    binding: Vec<u8>,
    feed: Feed,
    /// Everything up to here was told.
    at: Place,
    /// And so many of the entity's changes behind it.
    told: u64,
    /// So many of the entity's changes behind it were told to whoever had the token.
    skip: u64,
    /// What is told next.
    queue: VecDeque<Watched>,
    snapshot: Option<(Snapshot, Sent)>,
    heartbeat: Instant,
}

impl Watcher {
    pub(super) fn new(
        shared: Arc<Shared>,
        entity: EntityId,
        filter: Option<Arc<Filter>>,
        binding: Vec<u8>,
        feed: Feed,
        snapshot: Option<Snapshot>,
        skip: u64,
    ) -> Self {
        let at = feed.reached.place.clone();
        let snapshot = snapshot.map(|snapshot| (snapshot, Sent::new(shared.entity(entity).versioned)));
        let heartbeat = Instant::now() + shared.options.watch.heartbeat;
        let queue = VecDeque::new();
        Self { shared, entity, filter, binding, feed, at, told: 0, skip, queue, snapshot, heartbeat }
    }

    /// What happens next; waits for it. Given up half way, nothing is lost.
    ///
    /// # Errors
    /// Each ends the watch. `ABORTED` `CHANGES_LOST`: take a new snapshot; `RESOURCE_EXHAUSTED` `WATCHER_TOO_SLOW`:
    /// events are taken more slowly than rows change, the token to go on with is in its metadata; `UNAVAILABLE`: go on from
    /// the last token.
    pub async fn next(&mut self) -> Result<Watched, Error> {
        loop {
            if let Some(watched) = self.queue.pop_front() {
                self.heartbeat = Instant::now() + self.shared.options.watch.heartbeat;
                return Ok(watched);
            }
            if self.snapshot.is_some() {
                self.go_on_with_snapshot().await?;
            } else {
                let step = self.feed.next(self.heartbeat, false).await?;
                self.take(step)?;
                self.check_speed()?;
            }
            if self.queue.is_empty() && Instant::now() >= self.heartbeat {
                self.tell(WatchEvent::Heartbeat);
            }
        }
    }

    async fn go_on_with_snapshot(&mut self) -> Result<(), Error> {
        self.take_what_is_there().await?;
        let Some((snapshot, sent)) = &mut self.snapshot else { return Ok(()) };
        let is_settled = snapshot.is_settled(&self.feed.reached);
        if is_settled {
            sent.forget_pages();
        }
        if snapshot.is_read && is_settled {
            self.complete();
        } else if snapshot.is_read || sent.pages() > MANY {
            let step = self.feed.next(self.heartbeat, true).await?;
            self.take(step)?;
        } else if self.queue.len() < WAITING {
            let page = snapshot.page(&self.shared).await?;
            self.take_page(page);
        }
        Ok(())
    }

    async fn take_what_is_there(&mut self) -> Result<(), Error> {
        for _ in 0..BETWEEN_PAGES {
            let step = self.feed.next(Instant::now(), true).await?;
            let is_all = matches!(step, Step::Waited);
            self.take(step)?;
            if is_all || self.queue.len() >= WAITING {
                break;
            }
        }
        Ok(())
    }

    fn take_page(&mut self, page: Vec<(rowkeep_record::Key, Record)>) {
        let Some((_, sent)) = &mut self.snapshot else { return };
        for (key, record) in page {
            if sent.take_row(&key, &record) {
                count(&self.shared.counters().events);
                self.queue.push_back(Watched { event: WatchEvent::Changed(record), token: None });
            }
        }
    }

    fn complete(&mut self) {
        self.snapshot = None;
        // What it missed meanwhile is not its slowness.
        self.feed.forgive();
        self.tell(WatchEvent::SnapshotComplete);
    }

    fn take(&mut self, step: Step) -> Result<(), Error> {
        match step {
            Step::Waited => {}
            // Inside a commit, or nowhere else: what was told behind the place still counts.
            Step::Moved if self.feed.reached.is_inside || self.feed.reached.place == self.at => {}
            Step::Moved => self.arrive(self.feed.reached.place.clone()),
            Step::Item(Heard::Rewritten { .. }) => return Err(changes_lost()),
            Step::Item(Heard::Commit(commit)) => self.take_commit(&commit)?,
            Step::Dropped => {
                count(&self.shared.counters().fell_behind);
                self.skip = std::mem::take(&mut self.told);
                self.feed.fall_back(&self.at);
            }
        }
        Ok(())
    }

    /// Everything up to a place was told.
    fn arrive(&mut self, place: Place) {
        self.at = place;
        self.told = 0;
        self.skip = 0;
    }

    fn take_commit(&mut self, commit: &Committed) -> Result<(), Error> {
        let first = self.queue.len();
        let entity = self.entity;
        for change in commit.changes.iter().filter(|change| change.entity == entity) {
            let judge = Judge { shared: &self.shared, entity: self.entity, filter: self.filter.as_deref() };
            let verdicts = if self.told < self.skip { Vec::new() } else { judge.judge(change)? };
            self.told += 1;
            for verdict in verdicts {
                if self.snapshot.as_mut().is_none_or(|(_, sent)| sent.take_change(&verdict)) {
                    self.tell(verdict.event);
                }
            }
        }
        count_many(&self.shared.counters().events, self.queue.len() - first);
        if commit.more {
            return Ok(());
        }
        self.arrive(commit.place.clone());
        // Behind the last event there is nothing more of this commit.
        let token = self.token();
        if let Some(last) = self.queue.range_mut(first..).next_back() {
            last.token = token;
        }
        Ok(())
    }

    fn tell(&mut self, event: WatchEvent) {
        let token = self.token();
        self.queue.push_back(Watched { event, token });
    }

    /// Where to go on behind what was told.
    fn token(&self) -> Option<String> {
        let resume = Resume { place: self.at.clone(), told: self.told.max(self.skip) };
        self.snapshot.is_none().then(|| resume.seal(&self.shared, &self.binding))
    }

    fn check_speed(&self) -> Result<(), Error> {
        if !self.feed.is_too_slow(self.shared.options.watch.patience) || !self.queue.is_empty() {
            return Ok(());
        }
        count(&self.shared.counters().too_slow);
        let message =
            "rows change faster than this watcher takes them; go on from the resume token, or watch fewer rows";
        let error = Error::new(Code::ResourceExhausted, "WATCHER_TOO_SLOW", message);
        Err(error.with("resume_token", self.token().unwrap_or_default()))
    }
}

fn count_many(counter: &std::sync::atomic::AtomicU64, more: usize) {
    counter.fetch_add(more as u64, Ordering::Relaxed);
}

impl std::fmt::Debug for Watcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watcher").field("entity", &self.entity).field("at", &self.at).finish_non_exhaustive()
    }
}
