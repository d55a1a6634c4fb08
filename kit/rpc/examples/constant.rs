//! Serves the same bytes by gRPC and REST: what the data plane costs without a store behind it.
//!
//! `cargo run --release -p kit-rpc --example constant -- 127.0.0.1:8080 [kit|hyper]`; with `hyper`, a bare hyper HTTP/2
//! server answers, which is the ground that the data plane stands on.

use std::convert::Infallible;
use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use http_body_util::BodyExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use kit_core::{BoxError, Shutdown};
use kit_net::{Body, DataPlane, Handler, NetConfig, Peer, Request, Response};
use kit_rpc::{Call, Framed, RpcConfig, is_grpc};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Constant {
    config: RpcConfig,
    message: Framed,
}

impl Handler for Constant {
    async fn handle(self: Rc<Self>, request: Request, _: Peer) -> Response {
        let now = Instant::now();
        let (head, body) = request.into_parts();
        if !is_grpc(&head.headers) {
            let mut response = Response::new(Body::full(self.message.message()));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            return response;
        }
        let call = match Call::open(&head, now, &self.config) {
            Ok(call) => call,
            Err(response) => return *response,
        };
        match call.read(body).await {
            Ok(_) => call.reply(self.message.clone()),
            Err(error) => call.fail(&error),
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or("127.0.0.1:8080".into()).parse()?;
    let listener = kit_net::bind(address)?;
    let message = Framed::copy_of(&[b'x'; 200]);
    if arguments.next().as_deref() == Some("hyper") {
        return bare(listener, message.into_bytes()).await;
    }
    let factory = move |_| Ok(Rc::new(Constant { config: RpcConfig::default(), message: message.clone() }));
    let plane = DataPlane::start(&NetConfig { workers: 1, ..NetConfig::default() }, factory)?;
    let shutdown = Shutdown::new();
    tokio::spawn(shutdown.on_signals()?);
    plane.serve(listener, shutdown.watch()).await?;
    Ok(())
}

async fn bare(listener: std::net::TcpListener, bytes: Bytes) -> Result<(), BoxError> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (tcp, _) = listener.accept().await?;
        tcp.set_nodelay(true)?;
        let bytes = bytes.clone();
        let service = hyper::service::service_fn(move |request: Request| {
            let bytes = bytes.clone();
            async move {
                drop(request.into_body().collect().await);
                let mut response = http::Response::new(SendBody(Some(bytes), true));
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
                Ok::<_, Infallible>(response)
            }
        });
        let http2 = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        tokio::spawn(http2.serve_connection(TokioIo::new(tcp), service));
    }
}

/// As [`Body::with_trailers`], but `Send`.
struct SendBody(Option<Bytes>, bool);

impl http_body::Body for SendBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        std::task::Poll::Ready(match (self.0.take(), std::mem::take(&mut self.1)) {
            (Some(bytes), _) => {
                self.1 = true;
                Some(Ok(http_body::Frame::data(bytes)))
            }
            (None, true) => {
                let mut trailers = http::HeaderMap::with_capacity(1);
                trailers.insert("grpc-status", HeaderValue::from_static("0"));
                Some(Ok(http_body::Frame::trailers(trailers)))
            }
            (None, false) => None,
        })
    }
}
