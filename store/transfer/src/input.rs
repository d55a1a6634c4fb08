//! Files as rows: CSV with a header, or one JSON object a line.

use std::io::BufRead;

use kit_core::Error;
use rowkeep_record::csv::{CsvError, CsvOptions, CsvReader};
use rowkeep_record::json::{JsonCodec, ReadOptions};
use rowkeep_record::{RowCodec, Value};
use rowkeep_schema::{ColumnId, MessageId};

/// Longest line of NDJSON; a longer one is rejected.
const MAX_LINE: usize = 16 << 20;

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated values with a header line (RFC 4180).
    Csv,
    /// One JSON object a line.
    Ndjson,
}

impl Format {
    /// By the file's extension: `csv`, `ndjson`, `jsonl`.
    pub fn of_extension(extension: &str) -> Option<Self> {
        match extension.to_ascii_lowercase().as_str() {
            "csv" => Some(Self::Csv),
            "ndjson" | "jsonl" => Some(Self::Ndjson),
            _ => None,
        }
    }
}

/// A line that is not a row, or a row that was not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Line where it starts, from 1.
    pub line: u64,
    /// What is wrong.
    pub message: String,
}

impl std::fmt::Display for Rejected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

/// One row, or why there is none.
pub(crate) enum Item {
    Row(u64, Vec<Value>),
    Bad(Rejected),
    /// The file cannot be read on; no row is to blame.
    Broken(std::io::Error),
}

/// Reads a file row by row.
pub(crate) enum Input<'a, R> {
    Csv(CsvReader<'a, R>),
    Ndjson(Lines<'a, R>),
}

impl<'a, R: BufRead> Input<'a, R> {
    pub(crate) fn csv(codec: &'a RowCodec, input: R, options: CsvOptions) -> Result<Self, Rejected> {
        CsvReader::new(codec, input, options).map(Self::Csv).map_err(reject_csv)
    }

    pub(crate) fn ndjson(codec: &'a RowCodec, json: &'a JsonCodec, message: MessageId, input: R) -> Self {
        let columns = codec.columns_in_wire_order().to_vec();
        Self::Ndjson(Lines { codec, json, message, columns, input, buffer: Vec::new(), line: 0, offset: 0 })
    }

    /// The columns the file may set.
    pub(crate) fn columns(&self) -> &[ColumnId] {
        match self {
            Self::Csv(reader) => reader.columns(),
            Self::Ndjson(lines) => &lines.columns,
        }
    }

    /// The next row; `None` at the end.
    pub(crate) fn next(&mut self) -> Option<Item> {
        match self {
            Self::Csv(reader) => Some(match reader.next_row()? {
                Ok((line, values)) => Item::Row(line, values),
                Err(error) => match error.unreadable {
                    Some(kind) => Item::Broken(std::io::Error::new(kind, reject_csv(error).to_string())),
                    None => Item::Bad(reject_csv(error)),
                },
            }),
            Self::Ndjson(lines) => lines.next(),
        }
    }

    /// The text of the row last read.
    pub(crate) fn raw(&self) -> &[u8] {
        match self {
            Self::Csv(reader) => reader.raw(),
            Self::Ndjson(lines) => &lines.buffer,
        }
    }

    /// Bytes read so far.
    pub(crate) fn offset(&self) -> u64 {
        match self {
            Self::Csv(reader) => reader.offset(),
            Self::Ndjson(lines) => lines.offset,
        }
    }
}

fn reject_csv(error: CsvError) -> Rejected {
    let message = match error.column {
        Some(column) => format!("{column}: {}", error.message),
        None => error.message,
    };
    Rejected { line: error.line, message }
}

/// NDJSON.
pub(crate) struct Lines<'a, R> {
    codec: &'a RowCodec,
    json: &'a JsonCodec,
    message: MessageId,
    columns: Vec<ColumnId>,
    input: R,
    buffer: Vec<u8>,
    line: u64,
    offset: u64,
}

impl<R: BufRead> Lines<'_, R> {
    fn next(&mut self) -> Option<Item> {
        loop {
            let length = match self.read_line() {
                Ok(0) => return None,
                Ok(length) => length,
                Err(error) => {
                    let behind = format!("cannot be read behind line {}: {error}", self.line);
                    return Some(Item::Broken(std::io::Error::new(error.kind(), behind)));
                }
            };
            self.line += 1;
            self.offset += length as u64;
            if length > MAX_LINE {
                return Some(self.bad(format!("is longer than {MAX_LINE} bytes")));
            }
            if !self.buffer.trim_ascii().is_empty() {
                break;
            }
        }
        Some(match self.parse() {
            Ok(values) => Item::Row(self.line, values),
            Err(error) => self.bad(error.message().to_owned()),
        })
    }

    /// One line into the buffer, of an over-long one the beginning; answers its length.
    fn read_line(&mut self) -> std::io::Result<usize> {
        self.buffer.clear();
        let mut length = 0;
        loop {
            let available = self.input.fill_buf()?;
            if available.is_empty() {
                return Ok(length);
            }
            let end = available.iter().position(|byte| *byte == b'\n');
            let used = end.map_or(available.len(), |end| end + 1);
            if self.buffer.len() <= MAX_LINE {
                self.buffer.extend_from_slice(&available[..used]);
            }
            length += used;
            self.input.consume(used);
            if end.is_some() {
                return Ok(length);
            }
        }
    }

    fn parse(&self) -> Result<Vec<Value>, Error> {
        let parsed = self.json.from_json(self.message, self.buffer.trim_ascii(), ReadOptions::default())?;
        Ok(self.codec.decode(&parsed.wire)?.values)
    }

    fn bad(&self, message: String) -> Item {
        Item::Bad(Rejected { line: self.line, message })
    }
}
