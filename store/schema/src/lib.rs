//! An annotated `.proto` compiled to one checked [`Schema`] value.

pub mod derive;
mod model;
pub mod openapi;
mod plural;

pub use model::*;
