//! From files to a checked schema.

use crate::build::build;
use crate::diagnostics::Diagnostics;
use crate::link::{CompileOptions, link_files, link_texts};
use crate::model::Schema;

/// Compiles the files and everything they import.
///
/// # Errors
/// With every mistake that was found.
pub fn compile(options: &CompileOptions) -> Result<Schema, Diagnostics> {
    compile_with_warnings(options).map(|(schema, _)| schema)
}

/// Like [`compile`], with the warnings of a schema that is right.
///
/// # Errors
/// With every mistake that was found.
pub fn compile_with_warnings(options: &CompileOptions) -> Result<(Schema, Diagnostics), Diagnostics> {
    build(link_files(options)?)
}

/// Compiles texts, each with the path that imports know it by.
///
/// # Errors
/// With every mistake that was found.
pub fn compile_str(files: &[(&str, &str)]) -> Result<Schema, Diagnostics> {
    build(link_texts(files)?).map(|(schema, _)| schema)
}
