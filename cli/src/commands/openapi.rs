//! `rowkeep openapi`: the document that a running server gives at `/openapi.json`.

use std::process::ExitCode;

use rowkeep_schema::openapi::{OpenApiOptions, document};

use crate::args::Openapi;
use crate::failure::Failure;
use crate::output;

pub(crate) fn run(args: &Openapi) -> Result<ExitCode, Failure> {
    let schema = args.schema.compile()?;
    let options =
        OpenApiOptions { server_url: args.server_url.clone(), title: args.title.clone(), ..OpenApiOptions::default() };
    output::line(format_args!("{:#}", document(&schema, &options)));
    Ok(ExitCode::SUCCESS)
}
