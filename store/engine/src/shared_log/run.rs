//! The following that is shared, from its beginning to its end.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use kit_core::Error;
use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::reach::Reach;
use super::seat::Seat;
use super::{copy, nobody_followed};
use crate::{ChangeLog, Since, Told};

/// See the [module](self).
pub(super) struct Run {
    state: Mutex<State>,
    /// It was opened, or ended.
    moved: Notify,
}

struct State {
    is_open: bool,
    /// None before the log's first item.
    reach: Option<Reach>,
    seats: Vec<Weak<Seat>>,
    ended: Option<Error>,
}

impl Run {
    /// One that has ended.
    pub(super) fn ended(why: Error) -> Self {
        let state = State { is_open: false, reach: None, seats: Vec::new(), ended: Some(why) };
        Self { state: Mutex::new(state), moved: Notify::new() }
    }

    /// Starts to follow, with the first seat.
    pub(super) fn start(log: Arc<dyn ChangeLog>, runtime: &Handle, kept: usize) -> (Arc<Self>, Arc<Seat>) {
        let seat = Arc::new(Seat::awaiting(kept));
        let state = State { is_open: false, reach: None, seats: vec![Arc::downgrade(&seat)], ended: None };
        let run = Arc::new(Self { state: Mutex::new(state), moved: Notify::new() });
        let ending = Ending(Arc::clone(&run));
        runtime.spawn(async move {
            if let Err(why) = ending.0.follow(log).await {
                ending.0.end(why);
            }
        });
        (run, seat)
    }

    /// A seat for who begins now; `None` once it has ended.
    pub(super) fn join(&self, kept: usize) -> Option<Arc<Seat>> {
        let mut state = self.state();
        if state.ended.is_some() {
            return None;
        }
        let seat = Arc::new(Seat::awaiting(kept));
        if let Some(reach) = &state.reach {
            seat.begin(reach);
        }
        state.seats.push(Arc::downgrade(&seat));
        Some(seat)
    }

    /// Waits until the log was opened.
    ///
    /// # Errors
    /// Why it was not.
    pub(super) async fn opened(&self) -> Result<(), Error> {
        loop {
            let mut moved = std::pin::pin!(self.moved.notified());
            moved.as_mut().enable();
            {
                let state = self.state();
                match &state.ended {
                    Some(why) => return Err(copy(why)),
                    None if state.is_open => return Ok(()),
                    None => {}
                }
            }
            moved.await;
        }
    }

    /// Follows until nobody is there any more. Something comes every second, so that this is noticed.
    async fn follow(&self, log: Arc<dyn ChangeLog>) -> Result<(), Error> {
        let mut stream = log.follow(Since::Now).await?;
        self.state().is_open = true;
        self.moved.notify_waiters();
        loop {
            let told = stream.next().await?;
            if !self.tell(&told) {
                return Ok(());
            }
        }
    }

    /// Hands items to all. Whether there was anybody; if not, this was the end.
    fn tell(&self, told: &[Told]) -> bool {
        let mut state = self.state();
        let State { reach, seats, ended, .. } = &mut *state;
        seats.retain(|seat| seat.strong_count() > 0);
        if seats.is_empty() {
            *ended = Some(nobody_followed());
            return false;
        }
        let seats: Vec<Arc<Seat>> = seats.iter().filter_map(Weak::upgrade).collect();
        for item in told {
            let bytes = item.weight();
            seats.iter().for_each(|seat| seat.offer(item, bytes));
            match (&mut *reach, item) {
                (Some(reach), item) => reach.take(item),
                // Every stream begins with one.
                (None, Told::Begin(begin)) => *reach = Some(Reach::new(begin.clone())),
                (None, _) => continue,
            }
            for (seat, reach) in seats.iter().zip(std::iter::repeat(&*reach).flatten()) {
                seat.begin(reach);
            }
        }
        drop(state);
        seats.iter().for_each(|seat| seat.wake());
        true
    }

    fn end(&self, why: Error) {
        let mut state = self.state();
        let why = state.ended.get_or_insert(why);
        let why = copy(why);
        let seats: Vec<Arc<Seat>> = state.seats.drain(..).filter_map(|seat| seat.upgrade()).collect();
        drop(state);
        self.moved.notify_waiters();
        for seat in seats {
            seat.end(&why);
            seat.wake();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells all who wait that it has ended, also if its runtime did.
struct Ending(Arc<Run>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.end(nobody_followed());
    }
}
