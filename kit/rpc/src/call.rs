//! One call: what its head says, its message, its answer.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use futures_core::Stream;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, request};
use http_body::{Body as HttpBody, Frame};
use kit_core::{BoxError, Code, Deadline, Error};
use kit_net::{Body, Coding, Response, Trailers};

use crate::config::{ReplyCompression, RpcConfig};
use crate::encoding;
use crate::status::{self, GRPC_STATUS};
use crate::timeout;
use crate::web::{Flavor, decode_text, trailer_frame};
use crate::{Framed, Messages};

const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// Whether a request is meant for gRPC or gRPC-Web, by its content type.
pub fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// What the head of a call says.
#[derive(Debug, Clone)]
pub struct Call {
    flavor: Flavor,
    request_coding: Option<Coding>,
    reply_coding: Option<Coding>,
    deadline: Deadline,
    /// What the client said, and nothing else.
    asked: Deadline,
    is_write: bool,
    max_message_size: usize,
    compression_threshold: usize,
    body_timeout: std::time::Duration,
}

/// The fields of a head that matter, found in one pass.
#[derive(Default)]
struct Fields<'a> {
    content_type: Option<&'a HeaderValue>,
    timeout: Option<&'a HeaderValue>,
    encoding: Option<&'a HeaderValue>,
    accept_encoding: Option<&'a HeaderValue>,
}

impl<'a> Fields<'a> {
    fn of(headers: &'a HeaderMap) -> Self {
        let mut fields = Self::default();
        for (name, value) in headers {
            match name.as_str() {
                "content-type" => fields.content_type = Some(value),
                "grpc-timeout" => fields.timeout = Some(value),
                "grpc-encoding" => fields.encoding = Some(value),
                "grpc-accept-encoding" => fields.accept_encoding = Some(value),
                _ => {}
            }
        }
        fields
    }
}

impl Call {
    /// Reads the head of a request that came at `now`.
    ///
    /// # Errors
    /// The response to send when the head cannot be served: 405, 415, or a gRPC error.
    pub fn open(head: &request::Parts, now: Instant, config: &RpcConfig) -> Result<Self, Box<Response>> {
        let fields = Fields::of(&head.headers);
        let content_type = fields.content_type.map_or(&[][..], HeaderValue::as_bytes);
        let Some(flavor) = Flavor::of(content_type) else {
            return Err(Box::new(bare(StatusCode::UNSUPPORTED_MEDIA_TYPE)));
        };
        if head.method != Method::POST {
            let mut response = bare(StatusCode::METHOD_NOT_ALLOWED);
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
            return Err(Box::new(response));
        }
        let mut call = Self {
            flavor,
            request_coding: None,
            reply_coding: None,
            deadline: Deadline::at(now + *config.default_timeout),
            asked: Deadline::NONE,
            is_write: false,
            max_message_size: config.max_message_size.as_usize(),
            compression_threshold: config.compression_threshold.as_usize(),
            body_timeout: *config.body_timeout,
        };
        match call.read_fields(&fields, head.headers.len(), now, config) {
            Ok(()) => Ok(call),
            Err(error) => Err(Box::new(call.fail(&error))),
        }
    }

    fn read_fields(
        &mut self,
        fields: &Fields<'_>,
        count: usize,
        now: Instant,
        config: &RpcConfig,
    ) -> Result<(), Error> {
        if count > config.max_metadata {
            let message = format!("a call may have at most {} metadata entries", config.max_metadata);
            return Err(Error::new(Code::ResourceExhausted, "TOO_MUCH_METADATA", message));
        }
        if let Some(value) = fields.timeout {
            let asked = timeout::parse(value.as_bytes())?;
            self.asked = now.checked_add(asked).map_or(Deadline::NONE, Deadline::at);
            self.deadline = Deadline::at(now + asked.min(*config.max_timeout));
        }
        if let Some(value) = fields.encoding {
            self.request_coding = encoding::of_request(value.as_bytes())?;
        }
        self.reply_coding = match config.reply_compression {
            ReplyCompression::Never => None,
            ReplyCompression::Mirror => self.request_coding,
            ReplyCompression::Accepted => fields.accept_encoding.and_then(|v| encoding::preferred(v.as_bytes())),
        };
        Ok(())
    }

    /// When the client stops waiting.
    pub fn deadline(&self) -> Deadline {
        self.deadline
    }

    /// When the client stops waiting for a stream that has no end of its own: no limit of the server shortens it, and a
    /// client that says nothing waits for ever.
    pub fn asked_deadline(&self) -> Deadline {
        self.asked
    }

    /// Remembers that the call writes: its errors then say whether the write was applied.
    pub fn set_write(&mut self) {
        self.is_write = true;
    }

    /// Reads the one message of a unary call.
    ///
    /// # Errors
    /// When there is none or more than one, when it is too large, malformed or late.
    pub async fn read<B>(&self, body: B) -> Result<Bytes, Error>
    where
        B: HttpBody<Data = Bytes> + Unpin,
        B::Error: Into<BoxError>,
    {
        let mut work = pin!(self.read_unary(body));
        // Nearly always the message is there already; the clock is armed only when it is not.
        if let Poll::Ready(done) = poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await {
            return done;
        }
        let bound = self.deadline.min(Deadline::after(self.body_timeout));
        bound.run(work).await.unwrap_or_else(|_| {
            let message = "the request's message did not arrive in time";
            Err(Error::new(Code::DeadlineExceeded, "SLOW_REQUEST", message))
        })
    }

    async fn read_unary<B>(&self, body: B) -> Result<Bytes, Error>
    where
        B: HttpBody<Data = Bytes> + Unpin,
        B::Error: Into<BoxError>,
    {
        if self.flavor == Flavor::WebText {
            return self.read_text(body).await;
        }
        let mut messages = self.messages(body);
        one(messages.next().await?, messages.next().await?)
    }

    /// The text flavor is decoded as a whole: only unary calls and streams from the server exist on the web.
    async fn read_text<B>(&self, mut body: B) -> Result<Bytes, Error>
    where
        B: HttpBody<Data = Bytes> + Unpin,
        B::Error: Into<BoxError>,
    {
        let limit = self.max_message_size / 3 * 4 + 64;
        let mut text = Vec::new();
        while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
            let frame = frame.map_err(|error| {
                Error::new(Code::Cancelled, "CLIENT_GONE", "the request ended early").with_source(error.into())
            })?;
            if let Ok(data) = frame.into_data() {
                if text.len() + data.len() > limit {
                    return Err(encoding::too_large(self.max_message_size));
                }
                text.extend_from_slice(&data);
            }
        }
        let mut messages = self.messages(Body::full(decode_text(&text)?));
        one(messages.next().await?, messages.next().await?)
    }

    /// The messages of a streaming call, as they come.
    pub fn messages<B>(&self, body: B) -> Messages<B>
    where
        B: HttpBody<Data = Bytes> + Unpin,
        B::Error: Into<BoxError>,
    {
        Messages::new(body, self.request_coding, self.max_message_size)
    }

    /// Answers with one message. Response metadata goes into the headers of what this returns.
    pub fn reply(&self, message: Framed) -> Response {
        let (message, coding) = self.packed(message);
        let body = match self.flavor {
            Flavor::Grpc => Body::with_trailers(message.into_bytes(), Trailers::GrpcOk),
            Flavor::Web | Flavor::WebText => {
                let whole = [message.into_bytes(), trailer_frame(&ok_trailers())].concat();
                Body::full(self.flavor.encode(whole.into()))
            }
        };
        let mut response = self.response(body);
        if let Some(coding) = coding {
            response.headers_mut().insert(GRPC_ENCODING, HeaderValue::from_static(coding.name()));
        }
        response
    }

    fn packed(&self, message: Framed) -> (Framed, Option<Coding>) {
        match self.reply_coding {
            Some(coding) if message.as_bytes().len() >= self.compression_threshold => {
                let (message, is_packed) = encoding::pack(coding, message);
                (message, is_packed.then_some(coding))
            }
            Some(_) | None => (message, None),
        }
    }

    /// Answers with messages as they come. An error ends the call with its status.
    pub fn stream(&self, messages: impl Stream<Item = Result<Framed, Error>> + 'static) -> Response {
        let streaming = Streaming { messages: Box::pin(messages), call: self.clone(), is_done: false };
        let mut response = self.response(Body::boxed(streaming));
        if let Some(coding) = self.reply_coding {
            // Said before it is known whether a message will be worth it; each says of itself whether it is packed.
            response.headers_mut().insert(GRPC_ENCODING, HeaderValue::from_static(coding.name()));
        }
        response
    }

    /// Answers with an error. What an operator should read of it is for the caller to log.
    pub fn fail(&self, error: &Error) -> Response {
        let mut response = self.response(Body::empty());
        let headers = response.headers_mut();
        status::write(error, self.is_write, headers);
        if error.code() == Code::Unimplemented {
            headers.insert(GRPC_ACCEPT_ENCODING, HeaderValue::from_static(encoding::ACCEPTED));
        }
        response
    }

    fn response(&self, body: Body) -> Response {
        let mut response = Response::new(body);
        response.headers_mut().insert(CONTENT_TYPE, self.flavor.content_type());
        response
    }
}

fn one(first: Option<Bytes>, second: Option<Bytes>) -> Result<Bytes, Error> {
    match (first, second) {
        (Some(message), None) => Ok(message),
        (None, _) => Err(cardinality("no message")),
        (Some(_), Some(_)) => Err(cardinality("more than one message")),
    }
}

/// `UNIMPLEMENTED`, as the gRPC status table has it for a wrong number of messages.
fn cardinality(found: &str) -> Error {
    Error::new(
        Code::Unimplemented,
        "BAD_CARDINALITY",
        format!("a unary call takes one message, the client sent {found}"),
    )
}

fn bare(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

fn ok_trailers() -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert(GRPC_STATUS, HeaderValue::from_static("0"));
    trailers
}

/// The body of a streaming answer.
struct Streaming {
    messages: Pin<Box<dyn Stream<Item = Result<Framed, Error>>>>,
    call: Call,
    is_done: bool,
}

impl Streaming {
    fn end(&mut self, error: Option<&Error>) -> Frame<Bytes> {
        self.is_done = true;
        let trailers = match error {
            None => ok_trailers(),
            Some(error) => {
                let mut trailers = HeaderMap::with_capacity(3);
                status::write(error, self.call.is_write, &mut trailers);
                trailers
            }
        };
        match self.call.flavor {
            Flavor::Grpc => Frame::trailers(trailers),
            Flavor::Web | Flavor::WebText => Frame::data(self.call.flavor.encode(trailer_frame(&trailers))),
        }
    }
}

impl HttpBody for Streaming {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.is_done {
            return Poll::Ready(None);
        }
        let Poll::Ready(next) = self.messages.as_mut().poll_next(context) else { return Poll::Pending };
        Poll::Ready(Some(Ok(match next {
            Some(Ok(message)) => {
                let (message, _) = self.call.packed(message);
                Frame::data(self.call.flavor.encode(message.into_bytes()))
            }
            Some(Err(error)) => self.end(Some(&error)),
            None => self.end(None),
        })))
    }
}
