//! gRPC-Web: the same frames, with the trailers as a last frame of the body, and optionally all of it in base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue};
use kit_core::{Code, Error};

use crate::frame::FRAME_PREFIX;

/// How a client frames its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flavor {
    Grpc,
    Web,
    WebText,
}

/// Flag of the frame that carries the trailers.
const TRAILER_FLAG: u8 = 0x80;

impl Flavor {
    /// By content type; `None` if it is not protobuf over gRPC.
    pub(crate) fn of(content_type: &[u8]) -> Option<Self> {
        let essence = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        match essence {
            b"application/grpc" | b"application/grpc+proto" => Some(Self::Grpc),
            b"application/grpc-web" | b"application/grpc-web+proto" => Some(Self::Web),
            b"application/grpc-web-text" | b"application/grpc-web-text+proto" => Some(Self::WebText),
            _ => None,
        }
    }

    pub(crate) fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Grpc => "application/grpc",
            Self::Web => "application/grpc-web+proto",
            Self::WebText => "application/grpc-web-text+proto",
        })
    }

    /// Bytes as they go into the body.
    pub(crate) fn encode(self, bytes: Bytes) -> Bytes {
        match self {
            Self::WebText => STANDARD.encode(bytes).into(),
            Self::Grpc | Self::Web => bytes,
        }
    }
}

/// The frame that carries `trailers`.
pub(crate) fn trailer_frame(trailers: &HeaderMap) -> Bytes {
    let mut frame = BytesMut::with_capacity(64);
    frame.put_u8(TRAILER_FLAG);
    frame.put_u32(0);
    for (name, value) in trailers {
        frame.put_slice(name.as_str().as_bytes());
        frame.put_slice(b":");
        frame.put_slice(value.as_bytes());
        frame.put_slice(b"\r\n");
    }
    let length = u32::try_from(frame.len() - FRAME_PREFIX).unwrap_or(u32::MAX);
    frame[1..FRAME_PREFIX].copy_from_slice(&length.to_be_bytes());
    frame.freeze()
}

/// Decodes a body of the text flavor. Clients may pad every chunk they send, so padding may stand in the middle.
pub(crate) fn decode_text(text: &[u8]) -> Result<Vec<u8>, Error> {
    let bad = || Error::new(Code::InvalidArgument, "BAD_BASE64", "the gRPC-Web text body is not valid base64");
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| *byte == b'=').map_or(rest.len(), |at| (at / 4 + 1) * 4);
        let piece = rest.get(..end).ok_or_else(bad)?;
        STANDARD.decode_vec(piece, &mut out).map_err(|_| bad())?;
        rest = &rest[end..];
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_flavors_by_content_type() {
        for (text, flavor) in [
            ("application/grpc", Some(Flavor::Grpc)),
            ("application/grpc+proto", Some(Flavor::Grpc)),
            ("application/grpc; charset=utf-8", Some(Flavor::Grpc)),
            ("application/grpc-web", Some(Flavor::Web)),
            ("application/grpc-web-text+proto", Some(Flavor::WebText)),
            ("application/grpc+json", None),
            ("application/grpcx", None),
            ("application/json", None),
        ] {
            assert_eq!(Flavor::of(text.as_bytes()), flavor, "{text}");
        }
    }

    #[test]
    fn decodes_text_with_padding_in_the_middle_and_refuses_the_rest() {
        let both = [STANDARD.encode("a"), STANDARD.encode("bc"), STANDARD.encode("def")].concat();
        assert_eq!(decode_text(both.as_bytes()).unwrap(), b"abcdef");
        for bad in ["=", "A", "AA=", "A=AA", "\u{e9}\u{e9}"] {
            assert!(decode_text(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn trailers_become_a_frame() {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        assert_eq!(trailer_frame(&trailers).as_ref(), b"\x80\0\0\0\x0fgrpc-status:0\r\n");
    }
}
