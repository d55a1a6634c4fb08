//! One connection, from its first byte to its last.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use tokio::net::TcpStream;

use crate::deferred::Deferred;
use crate::guard::Guard;
use crate::io::{Io, Protocol};
use crate::vitals::Vitals;
use crate::{Handler, NetConfig};

/// How hyper serves connections, decided once per worker.
pub(crate) struct Builders {
    http1: http1::Builder,
    config: NetConfig,
}

impl Builders {
    pub(crate) fn new(config: &NetConfig) -> Self {
        let mut http1 = http1::Builder::new();
        let header_size = config.max_header_size.as_usize();
        // The sweep does what hyper's timer would do, for less.
        http1
            .header_read_timeout(None)
            .max_headers(config.max_headers)
            .max_header_size(header_size)
            .max_buf_size((2 * header_size).max(32 << 10))
            .half_close(false);
        Self { http1, config: config.clone() }
    }

    fn http2(&self, executor: Deferred) -> http2::Builder<Deferred> {
        let config = &self.config;
        let mut http2 = http2::Builder::new(executor);
        let u32_of = |size: kit_core::config::ByteSize| u32::try_from(size.0).unwrap_or(u32::MAX).min((1 << 31) - 1);
        http2
            .max_concurrent_streams(config.max_concurrent_streams)
            .max_pending_accept_reset_streams(config.max_pending_accept_reset_streams)
            .max_local_error_reset_streams(config.max_local_error_reset_streams)
            .max_header_list_size(u32_of(config.max_header_size))
            .initial_stream_window_size(u32_of(config.stream_window))
            .initial_connection_window_size(u32_of(config.connection_window))
            .max_send_buf_size(config.max_send_buffer.as_usize());
        if *config.keepalive_interval > Duration::ZERO {
            http2
                .timer(TokioTimer::new())
                .keep_alive_interval(*config.keepalive_interval)
                .keep_alive_timeout(*config.keepalive_timeout);
        }
        http2
    }
}

/// Serves until the connection ends or its vitals say that it must.
pub(crate) async fn serve<H: Handler>(tcp: TcpStream, builders: Rc<Builders>, guard: Rc<Guard<H>>) {
    let vitals = Rc::clone(&guard.vitals);
    let ended = unless_closed(&vitals, async {
        match Io::open(tcp, Rc::clone(&vitals)).await? {
            None => Ok(Ok(())),
            Some((Protocol::Http1, io)) => Ok(serve_http1(io, &builders, guard).await),
            Some((Protocol::Http2, io)) => serve_http2(io, &builders, guard).await,
        }
    });
    match ended.await {
        Some(Ok(Ok(()))) => {}
        Some(Ok(Err(error))) => tracing::debug!(%error, "connection failed"),
        Some(Err(error)) => tracing::debug!(%error, "connection lost"),
        None => tracing::debug!("connection closed: a limit of time was passed"),
    }
}

/// Drops the work when the vitals say that the connection must be closed.
async fn unless_closed<T>(vitals: &Vitals, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    poll_fn(|context| {
        vitals.register(context.waker());
        if vitals.must_close() {
            return Poll::Ready(None);
        }
        work.as_mut().poll(context).map(Some)
    })
    .await
}

async fn serve_http1<H: Handler>(mut io: Io, builders: &Builders, guard: Rc<Guard<H>>) -> hyper::Result<()> {
    let vitals = Rc::clone(&guard.vitals);
    let tap = io.tap();
    let seen = Rc::clone(&tap);
    let service = service_fn(move |request| guard.call_http1(&seen, request));
    let mut connection = pin!(builders.http1.serve_connection(io, service));
    poll_fn(|context: &mut Context<'_>| {
        let poll = connection.as_mut().poll(context);
        // Polled first: a request that is already here is answered. `Connection: close` on its answer ends the
        // connection then.
        if poll.is_pending() && vitals.is_quiet() && !tap.input_pending() {
            connection.as_mut().graceful_shutdown();
            return connection.as_mut().poll(context);
        }
        poll
    })
    .await
}

async fn serve_http2<H: Handler>(
    mut io: Io,
    builders: &Builders,
    guard: Rc<Guard<H>>,
) -> io::Result<hyper::Result<()>> {
    let vitals = Rc::clone(&guard.vitals);
    let socket = io.gather();
    let requests = Deferred::default();
    let service = service_fn(move |request| guard.call_http2(request));
    let mut connection = pin!(builders.http2(requests.clone()).serve_connection(io, service));
    let mut goaway_sent = false;
    poll_fn(|context: &mut Context<'_>| {
        if vitals.is_retired() && !goaway_sent {
            goaway_sent = true;
            connection.as_mut().graceful_shutdown();
        }
        let poll = Pin::as_mut(&mut connection).poll(context);
        requests.run();
        match poll {
            Poll::Ready(ended) => Poll::Ready(Ok(ended)),
            Poll::Pending => match socket.borrow_mut().poll_send(context) {
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                _ => Poll::Pending,
            },
        }
    })
    .await
}
