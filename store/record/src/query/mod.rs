//! The list language: `filter` and `order_by` of AIP-160 and AIP-132, checked against an entity; page tokens of AIP-158.

mod ast;
mod check;
mod error;
mod matches;
mod syntax;
mod token;

pub use ast::*;
pub use check::{filter, parse_filter, parse_order_by, zero};
pub use error::QueryError;
pub use matches::{json_matches, matches};
pub use syntax::{MAX_COMPARISONS, MAX_DEPTH, MAX_FILTER_BYTES};
pub use token::PageTokens;
