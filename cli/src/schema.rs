//! From the files named on the command line to a checked schema.

use std::path::PathBuf;
use std::sync::Arc;

use kit_core::nearest;
use rowkeep_schema::{CompileOptions, Diagnostics, Entity, Schema, compile_with_warnings};

use crate::args::{Includes, SchemaArgs, SchemaOption};
use crate::failure::Failure;

/// Compiles the files; what is only doubtful is said on standard error.
pub(crate) fn compile(schema: &[PathBuf], includes: &Includes) -> Result<Arc<Schema>, Failure> {
    let (schema, warnings) = with_warnings(schema, includes).map_err(Failure::Schema)?;
    if !warnings.is_empty() {
        eprint!("{warnings}");
    }
    if schema.entities.is_empty() {
        let message = "the schema has no entity; write `option (rowkeep.v1.entity) = {};` into a message";
        return Err(Failure::Input(message.to_owned()));
    }
    Ok(Arc::new(schema))
}

pub(crate) fn with_warnings(schema: &[PathBuf], includes: &Includes) -> Result<(Schema, Diagnostics), Diagnostics> {
    compile_with_warnings(&CompileOptions { files: schema.to_owned(), includes: includes.include.clone() })
}

impl SchemaArgs {
    pub(crate) fn compile(&self) -> Result<Arc<Schema>, Failure> {
        compile(&self.schema, &self.includes)
    }
}

impl SchemaOption {
    pub(crate) fn compile(&self) -> Result<Arc<Schema>, Failure> {
        compile(&self.schema, &self.includes)
    }
}

/// The entity of a name.
pub(crate) fn entity<'a>(schema: &'a Schema, name: &str) -> Result<&'a Entity, Failure> {
    schema.entity_by_name(name).ok_or_else(|| {
        let names = || schema.entities.iter().map(|entity| entity.name.as_str());
        let hint = match nearest(name, names()) {
            Some(close) => format!("did you mean `{close}`?"),
            None => format!("there are {}", names().collect::<Vec<_>>().join(", ")),
        };
        Failure::Input(format!("the schema has no entity `{name}`; {hint}"))
    })
}
