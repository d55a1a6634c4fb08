//! Standard output: results, and nothing else.

use std::fmt::Display;
use std::io::{ErrorKind, Write as _};

/// Prints a result as a line.
pub(crate) fn line(result: impl Display) {
    print(format_args!("{result}\n"));
}

/// Prints a result as it is. A reader who has seen enough (`rowkeep openapi S | head`) is no failure; a result that
/// cannot be written otherwise ends the program, which has changed by now what it was to change.
pub(crate) fn print(result: impl Display) {
    let mut output = std::io::stdout().lock();
    if let Err(error) = write!(output, "{result}").and_then(|()| output.flush())
        && error.kind() != ErrorKind::BrokenPipe
    {
        eprintln!("error: standard output: {error}");
        std::process::exit(1);
    }
}
