//! The log as the tier tells it: each commit once the cache server was told of it, or is passed by.
//!
//! Who reads through the tier after it was told a commit finds nothing that lacks it. That is what the near cache asks of the
//! storage that it is before, so it follows this log, and not the storage's. Whoever watches rows has no use for that.

use std::collections::HashMap;
use std::sync::Arc;

use kit_core::{Error, Reply};
use rowkeep_engine::{Begin, ChangeLog, ChangeStream, Committed, Place, Point, Runs, Since, Told};
use rowkeep_schema::EntityId;
use tokio::sync::oneshot;

use super::Shared;
use super::entry::name;
use super::link::{Batch, Order};
use crate::near::RowKey;

/// Slots of one shard that a telling drops by name. Of a commit of more, those of its entities are all dropped.
const MOST_NAMES: usize = 5_000;

/// Why a shard cannot know which commits it was told.
const OUT_OF_ORDER: &str = "a commit was told behind a later one of its source";

/// See the [module](self). One may follow at a time: it is who tells the shards.
pub(super) struct TierLog {
    pub(super) shared: Arc<Shared>,
    pub(super) log: Arc<dyn ChangeLog>,
}

impl ChangeLog for TierLog {
    fn follow(&self, since: Since) -> Reply<'static, Result<Box<dyn ChangeStream>, Error>> {
        let (shared, stream) = (Arc::clone(&self.shared), self.log.follow(since));
        Reply::later(async move {
            let stream = shared.unless_lost(stream.await).await?;
            Ok(Box::new(Teller::new(shared, stream)) as Box<dyn ChangeStream>)
        })
    }
}

/// One way through the log.
struct Teller {
    shared: Arc<Shared>,
    stream: Box<dyn ChangeStream>,
    /// What was taken from the log, and is not told yet: a wait may be given up.
    held: Vec<Told>,
    /// How much of it was.
    done: usize,
    /// What is told of everything.
    told: Runs,
    /// Commits cannot be told in the order of their numbers: the cache server is passed by until another history begins.
    is_out: bool,
    pending: Pending,
}

/// Commits on their way to the shards.
#[derive(Default)]
struct Pending {
    /// In their order: which was the first is something that readers go by.
    places: Vec<Place>,
    /// The same as a set.
    to: Runs,
    keys: Vec<RowKey>,
    rewritten: Vec<EntityId>,
    /// More of the last commit follows.
    inside: bool,
}

impl Shared {
    /// What was told is not so any more, if the log does not reach back to it.
    async fn unless_lost<T>(&self, answer: Result<T, Error>) -> Result<T, Error> {
        if answer.as_ref().is_err_and(|error| error.reason() == "CHANGES_LOST") {
            self.heard.forget();
            self.order(|_, done| Order::Lose { done }).await;
        }
        answer
    }

    /// Gives an order to all keepers, and waits for all.
    async fn order(&self, order: impl Fn(usize, oneshot::Sender<()>) -> Order) {
        let give = |(shard, keeper): (usize, &super::Kept)| {
            let (done, answer) = oneshot::channel();
            keeper.orders.send(order(shard, done)).is_ok().then_some(answer)
        };
        let answers: Vec<_> = self.keepers.iter().enumerate().filter_map(give).collect();
        for answer in answers {
            // A keeper that was stopped keeps no reader.
            let _ = answer.await;
        }
    }
}

impl ChangeStream for Teller {
    fn next(&mut self) -> Reply<'_, Result<Vec<Told>, Error>> {
        Reply::later(async move {
            if self.held.is_empty() {
                let told = self.stream.next().await;
                self.held = self.shared.unless_lost(told).await?;
                self.done = 0;
            }
            self.tell_held().await;
            Ok(std::mem::take(&mut self.held))
        })
    }
}

impl Teller {
    fn new(shared: Arc<Shared>, stream: Box<dyn ChangeStream>) -> Self {
        let (told, pending) = (Runs::default(), Pending::default());
        Self { shared, stream, held: Vec::new(), done: 0, told, is_out: false, pending }
    }

    /// Tells what was taken: all that comes before a beginning together. Told again after a wait that was given up, it does
    /// no harm.
    async fn tell_held(&mut self) {
        while let Some(next) = self.held.get(self.done).cloned() {
            match next {
                Told::Begin(begin) => {
                    self.flush().await;
                    self.begin(begin).await;
                }
                Told::Commit(committed) => {
                    if !self.pending.inside && !self.in_order(committed.place.point) {
                        self.pass_by(OUT_OF_ORDER).await;
                    }
                    self.commit(&committed);
                }
                Told::Rewritten { entity, place, more } => self.rewritten(entity, &place, more).await,
                Told::Current { place, .. } => self.current(&place),
            }
            self.done += 1;
            if self.pending.keys.len() > MOST_NAMES {
                self.flush().await;
            }
        }
        self.flush().await;
        for told in &self.held {
            if let Told::Current { moment, .. } = told {
                self.shared.heard.current(*moment);
            }
        }
    }

    /// Whether a commit is not among those that were told, by which a shard knows whether it was told of it.
    fn in_order(&self, point: Point) -> bool {
        self.is_out || !self.told.contains(point) && !self.pending.to.contains(point)
    }

    fn commit(&mut self, committed: &Committed) {
        let Self { shared, pending, .. } = self;
        shared.heard.ask(&committed.place);
        for change in &committed.changes {
            let Some(policy) = shared.policy.of(change.entity) else { continue };
            if pending.rewritten.contains(&change.entity) {
                continue;
            }
            for row in change.before.iter().chain(&change.after) {
                policy.keys(row, &mut |key| pending.keys.push(key));
            }
        }
        pending.takes(&committed.place, committed.more);
        if pending.keys.len() > 2 * MOST_NAMES {
            pending.forget_names();
        }
    }

    /// What rows of an entity, or of all, are now is not known.
    async fn rewritten(&mut self, entity: Option<EntityId>, place: &Place, more: bool) {
        if !self.pending.inside && !self.in_order(place.point) {
            if more {
                self.pass_by(OUT_OF_ORDER).await;
            } else {
                // It has no place of its own by which a shard could know that it was told.
                self.raze().await;
            }
        }
        self.shared.heard.ask(place);
        let all = 0..self.shared.policy.len();
        let ids = all.filter_map(|at| u16::try_from(at).ok()).map(EntityId);
        let of = ids.filter(|id| entity.is_none_or(|entity| entity == *id));
        self.pending.rewritten.extend(of.filter(|id| self.shared.policy.of(*id).is_some()));
        self.pending.takes(place, more);
    }

    /// Nothing else was committed up to here.
    fn current(&mut self, place: &Place) {
        let is_new = !self.told.contains(place.point) && !self.pending.to.contains(place.point);
        if is_new && !self.pending.inside {
            self.shared.heard.ask(place);
            self.pending.reaches(place);
        }
    }

    /// Tells the shards, and then readers.
    async fn flush(&mut self) {
        let Pending { places, to, keys, rewritten, inside } = &self.pending;
        if *inside || to.is_empty() {
            return;
        }
        let shards = self.shared.keepers.len();
        let mut names: HashMap<usize, Vec<_>> = HashMap::new();
        for key in keys.iter() {
            let (shard, name) = name(key, shards);
            names.entry(shard).or_default().push(name);
        }
        // Otherwise readers pass the shards by.
        if !self.is_out {
            let batch = |shard| Batch {
                to: to.clone(),
                names: names.get(&shard).cloned().unwrap_or_default(),
                rewritten: rewritten.clone(),
            };
            self.shared.order(|shard, done| Order::Tell { batch: batch(shard), done }).await;
        }
        // Once the shards were told: what began before may have looked at them before. Before readers are: who is told joins
        // none of them.
        self.shared.flights.end(keys);
        self.shared.flights.end_of(rewritten);
        places.iter().for_each(|place| self.shared.heard.tell(place));
        self.told.add_all(to);
        self.pending = Pending::default();
    }

    /// Whatever was told of another history counts for nothing.
    async fn begin(&mut self, begin: Begin) {
        let shared = &self.shared;
        shared.heard.forget();
        (self.told, self.pending, self.is_out) = (begin.contained.clone(), Pending::default(), false);
        let (history, place) = (begin.history, &begin.contained);
        shared.order(|_, done| Order::Begin { history, place: place.clone(), done }).await;
        self.shared.flights.end_all();
        self.shared.heard.begin(begin);
    }

    /// Shards cannot know what they were told where numbers are not in the order of commits.
    async fn pass_by(&mut self, why: &str) {
        tracing::warn!("{why}: the cache server is passed by until there is another primary");
        self.raze().await;
        self.shared.order(|_, done| Order::Lose { done }).await;
        self.is_out = true;
    }

    /// Something was told that shards cannot tell from what they were told before.
    async fn raze(&mut self) {
        self.flush().await;
        self.shared.order(|_, done| Order::Raze { done }).await;
    }
}

impl Pending {
    /// A part of a commit is there.
    fn takes(&mut self, place: &Place, more: bool) {
        self.inside = more;
        if !more {
            self.reaches(place);
        }
    }

    /// Everything up to this commit is there.
    fn reaches(&mut self, place: &Place) {
        self.to.add(place.run());
        self.places.push(place.clone());
    }

    /// There are too many.
    fn forget_names(&mut self) {
        for key in self.keys.drain(..) {
            if !self.rewritten.contains(&key.entity) {
                self.rewritten.push(key.entity);
            }
        }
    }
}
