//! Page tokens: where the next page starts, sealed so that a client can neither read authority into one nor make one.
//!
//! A token carries the order values of the last row and the time of its making, authenticated with HMAC-SHA-256 over
//! these and a *binding*: a digest of everything that must not change between pages (entity, filter, order, schema).
//! A token of another query, of another store or of a changed schema does not open.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use kit_core::Error;
use sha2::Sha256;

use crate::Value;

/// Bytes of a token at most; longer ones are refused unread.
const MAX_TOKEN: usize = 8 * 1024;
/// How long a token may be used (AIP-158 suggests days).
const LIFETIME_SECONDS: u64 = 3 * 24 * 3600;
const MAC: usize = 16;

/// Seals and opens page tokens with one key.
#[derive(Clone)]
pub struct PageTokens {
    mac: Hmac<Sha256>,
}

impl std::fmt::Debug for PageTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PageTokens(***)")
    }
}

impl PageTokens {
    /// Tokens open only under the key they were sealed with.
    pub fn new(key: &[u8; 32]) -> Self {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let mac = Hmac::new_from_slice(key).expect("any length");
        Self { mac }
    }

    /// A token for the page behind a row with these order values.
    pub fn seal(&self, binding: &[u8], after: &[Value], now_seconds: u64) -> String {
        let mut token = vec![0; MAC];
        token.extend_from_slice(&now_seconds.to_be_bytes());
        after.iter().for_each(|value| put(&mut token, value));
        let tag = self.tag(binding, &token[MAC..]);
        token[..MAC].copy_from_slice(&tag[..MAC]);
        URL_SAFE_NO_PAD.encode(token)
    }

    /// The order values of a token.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` if it is not ours, belongs to another query, or is older than three days.
    pub fn open(&self, binding: &[u8], token: &str, now_seconds: u64) -> Result<Vec<Value>, Error> {
        self.try_open(binding, token, now_seconds).ok_or_else(|| {
            Error::invalid_field(
                "page_token",
                "INVALID_PAGE_TOKEN",
                "is not a token of this list with this filter and order, or it has expired; start again without it",
            )
        })
    }

    fn try_open(&self, binding: &[u8], token: &str, now_seconds: u64) -> Option<Vec<Value>> {
        if token.len() > MAX_TOKEN {
            return None;
        }
        let token = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (tag, payload) = token.split_at_checked(MAC)?;
        let mut mac = self.mac.clone();
        mac.update(&(binding.len() as u64).to_be_bytes());
        mac.update(binding);
        mac.update(payload);
        mac.verify_truncated_left(tag).ok()?;
        let (time, mut rest) = payload.split_first_chunk::<8>()?;
        if now_seconds.saturating_sub(u64::from_be_bytes(*time)) > LIFETIME_SECONDS {
            return None;
        }
        let mut values = Vec::new();
        while !rest.is_empty() {
            values.push(take(&mut rest)?);
        }
        Some(values)
    }

    fn tag(&self, binding: &[u8], payload: &[u8]) -> [u8; 32] {
        let mut mac = self.mac.clone();
        mac.update(&(binding.len() as u64).to_be_bytes());
        mac.update(binding);
        mac.update(payload);
        mac.finalize().into_bytes().into()
    }
}

fn put(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.push(0),
        Value::Int(value) => put_tagged(out, 1, &value.to_be_bytes()),
        Value::Uint(value) => put_tagged(out, 2, &value.to_be_bytes()),
        Value::Real(value) => put_tagged(out, 3, &value.to_be_bytes()),
        Value::Text(text) => put_sized(out, 4, text.as_bytes()),
        Value::Blob(bytes) => put_sized(out, 5, bytes),
    }
}

fn put_tagged(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag);
    out.extend_from_slice(bytes);
}

fn put_sized(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    // An order value comes from a stored row, which is far below 4 GiB; a longer one would make a token that does not open.
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    put_tagged(out, tag, &length.to_be_bytes());
    out.extend_from_slice(bytes);
}

fn take(from: &mut &[u8]) -> Option<Value> {
    let (tag, rest) = from.split_first()?;
    *from = rest;
    Some(match tag {
        0 => Value::Null,
        1 => Value::Int(i64::from_be_bytes(chunk(from)?)),
        2 => Value::Uint(u64::from_be_bytes(chunk(from)?)),
        3 => Value::Real(f64::from_be_bytes(chunk(from)?)),
        4 => Value::Text(std::str::from_utf8(sized(from)?).ok()?.into()),
        5 => Value::Blob(sized(from)?.into()),
        _ => return None,
    })
}

fn chunk<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (chunk, rest) = from.split_first_chunk::<N>()?;
    *from = rest;
    Some(*chunk)
}

fn sized<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(u32::from_be_bytes(chunk(from)?)).ok()?;
    let (bytes, rest) = from.split_at_checked(length)?;
    *from = rest;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn tokens() -> PageTokens {
        PageTokens::new(&[7; 32])
    }

    #[test]
    fn a_token_opens_to_the_values_it_was_sealed_with() {
        let values = vec![
            Value::Null,
            Value::Int(i64::MIN),
            Value::Uint(u64::MAX),
            Value::Real(-0.5),
            Value::Text("Zo\u{eb} \0".into()),
            Value::Blob(vec![0, 255].into()),
        ];
        let token = tokens().seal(b"users", &values, NOW);
        assert_eq!(tokens().open(b"users", &token, NOW).expect("opens"), values);
    }

    #[test]
    fn a_token_of_another_query_key_or_age_does_not_open() {
        let token = tokens().seal(b"users", &[Value::Int(1)], NOW);
        assert!(tokens().open(b"users2", &token, NOW).is_err());
        assert!(PageTokens::new(&[8; 32]).open(b"users", &token, NOW).is_err());
        assert!(tokens().open(b"users", &token, NOW + LIFETIME_SECONDS).is_ok());
        assert!(tokens().open(b"users", &token, NOW + LIFETIME_SECONDS + 1).is_err());
    }

    #[test]
    fn no_changed_bit_and_no_garbage_opens() {
        let token = tokens().seal(b"users", &[Value::Text("abc".into())], NOW);
        let bytes = URL_SAFE_NO_PAD.decode(&token).expect("base64");
        for bit in 0..bytes.len() * 8 {
            let mut forged = bytes.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            assert!(tokens().open(b"users", &URL_SAFE_NO_PAD.encode(forged), NOW).is_err(), "bit {bit}");
        }
        for garbage in ["x", "====", "AAAA", &"A".repeat(1 << 20)] {
            assert!(tokens().open(b"users", garbage, NOW).is_err());
        }
    }
}
