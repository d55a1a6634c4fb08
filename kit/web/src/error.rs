//! An error as REST sends it: `{"error": {"code", "message", "status", "details"}}` (AIP-193).

use std::collections::BTreeMap;

use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use kit_core::{ERROR_DOMAIN, Error};
use kit_net::{Body, Response};
use serde::Serialize;

/// The response to an error. What an operator should read of it is for the caller to log.
pub fn error_response(error: &Error, is_write: bool) -> Response {
    let mut response = Response::new(Body::full(error_json(error, is_write)));
    *response.status_mut() = status(error);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(delay) = error.retry_after() {
        headers.insert(RETRY_AFTER, HeaderValue::from(delay.as_secs().max(1)));
    }
    response
}

fn status(error: &Error) -> StatusCode {
    StatusCode::from_u16(error.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// The body of the response to an error; `is_write` says whether to tell that nothing was applied.
pub fn error_json(error: &Error, is_write: bool) -> Vec<u8> {
    let status = Status {
        code: error.http_status(),
        message: error.message(),
        status: error.code().name(),
        details: details(error, is_write),
    };
    // Texts and numbers alone cannot fail to be written.
    serde_json::to_vec(&Envelope { error: status }).unwrap_or_default()
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: Status<'a>,
}

/// What a person looks for stands first.
#[derive(Serialize)]
struct Status<'a> {
    code: u16,
    message: &'a str,
    status: &'static str,
    details: Vec<Detail<'a>>,
}

#[derive(Serialize)]
#[serde(tag = "@type", rename_all_fields = "camelCase")]
enum Detail<'a> {
    #[serde(rename = "type.googleapis.com/google.rpc.ErrorInfo")]
    ErrorInfo { reason: &'static str, domain: &'static str, metadata: BTreeMap<&'static str, &'a str> },
    #[serde(rename = "type.googleapis.com/google.rpc.BadRequest")]
    BadRequest { field_violations: Vec<FieldProblem<'a>> },
    #[serde(rename = "type.googleapis.com/google.rpc.PreconditionFailure")]
    PreconditionFailure { violations: Vec<Unmet<'a>> },
    #[serde(rename = "type.googleapis.com/google.rpc.ResourceInfo")]
    ResourceInfo { resource_type: &'a str, resource_name: &'a str },
    #[serde(rename = "type.googleapis.com/google.rpc.RetryInfo")]
    RetryInfo { retry_delay: String },
}

#[derive(Serialize)]
struct FieldProblem<'a> {
    field: &'a str,
    description: &'a str,
    reason: &'static str,
}

#[derive(Serialize)]
struct Unmet<'a> {
    r#type: &'static str,
    subject: &'a str,
    description: &'a str,
}

fn details(error: &Error, is_write: bool) -> Vec<Detail<'_>> {
    let metadata = error.info_metadata(is_write).collect();
    let mut details = vec![Detail::ErrorInfo { reason: error.reason(), domain: ERROR_DOMAIN, metadata }];
    if !error.fields().is_empty() {
        let problems = error.fields().iter().map(|found| FieldProblem {
            field: &found.field,
            description: &found.description,
            reason: found.reason,
        });
        details.push(Detail::BadRequest { field_violations: problems.collect() });
    }
    if !error.preconditions().is_empty() {
        let violations = error.preconditions().iter().map(|found| Unmet {
            r#type: found.kind,
            subject: &found.subject,
            description: &found.description,
        });
        details.push(Detail::PreconditionFailure { violations: violations.collect() });
    }
    if let Some(resource) = error.resource() {
        details.push(Detail::ResourceInfo { resource_type: &resource.kind, resource_name: &resource.name });
    }
    if let Some(delay) = error.retry_after() {
        details.push(Detail::RetryInfo { retry_delay: format!("{}s", delay.as_secs_f64()) });
    }
    details
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kit_core::{Applied, Code, PreconditionViolation};
    use serde_json::{Value, json};

    use super::*;

    fn parsed(error: &Error, is_write: bool) -> Value {
        serde_json::from_slice(&error_json(error, is_write)).unwrap()
    }

    #[test]
    fn an_error_has_the_shape_of_google_rpc_status() {
        let error = Error::new(Code::NotFound, "ROW_NOT_FOUND", "User 42 \"not\" found")
            .with("entity", "shop.v1.User")
            .with_resource("shop.v1.User", "42");
        assert_eq!(
            parsed(&error, false),
            json!({"error": {"code": 404, "message": "User 42 \"not\" found", "status": "NOT_FOUND", "details": [
                {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "ROW_NOT_FOUND",
                 "domain": ERROR_DOMAIN, "metadata": {"entity": "shop.v1.User"}},
                {"@type": "type.googleapis.com/google.rpc.ResourceInfo", "resourceType": "shop.v1.User",
                 "resourceName": "42"},
            ]}})
        );
    }

    #[test]
    fn what_a_person_looks_for_stands_first() {
        let text = String::from_utf8(error_json(&Error::new(Code::NotFound, "NOT_FOUND", "gone"), false)).unwrap();
        assert!(
            text.starts_with(r#"{"error":{"code":404,"message":"gone","status":"NOT_FOUND","details":["#),
            "{text}"
        );
    }

    #[test]
    fn status_violations_and_retry_are_told() {
        let error = Error::invalid_field("user.email", "REQUIRED", "is required")
            .with_http_status(412)
            .with_applied(Applied::Unknown)
            .with_precondition(PreconditionViolation { kind: "ETAG", subject: "x".into(), description: "y".into() })
            .with_retry_after(Duration::from_millis(1500));
        let response = error_response(&error, true);
        assert_eq!(response.status(), 412);
        assert_eq!(response.headers()[RETRY_AFTER], "1");
        let details = parsed(&error, true)["error"]["details"].clone();
        assert_eq!(details[0]["metadata"]["applied"], "unknown");
        assert_eq!(details[1]["fieldViolations"][0]["field"], "user.email");
        assert_eq!(details[2]["violations"][0]["type"], "ETAG");
        assert_eq!(details[3]["retryDelay"], "1.5s");
    }
}
