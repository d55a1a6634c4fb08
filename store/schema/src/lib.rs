//! An annotated `.proto` compiled to one checked [`Schema`] value.
//!
//! [`compile()`] reads, links and checks the files. A schema that is wrong comes back as [`Diagnostics`]: every mistake with
//! its place and what to write instead. One that is right is a [`Schema`], from which everything else derives.

mod build;
mod builtin;
mod compat;
mod compile;
pub mod derive;
mod diagnostics;
mod explain;
mod fingerprint;
mod link;
mod literal;
mod locate;
mod model;
mod names;
pub mod openapi;
mod options;
mod snapshot;
mod sources;
mod text_check;

pub use builtin::{OPTIONS as OPTIONS_PROTO, STORE as STORE_PROTO};
pub use compat::{Change, ChangeKind, Verdict, compare};
pub use compile::{compile, compile_str, compile_with_warnings};
pub use diagnostics::{Diagnostic, Diagnostics, Place, Severity};
pub use link::CompileOptions;
pub use model::*;
pub use names::{plural_camel, plural_snake, snake, upper_camel};
