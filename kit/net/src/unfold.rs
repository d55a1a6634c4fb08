//! A stream out of an async function.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

/// Items made one after the other: `next` takes the state and gives an item with the state that follows, or `None` at
/// the end. The next item is made when the last one was taken; after an error there is none.
pub fn unfold<T, F, R, I, E>(state: T, next: F) -> impl Stream<Item = Result<I, E>>
where
    F: FnMut(T) -> R,
    R: Future<Output = Result<Option<(I, T)>, E>>,
{
    Unfold { state: Some(state), next, running: None }
}

struct Unfold<T, F, R> {
    state: Option<T>,
    next: F,
    running: Option<Pin<Box<R>>>,
}

// The state and the function are only used by value or by plain reference, and the future is in a box.
impl<T, F, R> Unpin for Unfold<T, F, R> {}

impl<T, F, R, I, E> Stream for Unfold<T, F, R>
where
    F: FnMut(T) -> R,
    R: Future<Output = Result<Option<(I, T)>, E>>,
{
    type Item = Result<I, E>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let me = &mut *self;
        if let Some(state) = me.state.take() {
            me.running = Some(Box::pin((me.next)(state)));
        }
        let Some(running) = &mut me.running else { return Poll::Ready(None) };
        let Poll::Ready(result) = running.as_mut().poll(context) else { return Poll::Pending };
        me.running = None;
        Poll::Ready(match result {
            Ok(Some((item, state))) => {
                me.state = Some(state);
                Some(Ok(item))
            }
            Ok(None) => None,
            Err(error) => Some(Err(error)),
        })
    }
}
