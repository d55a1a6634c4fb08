//! A future that is often ready at once.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The answer of a port: ready when the adapter answers from memory or from a local file, a boxed future otherwise.
///
/// Keeps port traits usable as `dyn` without an allocation per call on the fast path.
pub enum Reply<'a, T> {
    /// Answered already; `None` once it was taken by a poll.
    Ready(Option<T>),
    /// Answered later.
    Later(Pin<Box<dyn Future<Output = T> + Send + 'a>>),
}

impl<'a, T> Reply<'a, T> {
    /// An answer that is there.
    pub fn ready(value: T) -> Self {
        Self::Ready(Some(value))
    }

    /// An answer that has to be waited for.
    pub fn later(future: impl Future<Output = T> + Send + 'a) -> Self {
        Self::Later(Box::pin(future))
    }

    /// The answer, if no waiting is needed.
    ///
    /// # Errors
    /// The reply itself, if it has to be awaited.
    pub fn try_now(self) -> Result<T, Self> {
        match self {
            Self::Ready(Some(value)) => Ok(value),
            other => Err(other),
        }
    }
}

impl<'a, T: Send + 'a> Reply<'a, T> {
    /// Changes the answer; at once if it is there.
    pub fn map<U>(self, change: impl FnOnce(T) -> U + Send + 'a) -> Reply<'a, U> {
        match self.try_now() {
            Ok(value) => Reply::ready(change(value)),
            Err(later) => Reply::later(async move { change(later.await) }),
        }
    }
}

impl<T> Unpin for Reply<'_, T> {}

impl<T> Future for Reply<'_, T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        match &mut *self {
            // Polling a finished future again is a defect of the caller, as with every future.
            Self::Ready(value) => Poll::Ready(value.take().expect("a finished reply was polled again")),
            Self::Later(future) => future.as_mut().poll(context),
        }
    }
}
