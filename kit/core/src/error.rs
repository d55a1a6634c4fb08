//! The error every layer answers with.
//!
//! An [`Error`] is what a caller may read: a [`Code`], a machine-readable reason (AIP-193 `ErrorInfo`), a message, the
//! variable parts as metadata, and typed details. What only an operator may read stays in the source, for the log.
//! One boxed pointer wide, so that `Result<T, Error>` stays small on hot paths.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use crate::Code;

/// What sources of errors are kept as.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The `domain` of every [`Error`]'s `ErrorInfo`.
pub const ERROR_DOMAIN: &str = "rowkeep.dev";

/// Whether the write an error belongs to happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Applied {
    /// Surely not: retrying cannot double anything.
    #[default]
    No,
    /// It is not known: read, or retry with the same request id.
    Unknown,
}

/// One field of a request that is wrong (`google.rpc.BadRequest.FieldViolation`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldViolation {
    /// Path of the field, in proto names: `user.email`, `requests[3].user.name`.
    pub field: String,
    /// What is wrong and what to write instead; a sentence without a full stop.
    pub description: String,
    /// `UPPER_SNAKE_CASE`, stable: `REQUIRED`, `OUT_OF_RANGE`, `TOO_LONG`, ...
    pub reason: &'static str,
}

/// One condition on the state of the system that did not hold (`google.rpc.PreconditionFailure.Violation`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreconditionViolation {
    /// `UPPER_SNAKE_CASE` kind: `ETAG`, `REFERENCE`, `CONDITION`, ...
    pub kind: &'static str,
    /// What it is about: `shop.v1.User/42`.
    pub subject: String,
    /// What was found and what was expected.
    pub description: String,
}

/// The resource an error is about (`google.rpc.ResourceInfo`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceInfo {
    /// Full name of the entity: `shop.v1.User`.
    pub kind: String,
    /// Its key as in a REST path: `42`, `7/1`.
    pub name: String,
}

/// What a failed call answers.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    code: Code,
    reason: &'static str,
    message: Cow<'static, str>,
    metadata: Vec<(&'static str, String)>,
    http_status: Option<u16>,
    applied: Applied,
    fields: Vec<FieldViolation>,
    preconditions: Vec<PreconditionViolation>,
    resource: Option<ResourceInfo>,
    retry_after: Option<Duration>,
    source: Option<BoxError>,
}

impl Error {
    /// An error with a `reason` in `UPPER_SNAKE_CASE` (at most 63 characters, stable) and a message for people.
    pub fn new(code: Code, reason: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            code,
            reason,
            message: message.into(),
            metadata: Vec::new(),
            http_status: None,
            applied: Applied::No,
            fields: Vec::new(),
            preconditions: Vec::new(),
            resource: None,
            retry_after: None,
            source: None,
        }))
    }

    /// `INVALID_ARGUMENT` with every violation found.
    pub fn invalid(fields: Vec<FieldViolation>) -> Self {
        let message = match fields.as_slice() {
            [one] => format!("{}: {}", one.field, one.description),
            many => format!("{} fields are invalid", many.len()),
        };
        let mut error = Self::new(Code::InvalidArgument, "INVALID_FIELDS", message);
        error.0.fields = fields;
        error
    }

    /// `INVALID_ARGUMENT` about one field.
    pub fn invalid_field(field: impl Into<String>, reason: &'static str, description: impl Into<String>) -> Self {
        Self::invalid(vec![FieldViolation { field: field.into(), description: description.into(), reason }])
    }

    /// `INTERNAL`: the client reads only that it happened, the log gets the source.
    pub fn internal(source: impl Into<BoxError>) -> Self {
        Self::new(Code::Internal, "INTERNAL", "internal error").with_source(source)
    }

    /// Adds a variable part of the message, for machines.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.0.metadata.push((key, value.into()));
        self
    }

    /// Keeps the cause for the log; it is never sent.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Overrides the HTTP status of the code where HTTP is more precise (405, 406, 412, 413, 415, ...).
    #[must_use]
    pub fn with_http_status(mut self, status: u16) -> Self {
        self.0.http_status = Some(status);
        self
    }

    /// Says that the write may have happened.
    #[must_use]
    pub fn with_applied(mut self, applied: Applied) -> Self {
        self.0.applied = applied;
        self
    }

    /// Adds a condition that did not hold.
    #[must_use]
    pub fn with_precondition(mut self, violation: PreconditionViolation) -> Self {
        self.0.preconditions.push(violation);
        self
    }

    /// Names the resource.
    #[must_use]
    pub fn with_resource(mut self, kind: impl Into<String>, name: impl Into<String>) -> Self {
        self.0.resource = Some(ResourceInfo { kind: kind.into(), name: name.into() });
        self
    }

    /// Says when to try again (`google.rpc.RetryInfo`, `Retry-After`).
    #[must_use]
    pub fn with_retry_after(mut self, delay: Duration) -> Self {
        self.0.retry_after = Some(delay);
        self
    }

    /// Puts `prefix` in front of every field path: `requests[3].`.
    #[must_use]
    pub fn under(mut self, prefix: &str) -> Self {
        let as_message = |fields: &[FieldViolation]| match fields {
            [one] => Some(format!("{}: {}", one.field, one.description)),
            _ => None,
        };
        let is_repeated = as_message(&self.0.fields).is_some_and(|text| text == self.0.message);
        for violation in &mut self.0.fields {
            violation.field.insert_str(0, prefix);
            // It is about the whole of what the prefix names.
            if violation.field.len() == prefix.len() {
                violation.field.truncate(prefix.trim_end_matches('.').len());
            }
        }
        if let (true, Some(message)) = (is_repeated, as_message(&self.0.fields)) {
            self.0.message = message.into();
        }
        self
    }

    /// The same for another caller who waited for the call that failed: what may be read, and its cause for the log.
    #[must_use]
    pub fn share(self: &Arc<Self>) -> Self {
        let Inner { code, reason, message, metadata, http_status, applied, fields, preconditions, resource, .. } =
            &*self.0;
        Self(Box::new(Inner {
            code: *code,
            reason,
            message: message.clone(),
            metadata: metadata.clone(),
            http_status: *http_status,
            applied: *applied,
            fields: fields.clone(),
            preconditions: preconditions.clone(),
            resource: resource.clone(),
            retry_after: self.0.retry_after,
            source: self.0.source.is_some().then(|| SharedCause(Arc::clone(self)).into()),
        }))
    }

    /// The code.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The machine-readable reason.
    pub fn reason(&self) -> &'static str {
        self.0.reason
    }

    /// What a person reads.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The variable parts.
    pub fn metadata(&self) -> &[(&'static str, String)] {
        &self.0.metadata
    }

    /// The metadata of the `ErrorInfo` a caller gets: the variable parts and, for a write, whether it was applied.
    pub fn info_metadata(&self, is_write: bool) -> impl Iterator<Item = (&'static str, &str)> {
        let applied = match (self.0.applied, is_write) {
            (Applied::Unknown, _) => Some(("applied", "unknown")),
            (Applied::No, true) => Some(("applied", "false")),
            (Applied::No, false) => None,
        };
        self.0.metadata.iter().map(|(key, value)| (*key, value.as_str())).chain(applied)
    }

    /// The status of the HTTP answer.
    pub fn http_status(&self) -> u16 {
        self.0.http_status.unwrap_or_else(|| self.0.code.http())
    }

    /// Whether the write happened.
    pub fn applied(&self) -> Applied {
        self.0.applied
    }

    /// The fields that are wrong.
    pub fn fields(&self) -> &[FieldViolation] {
        &self.0.fields
    }

    /// The conditions that did not hold.
    pub fn preconditions(&self) -> &[PreconditionViolation] {
        &self.0.preconditions
    }

    /// The resource it is about.
    pub fn resource(&self) -> Option<&ResourceInfo> {
        self.0.resource.as_ref()
    }

    /// When to try again.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }
}

/// The cause of an error that several callers get.
#[derive(Debug)]
struct SharedCause(Arc<Error>);

impl std::fmt::Display for SharedCause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.0.source.as_ref().map_or(Ok(()), |source| source.fmt(f))
    }
}

impl std::error::Error for SharedCause {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.0.source.as_ref()?.source()
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}: {}", self.0.code, self.0.reason, self.0.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_that_is_shared_says_the_same_and_has_the_same_causes() {
        let cause = Error::new(Code::Unavailable, "LOST", "connection reset").with_source("errno 104");
        let error = Error::internal(cause).with("table", "users").with_http_status(503);
        let error = Arc::new(error.with_retry_after(Duration::from_secs(1)));
        let (shared, mut causes) = (error.share(), Vec::new());
        assert_eq!(shared.to_string(), error.to_string());
        assert_eq!((shared.metadata(), shared.http_status()), (error.metadata(), error.http_status()));
        assert_eq!(shared.retry_after(), error.retry_after());
        let mut cause = std::error::Error::source(&shared);
        while let Some(found) = cause {
            causes.push(found.to_string());
            cause = found.source();
        }
        assert_eq!(causes, ["UNAVAILABLE LOST: connection reset", "errno 104"]);
    }

    #[test]
    fn a_prefix_goes_in_front_of_every_field_and_of_a_message_that_starts_with_one() {
        let error = Error::invalid_field("email", "REQUIRED", "must be set").under("requests[3].user.");
        assert_eq!(error.fields()[0].field, "requests[3].user.email");
        assert_eq!(error.message(), "requests[3].user.email: must be set");
        let error = Error::new(Code::NotFound, "NOT_FOUND", "User 7 does not exist").under("user.");
        assert_eq!(error.message(), "User 7 does not exist");
        let whole = Error::invalid_field("", "INVALID_JSON", "line 1: expected an object").under("user.");
        assert_eq!(whole.fields()[0].field, "user");
    }
}
