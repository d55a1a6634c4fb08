//! The body of a response: from memory without an allocation, with trailers where gRPC needs them, or a stream.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::{Frame, SizeHint};
use kit_core::BoxError;

use crate::unfold;

/// What follows the last byte of a body.
#[derive(Debug, Clone)]
pub enum Trailers {
    /// `grpc-status: 0` and nothing else.
    GrpcOk,
    /// These.
    Map(Box<HeaderMap>),
}

impl Trailers {
    fn into_map(self) -> HeaderMap {
        match self {
            Self::GrpcOk => {
                let mut map = HeaderMap::with_capacity(1);
                map.insert(HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"));
                map
            }
            Self::Map(map) => *map,
        }
    }
}

/// The body of a response. Stays on its worker, so a stream need not be `Send`.
#[derive(Default)]
pub struct Body(Kind);

type Boxed = Pin<Box<dyn http_body::Body<Data = Bytes, Error = BoxError>>>;

#[derive(Default)]
enum Kind {
    #[default]
    Done,
    Full(Bytes),
    Trailed(Bytes, Trailers),
    Trailers(Trailers),
    Stream(Boxed),
}

impl Body {
    /// No byte.
    pub const fn empty() -> Self {
        Self(Kind::Done)
    }

    /// All there is; sent with its length.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        if bytes.is_empty() { Self::empty() } else { Self(Kind::Full(bytes)) }
    }

    /// All there is, and trailers after it.
    pub fn with_trailers(bytes: Bytes, trailers: Trailers) -> Self {
        Self(if bytes.is_empty() { Kind::Trailers(trailers) } else { Kind::Trailed(bytes, trailers) })
    }

    /// Any body, boxed.
    pub fn boxed<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes> + 'static,
        B::Error: Into<BoxError>,
    {
        Self(Kind::Stream(Box::pin(BoxErrors(Box::pin(body)))))
    }

    /// Chunks as they come. An error ends the connection (HTTP/1.1) or resets the stream (HTTP/2), so that the client
    /// sees that something is missing.
    pub fn stream(chunks: impl Stream<Item = Result<Bytes, BoxError>> + 'static) -> Self {
        Self(Kind::Stream(Box::pin(Chunks(Box::pin(chunks)))))
    }

    /// Chunks made one after the other: `next` takes the state and gives a chunk with the state that follows, or
    /// `None` at the end. The next chunk is asked for when the last one was taken by the connection.
    pub fn unfold<T, F, R>(state: T, next: F) -> Self
    where
        T: 'static,
        F: FnMut(T) -> R + 'static,
        R: Future<Output = Result<Option<(Bytes, T)>, BoxError>> + 'static,
    {
        Self::stream(unfold(state, next))
    }

    /// The bytes, if the body is all in memory.
    pub fn as_full(&self) -> Option<&Bytes> {
        match &self.0 {
            Kind::Full(bytes) | Kind::Trailed(bytes, _) => Some(bytes),
            Kind::Done | Kind::Trailers(_) | Kind::Stream(_) => None,
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::full(bytes)
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match &self.0 {
            Kind::Done => "Body::empty",
            Kind::Full(_) => "Body::full",
            Kind::Trailed(..) | Kind::Trailers(_) => "Body::with_trailers",
            Kind::Stream(_) => "Body::stream",
        })
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Kind::Stream(stream) = &mut self.0 {
            return stream.as_mut().poll_frame(context);
        }
        Poll::Ready(match std::mem::take(&mut self.0) {
            Kind::Full(bytes) => Some(Ok(Frame::data(bytes))),
            Kind::Trailed(bytes, trailers) => {
                self.0 = Kind::Trailers(trailers);
                Some(Ok(Frame::data(bytes)))
            }
            Kind::Trailers(trailers) => Some(Ok(Frame::trailers(trailers.into_map()))),
            Kind::Done | Kind::Stream(_) => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Done => true,
            Kind::Stream(stream) => stream.is_end_stream(),
            Kind::Full(_) | Kind::Trailed(..) | Kind::Trailers(_) => false,
        }
    }

    /// Exact only where no trailers follow: a length would make HTTP/1.1 leave them out.
    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Done => SizeHint::with_exact(0),
            Kind::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Stream(stream) => stream.size_hint(),
            Kind::Trailed(..) | Kind::Trailers(_) => SizeHint::default(),
        }
    }
}

struct BoxErrors<B>(Pin<Box<B>>);

impl<B> http_body::Body for BoxErrors<B>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0.as_mut().poll_frame(context).map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

struct Chunks<S>(Pin<Box<S>>);

impl<S: Stream<Item = Result<Bytes, BoxError>>> http_body::Body for Chunks<S> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0.as_mut().poll_next(context).map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)))
    }
}

#[cfg(test)]
mod tests {
    use http_body::Body as _;
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn a_full_body_knows_its_length_and_ends() {
        let body = Body::full("hello");
        assert_eq!(body.size_hint().exact(), Some(5));
        assert_eq!(body.collect().await.unwrap().to_bytes(), "hello");
        assert!(Body::full("").is_end_stream());
    }

    #[tokio::test]
    async fn trailers_come_after_the_bytes_and_hide_the_length() {
        let body = Body::with_trailers(Bytes::from_static(b"x"), Trailers::GrpcOk);
        assert_eq!(body.size_hint().exact(), None);
        let collected = body.collect().await.unwrap();
        assert_eq!(collected.trailers().unwrap()["grpc-status"], "0");
        assert_eq!(collected.to_bytes(), "x");
    }

    #[tokio::test]
    async fn chunks_are_made_one_after_the_other_until_the_end_or_an_error() {
        let count = Body::unfold(0_u8, |n| async move { Ok((n < 3).then(|| (Bytes::from(vec![n]), n + 1))) });
        assert_eq!(count.collect().await.unwrap().to_bytes(), vec![0, 1, 2]);
        let mut broken = Body::unfold((), |()| async { Err(BoxError::from("disk on fire")) });
        assert_eq!(broken.frame().await.unwrap().unwrap_err().to_string(), "disk on fire");
        assert!(broken.frame().await.is_none());
    }
}
