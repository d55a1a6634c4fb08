//! An annotated `.proto` compiled to one checked [`Schema`] value.

mod model;

pub use model::*;
