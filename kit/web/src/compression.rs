//! Packs responses for clients that accept it.
//!
//! The entity tag of a resource stays as it is when its representation is packed: clients send it back with
//! `If-Match`, which compares strongly.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body::{Body as HttpBody, Frame};
use kit_core::BoxError;
use kit_core::config::ByteSize;
use kit_net::{Body, Coding, Packer, Response};
use serde::{Deserialize, Serialize};

use crate::accept::quality;

/// When responses are packed.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct CompressionConfig {
    /// Whether at all.
    pub enabled: bool,
    /// Bodies smaller than this are sent as they are.
    pub threshold: ByteSize,
}

impl Default for CompressionConfig {
    fn default() -> Self {
        Self { enabled: true, threshold: ByteSize::kib(1) }
    }
}

/// Packs `response` if the request accepts it and it pays.
pub fn compress(request_headers: &HeaderMap, mut response: Response, config: &CompressionConfig) -> Response {
    if !config.enabled || !is_worth_it(&response, config.threshold.as_usize()) {
        return response;
    }
    response.headers_mut().append(VARY, HeaderValue::from_static("accept-encoding"));
    let Some(coding) = preferred(request_headers) else { return response };
    let packed = match response.body().as_full() {
        Some(bytes) => match coding.pack(bytes, Vec::with_capacity(bytes.len() / 2)) {
            Ok(packed) if packed.len() < bytes.len() => Body::full(packed),
            Ok(_) | Err(_) => return response,
        },
        None => match Packer::new(coding, Vec::new()) {
            Ok(packer) => {
                let body = std::mem::take(response.body_mut());
                Body::boxed(Packing { body, packer: Some(packer) })
            }
            Err(_) => return response,
        },
    };
    *response.body_mut() = packed;
    response.headers_mut().remove(CONTENT_LENGTH);
    response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
    response
}

fn is_worth_it(response: &Response, threshold: usize) -> bool {
    let headers = response.headers();
    let has_body = !matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let is_large = match response.body().as_full() {
        Some(bytes) => bytes.len() >= threshold,
        None => !response.body().is_end_stream(),
    };
    has_body && is_large && !headers.contains_key(CONTENT_ENCODING) && headers.get(CONTENT_TYPE).is_some_and(is_text)
}

fn is_text(content_type: &HeaderValue) -> bool {
    let text = crate::content_type_essence(content_type);
    // Events come one by one as long as a client stays: the memory of a packer for each would be the most of it.
    text != "text/event-stream" && text.starts_with("text/")
        || ["json", "xml", "javascript", "ndjson", "yaml"].iter().any(|suffix| text.ends_with(suffix))
}

/// The coding a request likes best; zstd among equals. `None` is identity.
fn preferred(headers: &HeaderMap) -> Option<Coding> {
    let (mut gzip, mut zstd, mut any) = (None, None, None);
    for value in headers.get_all(ACCEPT_ENCODING) {
        for item in value.to_str().unwrap_or_default().split(',') {
            let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
            let slot = match (name.trim(), Coding::from_name(name.trim().as_bytes())) {
                (_, Some(Coding::Gzip)) => &mut gzip,
                (_, Some(Coding::Zstd)) => &mut zstd,
                ("*", None) => &mut any,
                _ => continue,
            };
            *slot = Some(quality(parameters));
        }
    }
    let any = any.unwrap_or(0);
    let (gzip, zstd) = (gzip.unwrap_or(any), zstd.unwrap_or(any));
    if zstd > 0 && zstd >= gzip { Some(Coding::Zstd) } else { (gzip > 0).then_some(Coding::Gzip) }
}

/// A stream, packed chunk by chunk; every chunk can be unpacked as it comes.
struct Packing {
    body: Body,
    packer: Option<Packer>,
}

impl Packing {
    fn pack(&mut self, chunk: &[u8]) -> std::io::Result<Vec<u8>> {
        let Some(packer) = &mut self.packer else { return Ok(Vec::new()) };
        packer.write(chunk)?;
        packer.flush()
    }
}

impl HttpBody for Packing {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Poll::Ready(next) = Pin::new(&mut self.body).poll_frame(context) else { return Poll::Pending };
        let packed = match next {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => self.pack(&data),
                Err(frame) => return Poll::Ready(Some(Ok(frame))),
            },
            Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            None => match self.packer.take() {
                Some(packer) => packer.finish(),
                None => return Poll::Ready(None),
            },
        };
        Poll::Ready(Some(packed.map(|bytes| Frame::data(bytes.into())).map_err(Into::into)))
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    fn accepting(value: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(value));
        headers
    }

    fn json(body: Body) -> Response {
        let mut response = Response::new(body);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        response
    }

    #[test]
    fn the_coding_with_the_highest_quality_wins() {
        for (value, coding) in [
            ("gzip, deflate, br, zstd", Some(Coding::Zstd)),
            ("gzip, deflate, br", Some(Coding::Gzip)),
            ("gzip;q=1, zstd;q=0.5", Some(Coding::Gzip)),
            ("*", Some(Coding::Zstd)),
            ("zstd;q=0, *;q=0.1", Some(Coding::Gzip)),
            ("gzip;q=0", None),
            ("identity", None),
            ("br", None),
        ] {
            assert_eq!(preferred(&accepting(value)), coding, "{value}");
        }
    }

    #[tokio::test]
    async fn a_large_text_is_packed_and_says_so() {
        let text = "word ".repeat(1000);
        let response = compress(&accepting("gzip"), json(Body::full(text.clone())), &CompressionConfig::default());
        assert_eq!(response.headers()[CONTENT_ENCODING], "gzip");
        assert_eq!(response.headers()[VARY], "accept-encoding");
        let packed = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(Coding::Gzip.unpack(&packed, 1 << 20).unwrap(), text.as_bytes());
    }

    #[tokio::test]
    async fn every_chunk_of_a_stream_can_be_unpacked_when_it_comes() {
        let chunks =
            Body::unfold(0, |n| async move { Ok((n < 3).then(|| (Bytes::from(format!("chunk {n}\n")), n + 1))) });
        let response = compress(&accepting("zstd"), json(chunks), &CompressionConfig::default());
        let packed = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(Coding::Zstd.unpack(&packed, 100).unwrap(), b"chunk 0\nchunk 1\nchunk 2\n");
    }

    #[test]
    fn small_bodies_images_and_what_is_packed_already_stay() {
        let config = CompressionConfig::default();
        let is_packed =
            |response| compress(&accepting("gzip"), response, &config).headers().contains_key(CONTENT_ENCODING);
        assert!(!is_packed(json(Body::full("small"))));
        let mut image = json(Body::full("word ".repeat(1000)));
        image.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("image/png"));
        assert!(!is_packed(image));
        let off = CompressionConfig { enabled: false, ..config.clone() };
        let large = json(Body::full("word ".repeat(1000)));
        assert!(!compress(&accepting("gzip"), large, &off).headers().contains_key(CONTENT_ENCODING));
    }
}
