//! CSV of rows.

use std::io::BufRead;

use kit_core::Error;
use rowkeep_schema::ColumnId;

use crate::{RowCodec, Value};

/// Renders rows as CSV.
#[derive(Debug)]
pub struct CsvWriter<'a> {
    _codec: &'a RowCodec,
}

impl<'a> CsvWriter<'a> {
    /// A writer of all columns that are shown.
    pub fn new(codec: &'a RowCodec) -> Self {
        Self { _codec: codec }
    }

    /// Appends the line of field names.
    pub fn header(&self, _out: &mut Vec<u8>) {}

    /// Appends a row given in wire form.
    ///
    /// # Errors
    /// If the wire form is malformed.
    pub fn row(&self, _wire: &[u8], _out: &mut Vec<u8>) -> Result<(), Error> {
        Ok(())
    }
}

/// How CSV is read.
#[derive(Debug, Clone)]
pub struct CsvOptions {
    /// Between cells.
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
}

/// Reads rows of one entity from CSV with a header.
#[derive(Debug)]
pub struct CsvReader<'a, R> {
    _codec: &'a RowCodec,
    _input: R,
}

impl<'a, R: BufRead> CsvReader<'a, R> {
    /// Reads the header. Names are proto, JSON or column names.
    ///
    /// # Errors
    /// Unknown or repeated names, unreadable input.
    pub fn new(codec: &'a RowCodec, input: R, _options: CsvOptions) -> Result<Self, CsvError> {
        Ok(Self { _codec: codec, _input: input })
    }

    /// The columns the header names.
    pub fn columns(&self) -> &[ColumnId] {
        &[]
    }

    /// The next record's values by column, and the line it starts in. `None` at the end.
    /// After an error, reading goes on with the next record.
    pub fn next_row(&mut self) -> Option<Result<(u64, Vec<Value>), CsvError>> {
        None
    }

    /// The text of the record last read, for a file of rejects.
    pub fn raw(&self) -> &[u8] {
        &[]
    }

    /// Bytes of the input consumed so far.
    pub fn offset(&self) -> u64 {
        0
    }
}
