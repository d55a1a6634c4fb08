//! What requests say about consistency, and what responses say back. The same names in HTTP headers and gRPC metadata.

use std::cell::RefCell;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use http::{HeaderMap, HeaderName, HeaderValue};
use kit_core::config::HumanDuration;
use kit_core::{Code, Error};
use rowkeep_engine::{Freshness, Point, Position, Session};
use rowkeep_schema::Entity;
use sha2::Sha256;

pub(crate) const CONSISTENCY: HeaderName = HeaderName::from_static("rowkeep-consistency");
pub(crate) const SESSION: HeaderName = HeaderName::from_static("rowkeep-session");

/// How fresh the answer to a request must be; `None` if it does not say.
fn asked(headers: &HeaderMap) -> Result<Option<Freshness>, Error> {
    headers.get(CONSISTENCY).map(|value| parse(value.to_str().unwrap_or("?"))).transpose()
}

/// One of the words of `rowkeep-consistency`.
fn parse(text: &str) -> Result<Freshness, Error> {
    match text.trim() {
        "strong" => Ok(Freshness::Strong),
        "session" => Ok(Freshness::Session),
        "eventual" => Ok(Freshness::Eventual),
        other => {
            let staleness = other.strip_prefix("max-staleness=").and_then(|text| text.parse().ok());
            staleness.map(|HumanDuration(duration)| Freshness::MaxStaleness(duration)).ok_or_else(|| {
                let expected = "must be `strong`, `session`, `max-staleness=500ms` or `eventual`";
                Error::invalid_field(CONSISTENCY.as_str(), "INVALID_CONSISTENCY", expected)
            })
        }
    }
}

/// How fresh the answers of an entity are for those who do not say.
pub(crate) fn default_of(entity: &Entity) -> Freshness {
    // The schema knows the words.
    entity.default_consistency.as_deref().and_then(|text| parse(text).ok()).unwrap_or(Freshness::Session)
}

/// Opens sessions by the tokens that requests carry, and makes the tokens that answers do. A token is a [`Position`],
/// 24 bytes for each of its points, behind it an HMAC-SHA256 cut to 12 bytes, so that nobody can invent one; all in
/// base64url. One per worker; the last token made and the last one seen are kept, since both rarely change between
/// requests.
pub(crate) struct Sessions {
    mac: Hmac<Sha256>,
    made: RefCell<Option<(Position, HeaderValue)>>,
    seen: RefCell<Option<(Position, HeaderValue)>>,
}

const MAC_LENGTH: usize = 12;
const POINT_LENGTH: usize = 24;

impl Sessions {
    pub(crate) fn new(key: [u8; 32]) -> Self {
        // An HMAC takes a key of any length.
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(&key).expect("any key will do");
        mac.update(b"session");
        Self { mac, made: RefCell::new(None), seen: RefCell::new(None) }
    }

    /// The session of a request. `default`: how fresh answers are if it does not say.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` for a word or a token that is none.
    pub(crate) fn open(&self, headers: &HeaderMap, default: Freshness) -> Result<Session, Error> {
        let freshness = asked(headers)?.unwrap_or(default);
        let mut tokens = headers.get_all(SESSION).iter();
        let Some(first) = tokens.next() else { return Ok(Session::new(freshness, Position::default())) };
        let more = tokens.next();
        if more.is_none() && !first.as_bytes().contains(&b',') {
            return Ok(Session::new(freshness, self.read(first)?));
        }
        // Of a client that did several things at once: it has seen what they all have.
        let mut points = Vec::new();
        for token in std::iter::once(first).chain(more).chain(tokens) {
            for token in token.as_bytes().split(|byte| *byte == b',') {
                points.extend_from_slice(self.verify(token.trim_ascii()).ok_or_else(foreign)?.points());
            }
        }
        points.sort_unstable_by_key(|point| (point.source, point.number));
        points.dedup();
        Ok(Session::new(freshness, Position::of(&points)))
    }

    /// The token of a position.
    pub(crate) fn token(&self, position: &Position) -> HeaderValue {
        if let Some((of, token)) = &*self.made.borrow()
            && of == position
        {
            return token.clone();
        }
        let token = self.make(position);
        *self.made.borrow_mut() = Some((position.clone(), token.clone()));
        token
    }

    fn read(&self, token: &HeaderValue) -> Result<Position, Error> {
        let kept = |kept: &RefCell<Option<(Position, HeaderValue)>>| {
            kept.borrow().as_ref().filter(|(_, kept)| kept == token).map(|(position, _)| position.clone())
        };
        if let Some(position) = kept(&self.seen).or_else(|| kept(&self.made)) {
            return Ok(position);
        }
        let position = self.verify(token.as_bytes()).ok_or_else(foreign)?;
        *self.seen.borrow_mut() = Some((position.clone(), token.clone()));
        Ok(position)
    }

    fn verify(&self, token: &[u8]) -> Option<Position> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (points, mac) = bytes.split_at_checked(bytes.len().checked_sub(MAC_LENGTH)?)?;
        self.mac(points).verify_truncated_left(mac).ok()?;
        let (points, rest) = points.as_chunks::<POINT_LENGTH>();
        let point = |bytes: &[u8; POINT_LENGTH]| {
            let (source, number) = bytes.split_first_chunk()?;
            Some(Point { source: u128::from_be_bytes(*source), number: u64::from_be_bytes(*number.first_chunk()?) })
        };
        let points = points.iter().map(point).collect::<Option<Vec<Point>>>()?;
        rest.is_empty().then(|| Position::of(&points))
    }

    fn make(&self, position: &Position) -> HeaderValue {
        let mut bytes = Vec::with_capacity(position.points().len() * POINT_LENGTH + MAC_LENGTH);
        for point in position.points() {
            bytes.extend_from_slice(&point.source.to_be_bytes());
            bytes.extend_from_slice(&point.number.to_be_bytes());
        }
        let mac = self.mac(&bytes).finalize().into_bytes();
        bytes.extend_from_slice(&mac[..MAC_LENGTH]);
        // base64url is always a valid header value.
        HeaderValue::try_from(URL_SAFE_NO_PAD.encode(bytes)).unwrap_or_else(|_| HeaderValue::from_static(""))
    }

    fn mac(&self, points: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        mac.update(points);
        mac
    }
}

fn foreign() -> Error {
    let message = "rowkeep-session is not a token of this store: leave it out and use the one of the answer";
    Error::new(Code::InvalidArgument, "INVALID_SESSION", message)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn carrying(token: &HeaderValue) -> HeaderMap {
        HeaderMap::from_iter([(SESSION, token.clone())])
    }

    fn at(number: u64) -> Position {
        Point { source: 7 << 100, number }.into()
    }

    fn seen(sessions: &Sessions, token: &HeaderValue) -> Result<Position, Error> {
        sessions.open(&carrying(token), Freshness::Session).map(|session| session.seen())
    }

    #[test]
    fn a_token_is_accepted_by_every_worker_of_its_store_and_by_no_other_store() {
        let (one, other, foreign) = (Sessions::new([1; 32]), Sessions::new([1; 32]), Sessions::new([2; 32]));
        for position in [at(77), Position::default(), Position::of(&[at(1).points()[0], at(2).points()[0]])] {
            let token = one.token(&position);
            assert_eq!(seen(&other, &token).unwrap(), position);
            assert_eq!(seen(&other, &token).unwrap(), position, "the same again");
            assert_eq!(seen(&foreign, &token).unwrap_err().reason(), "INVALID_SESSION");
        }
        assert_eq!(one.token(&at(77)), one.token(&at(77)));
        assert_ne!(one.token(&at(78)), one.token(&at(77)));
    }

    #[test]
    fn several_tokens_are_what_they_all_have_seen() {
        let sessions = Sessions::new([1; 32]);
        let (one, other) = (sessions.token(&at(7)), sessions.token(&at(9)));
        let expected = Position::of(&[at(7).points()[0], at(9).points()[0]]);
        let mut apart = carrying(&other);
        apart.append(SESSION, one.clone());
        let joined = HeaderValue::from_str(&format!("{}, {}", one.to_str().unwrap(), other.to_str().unwrap())).unwrap();
        for headers in [apart, carrying(&joined)] {
            assert_eq!(sessions.open(&headers, Freshness::Session).unwrap().seen(), expected);
        }
        let broken = HeaderValue::from_str(&format!("{},x", one.to_str().unwrap())).unwrap();
        assert!(seen(&sessions, &broken).is_err());
    }

    #[test]
    fn no_bit_of_a_token_can_be_changed() {
        let sessions = Sessions::new([1; 32]);
        let token = Sessions::new([1; 32]).token(&at(77));
        let bytes = URL_SAFE_NO_PAD.decode(token.as_bytes()).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut forged = bytes.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            let forged = HeaderValue::from_str(&URL_SAFE_NO_PAD.encode(forged)).unwrap();
            assert!(seen(&sessions, &forged).is_err(), "bit {bit}");
        }
        for text in ["", "x", "AAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
            assert!(seen(&sessions, &HeaderValue::from_static(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn consistency_is_one_of_four_words() {
        let sessions = Sessions::new([1; 32]);
        let parse = |text: &'static str| {
            let headers = HeaderMap::from_iter([(CONSISTENCY, HeaderValue::from_static(text))]);
            sessions.open(&headers, Freshness::Eventual).map(|session| session.freshness())
        };
        assert_eq!(parse("strong").unwrap(), Freshness::Strong);
        assert_eq!(parse("session").unwrap(), Freshness::Session);
        assert_eq!(parse("eventual").unwrap(), Freshness::Eventual);
        let bounded = Freshness::MaxStaleness(Duration::from_millis(500));
        assert_eq!(parse("max-staleness=500ms").unwrap(), bounded);
        for text in ["", "weak", "max-staleness=", "max-staleness=-1s", "strong, eventual"] {
            assert_eq!(parse(text).unwrap_err().reason(), "INVALID_FIELDS", "{text}");
        }
        let silent = sessions.open(&HeaderMap::new(), bounded).unwrap();
        assert_eq!(silent.freshness(), bounded);
    }
}
