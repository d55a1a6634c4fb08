//! Calls over a socket: by hand, to get at what no client would send, and by tonic's clients.
#![allow(clippy::unwrap_used, reason = "a test may give up")]

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use kit_core::config::{ByteSize, HumanDuration};
use kit_core::{Code, Error, Shutdown};
use kit_net::{Coding, DataPlane, Handler, NetConfig, Peer, Response, unfold};
use kit_rpc::{Call, Framed, HealthService, Reflection, ReplyCompression, RpcConfig, ServingStatus};

/// `Echo` answers with the message, `Fail` with an error, `Count` with three messages and an error, `Grow` with a small
/// message and a large one, `Sleep` when the deadline has passed.
struct Site {
    config: RpcConfig,
    health: HealthService,
    reflection: Reflection,
}

impl Handler for Site {
    async fn handle(self: Rc<Self>, request: kit_net::Request, _: Peer) -> Response {
        let (head, body) = request.into_parts();
        let mut call = match Call::open(&head, Instant::now(), &self.config) {
            Ok(call) => call,
            Err(response) => return *response,
        };
        let path = head.uri.path();
        if HealthService::is_path(path) {
            return self.health.serve(path, &call, body).await;
        }
        if Reflection::is_path(path) {
            return self.reflection.serve(&call, body);
        }
        match (path, call.read(body).await) {
            (_, Err(error)) => call.fail(&error),
            ("/test.Site/Echo", Ok(message)) => call.reply(Framed::copy_of(&message)),
            ("/test.Site/Grow", Ok(_)) => call.stream(unfold(0_u8, |n| async move {
                let size = if n == 0 { 1 } else { 1000 };
                Ok::<_, Error>((n < 2).then(|| (Framed::copy_of(&vec![b'x'; size]), n + 1)))
            })),
            ("/test.Site/Count", Ok(_)) => call.stream(unfold(1_u8, |n| async move {
                if n > 3 { Err(failure()) } else { Ok(Some((Framed::copy_of(&[n]), n + 1))) }
            })),
            ("/test.Site/Sleep", Ok(_)) => match call.deadline().run(std::future::pending::<()>()).await {
                Ok(()) => unreachable!("nothing ends but the deadline"),
                Err(error) => call.fail(&error),
            },
            (_, Ok(_)) => {
                call.set_write();
                call.fail(&failure())
            }
        }
    }
}

fn failure() -> Error {
    Error::new(Code::Aborted, "CONFLICT", "50 % \u{e9}").with("entity", "User")
}

struct Server {
    address: SocketAddr,
    health: HealthService,
    shutdown: Shutdown,
}

impl Server {
    fn start(config: RpcConfig) -> Self {
        let listener = kit_net::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        let health = HealthService::new(["test.Site"]);
        let reflection = Reflection::new([]).unwrap();
        let site_health = health.clone();
        let factory = move |_| {
            let (config, health, reflection) = (config.clone(), site_health.clone(), reflection.clone());
            Ok(Rc::new(Site { config, health, reflection }))
        };
        let plane = DataPlane::start(&NetConfig { workers: 1, ..NetConfig::default() }, factory).unwrap();
        let shutdown = Shutdown::new();
        tokio::spawn(plane.serve(listener, shutdown.watch()));
        Self { address, health, shutdown }
    }

    async fn send(&self, request: http::request::Builder, path: &str, body: impl Into<Bytes>) -> Answer {
        let request = request.uri(format!("http://{}{path}", self.address));
        let request: Request<Full<Bytes>> = request.body(Full::new(body.into())).unwrap();
        let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
        let (head, body) = client.request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap();
        let trailers = body.trailers().cloned().unwrap_or_default();
        Answer { status: head.status, headers: head.headers, body: body.to_bytes(), trailers }
    }

    async fn channel(&self) -> tonic::transport::Channel {
        tonic::transport::Channel::from_shared(format!("http://{}", self.address)).unwrap().connect().await.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shutdown.stop();
    }
}

#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    trailers: HeaderMap,
}

impl Answer {
    /// The status, wherever it is.
    fn code(&self) -> i32 {
        let value = self.headers.get("grpc-status").or_else(|| self.trailers.get("grpc-status"));
        value.unwrap_or_else(|| panic!("no status: {self:?}")).to_str().unwrap().parse().unwrap()
    }
}

fn grpc() -> http::request::Builder {
    Request::post("/").header("content-type", "application/grpc").header("te", "trailers")
}

fn frame(flag: u8, length: u32, message: &[u8]) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_u8(flag);
    frame.put_u32(length);
    frame.put_slice(message);
    frame.freeze()
}

fn framed(message: &[u8]) -> Bytes {
    frame(0, u32::try_from(message.len()).unwrap(), message)
}

#[tokio::test]
async fn a_message_is_answered_with_its_status_in_the_trailers() {
    let server = Server::start(RpcConfig::default());
    let long = vec![7; 200_000];
    for message in [&b""[..], b"hello", &long] {
        let answer = server.send(grpc(), "/test.Site/Echo", framed(message)).await;
        assert_eq!(answer.headers["content-type"], "application/grpc");
        assert_eq!(answer.body, framed(message));
        assert_eq!(answer.trailers["grpc-status"], "0");
    }
}

#[tokio::test]
async fn an_error_is_headers_only_and_percent_encoded() {
    let server = Server::start(RpcConfig::default());
    let answer = server.send(grpc(), "/test.Site/Fail", framed(b"")).await;
    assert_eq!((answer.status, answer.code()), (StatusCode::OK, 10));
    assert_eq!(answer.headers["grpc-message"], "50 %25 %C3%A9");
    assert!(answer.headers.contains_key("grpc-status-details-bin"));
    assert!(answer.body.is_empty() && answer.trailers.is_empty());
}

#[tokio::test]
async fn a_stream_ends_with_its_error_in_the_trailers() {
    let server = Server::start(RpcConfig::default());
    let answer = server.send(grpc(), "/test.Site/Count", framed(b"")).await;
    assert_eq!(answer.body, [framed(&[1]), framed(&[2]), framed(&[3])].concat());
    assert_eq!(answer.trailers["grpc-status"], "10");
}

#[tokio::test]
async fn each_message_of_a_stream_is_packed_if_it_pays() {
    let config = RpcConfig {
        reply_compression: ReplyCompression::Accepted,
        compression_threshold: ByteSize(100),
        ..RpcConfig::default()
    };
    let server = Server::start(config);
    let answer = server.send(grpc().header("grpc-accept-encoding", "gzip"), "/test.Site/Grow", framed(b"")).await;
    assert_eq!(answer.headers["grpc-encoding"], "gzip");
    let (small, rest) = answer.body.split_at(6);
    assert_eq!(small, framed(b"x"), "as it is");
    assert_eq!(rest[0], 1, "packed");
    assert!(rest.len() < 200, "{} bytes", rest.len());
    let packed = &rest[5..];
    assert_eq!(Coding::Gzip.unpack(packed, 10_000).unwrap(), vec![b'x'; 1000]);
    assert_eq!(answer.trailers["grpc-status"], "0");
}

#[tokio::test]
async fn malformed_frames_have_the_code_the_table_says() {
    let server = Server::start(RpcConfig::default());
    for (what, body, code) in [
        ("4 GiB by its prefix", frame(0, u32::MAX, b"x"), 8),
        ("5 MB by its prefix", frame(0, 5_000_000, b"x"), 8),
        ("more than the limit", framed(&vec![0; 300_000]), 8),
        ("an unknown flag", frame(7, 1, b"x"), 13),
        ("packed without a coding", frame(1, 1, b"x"), 13),
        ("cut in the prefix", Bytes::from_static(b"\0\0"), 3),
        ("cut in the message", frame(0, 10, b"x"), 3),
        ("no message", Bytes::new(), 12),
        ("two messages", [framed(b"a"), framed(b"b")].concat().into(), 12),
    ] {
        let answer = server.send(grpc(), "/test.Site/Echo", body).await;
        assert_eq!(answer.code(), code, "{what}: {answer:?}");
    }
}

#[tokio::test]
async fn packed_messages_are_unpacked_within_the_limit_and_mirrored() {
    let server = Server::start(RpcConfig::default());
    for coding in [Coding::Gzip, Coding::Zstd] {
        let request = || grpc().header("grpc-encoding", coding.name());
        let text = b"again and ".repeat(1000);
        let packed = coding.pack(&text, Vec::new()).unwrap();
        let body = frame(1, u32::try_from(packed.len()).unwrap(), &packed);
        let answer = server.send(request(), "/test.Site/Echo", body).await;
        assert_eq!((answer.code(), &answer.headers["grpc-encoding"]), (0, &coding.name().parse().unwrap()));
        assert_eq!(answer.body[0], 1);
        assert_eq!(coding.unpack(&answer.body[5..], 1 << 20).unwrap(), text);

        let bomb = coding.pack(&vec![0; 100 << 20], Vec::new()).unwrap();
        let body = frame(1, u32::try_from(bomb.len()).unwrap(), &bomb);
        assert_eq!(server.send(request(), "/test.Site/Echo", body).await.code(), 8);
        assert_eq!(server.send(request(), "/test.Site/Echo", frame(1, 4, b"junk")).await.code(), 13);
    }
    let unknown = server.send(grpc().header("grpc-encoding", "br"), "/test.Site/Echo", framed(b"")).await;
    assert_eq!(
        (unknown.code(), &unknown.headers["grpc-accept-encoding"]),
        (12, &"identity,gzip,zstd".parse().unwrap())
    );
}

#[tokio::test]
async fn replies_are_packed_for_those_who_accept_it_if_so_configured() {
    let config = RpcConfig { reply_compression: ReplyCompression::Accepted, ..RpcConfig::default() };
    let server = Server::start(config);
    let request = || grpc().header("grpc-accept-encoding", "identity, deflate, gzip");
    let large = server.send(request(), "/test.Site/Echo", framed(&[b'x'; 5000])).await;
    assert_eq!(large.headers["grpc-encoding"], "gzip");
    let small = server.send(request(), "/test.Site/Echo", framed(b"small")).await;
    assert_eq!((small.headers.contains_key("grpc-encoding"), small.body[0]), (false, 0));
}

#[tokio::test]
async fn heads_that_are_wrong_are_refused() {
    let server = Server::start(RpcConfig::default());
    let post = |content_type| Request::post("/").header("content-type", content_type);
    for content_type in ["application/grpc+json", "application/json", "text/plain"] {
        let answer = server.send(post(content_type), "/test.Site/Echo", framed(b"")).await;
        assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{content_type}");
    }
    let get = server.send(grpc().method(Method::PUT), "/test.Site/Echo", framed(b"")).await;
    assert_eq!((get.status, &get.headers["allow"]), (StatusCode::METHOD_NOT_ALLOWED, &"POST".parse().unwrap()));
    for timeout in ["-1S", "1", "999999999S", "soon"] {
        let answer = server.send(grpc().header("grpc-timeout", timeout), "/test.Site/Echo", framed(b"")).await;
        assert_eq!(answer.code(), 3, "{timeout}");
    }
    let much = (0..100).fold(grpc(), |request, n| request.header(format!("x-{n}"), "y"));
    assert_eq!(server.send(much, "/test.Site/Echo", framed(b"")).await.code(), 8);
}

#[tokio::test]
async fn the_deadline_ends_a_call_and_a_huge_one_is_clamped() {
    let config = RpcConfig { max_timeout: HumanDuration::millis(100), ..RpcConfig::default() };
    let server = Server::start(config);
    for timeout in ["50m", "99999999H"] {
        let start = Instant::now();
        let answer = server.send(grpc().header("grpc-timeout", timeout), "/test.Site/Sleep", framed(b"")).await;
        assert_eq!(answer.code(), 4);
        assert!(start.elapsed() < Duration::from_secs(5));
    }
}

#[tokio::test]
async fn a_message_that_does_not_come_is_given_up() {
    let config = RpcConfig { body_timeout: HumanDuration::millis(100), ..RpcConfig::default() };
    let server = Server::start(config);
    let request = grpc().uri(format!("http://{}/test.Site/Echo", server.address));
    let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let response = client.request(request.body(NeverEnding(Some(frame(0, 10, b"half")))).unwrap()).await.unwrap();
    assert_eq!(response.headers()["grpc-status"], "4");
}

#[tokio::test]
async fn grpc_web_carries_trailers_in_the_body_also_as_text() {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    let server = Server::start(RpcConfig::default());
    let web = |content_type| Request::post("/").header("content-type", content_type);
    let trailer = Bytes::from_static(b"\x80\0\0\0\x0fgrpc-status:0\r\n");
    let wanted = [framed(b"hi"), trailer].concat();
    let answer = server.send(web("application/grpc-web+proto"), "/test.Site/Echo", framed(b"hi")).await;
    assert_eq!(answer.headers["content-type"], "application/grpc-web+proto");
    assert_eq!(answer.body, wanted);

    let text = STANDARD.encode(framed(b"hi"));
    let answer = server.send(web("application/grpc-web-text"), "/test.Site/Echo", text).await;
    assert_eq!(STANDARD.decode(&answer.body).unwrap(), wanted);
    let answer = server.send(web("application/grpc-web-text"), "/test.Site/Echo", "!!!!").await;
    assert_eq!(answer.code(), 3);

    let stream = server.send(web("application/grpc-web"), "/test.Site/Count", framed(b"")).await;
    let end = [framed(&[1]), framed(&[2]), framed(&[3])].concat();
    assert!(stream.body.starts_with(&end));
    assert!(String::from_utf8_lossy(&stream.body[end.len()..]).contains("grpc-status:10\r\n"));
}

#[tokio::test]
async fn tonics_health_client_checks_and_watches() {
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_client::HealthClient;

    let server = Server::start(RpcConfig::default());
    let mut client = HealthClient::new(server.channel().await);
    let request = || HealthCheckRequest { service: "test.Site".into() };
    let status = client.check(request()).await.unwrap().into_inner().status();
    assert_eq!(status, ServingStatus::NotServing);
    let mut watch = client.watch(request()).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    server.health.set_all(ServingStatus::Serving);
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    let unknown = client.check(HealthCheckRequest { service: "nobody".into() }).await.unwrap_err();
    assert_eq!(unknown.code(), tonic::Code::NotFound);
    server.health.close();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    assert_eq!(watch.message().await.unwrap_err().code(), tonic::Code::Unavailable);
}

#[tokio::test]
async fn tonics_reflection_client_finds_services_files_and_extensions() {
    use tonic_reflection::pb::v1::ServerReflectionRequest;
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest as Ask;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse as Told;

    let server = Server::start(RpcConfig::default());
    let mut client = ServerReflectionClient::new(server.channel().await);
    let asks = [
        Ask::ListServices(String::new()),
        Ask::FileContainingSymbol("grpc.health.v1.Health".into()),
        Ask::FileByFilename("nowhere.proto".into()),
    ];
    let requests = asks.map(|ask| ServerReflectionRequest { host: String::new(), message_request: Some(ask) });
    let mut answers = client.server_reflection_info(Requests(requests.into())).await.unwrap().into_inner();
    let mut next = async || answers.message().await.unwrap().and_then(|answer| answer.message_response);
    let Some(Told::ListServicesResponse(list)) = next().await else { panic!("no list") };
    assert!(list.service.iter().any(|service| service.name == "grpc.health.v1.Health"));
    assert!(matches!(next().await, Some(Told::FileDescriptorResponse(_))));
    let Some(Told::ErrorResponse(error)) = next().await else { panic!("no error") };
    assert_eq!(error.error_code, 5);
    assert_eq!(next().await, None);
}

/// A stream out of a list.
struct Requests<T>(std::collections::VecDeque<T>);

impl<T: Unpin> futures_core::Stream for Requests<T> {
    type Item = T;

    fn poll_next(mut self: std::pin::Pin<&mut Self>, _: &mut std::task::Context<'_>) -> std::task::Poll<Option<T>> {
        std::task::Poll::Ready(self.0.pop_front())
    }
}

/// A body that stops in the middle and never ends.
struct NeverEnding(Option<Bytes>);

impl http_body::Body for NeverEnding {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        match self.0.take() {
            Some(bytes) => std::task::Poll::Ready(Some(Ok(http_body::Frame::data(bytes)))),
            None => std::task::Poll::Pending,
        }
    }
}
