//! Cross-origin requests, off unless origins are configured.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method};
use kit_core::config::HumanDuration;
use kit_net::Response;
use serde::{Deserialize, Serialize};

use crate::reply::no_content;

/// Who may call from another origin, and with what.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct CorsConfig {
    /// Origins such as `https://app.example.com`, or `*` for every one. Empty: none.
    pub allowed_origins: Vec<String>,
    /// Request headers a page may set.
    pub allowed_headers: Vec<String>,
    /// Response headers a page may read.
    pub exposed_headers: Vec<String>,
    /// How long a browser may remember the answer.
    pub max_age: HumanDuration,
}

impl Default for CorsConfig {
    fn default() -> Self {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self {
            allowed_origins: Vec::new(),
            allowed_headers: owned(&[
                "content-type",
                "if-match",
                "if-none-match",
                "idempotency-key",
                "authorization",
                "x-grpc-web",
                "x-user-agent",
                "grpc-timeout",
            ]),
            exposed_headers: owned(&[
                "etag",
                "location",
                "retry-after",
                "grpc-status",
                "grpc-message",
                "grpc-status-details-bin",
            ]),
            max_age: HumanDuration::secs(600),
        }
    }
}

/// A configuration made ready.
#[derive(Debug, Clone)]
pub struct Cors {
    any_origin: bool,
    origins: Vec<HeaderValue>,
    allowed_headers: HeaderValue,
    exposed_headers: HeaderValue,
    max_age: HeaderValue,
}

impl Cors {
    /// Checks a configuration. `None` when no origin is allowed.
    ///
    /// # Errors
    /// A sentence that names the value that is no header value.
    pub fn new(config: &CorsConfig) -> Result<Option<Self>, String> {
        if config.allowed_origins.is_empty() {
            return Ok(None);
        }
        let value = |text: &str| HeaderValue::from_str(text).map_err(|_| format!("`{text}` is no header value"));
        Ok(Some(Self {
            any_origin: config.allowed_origins.iter().any(|origin| origin == "*"),
            origins: config.allowed_origins.iter().map(|origin| value(origin)).collect::<Result<_, _>>()?,
            allowed_headers: value(&config.allowed_headers.join(", "))?,
            exposed_headers: value(&config.exposed_headers.join(", "))?,
            max_age: HeaderValue::from(config.max_age.as_secs()),
        }))
    }

    /// The answer to a preflight; `None` if the request is none.
    pub fn preflight(&self, method: &Method, headers: &HeaderMap) -> Option<Response> {
        if method != Method::OPTIONS || !headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
            return None;
        }
        let mut response = no_content();
        if self.allow_origin(headers, response.headers_mut()) {
            let out = response.headers_mut();
            out.insert(
                ACCESS_CONTROL_ALLOW_METHODS,
                HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
            );
            out.insert(ACCESS_CONTROL_ALLOW_HEADERS, self.allowed_headers.clone());
            out.insert(ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
        }
        Some(response)
    }

    /// Adds to a response what lets the page of an allowed origin read it.
    pub fn apply(&self, request_headers: &HeaderMap, response: &mut Response) {
        if self.allow_origin(request_headers, response.headers_mut()) {
            response.headers_mut().insert(ACCESS_CONTROL_EXPOSE_HEADERS, self.exposed_headers.clone());
        }
    }

    fn allow_origin(&self, request_headers: &HeaderMap, out: &mut HeaderMap) -> bool {
        let Some(origin) = request_headers.get(ORIGIN) else { return false };
        if self.any_origin {
            out.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            return true;
        }
        out.append(VARY, HeaderValue::from_static("origin"));
        let is_allowed = self.origins.contains(origin);
        if is_allowed {
            out.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        }
        is_allowed
    }
}

#[cfg(test)]
mod tests {
    use kit_net::Body;

    use super::*;

    fn cors(origins: &[&str]) -> Option<Cors> {
        let allowed_origins = origins.iter().map(|origin| (*origin).to_owned()).collect();
        Cors::new(&CorsConfig { allowed_origins, ..CorsConfig::default() }).unwrap()
    }

    fn from_origin(origin: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(ORIGIN, HeaderValue::from_static(origin));
        headers
    }

    #[test]
    fn without_origins_there_is_no_cors() {
        assert!(cors(&[]).is_none());
    }

    #[test]
    fn an_allowed_origin_is_echoed_and_a_stranger_gets_nothing() {
        let cors = cors(&["https://app.example.com"]).unwrap();
        for (origin, allowed) in [("https://app.example.com", true), ("https://evil.example.com", false)] {
            let mut response = Response::new(Body::empty());
            cors.apply(&from_origin(origin), &mut response);
            assert_eq!(response.headers().contains_key(ACCESS_CONTROL_ALLOW_ORIGIN), allowed, "{origin}");
            assert_eq!(response.headers()[VARY], "origin");
        }
    }

    #[test]
    fn a_preflight_is_answered_and_a_plain_options_is_not() {
        let cors = cors(&["*"]).unwrap();
        let mut headers = from_origin("https://anyone.example.com");
        assert!(cors.preflight(&Method::OPTIONS, &headers).is_none());
        headers.insert(ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static("PATCH"));
        let response = cors.preflight(&Method::OPTIONS, &headers).unwrap();
        assert_eq!(response.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        assert!(response.headers()[ACCESS_CONTROL_ALLOW_METHODS].to_str().unwrap().contains("PATCH"));
        assert!(cors.preflight(&Method::GET, &headers).is_none());
    }
}
