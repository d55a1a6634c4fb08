//! The codec of one entity's rows: wire bytes to stored values and back.

pub(crate) mod column;
mod formats;
mod keys;
mod rules;
mod writer;

use std::sync::Arc;

use kit_core::{Error, FieldViolation};
use rowkeep_schema::{Column, ColumnId, EntityId, EnumType, MessageId, Schema, Storage};

pub use writer::RowWriter;

use crate::json::JsonCodec;
use crate::normal::{Budget, normalize};
use crate::table::Message;
use crate::wire::Reader;
use crate::{ColumnSet, Key, Record, Value, text};
use column::{ColumnCodec, Shape};
use rules::ColumnRules;

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
    pub(crate) json: Arc<JsonCodec>,
    pub(crate) enums: Arc<[EnumType]>,
    pub(crate) message: MessageId,
    pub(crate) columns: Vec<ColumnCodec>,
    /// The column of each place in the message's table.
    pub(crate) by_place: Vec<ColumnId>,
    pub(crate) wire_order: Vec<ColumnId>,
    etag: Option<ColumnId>,
    versioned: bool,
    key: Vec<ColumnId>,
    empty: Vec<Value>,
    rules: Vec<ColumnRules>,
    siblings: Vec<Vec<ColumnId>>,
}

impl RowCodec {
    /// Compiles the codec of an entity; for all of a schema's see [`Codecs`](crate::Codecs).
    pub fn new(schema: &Schema, entity: EntityId) -> Self {
        Self::with_json(schema, entity, Arc::new(JsonCodec::new(schema)))
    }

    /// The same, with a JSON codec that others share.
    pub fn with_json(schema: &Schema, entity: EntityId, json: Arc<JsonCodec>) -> Self {
        let entity = schema.entity(entity);
        let tables = Arc::clone(json.tables());
        let compile = |column| ColumnCodec::new(column, entity.message, &tables);
        let columns: Vec<_> = entity.columns.iter().map(compile).collect();
        let mut by_place: Vec<_> = columns.iter().map(|column| column.id).collect();
        by_place.sort_by_key(|id| columns[id.index()].place);
        let shown = |id: &&ColumnId| !columns[id.index()].secret && columns[id.index()].shape != Shape::Etag;
        let fields = &schema.message(entity.message).fields;
        let siblings = |column: &ColumnCodec| {
            let oneof = fields[column.id.index()].oneof;
            let same = columns
                .iter()
                .filter(|other| oneof.is_some() && other.id != column.id && fields[other.id.index()].oneof == oneof);
            same.map(|other| other.id).collect()
        };
        let rules = |column: &Column| ColumnRules::new(column, &schema.enums, entity.is_key(column.id));
        Self {
            enums: schema.enums.clone().into(),
            message: entity.message,
            wire_order: by_place.iter().filter(shown).copied().collect(),
            etag: columns.iter().find(|column| column.shape == Shape::Etag).map(|column| column.id),
            versioned: entity.versioned,
            key: entity.primary_key.clone(),
            empty: columns.iter().map(|column| column.empty.clone()).collect(),
            rules: entity.columns.iter().map(rules).collect(),
            siblings: columns.iter().map(siblings).collect(),
            by_place,
            columns,
            json,
        }
    }

    pub(crate) fn table(&self) -> &Message {
        self.json.tables().message(self.message)
    }

    pub(crate) fn column(&self, id: ColumnId) -> &ColumnCodec {
        &self.columns[id.index()]
    }

    /// Values of a row in wire form. Any valid encoding is accepted; unknown fields are skipped.
    /// Absent fields are NULL where the column is nullable, else zero. Etag columns are NULL.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` naming the malformed field, or every field whose value cannot be stored.
    pub fn decode(&self, wire: &[u8]) -> Result<DecodedRow, Error> {
        let table = self.table();
        let ordered = normalize(table, wire, &mut Budget::of(wire)).map_err(|fault| fault.into_error())?;
        let mut row = DecodedRow { values: self.empty.clone(), present: ColumnSet::new() };
        let mut violations = Vec::new();
        let mut reader = Reader::new(&ordered);
        let mut hint = 0;
        while !reader.is_empty() {
            let start = reader.position();
            let tag = reader.tag().map_err(malformed)?;
            let Some(place) = table.place(tag >> 3, hint) else {
                reader.skip(tag).map_err(malformed)?;
                continue;
            };
            hint = place + 1;
            let column = self.column(self.by_place[place]);
            let before = reader.clone();
            match column.read(&self.json, self.message, tag, &mut reader, (&ordered, start)) {
                Ok(value) => {
                    row.values[column.id.index()] = value;
                    row.present.insert(column.id);
                }
                Err(fault) => {
                    violations.push(fault.field(&column.name).into_violation());
                    reader = before;
                    reader.skip(tag).map_err(malformed)?;
                }
            }
        }
        if violations.is_empty() { Ok(row) } else { Err(Error::invalid(violations)) }
    }

    /// The values of an empty row.
    pub fn empty(&self) -> Vec<Value> {
        self.empty.clone()
    }

    /// The columns to hand to [`RowWriter::column`], in this order. Secret and etag columns are not among them.
    pub fn columns_in_wire_order(&self) -> &[ColumnId] {
        &self.wire_order
    }

    /// Starts a row behind what `out` holds. The version is shown in the etag column, if there is one; where rows have
    /// none, the end of the row tells one.
    pub fn writer<'a>(&'a self, out: &'a mut Vec<u8>, version: u64) -> RowWriter<'a> {
        RowWriter::new(self, out, version)
    }

    /// A row in wire form.
    ///
    /// # Errors
    /// `INTERNAL` if a value does not fit its column.
    pub fn encode(&self, values: &[Value], version: u64) -> Result<Record, Error> {
        let mut buffer = Record::reserve(256);
        let mut writer = self.writer(&mut buffer, version);
        for id in &self.wire_order {
            writer.column(*id, values[id.index()].as_ref())?;
        }
        let version = writer.finish();
        Ok(Record::from_reserved(buffer, version))
    }

    /// The primary key of a row.
    pub fn key_of(&self, values: &[Value]) -> Key {
        self.key.iter().map(|id| values[id.index()].clone()).collect()
    }

    /// A value from text: a default, a query parameter, a CSV cell, a bound, a literal of a filter.
    ///
    /// # Errors
    /// What was expected, to be put behind the name of the field.
    pub fn parse_text(&self, column: ColumnId, text: &str) -> Result<Value, String> {
        let column = self.column(column);
        if column.storage != Storage::Json {
            return text::parse(&self.enums, column.storage, text);
        }
        // Through the wire and back: what is stored is canonical.
        let field = &self.table().fields[column.place];
        let mut wire = Vec::new();
        let read = self.json.field_from_json(field, text.as_bytes(), &mut wire);
        read.map_err(|fault| fault.into_violation().description)?;
        if wire.is_empty() {
            return Ok(column.empty.clone());
        }
        let mut canonical = Vec::new();
        let written = self.json.field_to_json(field, &wire, &mut canonical);
        written.map_err(|fault| fault.into_violation().description)?;
        String::from_utf8(canonical).map(|text| Value::Text(text.into())).map_err(|error| error.to_string())
    }

    /// A value as text, as [`Self::parse_text`] reads it; empty for NULL.
    pub fn format_text(&self, column: ColumnId, value: &Value) -> String {
        let mut out = Vec::new();
        text::format(&self.enums, self.column(column).storage, value.as_ref(), &mut out);
        // Every form is made of text.
        String::from_utf8(out).unwrap_or_default()
    }

    /// Checks the rules of the columns in `checked` and adds every violation, its field prefixed by `path`.
    /// `present` holds the columns the request set: a required number may be 0 only if it was.
    pub fn check_rules(
        &self,
        values: &[Value],
        checked: &ColumnSet,
        present: &ColumnSet,
        path: &str,
        out: &mut Vec<FieldViolation>,
    ) {
        for id in checked.iter() {
            let (Some(rules), Some(value)) = (self.rules.get(id.index()), values.get(id.index())) else { continue };
            rules.check(value, present.contains(id), |reason, description| {
                let field = format!("{path}{}", self.column(id).name);
                out.push(FieldViolation { field, description, reason });
            });
        }
    }

    /// The other members of the column's oneof: setting one clears them.
    pub fn oneof_siblings(&self, column: ColumnId) -> &[ColumnId] {
        &self.siblings[column.index()]
    }
}

fn malformed(error: crate::wire::WireError) -> Error {
    crate::fault::Fault::from(error).into_error()
}
