//! The lower bound of a request: hyper's server on one thread that reads it and answers with the same constant bytes. No
//! table, no limits, no timeouts. Over HTTP/2 it is a unary gRPC call, over HTTP/1.1 (`h1`) a GET.
//!
//! `hyper_const BYTES [h1]` prints `listening on http://ADDRESS`.

#![allow(clippy::print_stdout, reason = "the address it listens on")]

use std::{
    convert::Infallible,
    error::Error,
    net::Ipv4Addr,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Response, header::CONTENT_TYPE};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// One framed message, then the trailers.
struct Reply {
    message: Option<Bytes>,
    trailers: bool,
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(message) = self.message.take() {
            return Poll::Ready(Some(Ok(Frame::data(message))));
        }
        if !std::mem::take(&mut self.trailers) {
            return Poll::Ready(None);
        }
        let mut trailers = HeaderMap::with_capacity(1);
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }
}

async fn answer(request: Request<Incoming>, message: Bytes) -> Result<Response<Reply>, hyper::Error> {
    let mut body = request.into_body();
    while !body.is_end_stream() {
        match body.frame().await {
            Some(frame) => drop(frame?),
            None => break,
        }
    }
    let mut response = Response::new(Reply { message: Some(message), trailers: true });
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    Ok(response)
}

async fn answer_get(_: Request<Incoming>, message: Bytes) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::new(message));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

async fn serve(message: Bytes, h1: bool) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let message = message.clone();
        if h1 {
            let service = service_fn(move |request| answer_get(request, message.clone()));
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            continue;
        }
        let service = service_fn(move |request| answer(request, message.clone()));
        let connection = http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service);
        tokio::spawn(connection);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let length: u32 = arguments.next().ok_or("usage: hyper_const BYTES [h1]")?.parse()?;
    let h1 = arguments.next().is_some_and(|protocol| protocol == "h1");
    let mut message = BytesMut::new();
    if !h1 {
        message.put_u8(0);
        message.put_u32(length);
    }
    message.put_bytes(b'x', length as usize);
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(serve(message.freeze(), h1))
}
