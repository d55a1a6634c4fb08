//! Who tells one shard: joins it, tells it every commit, and leaves it once it does not answer.
//!
//! A commit is told to readers of this process when the keeper says that it is done: the shard has been told, or its readers pass it by.
//! So a shard that is silent holds up commits once, for a tenth of a second, and then not any more.
//!
//! ## Joining
//! The keeper begins where the process is. What is told meanwhile is gathered, and told the shard before a reader asks it. A
//! shard that fits is taken as it is: others tell it. One that does not may be about to be told by somebody who is ahead, or be another
//! primary's; it is made anew after a while. One that is behind what this process told it has forgotten, and is made anew at once.
//! Processes that push each other off, because they follow different primaries for a time, wait longer each time.

use std::sync::Arc;
use std::time::Duration;

use rowkeep_engine::Runs;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep, timeout};

use super::link::{Batch, Joined, Link, Order};
use crate::remote::{Beginning, Failed, Heard, Horizon, Remote, Telling};

/// How long commits wait for a shard.
const LIMIT: Duration = Duration::from_millis(100);
/// Between two looks at a shard that somebody else may be about to tell.
const LOOK: Duration = Duration::from_millis(20);
/// Between two attempts at a shard that does not answer.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// How long a shard that does not fit is left to others.
const PATIENCES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// Names that are gathered while a shard is being joined.
const MOST_NAMES: usize = 20_000;
/// Of nobody. No log has this name.
const NOBODY: u128 = 0;

/// See the [module](self).
pub(super) struct Keeper {
    remote: Arc<dyn Remote>,
    shard: usize,
    link: Arc<Link>,
    orders: UnboundedReceiver<Order>,
    /// Whose commits are told; `None`: the log is not known.
    history: Option<u128>,
    /// Everything that the process was told of them.
    told: Runs,
    /// The incarnation that was joined last, and what it is known to have been told.
    known: Option<(u64, Runs)>,
    /// The shard must not be joined as it is, though it may seem to fit.
    raze: bool,
    patience: Duration,
    joins: u64,
}

/// Why a shard is left.
enum Left {
    /// Nobody gives orders any more.
    Ended,
    /// There is something else to be done first.
    Again,
}

impl Keeper {
    pub(super) fn new(
        remote: Arc<dyn Remote>,
        shard: usize,
        link: Arc<Link>,
        orders: UnboundedReceiver<Order>,
    ) -> Self {
        Self {
            remote,
            shard,
            link,
            orders,
            history: None,
            told: Runs::default(),
            known: None,
            raze: false,
            patience: PATIENCES.0,
            joins: 0,
        }
    }

    /// Works until nobody gives orders any more.
    pub(super) async fn run(mut self) {
        loop {
            let left = match self.history {
                Some(history) => self.keep(history).await,
                None => self.wait().await,
            };
            self.link.leave();
            if matches!(left, Left::Ended) {
                return;
            }
        }
    }

    /// Waits for the log to be known.
    async fn wait(&mut self) -> Left {
        match self.orders.recv().await {
            Some(order) => {
                self.pass_by(order).await;
                Left::Again
            }
            None => Left::Ended,
        }
    }

    /// Takes in an order while the shard is passed by. Answers what it would have been told.
    async fn pass_by(&mut self, order: Order) -> Option<Batch> {
        let (done, batch) = match order {
            Order::Begin { history, place, done } => {
                (self.history, self.told, self.raze) = (Some(history), place, false);
                (done, None)
            }
            Order::Tell { batch, done } => {
                self.told.add_all(&batch.to);
                (done, Some(batch))
            }
            Order::Raze { done } => {
                self.raze = timeout(LIMIT, raze(&*self.remote, self.shard)).await != Ok(Ok(()));
                (done, None)
            }
            Order::Lose { done } => {
                self.history = None;
                (done, None)
            }
        };
        // Whoever ordered it may have been stopped.
        let _ = done.send(());
        batch
    }

    /// Joins the shard, and tells it until it has to be left.
    async fn keep(&mut self, history: u128) -> Left {
        let (place, mut backlog) = (self.told.clone(), Batch::default());
        let attempt = Attempt {
            remote: Arc::clone(&self.remote),
            shard: self.shard,
            history,
            place: place.clone(),
            known: self.known.clone(),
            patience: self.patience,
        };
        let mut joining = std::pin::pin!(attempt.join(self.raze));
        let (incarnation, is_new) = loop {
            tokio::select! {
                joined = &mut joining => break joined,
                order = self.orders.recv() => {
                    let Some(order) = order else { return Left::Ended };
                    let is_telling = matches!(order, Order::Tell { .. });
                    let batch = self.pass_by(order).await.unwrap_or_default();
                    backlog.to.add_all(&batch.to);
                    backlog.names.extend(batch.names);
                    backlog.rewritten.extend(batch.rewritten);
                    if !is_telling || backlog.names.len() > MOST_NAMES {
                        return Left::Again;
                    }
                }
            }
        };
        self.raze = false;
        let began = Instant::now();
        let left = self.stay(history, incarnation, place, backlog).await;
        // Who was pushed off soon after he made the shard anew leaves it to others for longer.
        let was_pushed = is_new && began.elapsed() < PATIENCES.1;
        self.patience = if was_pushed { (self.patience * 2).min(PATIENCES.1) } else { PATIENCES.0 };
        left
    }

    async fn stay(&mut self, history: u128, incarnation: u64, mut from: Runs, backlog: Batch) -> Left {
        let mut batch = backlog;
        // A batch that was gathered is told before readers ask; nobody waits for it.
        if !batch.to.is_empty() && !self.tell(incarnation, &from, batch).await {
            return Left::Again;
        }
        from = self.told.clone();
        self.known = Some((incarnation, from.clone()));
        self.joins += 1;
        self.link.join(Joined { number: self.joins, incarnation, history, told: from.clone() });
        let link = Arc::clone(&self.link);
        loop {
            let order = tokio::select! {
                biased;
                order = self.orders.recv() => order,
                () = link.doubted.notified() => {
                    // A reader who doubted an earlier one is no reason to leave.
                    if link.is_on() { continue }
                    return Left::Again;
                }
            };
            let done = match order {
                None => return Left::Ended,
                Some(Order::Tell { batch: next, done }) => {
                    batch = next;
                    done
                }
                Some(order) => {
                    link.leave();
                    self.pass_by(order).await;
                    return Left::Again;
                }
            };
            self.told.add_all(&batch.to);
            let is_told = self.tell(incarnation, &from, batch).await;
            if is_told {
                link.told(&self.told);
                from = self.told.clone();
                self.known = Some((incarnation, from.clone()));
            } else {
                link.leave();
            }
            // Whoever ordered it may have been stopped.
            let _ = done.send(());
            if !is_told {
                return Left::Again;
            }
        }
    }

    /// Tells the shard. Answers whether it has been told.
    async fn tell(&self, incarnation: u64, from: &Runs, batch: Batch) -> bool {
        let Batch { to, names, rewritten } = batch;
        let telling = Telling { incarnation, from: from.clone(), to, names, rewritten };
        match timeout(LIMIT, self.remote.tell(self.shard, telling)).await {
            Ok(Ok(Heard::Told)) => true,
            Ok(Ok(Heard::Behind)) => {
                tracing::warn!(shard = self.shard, "the cache server has forgotten what it was told; it is emptied");
                false
            }
            Ok(Ok(Heard::Other)) => false,
            Ok(Err(error)) => {
                tracing::warn!(shard = self.shard, %error, "the cache server is passed by");
                false
            }
            Err(_) => {
                tracing::warn!(shard = self.shard, "the cache server does not answer in time; it is passed by");
                false
            }
        }
    }
}

/// One way to a shard.
struct Attempt {
    remote: Arc<dyn Remote>,
    shard: usize,
    history: u128,
    place: Runs,
    known: Option<(u64, Runs)>,
    patience: Duration,
}

/// Takes a shard from everybody: nobody joins it as it is.
async fn raze(remote: &dyn Remote, shard: usize) -> Result<(), Failed> {
    let nobody = Beginning { history: NOBODY, place: Runs::default(), anew: Some(rand::random()) };
    remote.begin(shard, nobody).await.map(drop)
}

impl Attempt {
    /// Goes on until the shard is joined: its incarnation, and whether it was made anew.
    async fn join(self, must_raze: bool) -> (u64, bool) {
        let (mut until, mut pause) = (None, PAUSES.0);
        let (mut must_raze, mut anew, mut has_failed) = (must_raze, false, false);
        loop {
            let joined = match must_raze {
                true => self.within(raze(&*self.remote, self.shard)).await.map(|()| None),
                false => self.try_once(anew).await,
            };
            match joined {
                Ok(Some(joined)) => return joined,
                Ok(None) if must_raze => (must_raze, anew) = (false, true),
                // It does not fit.
                Ok(None) => {
                    let until = *until.get_or_insert_with(|| Instant::now() + self.patience);
                    anew = Instant::now() >= until;
                    sleep(LOOK).await;
                }
                Err(error) => {
                    // Once for all attempts.
                    if !std::mem::replace(&mut has_failed, true) {
                        tracing::warn!(shard = self.shard, %error, "the cache server cannot be joined, and is tried again");
                    }
                    sleep(pause).await;
                    pause = (pause * 2).min(PAUSES.1);
                }
            }
        }
    }

    /// `None`: the shard does not fit, and may be about to.
    async fn try_once(&self, anew: bool) -> Result<Option<(u64, bool)>, Failed> {
        let incarnation = rand::random();
        let mut horizon = self.begin(anew.then_some(incarnation)).await?;
        // There is nobody whom it could be left to, or who could tell it what it has forgotten.
        if horizon.as_ref().is_none_or(|horizon| self.has_forgotten(horizon)) {
            horizon = self.begin(Some(incarnation)).await?;
        }
        let fits = horizon.filter(|it| it.history == self.history && it.told.contains_all(&self.place));
        Ok(fits.map(|horizon| (horizon.incarnation, horizon.incarnation == incarnation)))
    }

    fn has_forgotten(&self, horizon: &Horizon) -> bool {
        let known = self.known.as_ref().filter(|(incarnation, _)| *incarnation == horizon.incarnation);
        known.is_some_and(|(_, told)| !horizon.told.contains_all(told))
    }

    async fn begin(&self, anew: Option<u64>) -> Result<Option<Horizon>, Failed> {
        let beginning = Beginning { history: self.history, place: self.place.clone(), anew };
        self.within(self.remote.begin(self.shard, beginning)).await
    }

    async fn within<T>(&self, asked: impl Future<Output = Result<T, Failed>>) -> Result<T, Failed> {
        timeout(PAUSES.1, asked).await.unwrap_or_else(|_| Err(Failed::Gone("no answer in time".to_owned())))
    }
}
