//! Etags: a row's version as an opaque quoted text.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

/// Characters of an etag, quotes included.
pub const LENGTH: usize = 13;

/// The etag of a version: its 8 big-endian bytes as base64url, in double quotes.
pub fn format(version: u64) -> String {
    String::from_utf8_lossy(&bytes(version)).into_owned()
}

/// The same without an allocation.
pub fn bytes(version: u64) -> [u8; LENGTH] {
    let mut text = [b'"'; LENGTH];
    // 8 bytes are 11 characters, which is what lies between the quotes.
    let _ = URL_SAFE_NO_PAD.encode_slice(version.to_be_bytes(), &mut text[1..LENGTH - 1]);
    text
}

/// A version for rows that have none: it changes with their content. A secret is none of it, because nobody sees one.
pub(crate) fn of_content(wire: &[u8]) -> u64 {
    let digest = Sha256::digest(wire);
    let head = digest.first_chunk::<8>().copied().unwrap_or_default();
    // 0 says that there is no version.
    u64::from_be_bytes(head).max(1)
}

/// The version of an etag, with or without its quotes and the weakness mark `W/`.
pub fn parse(text: &str) -> Option<u64> {
    let text = text.strip_prefix("W/").unwrap_or(text);
    let bare = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let mut bytes = [0; 8];
    let length = URL_SAFE_NO_PAD.decode_slice(bare, &mut bytes).ok()?;
    (length == bytes.len()).then(|| u64::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_is_quoted_and_comes_back_as_its_version() {
        for version in [0, 1, 1_700_000_000_000_000, u64::MAX] {
            let etag = format(version);
            assert_eq!(etag.len(), LENGTH);
            assert!(etag.starts_with('"') && etag.ends_with('"'));
            assert_eq!(parse(&etag), Some(version));
            assert_eq!(parse(etag.trim_matches('"')), Some(version));
            assert_eq!(parse(&format!("W/{etag}")), Some(version));
        }
    }

    #[test]
    fn foreign_etags_have_no_version() {
        for text in ["", "*", "\"\"", "\"AAAA\"", "\"AAAAAAAAAAAAAAAA\"", "\"AAAAAAAAAA!\"", "é"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
