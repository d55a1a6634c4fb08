//! CSV to rows.

use std::borrow::Cow;
use std::io::BufRead;

use rowkeep_schema::ColumnId;

use super::records::{Cell, Quotes, Records};
use super::{CsvError, CsvOptions};
use crate::fault::{did_you_mean, shortened};
use crate::row::column::{ColumnCodec, Shape};
use crate::{ColumnSet, RowCodec, Value};

/// Names that a header can have; an entity has fewer columns.
const MAX_NAMES: usize = 10_000;

/// Reads rows of one entity from CSV with a header.
#[derive(Debug)]
pub struct CsvReader<'a, R> {
    codec: &'a RowCodec,
    null: Option<String>,
    records: Records<R>,
    /// Where each cell goes.
    targets: Vec<ColumnId>,
    columns: Vec<ColumnId>,
    /// The columns that the header does not name.
    unnamed: Vec<ColumnId>,
}

impl<'a, R: BufRead> CsvReader<'a, R> {
    /// Reads the header. Names are proto, JSON or column names.
    ///
    /// # Errors
    /// Unknown or repeated names, unreadable input.
    pub fn new(codec: &'a RowCodec, input: R, options: CsvOptions) -> Result<Self, CsvError> {
        let CsvOptions { delimiter, null } = options;
        if !delimiter.is_ascii() || matches!(delimiter, b'"' | b'\r' | b'\n' | 0) {
            let what = "cells cannot be separated by a quote, a line end or a character that is not ASCII";
            return Err(CsvError::record(1, what));
        }
        let mut records = Records::new(input, delimiter, MAX_NAMES);
        let Some(line) = records.next() else {
            return Err(CsvError::record(1, "is empty; a line with the names of the columns is expected"));
        };
        let targets = Header { codec, line: line? }.targets(&records)?;
        let columns = targets.iter().filter(|id| codec.column(**id).shape != Shape::Etag).copied().collect();
        let unnamed = codec.columns.iter().map(|column| column.id).filter(|id| !targets.contains(id)).collect();
        records.cells.limit = targets.len();
        Ok(Self { codec, null, records, targets, columns, unnamed })
    }

    /// The columns the header names.
    pub fn columns(&self) -> &[ColumnId] {
        &self.columns
    }

    /// The next record's values by column, and the line it starts in. `None` at the end.
    /// After an error, reading goes on with the next record.
    pub fn next_row(&mut self) -> Option<Result<(u64, Vec<Value>), CsvError>> {
        let line = match self.records.next()? {
            Ok(line) => line,
            Err(error) => return Some(Err(error)),
        };
        let values = self.values().map_err(|(column, message)| {
            let column = column.map(|id| self.codec.column(id).name.to_string());
            CsvError { column, ..CsvError::record(line, message) }
        });
        Some(values.map(|values| (line, values)))
    }

    /// The text of the record last read, its line end included, for a file of rejects. Of a record that is too long to
    /// be kept it is the beginning.
    pub fn raw(&self) -> &[u8] {
        self.records.raw()
    }

    /// Bytes of the input consumed so far: up to the end of the record last read.
    pub fn offset(&self) -> u64 {
        self.records.offset()
    }

    fn values(&self) -> Result<Vec<Value>, (Option<ColumnId>, String)> {
        let (found, expected) = (self.records.cells.count, self.targets.len());
        if found != expected {
            return Err((None, format!("has {found} cells; the header has {expected}")));
        }
        let cells = self.records.cells.iter().zip(&self.targets);
        let Ok(record) = std::str::from_utf8(self.records.raw()) else {
            let is_bad = |cell: Cell| std::str::from_utf8(&self.records.raw()[cell.range()]).is_err();
            let column = cells.clone().find(|(cell, _)| is_bad(*cell)).map(|(_, id)| *id);
            return Err((column, "is not valid UTF-8".to_owned()));
        };
        let mut values = vec![Value::Null; self.codec.columns.len()];
        for id in &self.unnamed {
            values[id.index()] = self.codec.column(*id).empty.clone();
        }
        for (cell, id) in cells {
            let column = self.codec.column(*id);
            if column.shape != Shape::Etag {
                values[id.index()] = self.value(column, cell, record).map_err(|message| (Some(*id), message))?;
            }
        }
        Ok(values)
    }

    fn value(&self, column: &ColumnCodec, cell: Cell, record: &str) -> Result<Value, String> {
        let text = &record[cell.range()];
        match cell.quotes {
            Quotes::None if text.is_empty() => empty(column),
            Quotes::None if self.null.as_deref() == Some(text) => match column.nullable {
                true => Ok(Value::Null),
                false => Err(format!("cannot be {text}: the field is not optional")),
            },
            Quotes::None | Quotes::Around => self.codec.parse_text(column.id, text),
            Quotes::Doubled => self.codec.parse_text(column.id, &text.replace("\"\"", "\"")),
        }
    }
}

/// The value of an empty cell. An empty text is for the rules to refuse; a number that must be given would be taken
/// for a given 0.
fn empty(column: &ColumnCodec) -> Result<Value, String> {
    let is_number = !matches!(column.empty, Value::Null | Value::Text(_) | Value::Blob(_));
    if column.must_be_given && is_number { Err("must be set".to_owned()) } else { Ok(column.empty.clone()) }
}

/// The line of names.
struct Header<'a> {
    codec: &'a RowCodec,
    line: u64,
}

impl Header<'_> {
    fn targets<R: BufRead>(&self, records: &Records<R>) -> Result<Vec<ColumnId>, CsvError> {
        let text = std::str::from_utf8(records.raw())
            .map_err(|_| CsvError::record(self.line, "the line of names is not valid UTF-8"))?;
        let (mut targets, mut seen, mut wrong) = (Vec::new(), ColumnSet::new(), Vec::new());
        for (cell, number) in records.cells.iter().zip(1..) {
            match self.column(name(&text[cell.range()], cell.quotes).trim(), number) {
                Ok(id) if seen.insert(id) => targets.push(id),
                Ok(id) => wrong.push(format!("`{}` is named twice", self.codec.column(id).name)),
                Err(message) => wrong.push(message),
            }
        }
        if records.cells.count > MAX_NAMES {
            wrong = vec![format!("has {} names", records.cells.count)];
        }
        if wrong.is_empty() { Ok(targets) } else { Err(CsvError::record(self.line, wrong_names(&wrong))) }
    }

    fn column(&self, name: &str, number: usize) -> Result<ColumnId, String> {
        let table = self.codec.table();
        let by_field = table.place_by_name(name, usize::MAX).map(|place| self.codec.by_place[place]);
        let by_column =
            || self.codec.columns.iter().find(|column| *column.column_name == *name).map(|column| column.id);
        by_field.or_else(by_column).ok_or_else(|| {
            if name.is_empty() {
                return format!("column {number} has no name");
            }
            let hint = did_you_mean(name, self.codec.columns.iter().map(|column| &*column.name));
            format!("`{}` is no field of {}{hint}", shortened(name), table.full_name)
        })
    }
}

fn name(text: &str, quotes: Quotes) -> Cow<'_, str> {
    match quotes {
        Quotes::Doubled => Cow::Owned(text.replace("\"\"", "\"")),
        Quotes::None | Quotes::Around => Cow::Borrowed(text),
    }
}

/// The first mistakes of a header.
fn wrong_names(wrong: &[String]) -> String {
    const SHOWN: usize = 10;
    let more = wrong.len().saturating_sub(SHOWN);
    let mut text = wrong[..wrong.len().min(SHOWN)].join("; ");
    if more > 0 {
        text.push_str(&format!("; and {more} more"));
    }
    text
}
