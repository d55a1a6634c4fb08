//! A TCP stream that sends what belongs together in one piece.
//!
//! h2 writes and flushes each DATA frame of more than 256 bytes by itself. For a page of 20 KB that is two or three calls
//! of the kernel, each of which costs more than copying what it sends; and the answers of one turn could go in one call
//! together. So what is written is gathered, and sent when the connection has had its turn ([`Socket::poll_send`]), or when
//! it is much. The flush that h2 asks for in between does nothing.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper_util::rt::TokioIo;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;

/// Bytes that are gathered at most: what the kernel cuts into packets at once.
const GATHERED: usize = 64 << 10;

thread_local! {
    /// The buffer of the last connection that had sent all: one serves all connections whose clients keep up.
    static SPARE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// See the [module](self).
pub(crate) struct Socket {
    pub(crate) tcp: TokioIo<TcpStream>,
    gathers: bool,
    unsent: Vec<u8>,
    /// Of `unsent`, gone already.
    sent: usize,
}

impl Socket {
    pub(crate) fn new(tcp: TcpStream) -> Self {
        Self { tcp: TokioIo::new(tcp), gathers: false, unsent: Vec::new(), sent: 0 }
    }

    /// From here on writes are gathered. Whoever drives the connection calls [`poll_send`](Self::poll_send) after each turn.
    pub(crate) fn gather(&mut self) {
        self.gathers = true;
    }

    /// Writes, or gathers.
    pub(crate) fn poll_write(&mut self, context: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if !self.gathers {
            return self.stream().poll_write_vectored(context, slices);
        }
        if self.unsent.len() >= GATHERED {
            ready!(self.poll_send(context))?;
        }
        if self.unsent.capacity() == 0 {
            self.unsent = SPARE.take();
            self.unsent.reserve(GATHERED);
        }
        let before = self.unsent.len();
        for slice in slices {
            let room = GATHERED - self.unsent.len();
            self.unsent.extend_from_slice(&slice[..slice.len().min(room)]);
        }
        Poll::Ready(Ok(self.unsent.len() - before))
    }

    /// What is asked for in the middle of a turn.
    pub(crate) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.gathers { Poll::Ready(Ok(())) } else { self.stream().poll_flush(context) }
    }

    /// Sends what was gathered.
    pub(crate) fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.unsent.len() {
            let stream = Pin::new(self.tcp.inner_mut());
            match ready!(stream.poll_write(context, &self.unsent[self.sent..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.sent += count,
            }
        }
        if self.sent > 0 {
            self.sent = 0;
            self.unsent.clear();
            SPARE.set(std::mem::take(&mut self.unsent));
        }
        Poll::Ready(Ok(()))
    }

    /// Sends what was gathered, and that there is no more.
    pub(crate) fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(context))?;
        self.stream().poll_shutdown(context)
    }

    fn stream(&mut self) -> Pin<&mut TcpStream> {
        Pin::new(self.tcp.inner_mut())
    }
}
