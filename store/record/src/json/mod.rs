//! Canonical proto3 JSON, from and to wire bytes, without a message tree between them.

mod read;
pub(crate) mod text;
mod write;

use std::sync::Arc;

use kit_core::Error;
use rowkeep_schema::{MessageId, Schema};

pub(crate) use read::put_seconds_and_nanos;
pub(crate) use write::{seconds_and_nanos, write_string};

use crate::fault::Fault;
use crate::table::{FieldTable, Tables};

/// How JSON is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WriteOptions {
    /// Secret fields too.
    pub secrets: bool,
}

/// How JSON is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// Skip unknown fields instead of refusing them.
    pub ignore_unknown: bool,
    /// Collect [`Parsed::paths`].
    pub paths: bool,
}

/// A message read from JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parsed {
    /// Its wire form; fields given with their zero value are on the wire.
    pub wire: Vec<u8>,
    /// If asked for: what the JSON names, as an update mask (proto names): `name`, `ship_to.city`.
    /// Fields that are null, and so not on the wire, are named too.
    pub paths: Vec<String>,
}

/// Translates every message of a schema. Compiled once, shared freely.
#[derive(Debug, Clone)]
pub struct JsonCodec {
    tables: Arc<Tables>,
}

impl JsonCodec {
    /// Compiles the tables.
    pub fn new(schema: &Schema) -> Self {
        Self { tables: Arc::new(Tables::new(schema)) }
    }

    pub(crate) fn tables(&self) -> &Arc<Tables> {
        &self.tables
    }

    /// Appends a message in wire form as JSON.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` if the wire form is malformed. `out` is then as it was.
    pub fn to_json(
        &self,
        message: MessageId,
        wire: &[u8],
        out: &mut Vec<u8>,
        options: WriteOptions,
    ) -> Result<(), Error> {
        let start = out.len();
        write::Writer::new(&self.tables, options, wire).message(message, wire, out).map_err(|fault| {
            out.truncate(start);
            fault.into_error()
        })
    }

    /// Reads one JSON text as a message.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` with the field's path, line and column, and what was expected.
    pub fn from_json(&self, message: MessageId, text: &[u8], options: ReadOptions) -> Result<Parsed, Error> {
        let mut wire = Vec::with_capacity(text.len());
        let mut reader = read::Reader::new(&self.tables, options, text).map_err(|fault| fault.into_text_error(text))?;
        reader.top(message, &mut wire).map_err(|fault| fault.into_text_error(text))?;
        Ok(Parsed { wire, paths: reader.paths })
    }

    /// Appends the JSON of one field as it is stored, given all its occurrences (and nothing else) in wire form.
    pub(crate) fn field_to_json(&self, field: &FieldTable, wire: &[u8], out: &mut Vec<u8>) -> Result<bool, Fault> {
        let mut reader = crate::wire::Reader::new(wire);
        let tag = reader.tag()?;
        write::Writer::of_column(&self.tables, wire).values(field, tag, &mut reader, out)
    }

    /// Appends the wire form of one field, tags included, given its JSON.
    pub(crate) fn field_from_json(&self, field: &FieldTable, text: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        read::Reader::new(&self.tables, ReadOptions::default(), text)?.top_field(field, out)
    }
}

/// The items of a canonical JSON array, as text; none if it is something else.
pub(crate) fn array_items(json: &str) -> Vec<&str> {
    let mut items = Vec::new();
    let Ok(mut text) = text::Text::new(json.as_bytes()) else { return items };
    let mut first = true;
    if !text.eat(b'[') {
        return items;
    }
    while let Ok(true) = text.next_item(&mut first) {
        text.peek();
        let start = text.position();
        if text.skip_value().is_err() {
            break;
        }
        items.push(&json[start..text.position()]);
    }
    items
}
