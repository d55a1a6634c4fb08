//! Between hyper and the handler: what must hold for every request, and the accounting of its end.
//!
//! Refused here: an HTTP/1.1 request without exactly one `Host`, or with both `Content-Length` and
//! `Transfer-Encoding` (two ways to tell where a request ends are how requests are smuggled past a proxy). A panic of
//! the handler is caught: the client gets an error, the connection and the worker live on.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HOST, TRANSFER_ENCODING};
use http::{HeaderValue, StatusCode, Version};
use http_body::{Frame, SizeHint};
use kit_core::BoxError;
use pin_project_lite::pin_project;

use crate::admission::NetStats;
use crate::io::Tap;
use crate::vitals::{Ticket, Vitals};
use crate::{Body, Handler, Peer, Request, Response};

/// One connection's way to the handler.
pub(crate) struct Guard<H> {
    pub(crate) handler: Rc<H>,
    pub(crate) peer: Peer,
    pub(crate) vitals: Rc<Vitals>,
    pub(crate) stats: Arc<NetStats>,
}

type Answer = Result<http::Response<Tracked>, Infallible>;

pin_project! {
    /// A request that is answered. Written out, because an `async` block holds the future that it is given twice, which is the
    /// greater part of what a request takes, and is moved more than once.
    pub(crate) struct Answering<F> {
        #[pin]
        work: Work<F>,
        ticket: Option<Ticket>,
        stats: Arc<NetStats>,
        is_grpc: bool,
        // Of an HTTP/1.1 connection, whose last answer says so.
        closes: Option<Rc<Vitals>>,
    }
}

pin_project! {
    #[project = Working]
    enum Work<F> {
        Refused { response: Option<Response> },
        Handled { #[pin] answer: F },
    }
}

impl<F: Future<Output = Response>> Future for Answering<F> {
    type Output = Answer;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer> {
        let me = self.project();
        let response = match me.work.project() {
            Working::Refused { response } => response.take(),
            Working::Handled { answer } => match catch_unwind(AssertUnwindSafe(|| answer.poll(context))) {
                Ok(Poll::Ready(response)) => Some(response),
                Ok(Poll::Pending) => return Poll::Pending,
                Err(_) => {
                    me.stats.count_panic();
                    tracing::error!("a request handler panicked");
                    Some(internal_error(*me.is_grpc))
                }
            },
        };
        match (response, me.ticket.take()) {
            (Some(mut response), Some(ticket)) => {
                if me.closes.as_ref().is_some_and(|vitals| vitals.is_retired()) {
                    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                Poll::Ready(Ok(response.map(|body| Tracked::new(body, ticket))))
            }
            // Answered before.
            _ => Poll::Pending,
        }
    }
}

impl<H: Handler> Guard<H> {
    /// Answers a request of an HTTP/1.1 connection.
    pub(crate) fn call_http1(&self, tap: &Tap, request: Request) -> impl Future<Output = Answer> + use<H> {
        let refused = refuse(&request, tap);
        self.call(request, refused, Some(Rc::clone(&self.vitals)))
    }

    /// Answers a request of an HTTP/2 connection.
    pub(crate) fn call_http2(&self, request: Request) -> impl Future<Output = Answer> + use<H> {
        self.call(request, None, None)
    }

    fn call(
        &self,
        request: Request,
        refused: Option<Response>,
        closes: Option<Rc<Vitals>>,
    ) -> Answering<impl Future<Output = Response> + use<H>> {
        let ticket = Some(self.vitals.request_started());
        let is_grpc = is_grpc(&request);
        let work = match refused {
            Some(refused) => Work::Refused { response: Some(refused) },
            None => Work::Handled { answer: Rc::clone(&self.handler).handle(request, self.peer) },
        };
        Answering { work, ticket, stats: Arc::clone(&self.stats), is_grpc, closes }
    }
}

fn is_grpc(request: &Request) -> bool {
    request.headers().get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

fn internal_error(is_grpc: bool) -> Response {
    if !is_grpc {
        return plain(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", "internal error");
    }
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-status", HeaderValue::from_static("13"));
    headers.insert("grpc-message", HeaderValue::from_static("internal error"));
    response
}

/// The answer to a request that never reaches the handler.
fn refuse(request: &Request, tap: &Tap) -> Option<Response> {
    let both = if request.headers().contains_key(TRANSFER_ENCODING) {
        tap.take_head(has_both_lengths)
    } else {
        tap.clear();
        false
    };
    let complaint = if both {
        "a request must not have both Content-Length and Transfer-Encoding"
    } else if request.version() == Version::HTTP_11 && request.headers().get_all(HOST).iter().count() != 1 {
        "an HTTP/1.1 request needs exactly one Host header"
    } else {
        return None;
    };
    let mut response = plain(StatusCode::BAD_REQUEST, "INVALID_ARGUMENT", complaint);
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    Some(response)
}

/// Whether one of the headers in these bytes has both fields. Looks at the header that has `Transfer-Encoding`: other
/// requests, or a body, may stand around it.
fn has_both_lengths(bytes: &[u8]) -> bool {
    let (mut encoding, mut length) = (false, false);
    for line in bytes.split(|byte| *byte == b'\n') {
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        encoding |= name.eq_ignore_ascii_case(b"transfer-encoding");
        length |= name.eq_ignore_ascii_case(b"content-length");
        if line.is_empty() || line == b"\r" {
            if encoding {
                return length;
            }
            length = false;
        }
    }
    encoding && length
}

/// A JSON error in the shape of `google.rpc.Status`, for the few cases no handler sees.
fn plain(status: StatusCode, name: &str, message: &str) -> Response {
    let code = status.as_u16();
    let text = format!(r#"{{"error":{{"code":{code},"message":"{message}","status":"{name}"}}}}"#);
    let mut response = Response::new(Body::full(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A body that ends its request's ticket with it, and tells what the client leaves untaken.
pub(crate) struct Tracked {
    body: Body,
    ticket: Ticket,
}

impl Tracked {
    fn new(body: Body, mut ticket: Ticket) -> Self {
        ticket.set_untaken(true);
        Self { body, ticket }
    }
}

impl http_body::Body for Tracked {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let me = &mut *self;
        let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(&mut me.body).poll_frame(context)));
        let poll = polled.unwrap_or_else(|_| {
            tracing::error!("the body of a response panicked");
            Poll::Ready(Some(Err("the body of the response panicked".into())))
        });
        me.ticket.set_untaken(poll.is_ready());
        poll
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_lengths_are_found_in_either_order_and_case_but_only_in_one_header() {
        for (bytes, both) in [
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n", true),
            ("POST / HTTP/1.1\r\ncontent-length: 4\r\nTRANSFER-ENCODING: chunked\r\n\r\n", true),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nContent-Length: 4\r\n\r\n", false),
            ("GET / HTTP/1.1\r\nContent-Length: 0\r\n\r\nPOST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", false),
            ("POST / HTTP/1.1\nTransfer-Encoding: chunked\nContent-Length: 4\n\n", true),
            ("POST / HTTP/1.1\r\nX: Transfer-Encoding\r\n\r\n", false),
        ] {
            assert_eq!(has_both_lengths(bytes.as_bytes()), both, "{bytes}");
        }
    }
}
