//! The list language: `filter` and `order_by` of AIP-160 and AIP-132, checked against an entity.

mod ast;

pub use ast::*;
