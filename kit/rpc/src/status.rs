//! An [`Error`] as gRPC sends it: `grpc-status`, `grpc-message` and `grpc-status-details-bin`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use http::{HeaderMap, HeaderName, HeaderValue};
use kit_core::{Code, ERROR_DOMAIN, Error};
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};
use prost::Message as _;
use prost::bytes::Bytes;

use google_rpc::{BadRequest, ErrorInfo, PreconditionFailure, ResourceInfo, RetryInfo, Status};

pub(crate) const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
pub(crate) const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
pub(crate) const GRPC_DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");

/// Clients bound the header list they accept (8 KiB is common): a longer message or more details would lose the whole
/// error.
const MAX_MESSAGE: usize = 1 << 10;
const MAX_DETAILS: usize = 3 << 10;

/// Everything but printable ASCII, and `%` itself.
const MESSAGE_ESCAPES: &AsciiSet = &CONTROLS.add(b'%');

/// The messages of `google/rpc/status.proto` and `google/rpc/error_details.proto` that errors carry.
pub mod google_rpc {
    #![allow(missing_docs, reason = "the fields are documented in google/rpc/error_details.proto")]

    /// `google.rpc.Status`.
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Status {
        #[prost(int32, tag = "1")]
        pub code: i32,
        #[prost(string, tag = "2")]
        pub message: String,
        #[prost(message, repeated, tag = "3")]
        pub details: Vec<prost_types::Any>,
    }

    /// `google.rpc.ErrorInfo`.
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct ErrorInfo {
        #[prost(string, tag = "1")]
        pub reason: String,
        #[prost(string, tag = "2")]
        pub domain: String,
        #[prost(btree_map = "string, string", tag = "3")]
        pub metadata: std::collections::BTreeMap<String, String>,
    }

    /// `google.rpc.BadRequest`.
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct BadRequest {
        #[prost(message, repeated, tag = "1")]
        pub field_violations: Vec<FieldViolation>,
    }

    /// `google.rpc.BadRequest.FieldViolation`.
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct FieldViolation {
        #[prost(string, tag = "1")]
        pub field: String,
        #[prost(string, tag = "2")]
        pub description: String,
        #[prost(string, tag = "3")]
        pub reason: String,
    }

    /// `google.rpc.PreconditionFailure`.
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct PreconditionFailure {
        #[prost(message, repeated, tag = "1")]
        pub violations: Vec<PreconditionViolation>,
    }

    /// `google.rpc.PreconditionFailure.Violation`.
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct PreconditionViolation {
        #[prost(string, tag = "1")]
        pub r#type: String,
        #[prost(string, tag = "2")]
        pub subject: String,
        #[prost(string, tag = "3")]
        pub description: String,
    }

    /// `google.rpc.ResourceInfo`.
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct ResourceInfo {
        #[prost(string, tag = "1")]
        pub resource_type: String,
        #[prost(string, tag = "2")]
        pub resource_name: String,
        #[prost(string, tag = "3")]
        pub owner: String,
        #[prost(string, tag = "4")]
        pub description: String,
    }

    /// `google.rpc.RetryInfo`.
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct RetryInfo {
        #[prost(message, optional, tag = "1")]
        pub retry_delay: Option<prost_types::Duration>,
    }
}

/// Writes an error into headers or trailers.
pub(crate) fn write(error: &Error, is_write: bool, headers: &mut HeaderMap) {
    headers.insert(GRPC_STATUS, status_value(error.code()));
    headers.insert(GRPC_MESSAGE, message_value(error.message()));
    let encoded = STANDARD_NO_PAD.encode(status_bytes(error, is_write));
    if let Ok(value) = HeaderValue::from_maybe_shared(Bytes::from(encoded)) {
        headers.insert(GRPC_DETAILS, value);
    }
}

fn status_value(code: Code) -> HeaderValue {
    HeaderValue::from(code.grpc())
}

fn message_value(message: &str) -> HeaderValue {
    let escaped = percent_encode(shortened(message, MAX_MESSAGE).as_bytes(), MESSAGE_ESCAPES).to_string();
    HeaderValue::from_maybe_shared(Bytes::from(escaped)).unwrap_or(HeaderValue::from_static("unprintable message"))
}

/// At most `limit` bytes, cut at a character.
fn shortened(text: &str, limit: usize) -> &str {
    let end = (0..=limit.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or_default()]
}

/// The encoded `google.rpc.Status`, with as many violations as fit.
fn status_bytes(error: &Error, is_write: bool) -> Vec<u8> {
    let mut keep = error.fields().len().max(error.preconditions().len());
    loop {
        let bytes = status(error, is_write, keep).encode_to_vec();
        if bytes.len() <= MAX_DETAILS || keep == 0 {
            return bytes;
        }
        keep /= 2;
    }
}

fn status(error: &Error, is_write: bool, keep: usize) -> Status {
    let mut details = vec![any("google.rpc.ErrorInfo", &info(error, is_write))];
    if !error.fields().is_empty() {
        details.push(any("google.rpc.BadRequest", &bad_request(error, keep)));
    }
    if !error.preconditions().is_empty() {
        details.push(any("google.rpc.PreconditionFailure", &precondition_failure(error, keep)));
    }
    if let Some(resource) = error.resource() {
        details.push(any(
            "google.rpc.ResourceInfo",
            &ResourceInfo {
                resource_type: resource.kind.clone(),
                resource_name: resource.name.clone(),
                ..ResourceInfo::default()
            },
        ));
    }
    if let Some(delay) = error.retry_after() {
        let retry_delay = prost_types::Duration::try_from(delay).ok();
        details.push(any("google.rpc.RetryInfo", &RetryInfo { retry_delay }));
    }
    Status { code: error.code().grpc(), message: shortened(error.message(), MAX_MESSAGE).to_owned(), details }
}

fn any(name: &str, message: &impl prost::Message) -> prost_types::Any {
    prost_types::Any { type_url: format!("type.googleapis.com/{name}"), value: message.encode_to_vec() }
}

fn info(error: &Error, is_write: bool) -> ErrorInfo {
    ErrorInfo {
        reason: error.reason().to_owned(),
        domain: ERROR_DOMAIN.to_owned(),
        metadata: error.info_metadata(is_write).map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
    }
}

fn bad_request(error: &Error, keep: usize) -> BadRequest {
    let violation = |field: &kit_core::FieldViolation| google_rpc::FieldViolation {
        field: field.field.clone(),
        description: field.description.clone(),
        reason: field.reason.to_owned(),
    };
    BadRequest { field_violations: error.fields().iter().take(keep).map(violation).collect() }
}

fn precondition_failure(error: &Error, keep: usize) -> PreconditionFailure {
    let violation = |found: &kit_core::PreconditionViolation| google_rpc::PreconditionViolation {
        r#type: found.kind.to_owned(),
        subject: found.subject.clone(),
        description: found.description.clone(),
    };
    PreconditionFailure { violations: error.preconditions().iter().take(keep).map(violation).collect() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kit_core::{Applied, FieldViolation, PreconditionViolation};

    use super::*;

    fn headers_of(error: &Error, is_write: bool) -> HeaderMap {
        let mut headers = HeaderMap::new();
        write(error, is_write, &mut headers);
        headers
    }

    fn status_of(headers: &HeaderMap) -> Status {
        let bytes = STANDARD_NO_PAD.decode(&headers[GRPC_DETAILS]).unwrap();
        Status::decode(bytes.as_slice()).unwrap()
    }

    #[test]
    fn an_error_carries_its_details() {
        let error = Error::new(Code::Aborted, "ETAG_MISMATCH", "the row was changed since")
            .with("etag", "abc")
            .with_precondition(PreconditionViolation {
                kind: "ETAG",
                subject: "shop.v1.User/42".into(),
                description: "found \"b\", expected \"a\"".into(),
            })
            .with_resource("shop.v1.User", "42")
            .with_retry_after(Duration::from_millis(1500));
        let headers = headers_of(&error, true);
        assert_eq!(headers[GRPC_STATUS], "10");
        let status = status_of(&headers);
        let names: Vec<_> = status.details.iter().map(|any| any.type_url.rsplit('.').next().unwrap()).collect();
        assert_eq!(names, ["ErrorInfo", "PreconditionFailure", "ResourceInfo", "RetryInfo"]);
        let info = ErrorInfo::decode(status.details[0].value.as_slice()).unwrap();
        assert_eq!((info.reason.as_str(), info.domain.as_str()), ("ETAG_MISMATCH", ERROR_DOMAIN));
        assert_eq!(info.metadata["etag"], "abc");
        assert_eq!(info.metadata["applied"], "false");
        let retry = RetryInfo::decode(status.details[3].value.as_slice()).unwrap();
        assert_eq!(retry.retry_delay.unwrap(), prost_types::Duration { seconds: 1, nanos: 500_000_000 });
    }

    #[test]
    fn a_read_says_nothing_of_applied_unless_it_is_unknown() {
        let applied = |error: &Error, is_write| {
            let status = status_of(&headers_of(error, is_write));
            ErrorInfo::decode(status.details[0].value.as_slice()).unwrap().metadata.get("applied").cloned()
        };
        let error = Error::new(Code::NotFound, "NOT_FOUND", "no");
        assert_eq!(applied(&error, false), None);
        assert_eq!(applied(&error, true).as_deref(), Some("false"));
        assert_eq!(applied(&error.with_applied(Applied::Unknown), true).as_deref(), Some("unknown"));
    }

    #[test]
    fn a_message_survives_the_header_whatever_is_in_it() {
        let error = Error::new(Code::InvalidArgument, "X", "100 % of\r\n\u{e9}t\u{e9} \u{1f600}");
        let headers = headers_of(&error, false);
        assert_eq!(headers[GRPC_MESSAGE], "100 %25 of%0D%0A%C3%A9t%C3%A9 %F0%9F%98%80");
        let long = Error::new(Code::InvalidArgument, "X", "\u{e9}".repeat(10_000));
        assert!(headers_of(&long, false)[GRPC_MESSAGE].len() <= 3 * MAX_MESSAGE);
    }

    #[test]
    fn more_violations_than_a_header_holds_are_cut_and_the_rest_stays() {
        let violation =
            |n| FieldViolation { field: format!("requests[{n}].user.email"), description: "bad".into(), reason: "BAD" };
        let error = Error::invalid((0..1000).map(violation).collect());
        let headers = headers_of(&error, false);
        assert!(headers[GRPC_DETAILS].len() < 5 << 10);
        let bad_request = BadRequest::decode(status_of(&headers).details[1].value.as_slice()).unwrap();
        assert!(bad_request.field_violations.len() > 10);
        assert_eq!(bad_request.field_violations[0].field, "requests[0].user.email");
    }
}
