//! Runs the requests of an HTTP/2 connection in the connection's own task.
//!
//! hyper hands every request of a connection to an executor. A task for each costs its allocation, its place in the
//! run queue and its wake-ups, and most answers are ready at the first poll. So the requests that came with one read
//! are collected, polled once each after the connection has been polled, and only those that have to wait become
//! tasks.
//!
//! They are not polled as they come: each answer would then be flushed alone, with a system call each, instead of all
//! answers of a read together.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Waker};

use hyper::rt::Executor;

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// The requests of one connection that were not polled yet. See the [module](self).
#[derive(Clone, Default)]
pub(crate) struct Deferred {
    fresh: Rc<RefCell<Vec<Task>>>,
}

impl<F: Future<Output = ()> + 'static> Executor<F> for Deferred {
    fn execute(&self, future: F) {
        self.fresh.borrow_mut().push(Box::pin(future));
    }
}

impl Deferred {
    /// Polls what is new once. What has to wait becomes a task, which is polled again when it starts: a wake-up of
    /// the first poll cannot be lost, so that poll needs no waker.
    pub(crate) fn run(&self) {
        if self.fresh.borrow().is_empty() {
            return;
        }
        let mut context = Context::from_waker(Waker::noop());
        let mut tasks = std::mem::take(&mut *self.fresh.borrow_mut());
        for mut task in tasks.drain(..) {
            if task.as_mut().poll(&mut context).is_pending() {
                tokio::task::spawn_local(task);
            }
        }
        // Keeps the allocation, unless a request brought new ones.
        let mut fresh = self.fresh.borrow_mut();
        if fresh.is_empty() {
            *fresh = tasks;
        }
    }
}
