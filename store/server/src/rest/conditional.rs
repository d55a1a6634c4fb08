//! `If-Match`, `If-None-Match` and `Idempotency-Key`.
//!
//! A header that fails is 412; the same condition in a body or a parameter is 409, as AIP-154 says (reason
//! `ETAG_MISMATCH` either way).

use http::{HeaderMap, HeaderName};
use kit_core::{Code, Error};
use kit_web::{EtagList, ReadCondition, if_match, if_none_match, read_condition};
use rowkeep_record::etag;

use super::binding::Binding;
use crate::wire::{Fields, put_bytes};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const MAX_REQUEST_ID: usize = 128;

/// What the headers of a write say of the row.
#[derive(Debug, Default)]
pub(crate) struct Conditions {
    if_match: Option<String>,
    /// `If-None-Match: *`: the row must not exist.
    pub(crate) if_absent: bool,
    request_id: Option<String>,
}

impl Conditions {
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Error> {
        let wanted = if_match(headers)?.map(one_etag).transpose()?;
        let if_absent = if_none_match(headers)? == Some(EtagList::Any);
        Ok(Self { if_match: wanted, if_absent, request_id: request_id(headers)? })
    }

    /// Adds to the request message what the headers say.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` if the message says something else already.
    pub(crate) fn put(&self, binding: &Binding, out: &mut Vec<u8>) -> Result<(), Error> {
        if let (Some(etag), Some(number)) = (&self.if_match, binding.etag) {
            put("etag", "If-Match", number, etag, out)?;
        }
        if let (Some(id), Some(number)) = (&self.request_id, binding.request_id) {
            put("request_id", "Idempotency-Key", number, id, out)?;
        }
        Ok(())
    }

    /// A failed write whose condition came in a header.
    pub(crate) fn explain(&self, error: Error) -> Error {
        let by_header = match error.reason() {
            "ETAG_MISMATCH" => self.if_match.is_some(),
            // Says nothing of the row.
            "REQUEST_ID_REUSED" => false,
            _ => error.code() == Code::AlreadyExists && self.if_absent,
        };
        if by_header { error.with_http_status(412) } else { error }
    }
}

fn put(field: &str, header: &str, number: u32, value: &str, out: &mut Vec<u8>) -> Result<(), Error> {
    let mut fields = Fields::new(out);
    while let Some((at, payload)) = fields.next()? {
        // An etag may stand in quotes or without.
        if at == number && payload.text(field)?.trim_matches('"') != value.trim_matches('"') {
            let description = format!("says something else than the header `{header}`; say it once");
            return Err(Error::invalid_field(field, "CONTRADICTION", description));
        }
    }
    put_bytes(out, number, value.as_bytes());
    Ok(())
}

/// The engine compares with one etag; more than one in `If-Match` is a wish no client has.
fn one_etag(list: EtagList) -> Result<String, Error> {
    match list {
        EtagList::Any => Ok("*".to_owned()),
        EtagList::Tags { mut strong, weak } if strong.len() == 1 && weak.is_empty() => Ok(strong.remove(0)),
        EtagList::Tags { .. } => {
            let description = "must be one strong etag, or `*` for any existing row";
            Err(Error::invalid_field("If-Match", "INVALID_ETAG", description))
        }
    }
}

fn request_id(headers: &HeaderMap) -> Result<Option<String>, Error> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    let key = text.strip_prefix('"').and_then(|key| key.strip_suffix('"')).unwrap_or(text);
    if key.is_empty() || key.len() > MAX_REQUEST_ID {
        let description = format!("must have 1 to {MAX_REQUEST_ID} ASCII characters");
        return Err(Error::invalid_field("Idempotency-Key", "INVALID_REQUEST_ID", description));
    }
    Ok(Some(key.to_owned()))
}

/// Whether the client has this version already (304), once `If-Match` held.
pub(crate) fn is_known(headers: &HeaderMap, version: Option<u64>) -> Result<bool, Error> {
    let Some(version) = version else { return Ok(false) };
    match read_condition(headers, &etag::format(version))? {
        ReadCondition::Send => Ok(false),
        ReadCondition::NotModified => Ok(true),
        ReadCondition::Failed => {
            let message = "the row was changed since it was read";
            Err(Error::new(Code::Aborted, "ETAG_MISMATCH", message).with_http_status(412))
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::{IF_MATCH, IF_NONE_MATCH};

    use super::*;

    fn conditions(name: HeaderName, value: &'static str) -> Result<Conditions, Error> {
        Conditions::of(&HeaderMap::from_iter([(name, HeaderValue::from_static(value))]))
    }

    #[test]
    fn only_a_condition_in_a_header_is_412() {
        let mismatch = || Error::new(Code::Aborted, "ETAG_MISMATCH", "changed");
        assert_eq!(conditions(IF_MATCH, "\"a\"").unwrap().explain(mismatch()).http_status(), 412);
        assert_eq!(Conditions::default().explain(mismatch()).http_status(), 409);
        let exists = || Error::new(Code::AlreadyExists, "ALREADY_EXISTS", "there");
        assert_eq!(conditions(IF_NONE_MATCH, "*").unwrap().explain(exists()).http_status(), 412);
        assert_eq!(Conditions::default().explain(exists()).http_status(), 409);
        let reused = Error::new(Code::AlreadyExists, "REQUEST_ID_REUSED", "used");
        assert_eq!(conditions(IF_NONE_MATCH, "*").unwrap().explain(reused).http_status(), 409);
    }

    #[test]
    fn headers_that_say_nothing_a_write_can_keep_are_refused() {
        for (name, value) in [
            (IF_MATCH, "\"a\", \"b\""),
            (IF_MATCH, "W/\"a\""),
            (IF_MATCH, "a"),
            (IDEMPOTENCY_KEY, ""),
            (IDEMPOTENCY_KEY, "\"\""),
        ] {
            assert!(conditions(name, value).is_err(), "{value}");
        }
        assert_eq!(conditions(IDEMPOTENCY_KEY, "\"k-1\"").unwrap().request_id.as_deref(), Some("k-1"));
    }
}
