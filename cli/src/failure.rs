//! Why a command ended early: what is printed, and with which exit code.

use std::path::Path;
use std::process::ExitCode;

use kit_core::{Code, Error};
use rowkeep_schema::Diagnostics;

/// Wrong usage or input.
pub(crate) const WRONG_INPUT: u8 = 2;

/// What is said on standard error before the command ends.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What was given is wrong: 2.
    Input(String),
    /// Something could not be done: 1.
    Failed(String),
    /// The schema is wrong: 2.
    Schema(Diagnostics),
}

impl Failure {
    pub(crate) fn file(path: &Path, error: &std::io::Error) -> Self {
        Self::Failed(format!("{}: {error}", path.display()))
    }

    pub(crate) fn report(self) -> ExitCode {
        match self {
            Self::Input(message) => {
                eprintln!("error: {message}");
                ExitCode::from(WRONG_INPUT)
            }
            Self::Failed(message) => {
                eprintln!("error: {message}");
                ExitCode::FAILURE
            }
            Self::Schema(diagnostics) => {
                eprint!("{diagnostics}");
                ExitCode::from(WRONG_INPUT)
            }
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let mut message = error.message().to_owned();
        // The cause that no client may see is what an operator needs.
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            message.push_str(&format!(": {cause}"));
            source = cause.source();
        }
        // A single violation is the message itself.
        if error.fields().len() > 1 {
            let each = error.fields().iter().map(|field| format!("\n  {}: {}", field.field, field.description));
            message.extend(each);
        }
        match error.code() {
            Code::InvalidArgument => Self::Input(message),
            _ => Self::Failed(message),
        }
    }
}
