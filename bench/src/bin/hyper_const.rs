//! The lower bound of a unary gRPC call: hyper's HTTP/2 server on one thread that reads the request and answers with the
//! same constant bytes. No table, no limits, no timeouts.
//!
//! `hyper_const BYTES` prints `listening on http://ADDRESS`.

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
use http_body_util::BodyExt;
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
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

async fn serve(message: Bytes) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let message = message.clone();
        let service = service_fn(move |request| answer(request, message.clone()));
        let connection = http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service);
        tokio::spawn(connection);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let length: u32 = std::env::args().nth(1).ok_or("usage: hyper_const BYTES")?.parse()?;
    let mut framed = BytesMut::new();
    framed.put_u8(0);
    framed.put_u32(length);
    framed.put_bytes(b'x', length as usize);
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(serve(framed.freeze()))
}
