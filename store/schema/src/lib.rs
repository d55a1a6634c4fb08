//! An annotated `.proto` compiled to one checked [`Schema`] value.

pub mod derive;
mod model;
mod plural;

pub use model::*;
