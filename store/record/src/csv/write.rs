//! Rows to CSV.

use kit_core::Error;
use rowkeep_schema::ColumnId;

use crate::fault::Fault;
use crate::normal::{Budget, normalize};
use crate::row::column::ColumnCodec;
use crate::scalar::{self, Scalar};
use crate::wire::Reader;
use crate::{ReadMask, RowCodec, Value, text};

/// Renders rows as CSV with lines that end in CRLF. Columns are in the order of their field numbers.
#[derive(Debug)]
pub struct CsvWriter<'a> {
    codec: &'a RowCodec,
    columns: Vec<Shown>,
}

/// A column with the cell of a row that does not set it.
#[derive(Debug)]
struct Shown {
    id: ColumnId,
    place: usize,
    empty: Vec<u8>,
}

impl<'a> CsvWriter<'a> {
    /// A writer of all columns that are shown.
    pub fn new(codec: &'a RowCodec) -> Self {
        Self::of_columns(codec, |_| true)
    }

    /// A writer of the columns that a mask shows, whole or in part.
    pub fn masked(codec: &'a RowCodec, mask: &ReadMask) -> Self {
        Self::of_columns(codec, |column| mask.shows(column.number))
    }

    fn of_columns(codec: &'a RowCodec, is_shown: impl Fn(&ColumnCodec) -> bool) -> Self {
        let shown = codec.columns_in_wire_order().iter().map(|id| codec.column(*id)).filter(|column| is_shown(column));
        let shown = shown.map(|column| {
            let mut empty = Vec::new();
            put_value(codec, column, &column.empty, &mut empty);
            Shown { id: column.id, place: column.place, empty }
        });
        Self { codec, columns: shown.collect() }
    }

    /// Appends the line of field names.
    pub fn header(&self, out: &mut Vec<u8>) {
        for (at, column) in self.columns.iter().enumerate() {
            separate(at, out);
            out.extend_from_slice(self.codec.column(column.id).name.as_bytes());
        }
        out.extend_from_slice(b"\r\n");
    }

    /// Appends a row given in wire form.
    ///
    /// # Errors
    /// If the wire form is malformed. `out` is then as it was.
    pub fn row(&self, wire: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let start = out.len();
        self.cells(wire, out).map_err(|fault| {
            out.truncate(start);
            fault.into_error()
        })
    }

    fn cells(&self, wire: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        let table = self.codec.table();
        let ordered = normalize(table, wire, &mut Budget::of(wire))?;
        let mut reader = Reader::new(&ordered);
        let (mut next, mut hint) = (0, 0);
        while !reader.is_empty() {
            let start = reader.position();
            let tag = reader.tag()?;
            let Some(place) = table.place(tag >> 3, hint) else {
                reader.skip(tag)?;
                continue;
            };
            hint = place + 1;
            next = self.put_empty(next, place, out);
            if self.columns.get(next).is_none_or(|column| column.place != place) {
                reader.skip(tag)?;
                continue;
            }
            separate(next, out);
            let column = self.codec.column(self.columns[next].id);
            self.put(column, tag, &mut reader, (&ordered, start), out).map_err(|fault| fault.field(&column.name))?;
            next += 1;
        }
        self.put_empty(next, usize::MAX, out);
        out.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// Appends the cells of columns that the row does not set, up to a place.
    fn put_empty(&self, mut next: usize, end: usize, out: &mut Vec<u8>) -> usize {
        while let Some(column) = self.columns.get(next).filter(|column| column.place < end) {
            separate(next, out);
            out.extend_from_slice(&column.empty);
            next += 1;
        }
        next
    }

    fn put<'w>(
        &self,
        column: &ColumnCodec,
        tag: u32,
        reader: &mut Reader<'w>,
        place: (&'w [u8], usize),
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        if column.is_plain_text() {
            if let Scalar::Text(text) = scalar::read_tagged(column.kind, tag, reader)? {
                put_text(text, out);
            }
            return Ok(());
        }
        let value = column.read(&self.codec.json, self.codec.message, tag, reader, place)?;
        put_value(self.codec, column, &value, out);
        Ok(())
    }
}

fn separate(at: usize, out: &mut Vec<u8>) {
    if at > 0 {
        out.push(b',');
    }
}

fn put_value(codec: &RowCodec, column: &ColumnCodec, value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Text(text) => put_text(text, out),
        Value::Blob(bytes) if bytes.is_empty() => out.extend_from_slice(b"\"\""),
        value => text::format(&codec.enums, column.storage, value.as_ref(), out),
    }
}

/// Text in quotes where it needs them: the empty one, which is not NULL, and one that would not stay one cell.
/// Outer blanks are kept by RFC 4180, but not by every reader of unquoted cells.
fn put_text(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    let is_special = |byte: &u8| matches!(byte, b'"' | b',' | b'\n' | b'\r');
    let is_blank = |byte: Option<&u8>| byte.is_none_or(|byte| matches!(byte, b' ' | b'\t'));
    if !is_blank(bytes.first()) && !is_blank(bytes.last()) && !bytes.iter().any(is_special) {
        return out.extend_from_slice(bytes);
    }
    out.push(b'"');
    for (at, part) in bytes.split(|byte| *byte == b'"').enumerate() {
        if at > 0 {
            out.extend_from_slice(b"\"\"");
        }
        out.extend_from_slice(part);
    }
    out.push(b'"');
}
