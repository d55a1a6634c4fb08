//! The body of a request, within limits of size and time.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http::{HeaderMap, HeaderValue};
use http_body::Body;
use kit_core::config::{ByteSize, HumanDuration};
use kit_core::{BoxError, Code, Error};
use kit_net::{Coding, UnpackError};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// Limits of a request's body.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct BodyLimits {
    /// Size, before and after it is unpacked.
    pub max_size: ByteSize,
    /// Time a client has in any case, before its rate counts.
    pub grace: HumanDuration,
    /// Bytes a second a client must send on average, after the grace.
    pub min_rate: ByteSize,
}

impl Default for BodyLimits {
    fn default() -> Self {
        Self { max_size: ByteSize::mib(1), grace: HumanDuration::secs(10), min_rate: ByteSize::kib(1) }
    }
}

/// Reads a whole body. One that came in one piece is not copied; packed ones are unpacked.
///
/// # Errors
/// 413 when it is too large, 408 when it comes too slowly, 415 when its coding is unknown, 400 when it is broken.
pub async fn read_body<B>(headers: &HeaderMap, body: B, limits: &BodyLimits) -> Result<Bytes, Error>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    let limit = limits.max_size.as_usize();
    let coding = headers.get(CONTENT_ENCODING).map_or(Ok(None), coding_of)?;
    if claimed_length(headers).is_some_and(|length| length > limit as u64) {
        return Err(too_large(limit));
    }
    let bytes = collect(body, limit, limits).await?;
    match coding {
        None => Ok(bytes),
        Some(coding) => unpack(coding, &bytes, limit),
    }
}

fn claimed_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn coding_of(value: &HeaderValue) -> Result<Option<Coding>, Error> {
    if value.as_bytes().eq_ignore_ascii_case(b"identity") {
        return Ok(None);
    }
    Coding::from_name(value.as_bytes()).map(Some).ok_or_else(|| {
        Error::new(Code::InvalidArgument, "UNKNOWN_ENCODING", "Content-Encoding must be gzip, zstd or identity")
            .with_http_status(415)
    })
}

fn unpack(coding: Coding, bytes: &[u8], limit: usize) -> Result<Bytes, Error> {
    coding.unpack(bytes, limit).map(Bytes::from).map_err(|error| match error {
        UnpackError::TooLarge => too_large(limit),
        UnpackError::Malformed(error) => {
            let message = format!("the body is not valid {}", coding.name());
            Error::new(Code::InvalidArgument, "BAD_COMPRESSION", message).with_source(error)
        }
    })
}

async fn collect<B>(mut body: B, limit: usize, limits: &BodyLimits) -> Result<Bytes, Error>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    let mut pace = Pace { limits, started: None };
    let mut first = Bytes::new();
    let mut gathered = BytesMut::new();
    while !body.is_end_stream() {
        let received = first.len() + gathered.len();
        let Some(frame) = pace.frame(&mut body, received).await? else { break };
        let Ok(data) = frame.map_err(client_gone)?.into_data() else { continue };
        if received + data.len() > limit {
            return Err(too_large(limit));
        }
        if received == 0 {
            first = data;
        } else {
            gathered.extend_from_slice(&std::mem::take(&mut first));
            gathered.extend_from_slice(&data);
        }
    }
    Ok(if gathered.is_empty() { first } else { gathered.freeze() })
}

type FrameOf<B> = Result<http_body::Frame<Bytes>, <B as Body>::Error>;

/// The clock of one body, started when it first has to be waited for.
struct Pace<'a> {
    limits: &'a BodyLimits,
    started: Option<Instant>,
}

impl Pace<'_> {
    async fn frame<B>(&mut self, body: &mut B, received: usize) -> Result<Option<FrameOf<B>>, Error>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        let mut next = pin!(poll_fn(|context| Pin::new(&mut *body).poll_frame(context)));
        if let Poll::Ready(frame) = poll_fn(|context| Poll::Ready(next.as_mut().poll(context))).await {
            return Ok(frame);
        }
        let started = *self.started.get_or_insert_with(Instant::now);
        let earned = received as u64 / self.limits.min_rate.0.max(1);
        let until = started + *self.limits.grace + Duration::from_secs(earned);
        tokio::time::timeout_at(until, next).await.map_err(|_| too_slow())
    }
}

fn too_large(limit: usize) -> Error {
    let message = format!("the request body is larger than the limit of {limit} bytes");
    Error::new(Code::ResourceExhausted, "BODY_TOO_LARGE", message)
        .with("limit", limit.to_string())
        .with_http_status(413)
}

fn too_slow() -> Error {
    Error::new(Code::DeadlineExceeded, "SLOW_REQUEST", "the request body did not arrive in time").with_http_status(408)
}

fn client_gone(error: impl Into<BoxError>) -> Error {
    Error::new(Code::InvalidArgument, "BAD_BODY", "the request body is broken or ended early").with_source(error)
}

#[cfg(test)]
mod tests {
    use kit_net::Body as OutBody;

    use super::*;

    fn limits(max: u64) -> BodyLimits {
        BodyLimits { max_size: ByteSize(max), ..BodyLimits::default() }
    }

    fn pieces(pieces: Vec<&'static str>, pause: Duration) -> OutBody {
        OutBody::unfold(pieces.into_iter(), move |mut pieces| async move {
            tokio::time::sleep(pause).await;
            Ok(pieces.next().map(|piece| (Bytes::from(piece), pieces)))
        })
    }

    #[tokio::test]
    async fn pieces_are_put_together_and_one_piece_is_not_copied() {
        let none = HeaderMap::new();
        let whole = read_body(&none, pieces(vec!["a", "bc", "", "d"], Duration::ZERO), &limits(4)).await.unwrap();
        assert_eq!(whole, "abcd");
        let one = Bytes::from(vec![7; 100]);
        let read = read_body(&none, OutBody::full(one.clone()), &limits(100)).await.unwrap();
        assert_eq!(read.as_ptr(), one.as_ptr());
    }

    #[tokio::test]
    async fn a_body_past_the_limit_is_413_by_its_claim_by_its_bytes_and_unpacked() {
        let mut claim = HeaderMap::new();
        claim.insert(CONTENT_LENGTH, HeaderValue::from_static("1000000"));
        assert_eq!(read_body(&claim, OutBody::empty(), &limits(10)).await.unwrap_err().http_status(), 413);
        let long = pieces(vec!["12345", "67890", "1"], Duration::ZERO);
        assert_eq!(read_body(&HeaderMap::new(), long, &limits(10)).await.unwrap_err().http_status(), 413);
        let mut packed = HeaderMap::new();
        packed.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        let bomb = Coding::Gzip.pack(&vec![0; 1 << 20], Vec::new()).unwrap();
        assert_eq!(read_body(&packed, OutBody::full(bomb), &limits(1 << 16)).await.unwrap_err().http_status(), 413);
    }

    #[tokio::test]
    async fn packed_bodies_are_unpacked_and_unknown_codings_are_415() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("zstd"));
        let packed = Coding::Zstd.pack(b"hello", Vec::new()).unwrap();
        assert_eq!(read_body(&headers, OutBody::full(packed), &limits(100)).await.unwrap(), "hello");
        assert_eq!(read_body(&headers, OutBody::full("junk"), &limits(100)).await.unwrap_err().http_status(), 400);
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("br"));
        assert_eq!(read_body(&headers, OutBody::empty(), &limits(100)).await.unwrap_err().http_status(), 415);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_slower_than_the_rate_is_408_after_the_grace_and_a_steady_one_is_not() {
        let limits = BodyLimits { min_rate: ByteSize(1), grace: HumanDuration::secs(2), ..BodyLimits::default() };
        let slow = pieces(vec!["a"; 100], Duration::from_millis(1500));
        assert_eq!(read_body(&HeaderMap::new(), slow, &limits).await.unwrap_err().http_status(), 408);
        let steady = pieces(vec!["ab"; 100], Duration::from_millis(1500));
        assert_eq!(read_body(&HeaderMap::new(), steady, &limits).await.unwrap().len(), 200);
    }
}
