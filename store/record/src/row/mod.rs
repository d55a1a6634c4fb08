//! The codec of one entity's rows: wire bytes to stored values and back.

use std::sync::Arc;

use kit_core::{Code, Error, FieldViolation};
use rowkeep_schema::{ColumnId, EntityId, Schema};

use crate::json::JsonCodec;
use crate::{ColumnSet, Key, Record, Value, ValueRef};

/// A request's row as stored values.
#[derive(Debug, Clone, PartialEq)]
pub struct DecodedRow {
    /// One value per column.
    pub values: Vec<Value>,
    /// The columns that the request set, be it to their zero value.
    pub present: ColumnSet,
}

/// Translates rows of one entity. Compiled once, shared freely.
#[derive(Debug, Clone)]
pub struct RowCodec {
    wire_order: Vec<ColumnId>,
    columns: usize,
}

fn missing() -> Error {
    Error::new(Code::Unimplemented, "NOT_BUILT", "not built yet")
}

impl RowCodec {
    /// Compiles the codec of an entity; for all of a schema's see [`Codecs`](crate::Codecs).
    pub fn new(schema: &Schema, entity: EntityId) -> Self {
        Self::with_json(schema, entity, Arc::new(JsonCodec::new(schema)))
    }

    /// The same, with a JSON codec that others share.
    pub fn with_json(schema: &Schema, entity: EntityId, _json: Arc<JsonCodec>) -> Self {
        Self { wire_order: Vec::new(), columns: schema.entity(entity).columns.len() }
    }

    /// Values of a row in wire form. Any valid encoding is accepted; unknown fields are skipped.
    /// Absent fields are NULL where the column is nullable, else zero. Etag columns are NULL.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` naming the malformed field, or every field whose value cannot be stored.
    pub fn decode(&self, _wire: &[u8]) -> Result<DecodedRow, Error> {
        Err(missing())
    }

    /// The values of an empty row.
    pub fn empty(&self) -> Vec<Value> {
        vec![Value::Null; self.columns]
    }

    /// The columns to hand to [`RowWriter::column`], in this order. Secret and etag columns are not among them.
    pub fn columns_in_wire_order(&self) -> &[ColumnId] {
        &self.wire_order
    }

    /// Starts a row behind what `out` holds. The version is shown in the etag column, if there is one.
    pub fn writer<'a>(&'a self, out: &'a mut Vec<u8>, version: u64) -> RowWriter<'a> {
        RowWriter { _codec: self, _out: out, _version: version }
    }

    /// A row in wire form.
    ///
    /// # Errors
    /// `INTERNAL` if a value does not fit its column.
    pub fn encode(&self, _values: &[Value], _version: u64) -> Result<Record, Error> {
        Err(missing())
    }

    /// The primary key of a row.
    pub fn key_of(&self, _values: &[Value]) -> Key {
        Key::default()
    }

    /// A key as in a REST path: percent-encoded segments between slashes.
    pub fn key_text(&self, _key: &Key) -> String {
        String::new()
    }

    /// The key in the segments of a REST path, still percent-encoded.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` naming the fields that do not parse.
    pub fn parse_key_segments(&self, _segments: &[&str]) -> Result<Key, Error> {
        Err(missing())
    }

    /// The primary key in the fields 1 to n of a request message (`GetUserRequest`, `UserKey`).
    ///
    /// # Errors
    /// As [`Self::decode`].
    pub fn decode_key(&self, _request: &[u8]) -> Result<Key, Error> {
        Err(missing())
    }

    /// The values of these columns in the fields 1 to n of a request message (`GetUserByEmailRequest`).
    ///
    /// # Errors
    /// As [`Self::decode`].
    pub fn decode_lookup(&self, _columns: &[ColumnId], _request: &[u8]) -> Result<Key, Error> {
        Err(missing())
    }

    /// The keys in field 1 of a `BatchGetUsersRequest`: single keys, or `UserKey` messages. More than `max` are refused.
    ///
    /// # Errors
    /// As [`Self::decode`].
    pub fn decode_keys(&self, _request: &[u8], _max: usize) -> Result<Vec<Key>, Error> {
        Err(missing())
    }

    /// A value from text: a default, a query parameter, a CSV cell, a bound, a literal of a filter.
    ///
    /// # Errors
    /// What was expected, to be put behind the name of the field.
    pub fn parse_text(&self, _column: ColumnId, _text: &str) -> Result<Value, String> {
        Err("not built yet".to_owned())
    }

    /// A value as text, as [`Self::parse_text`] reads it; empty for NULL.
    pub fn format_text(&self, _column: ColumnId, _value: &Value) -> String {
        String::new()
    }

    /// Checks the rules of the columns in `checked` and adds every violation, its field prefixed by `path`.
    /// `present` holds the columns the request set: a required number may be 0 only if it was.
    pub fn check_rules(
        &self,
        _values: &[Value],
        _checked: &ColumnSet,
        _present: &ColumnSet,
        _path: &str,
        _out: &mut Vec<FieldViolation>,
    ) {
    }

    /// The other members of the column's oneof: setting one clears them.
    pub fn oneof_siblings(&self, _column: ColumnId) -> &[ColumnId] {
        &[]
    }
}

/// Appends one row in canonical wire form, column by column.
#[derive(Debug)]
pub struct RowWriter<'a> {
    _codec: &'a RowCodec,
    _out: &'a mut Vec<u8>,
    _version: u64,
}

impl RowWriter<'_> {
    /// The next column of [`RowCodec::columns_in_wire_order`].
    ///
    /// # Errors
    /// `INTERNAL` if the value does not fit the column, as in a table that somebody else filled.
    pub fn column(&mut self, _id: ColumnId, _value: ValueRef<'_>) -> Result<(), Error> {
        Err(missing())
    }

    /// Ends the row.
    pub fn finish(self) {}
}
