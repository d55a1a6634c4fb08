//! Which codings a client packed its message with and accepts.

use kit_core::{Code, Error};
use kit_net::{Coding, UnpackError};

use crate::Framed;
use crate::frame::FRAME_PREFIX;

/// What a client accepts, for `grpc-accept-encoding`.
pub(crate) const ACCEPTED: &str = "identity,gzip,zstd";

/// The coding of `grpc-encoding`; `None` for identity.
pub(crate) fn of_request(value: &[u8]) -> Result<Option<Coding>, Error> {
    if value.eq_ignore_ascii_case(b"identity") {
        return Ok(None);
    }
    Coding::from_name(value).map(Some).ok_or_else(|| {
        Error::new(
            Code::Unimplemented,
            "UNKNOWN_ENCODING",
            format!("this message encoding is not supported; supported are {ACCEPTED}"),
        )
    })
}

/// The coding a client likes best among those it accepts: the first it names that is known.
pub(crate) fn preferred(value: &[u8]) -> Option<Coding> {
    value.split(|byte| *byte == b',').find_map(|name| Coding::from_name(name.trim_ascii()))
}

/// Unpacks a request message.
pub(crate) fn unpack(coding: Coding, message: &[u8], limit: usize) -> Result<Vec<u8>, Error> {
    coding.unpack(message, limit).map_err(|error| match error {
        UnpackError::TooLarge => too_large(limit),
        UnpackError::Malformed(error) => {
            Error::new(Code::Internal, "BAD_COMPRESSION", "the message could not be unpacked").with_source(error)
        }
    })
}

/// Packs a reply, or leaves it as it is when that does not make it smaller.
pub(crate) fn pack(coding: Coding, framed: Framed) -> (Framed, bool) {
    let mut out = Vec::with_capacity(framed.as_bytes().len() / 2 + FRAME_PREFIX);
    out.resize(FRAME_PREFIX, 0);
    match coding.pack(&framed.as_bytes()[FRAME_PREFIX..], out) {
        Ok(packed) if packed.len() < framed.as_bytes().len() => (Framed::packed(packed), true),
        Ok(_) | Err(_) => (framed, false),
    }
}

pub(crate) fn too_large(limit: usize) -> Error {
    Error::new(
        Code::ResourceExhausted,
        "MESSAGE_TOO_LARGE",
        format!("the request message is larger than the limit of {limit} bytes"),
    )
    .with("limit", limit.to_string())
}
