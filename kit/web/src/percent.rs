//! Percent-decoding that refuses what it cannot read.

use std::borrow::Cow;

use kit_core::{Code, Error};
use percent_encoding::percent_decode;

/// Decodes `%XX`; borrows when there is nothing to decode.
///
/// # Errors
/// When a `%` is not followed by two hexadecimal digits, or the bytes are not UTF-8.
pub fn decode(text: &str) -> Result<Cow<'_, str>, Error> {
    let bytes = text.as_bytes();
    if !bytes.contains(&b'%') {
        return Ok(Cow::Borrowed(text));
    }
    let is_escape = |at: usize| {
        bytes.get(at + 1).is_some_and(u8::is_ascii_hexdigit) && bytes.get(at + 2).is_some_and(u8::is_ascii_hexdigit)
    };
    if bytes.iter().enumerate().any(|(at, byte)| *byte == b'%' && !is_escape(at)) {
        return Err(bad_escape("a `%` in the URL is not followed by two hexadecimal digits"));
    }
    percent_decode(bytes).decode_utf8().map_err(|_| bad_escape("the URL is not UTF-8 after percent-decoding"))
}

fn bad_escape(message: &'static str) -> Error {
    Error::new(Code::InvalidArgument, "BAD_URL", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_utf8_and_borrows_when_it_can() {
        assert!(matches!(decode("plain+text").unwrap(), Cow::Borrowed("plain+text")));
        assert_eq!(decode("a%2Fb%20%C3%a9").unwrap(), "a/b \u{e9}");
    }

    #[test]
    fn refuses_broken_escapes_and_broken_utf8() {
        for text in ["%", "%2", "a%zz", "%ff", "%C3", "%+1"] {
            assert_eq!(decode(text).unwrap_err().reason(), "BAD_URL", "{text}");
        }
    }
}
