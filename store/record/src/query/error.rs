//! What is wrong with a query, and where.

use kit_core::Error;

/// A mistake in a filter or an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryError {
    /// Byte offset in the text.
    pub at: usize,
    /// What is wrong and what to write instead.
    pub message: String,
}

impl QueryError {
    pub(super) fn new(at: usize, message: impl Into<String>) -> Self {
        Self { at, message: message.into() }
    }

    /// As the caller reads it; `field` is `filter`, `order_by` or `writes[2].precondition.condition`.
    pub fn into_error(self, field: &str, reason: &'static str) -> Error {
        Error::invalid_field(field, reason, format!("at character {}: {}", self.at + 1, self.message))
    }
}
