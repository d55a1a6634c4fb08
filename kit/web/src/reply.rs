//! Small responses every REST surface needs.

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use kit_core::{Code, Error};
use kit_net::{Body, Response};

use crate::error::error_response;

/// A response with a body in memory.
pub fn respond(status: StatusCode, content_type: HeaderValue, body: impl Into<Bytes>) -> Response {
    let mut response = Response::new(Body::full(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

/// 204.
pub fn no_content() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// The answer to OPTIONS.
pub fn options(allow: &HeaderValue) -> Response {
    let mut response = no_content();
    response.headers_mut().insert(ALLOW, allow.clone());
    response
}

/// 405 with what is allowed.
pub fn method_not_allowed(allow: &HeaderValue) -> Response {
    let message = format!("this resource allows {}", allow.to_str().unwrap_or_default());
    let error = Error::new(Code::Unimplemented, "METHOD_NOT_ALLOWED", message).with_http_status(405);
    let mut response = error_response(&error, false);
    response.headers_mut().insert(ALLOW, allow.clone());
    response
}

/// The response to HEAD, from the response to GET: the same headers, no body.
pub fn head_only(mut response: Response) -> Response {
    if let Some(bytes) = response.body().as_full() {
        let length = HeaderValue::from(bytes.len());
        response.headers_mut().insert(CONTENT_LENGTH, length);
    }
    response.map(|_| Body::empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_keeps_the_length_of_the_body_it_leaves_out() {
        let response = head_only(respond(StatusCode::OK, HeaderValue::from_static("text/plain"), "hello"));
        assert_eq!(response.headers()[CONTENT_LENGTH], "5");
        assert!(response.body().as_full().is_none());
    }

    #[test]
    fn a_method_that_is_not_allowed_is_told_what_is() {
        let response = method_not_allowed(&HeaderValue::from_static("GET, HEAD"));
        assert_eq!(
            (response.status(), &response.headers()[ALLOW]),
            (StatusCode::METHOD_NOT_ALLOWED, &HeaderValue::from_static("GET, HEAD"))
        );
        assert_eq!(options(&HeaderValue::from_static("GET")).headers()[ALLOW], "GET");
    }
}
