//! `rowkeep check`: the schema alone.

use std::process::ExitCode;

use crate::args::Check;
use crate::failure::{Failure, WRONG_INPUT};
use crate::output;
use crate::progress::counted;
use crate::schema::with_warnings;

pub(crate) fn run(args: &Check) -> Result<ExitCode, Failure> {
    let checked = with_warnings(&args.schema.schema, &args.schema.includes);
    let (schema, found) = match checked {
        Ok((schema, warnings)) => (Some(schema), warnings),
        Err(mistakes) => (None, mistakes),
    };
    if args.json {
        output::line(format_args!("{:#}", found.to_json()));
    } else {
        if !found.is_empty() {
            eprint!("{found}");
        }
        if let Some(schema) = &schema {
            let (entities, methods) = (schema.entities.len() as u64, schema.methods.len() as u64);
            let entities = counted(entities, "entity", "entities");
            output::line(format_args!("{entities}, {}: no mistakes", counted(methods, "method", "methods")));
        }
    }
    Ok(if schema.is_some() { ExitCode::SUCCESS } else { ExitCode::from(WRONG_INPUT) })
}
