//! CSV of rows (RFC 4180), with a line of names in front.
//!
//! ## Cells
//! A cell is a value in the form of [`text`](crate::text): times in RFC 3339, bytes in base64, enums by name; what is
//! stored as JSON is its JSON. NULL is an empty cell and the empty string is `""`, so that a dump loads back as it was.
//! An empty cell of a column that cannot be NULL is its zero, as an absent field is in protobuf, unless the column is
//! `required`; the text chosen for NULL (`NA`) is refused there, since it says that there is no value.
//!
//! Secret columns are never written and can be read. Etags are neither: they follow from the row's version.
//!
//! ## What is accepted
//! Lines end in LF or CRLF, a byte order mark is passed over, and so are empty lines. A quote inside an unquoted cell is
//! a character like any other. Records end where their quotes say; a quote that is never closed makes only its own line
//! bad, and reading goes on with the next.
//!
//! ## Formulas
//! Cells that begin with `=`, `+`, `-` or `@` are written as they are stored: changing them would change the data, and a
//! dump could not be loaded. Whoever opens a dump of foreign data in a spreadsheet imports its columns as text.

mod read;
mod records;
mod write;

pub use read::CsvReader;
pub use write::CsvWriter;

/// How CSV is read.
#[derive(Debug, Clone)]
pub struct CsvOptions {
    /// Between cells; an ASCII character that is neither a quote nor a line end.
    pub delimiter: u8,
    /// An unquoted cell with this text is NULL (`NA`); an empty unquoted cell always is.
    pub null: Option<String>,
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self { delimiter: b',', null: None }
    }
}

/// Why a record was not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsvError {
    /// Line where the record starts, from 1.
    pub line: u64,
    /// Name of the column, if it is about one.
    pub column: Option<String>,
    /// What is wrong.
    pub message: String,
    /// Set if it is not the record that is wrong but the input that cannot be read: what follows is unknown.
    pub unreadable: Option<std::io::ErrorKind>,
}

impl CsvError {
    fn record(line: u64, message: impl Into<String>) -> Self {
        Self { line, column: None, message: message.into(), unreadable: None }
    }

    fn unreadable(line: u64, error: &std::io::Error) -> Self {
        Self { unreadable: Some(error.kind()), ..Self::record(line, format!("cannot be read: {error}")) }
    }
}
