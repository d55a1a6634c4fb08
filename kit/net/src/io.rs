//! A TCP stream as hyper reads and writes it, observed on the way.
//!
//! While no HTTP/1.1 request is being answered, what is read are request headers: they start the header clock, and a
//! copy is kept until the request is parsed, because hyper drops `Content-Length` from a request that also has
//! `Transfer-Encoding` and the two together must be refused. Everything else passes through untouched.

use std::cell::{Cell, RefCell};
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use hyper::rt::{Read, ReadBufCursor, Write};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

use crate::socket::Socket;
use crate::vitals::Vitals;

/// What the first bytes of a connection say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

/// The first bytes an HTTP/2 client sends.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const SCRATCH_SIZE: usize = 16 << 10;

/// Bytes discarded while lingering, at most.
const LINGER_BYTES: usize = 1 << 20;

thread_local! {
    /// Where request headers are read to before they are handed on.
    static SCRATCH: RefCell<Box<[u8; SCRATCH_SIZE]>> = RefCell::new(Box::new([0; SCRATCH_SIZE]));
}

/// What was seen of an HTTP/1.1 connection's requests.
#[derive(Default)]
pub(crate) struct Tap {
    head: RefCell<Vec<u8>>,
    input_pending: Cell<bool>,
}

impl Tap {
    /// The bytes read since the last request was parsed; they begin anew.
    pub(crate) fn take_head<T>(&self, look: impl FnOnce(&[u8]) -> T) -> T {
        let mut head = self.head.borrow_mut();
        let seen = look(&head);
        head.clear();
        seen
    }

    /// Forgets the bytes read since the last request was parsed.
    pub(crate) fn clear(&self) {
        self.head.borrow_mut().clear();
    }

    /// Whether a request lay in the socket, unread, when it was last looked at.
    pub(crate) fn input_pending(&self) -> bool {
        self.input_pending.get()
    }
}

/// See the [module](self).
pub(crate) struct Io {
    socket: Rc<RefCell<Socket>>,
    vitals: Rc<Vitals>,
    /// Only for HTTP/1.1.
    tap: Option<Rc<Tap>>,
    /// Bytes read to find out the protocol, to be read again.
    first: [u8; PREFACE.len()],
    first_read: usize,
    first_len: usize,
    lingered: usize,
}

impl Io {
    /// Reads as much as it takes to tell the protocol. `None` if the client goes away before.
    pub(crate) async fn open(mut tcp: TcpStream, vitals: Rc<Vitals>) -> io::Result<Option<(Protocol, Self)>> {
        let mut first = [0; PREFACE.len()];
        let mut len = 0;
        let protocol = loop {
            let read = tokio::io::AsyncReadExt::read(&mut tcp, &mut first[len..]).await?;
            if read == 0 {
                return Ok(None);
            }
            len += read;
            if first[..len] != PREFACE[..len] {
                break Protocol::Http1;
            }
            if len == PREFACE.len() {
                vitals.preface_read();
                break Protocol::Http2;
            }
        };
        let socket = Rc::new(RefCell::new(Socket::new(tcp)));
        let io = Self { socket, vitals, tap: None, first, first_read: 0, first_len: len, lingered: 0 };
        Ok(Some((protocol, io)))
    }

    /// Starts to watch for request headers.
    pub(crate) fn tap(&mut self) -> Rc<Tap> {
        let tap = Rc::default();
        self.tap = Some(Rc::clone(&tap));
        tap
    }

    /// Starts to gather what is written; whoever asks sends it after each turn of the connection.
    pub(crate) fn gather(&mut self) -> Rc<RefCell<Socket>> {
        self.socket.borrow_mut().gather();
        Rc::clone(&self.socket)
    }

    fn read_first(&mut self, cursor: &mut ReadBufCursor<'_>) {
        let unread = &self.first[self.first_read..self.first_len];
        let count = unread.len().min(cursor.remaining());
        cursor.put_slice(&unread[..count]);
        if let Some(tap) = &self.tap {
            tap.head.borrow_mut().extend_from_slice(&unread[..count]);
        }
        self.first_read += count;
    }

    fn read_head(
        &mut self,
        tap: &Tap,
        context: &mut Context<'_>,
        cursor: &mut ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if self.vitals.is_quiet() {
            tap.input_pending.set(has_input(self.socket.borrow().tcp.inner()));
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(&mut scratch[..cursor.remaining().min(SCRATCH_SIZE)]);
            ready!(Pin::new(self.socket.borrow_mut().tcp.inner_mut()).poll_read(context, &mut buffer))?;
            if !buffer.filled().is_empty() {
                self.vitals.head_bytes_read();
                tap.head.borrow_mut().extend_from_slice(buffer.filled());
                cursor.put_slice(buffer.filled());
            }
            Poll::Ready(Ok(()))
        })
    }

    /// Reads and discards until the other side closes.
    fn linger(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.vitals.linger();
        SCRATCH.with_borrow_mut(|scratch| {
            while self.lingered < LINGER_BYTES {
                let mut buffer = ReadBuf::new(&mut scratch[..]);
                match ready!(Pin::new(self.socket.borrow_mut().tcp.inner_mut()).poll_read(context, &mut buffer)) {
                    Ok(()) if !buffer.filled().is_empty() => self.lingered += buffer.filled().len(),
                    _ => break,
                }
            }
            Poll::Ready(Ok(()))
        })
    }
}

/// Asks the kernel, because the runtime may not have seen it yet.
fn has_input(tcp: &TcpStream) -> bool {
    let mut byte = [MaybeUninit::uninit()];
    socket2::SockRef::from(tcp).peek(&mut byte).is_ok_and(|count| count > 0)
}

impl Read for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut cursor: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let me = &mut *self;
        if me.first_read < me.first_len {
            me.read_first(&mut cursor);
            return Poll::Ready(Ok(()));
        }
        match me.tap.clone() {
            Some(tap) if !me.vitals.is_busy() => me.read_head(&tap, context, &mut cursor),
            _ => Pin::new(&mut me.socket.borrow_mut().tcp).poll_read(context, cursor),
        }
    }
}

impl Write for Io {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.socket.borrow_mut().poll_write(context, &[io::IoSlice::new(bytes)])
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.borrow_mut().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.socket.borrow_mut().poll_shutdown(context))?;
        self.linger(context)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.socket.borrow_mut().poll_write(context, slices)
    }
}
