//! What requests say about consistency, and what responses say back. The same names in HTTP headers and gRPC metadata.

use std::cell::RefCell;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use http::{HeaderMap, HeaderName, HeaderValue};
use kit_core::config::HumanDuration;
use kit_core::{Code, Error};
use sha2::Sha256;

pub(crate) const CONSISTENCY: HeaderName = HeaderName::from_static("rowkeep-consistency");
pub(crate) const SESSION: HeaderName = HeaderName::from_static("rowkeep-session");

/// How fresh an answer must be. Reads of one embedded file are always strong, so every choice is kept by all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Consistency {
    Strong,
    Session,
    MaxStaleness(Duration),
    Eventual,
}

impl Consistency {
    /// Reads the header; `None` where there is none.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Option<Self>, Error> {
        headers.get(CONSISTENCY).map(|value| Self::parse(value.to_str().unwrap_or("?"))).transpose()
    }

    fn parse(text: &str) -> Result<Self, Error> {
        match text.trim() {
            "strong" => Ok(Self::Strong),
            "session" => Ok(Self::Session),
            "eventual" => Ok(Self::Eventual),
            other => {
                let staleness = other.strip_prefix("max-staleness=").and_then(|text| text.parse().ok());
                staleness.map(|HumanDuration(duration)| Self::MaxStaleness(duration)).ok_or_else(|| {
                    let expected = "must be `strong`, `session`, `max-staleness=500ms` or `eventual`";
                    Error::invalid_field(CONSISTENCY.as_str(), "INVALID_CONSISTENCY", expected)
                })
            }
        }
    }
}

/// Makes and checks session tokens: a position in the store's history, authenticated so that nobody can invent one.
/// One per worker; the last token made and the last one seen are kept, since both rarely change between requests.
pub(crate) struct Sessions {
    mac: Hmac<Sha256>,
    made: RefCell<Option<(u64, HeaderValue)>>,
    seen: RefCell<Option<HeaderValue>>,
}

const MAC_LENGTH: usize = 12;

impl Sessions {
    pub(crate) fn new(key: [u8; 32]) -> Self {
        // An HMAC takes a key of any length.
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(&key).expect("any key will do");
        mac.update(b"session");
        Self { mac, made: RefCell::new(None), seen: RefCell::new(None) }
    }

    /// The token of a position.
    pub(crate) fn token(&self, position: u64) -> HeaderValue {
        if let Some((of, token)) = &*self.made.borrow()
            && *of == position
        {
            return token.clone();
        }
        let token = self.make(position);
        *self.made.borrow_mut() = Some((position, token.clone()));
        token
    }

    /// Checks the token a request carries.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<(), Error> {
        let Some(token) = headers.get(SESSION) else { return Ok(()) };
        let known = |kept: Option<&HeaderValue>| kept == Some(token);
        if known(self.seen.borrow().as_ref()) || known(self.made.borrow().as_ref().map(|(_, token)| token)) {
            return Ok(());
        }
        let position = URL_SAFE_NO_PAD.decode(token.as_bytes()).ok().and_then(|bytes| {
            let position = u64::from_be_bytes(*bytes.first_chunk()?);
            self.mac(position).verify_truncated_left(&bytes[8..]).ok()?;
            (bytes.len() == 8 + MAC_LENGTH).then_some(position)
        });
        position.ok_or_else(|| {
            let message = "rowkeep-session is not a token of this store: leave it out and use the one of the answer";
            Error::new(Code::InvalidArgument, "INVALID_SESSION", message)
        })?;
        *self.seen.borrow_mut() = Some(token.clone());
        Ok(())
    }

    fn make(&self, position: u64) -> HeaderValue {
        let mut bytes = [0; 8 + MAC_LENGTH];
        bytes[..8].copy_from_slice(&position.to_be_bytes());
        bytes[8..].copy_from_slice(&self.mac(position).finalize().into_bytes()[..MAC_LENGTH]);
        let text = URL_SAFE_NO_PAD.encode(bytes);
        // base64url is always a valid header value.
        HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
    }

    fn mac(&self, position: u64) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        mac.update(&position.to_be_bytes());
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn carrying(token: &HeaderValue) -> HeaderMap {
        HeaderMap::from_iter([(SESSION, token.clone())])
    }

    #[test]
    fn a_token_is_accepted_by_every_worker_of_its_store_and_by_no_other_store() {
        let (one, other, foreign) = (Sessions::new([1; 32]), Sessions::new([1; 32]), Sessions::new([2; 32]));
        let token = one.token(77);
        assert!(other.check(&carrying(&token)).is_ok());
        assert_eq!(foreign.check(&carrying(&token)).unwrap_err().reason(), "INVALID_SESSION");
        assert_eq!(one.token(77), token);
        assert_ne!(one.token(78), token);
    }

    #[test]
    fn no_bit_of_a_token_can_be_changed() {
        let sessions = Sessions::new([1; 32]);
        let token = Sessions::new([1; 32]).token(77);
        let bytes = URL_SAFE_NO_PAD.decode(token.as_bytes()).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut forged = bytes.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            let forged = HeaderValue::from_str(&URL_SAFE_NO_PAD.encode(forged)).unwrap();
            assert!(sessions.check(&carrying(&forged)).is_err(), "bit {bit}");
        }
        for text in ["", "x", "AAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
            assert!(sessions.check(&carrying(&HeaderValue::from_static(text))).is_err(), "{text}");
        }
    }

    #[test]
    fn consistency_is_one_of_four_words() {
        let parse = |text: &'static str| {
            Consistency::of(&HeaderMap::from_iter([(CONSISTENCY, HeaderValue::from_static(text))]))
        };
        assert_eq!(parse("strong").unwrap(), Some(Consistency::Strong));
        assert_eq!(parse("session").unwrap(), Some(Consistency::Session));
        assert_eq!(parse("eventual").unwrap(), Some(Consistency::Eventual));
        let bounded = Consistency::MaxStaleness(Duration::from_millis(500));
        assert_eq!(parse("max-staleness=500ms").unwrap(), Some(bounded));
        for text in ["", "weak", "max-staleness=", "max-staleness=-1s", "strong, eventual"] {
            assert_eq!(parse(text).unwrap_err().reason(), "INVALID_FIELDS", "{text}");
        }
        assert_eq!(Consistency::of(&HeaderMap::new()).unwrap(), None);
    }
}
