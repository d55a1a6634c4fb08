//! An error as REST sends it: `{"error": {"code", "message", "status", "details"}}` (AIP-193).

use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use kit_core::{ERROR_DOMAIN, Error};
use kit_net::{Body, Response};
use serde_json::{Map, Value, json};

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
    let body = json!({ "error": {
        "code": error.http_status(),
        "message": error.message(),
        "status": error.code().name(),
        "details": details(error, is_write),
    }});
    body.to_string().into_bytes()
}

fn details(error: &Error, is_write: bool) -> Vec<Value> {
    let metadata: Map<_, _> = error.info_metadata(is_write).map(|(key, value)| (key.into(), value.into())).collect();
    let mut details = vec![json!({
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": error.reason(),
        "domain": ERROR_DOMAIN,
        "metadata": metadata,
    })];
    if !error.fields().is_empty() {
        let violations = error
            .fields()
            .iter()
            .map(|field| json!({ "field": field.field, "description": field.description, "reason": field.reason }));
        details.push(json!({
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": violations.collect::<Vec<_>>(),
        }));
    }
    if !error.preconditions().is_empty() {
        let violations = error
            .preconditions()
            .iter()
            .map(|found| json!({ "type": found.kind, "subject": found.subject, "description": found.description }));
        details.push(json!({
            "@type": "type.googleapis.com/google.rpc.PreconditionFailure",
            "violations": violations.collect::<Vec<_>>(),
        }));
    }
    if let Some(resource) = error.resource() {
        details.push(json!({
            "@type": "type.googleapis.com/google.rpc.ResourceInfo",
            "resourceType": resource.kind,
            "resourceName": resource.name,
        }));
    }
    if let Some(delay) = error.retry_after() {
        details.push(json!({
            "@type": "type.googleapis.com/google.rpc.RetryInfo",
            "retryDelay": format!("{}s", delay.as_secs_f64()),
        }));
    }
    details
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kit_core::{Applied, Code, PreconditionViolation};

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
