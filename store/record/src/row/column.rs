//! One column between the wire and storage.

use rowkeep_schema::{Auto, Cardinality, Column, ColumnId, Kind, MessageId, Storage, WellKnown};

use crate::fault::Fault;
use crate::json::{self, JsonCodec};
use crate::scalar::{self, Scalar};
use crate::table::{FieldTable, Tables, wire_type_of};
use crate::wire::{self, Reader, wire_type};
use crate::{Value, ValueRef, decimal, query, time};

/// How a column's value lies in the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// The field's own value.
    Scalar,
    /// Field 1 of a wrapper message.
    Wrapper(Kind),
    /// Decimal text in a string field.
    DecimalText,
    /// Decimal text in field 1 of `google.type.Decimal`.
    DecimalMessage,
    /// `google.protobuf.Timestamp`.
    Timestamp,
    /// `google.protobuf.Duration`.
    Duration,
    /// `google.type.Date`.
    Date,
    /// Anything that is stored as JSON.
    Json,
    /// The etag: not stored.
    Etag,
}

/// A column, compiled.
#[derive(Debug, Clone)]
pub(crate) struct ColumnCodec {
    pub(crate) id: ColumnId,
    pub(crate) name: Box<str>,
    /// In the database.
    pub(crate) column_name: Box<str>,
    /// Place of the field in its message's table.
    pub(crate) place: usize,
    pub(crate) number: u32,
    pub(crate) kind: Kind,
    pub(crate) storage: Storage,
    pub(crate) nullable: bool,
    pub(crate) secret: bool,
    pub(crate) shape: Shape,
    /// The value of a row that does not set the column.
    pub(crate) empty: Value,
    /// Required of whoever writes a new row.
    pub(crate) must_be_given: bool,
}

impl ColumnCodec {
    pub(crate) fn new(column: &Column, message: MessageId, tables: &Tables) -> Self {
        let table = tables.message(message);
        let place = table.place_by_name(&column.field, column.id.index()).unwrap_or_default();
        let field = &table.fields[place];
        let shape = shape(column, field, tables);
        Self {
            id: column.id,
            name: column.field.as_str().into(),
            column_name: column.name.as_str().into(),
            place,
            number: field.number,
            kind: field.kind,
            storage: column.storage,
            nullable: column.nullable,
            secret: column.secret,
            shape,
            empty: empty(column, field, shape),
            must_be_given: column.rules.required && column.generated.is_none() && column.auto.is_none(),
        }
    }

    /// Whether the value is the field's own text.
    pub(crate) fn is_plain_text(&self) -> bool {
        self.shape == Shape::Scalar && self.storage == Storage::Text
    }

    /// The value that a request means which does not set it: the request's field is never `optional`, so a scalar is
    /// zero although the column may be absent.
    pub(crate) fn unset_in_request(&self) -> Value {
        match self.kind {
            Kind::Message(_) => self.empty.clone(),
            _ => query::zero(self.storage),
        }
    }

    /// The stored value of an occurrence whose tag was read. `all` is the message, `start` where the tag lies in it.
    pub(crate) fn read<'w>(
        &self,
        json: &JsonCodec,
        message: MessageId,
        tag: u32,
        reader: &mut Reader<'w>,
        (all, start): (&'w [u8], usize),
    ) -> Result<Value, Fault> {
        match self.shape {
            Shape::Scalar => store(self.storage, scalar::read_tagged(self.kind, tag, reader)?),
            Shape::DecimalText => match scalar::read_tagged(self.kind, tag, reader)? {
                Scalar::Text(text) => self.decimal(text),
                _ => Ok(Value::Null),
            },
            Shape::Etag => reader.skip(tag).map(|()| Value::Null).map_err(Fault::from),
            Shape::Json => {
                skip_run(self.number, tag, reader)?;
                self.json(json, message, &all[start..reader.position()])
            }
            _ => match scalar::read_tagged(self.kind, tag, reader)? {
                Scalar::Bytes(inner) => self.read_message(inner),
                _ => Ok(Value::Null),
            },
        }
    }

    fn read_message(&self, inner: &[u8]) -> Result<Value, Fault> {
        let range = |text| Fault::new("OUT_OF_RANGE", text);
        match self.shape {
            Shape::Timestamp => {
                let (seconds, nanos) = json::seconds_and_nanos(inner)?;
                time::check_timestamp(seconds, nanos).map_err(range)?;
                Ok(Value::Int(seconds * time::MICROS + i64::from(nanos / 1000)))
            }
            Shape::Duration => {
                let (seconds, nanos) = json::seconds_and_nanos(inner)?;
                time::check_duration(seconds, nanos).map_err(range)?;
                Ok(Value::Int(seconds * time::MICROS + i64::from(nanos / 1000)))
            }
            Shape::Date => {
                let [year, month, day] = numbers(inner)?;
                time::check_date(year, month, day).map(Value::Int).map_err(range)
            }
            Shape::DecimalMessage => match first_field(Kind::String, inner)? {
                Scalar::Text(text) => self.decimal(text),
                _ => Ok(Value::Null),
            },
            Shape::Wrapper(kind) => store(self.storage, first_field(kind, inner)?),
            _ => Ok(Value::Null),
        }
    }

    fn decimal(&self, text: &str) -> Result<Value, Fault> {
        let Storage::Decimal { precision, scale } = self.storage else { return Ok(Value::Null) };
        // The zero value of a string, and of a Decimal without a value, is zero.
        let text = if text.is_empty() { "0" } else { text };
        decimal::parse(text, precision, scale).map_err(|text| Fault::new("INVALID_DECIMAL", text))
    }

    fn json(&self, json: &JsonCodec, message: MessageId, run: &[u8]) -> Result<Value, Fault> {
        let field = &json.tables().message(message).fields[self.place];
        let mut text = Vec::new();
        if !json.field_to_json(field, run, &mut text)? {
            return Ok(self.empty.clone());
        }
        let text = String::from_utf8(text).map_err(|_| Fault::new("INVALID_UTF8", "is not valid UTF-8"))?;
        Ok(Value::Text(text.into()))
    }

    /// Appends the field with its tag.
    pub(crate) fn write(
        &self,
        json: &JsonCodec,
        message: MessageId,
        value: ValueRef<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        if value == ValueRef::Null {
            return Ok(());
        }
        match self.shape {
            Shape::Scalar => {
                let scalar = load(self.kind, value).ok_or_else(mismatch)?;
                if self.nullable || !scalar.is_zero() {
                    wire::put_tag(out, self.number, wire_type_of(self.kind));
                    scalar::put(self.kind, scalar, out);
                }
                Ok(())
            }
            Shape::Json => {
                let ValueRef::Text(text) = value else { return Err(mismatch()) };
                let field = &json.tables().message(message).fields[self.place];
                json.field_from_json(field, text.as_bytes(), out)
            }
            Shape::DecimalText => {
                let text = self.decimal_text(value)?;
                if self.nullable || decimal::unscaled(value) != Some(0) {
                    wire::put_bytes(out, self.number, &text);
                }
                Ok(())
            }
            Shape::Etag => Ok(()),
            _ => {
                wire::put_tag(out, self.number, wire_type::LENGTH);
                let open = wire::open(out);
                self.write_message(value, out)?;
                wire::close(out, open);
                Ok(())
            }
        }
    }

    fn write_message(&self, value: ValueRef<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
        match (self.shape, value) {
            (Shape::Timestamp, ValueRef::Int(micros)) => {
                let (seconds, nanos) = time::split_micros(micros);
                json::put_seconds_and_nanos(seconds, nanos, out);
            }
            (Shape::Duration, ValueRef::Int(micros)) => {
                let (seconds, nanos) = time::split_duration(micros);
                json::put_seconds_and_nanos(seconds, nanos, out);
            }
            (Shape::Date, ValueRef::Int(date)) => {
                for (number, part) in [(1, date / 10_000), (2, date / 100 % 100), (3, date % 100)] {
                    if part != 0 {
                        wire::put_uint(out, number, part.cast_unsigned());
                    }
                }
            }
            (Shape::DecimalMessage, value) => wire::put_bytes(out, 1, &self.decimal_text(value)?),
            (Shape::Wrapper(kind), value) => {
                let scalar = load(kind, value).ok_or_else(mismatch)?;
                if !scalar.is_zero() {
                    wire::put_tag(out, 1, wire_type_of(kind));
                    scalar::put(kind, scalar, out);
                }
            }
            _ => return Err(mismatch()),
        }
        Ok(())
    }

    fn decimal_text(&self, value: ValueRef<'_>) -> Result<smallvec::SmallVec<[u8; 64]>, Fault> {
        let Storage::Decimal { scale, .. } = self.storage else { return Err(mismatch()) };
        let mut text = Vec::with_capacity(48);
        decimal::write(&mut text, decimal::unscaled(value).ok_or_else(mismatch)?, scale);
        Ok(smallvec::SmallVec::from_slice(&text))
    }
}

fn mismatch() -> Fault {
    Fault::new("INTERNAL", "the stored value is not of the column's type")
}

fn shape(column: &Column, field: &FieldTable, tables: &Tables) -> Shape {
    if column.auto == Some(Auto::Etag) {
        return Shape::Etag;
    }
    if column.storage == Storage::Json {
        return Shape::Json;
    }
    let Kind::Message(id) = field.kind else {
        let decimal = matches!(column.storage, Storage::Decimal { .. });
        return if decimal { Shape::DecimalText } else { Shape::Scalar };
    };
    let table = tables.message(id);
    match table.well_known {
        Some(WellKnown::Timestamp) => Shape::Timestamp,
        Some(WellKnown::Duration) => Shape::Duration,
        Some(WellKnown::Date) => Shape::Date,
        Some(WellKnown::Decimal) => Shape::DecimalMessage,
        _ => Shape::Wrapper(table.fields.first().map_or(Kind::Bytes, |field| field.kind)),
    }
}

fn empty(column: &Column, field: &FieldTable, shape: Shape) -> Value {
    match (shape, field.cardinality) {
        (Shape::Etag, _) => Value::Null,
        _ if column.nullable => Value::Null,
        (Shape::Json, Cardinality::Map(_)) => Value::Text("{}".into()),
        (Shape::Json, Cardinality::Repeated) => Value::Text("[]".into()),
        (Shape::Json, _) => Value::Null,
        _ => query::zero(column.storage),
    }
}

/// A scalar from the wire in its stored form.
fn store(storage: Storage, value: Scalar<'_>) -> Result<Value, Fault> {
    let finite = |value: f64| {
        let fault = || Fault::new("NOT_FINITE", "must be a finite number: NaN and infinities cannot be stored");
        // There is one zero, because not every database keeps the sign of the other.
        if value.is_finite() { Ok(Value::Real(value + 0.0)) } else { Err(fault()) }
    };
    Ok(match value {
        Scalar::Bool(value) => Value::Int(value.into()),
        Scalar::Int(value) => Value::Int(value),
        Scalar::Uint(value) if storage == Storage::Uint64 => Value::Uint(value),
        // 32 bits, so never above the range of a signed number.
        Scalar::Uint(value) => Value::Int(value.cast_signed()),
        Scalar::Float(value) => finite(value.into())?,
        Scalar::Double(value) => finite(value)?,
        Scalar::Text(value) => Value::Text(value.into()),
        Scalar::Bytes(value) => Value::Blob(value.into()),
    })
}

/// A stored value as the scalar of a kind; `None` if it is not one.
fn load(kind: Kind, value: ValueRef<'_>) -> Option<Scalar<'_>> {
    Some(match (kind, value) {
        (Kind::Bool, ValueRef::Int(value)) => Scalar::Bool(value != 0),
        (Kind::Int64 | Kind::Sint64 | Kind::Sfixed64, ValueRef::Int(value)) => Scalar::Int(value),
        (Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 | Kind::Enum(_), ValueRef::Int(value)) => {
            Scalar::Int(i32::try_from(value).ok()?.into())
        }
        (Kind::Uint32 | Kind::Fixed32, ValueRef::Int(value)) => Scalar::Uint(u32::try_from(value).ok()?.into()),
        (Kind::Uint64 | Kind::Fixed64, ValueRef::Uint(value)) => Scalar::Uint(value),
        #[expect(clippy::cast_possible_truncation, reason = "the stored value was rounded to 32 bits")]
        (Kind::Float, ValueRef::Real(value)) => Scalar::Float(value as f32),
        (Kind::Double, ValueRef::Real(value)) => Scalar::Double(value),
        (Kind::String, ValueRef::Text(value)) => Scalar::Text(value),
        (Kind::Bytes, ValueRef::Blob(value)) => Scalar::Bytes(value),
        _ => return None,
    })
}

/// Passes over the value of the tag just read and over all that follow of the same field.
fn skip_run(number: u32, tag: u32, reader: &mut Reader<'_>) -> Result<(), Fault> {
    reader.skip(tag)?;
    while !reader.is_empty() {
        let mut ahead = reader.clone();
        let tag = ahead.tag()?;
        if tag >> 3 != number {
            break;
        }
        ahead.skip(tag)?;
        *reader = ahead;
    }
    Ok(())
}

/// Field 1 of a message, or its zero.
fn first_field(kind: Kind, wire: &[u8]) -> Result<Scalar<'_>, Fault> {
    let mut value = scalar::zero(kind);
    let mut reader = Reader::new(wire);
    while !reader.is_empty() {
        let tag = reader.tag()?;
        if tag >> 3 == 1 {
            value = scalar::read_tagged(kind, tag, &mut reader)?;
        } else {
            reader.skip(tag)?;
        }
    }
    Ok(value)
}

/// Fields 1 to 3 of a `google.type.Date`.
fn numbers(wire: &[u8]) -> Result<[i64; 3], Fault> {
    let mut parts = [0; 3];
    let mut reader = Reader::new(wire);
    while !reader.is_empty() {
        let tag = reader.tag()?;
        match tag >> 3 {
            number @ 1..=3 => {
                if let Scalar::Int(value) = scalar::read_tagged(Kind::Int32, tag, &mut reader)? {
                    parts[number as usize - 1] = value;
                }
            }
            _ => reader.skip(tag)?,
        }
    }
    Ok(parts)
}
