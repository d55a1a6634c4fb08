//! Wire form to JSON, streaming.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rowkeep_schema::{Cardinality, Kind, MapKey, MessageId, WellKnown};

use super::{WriteOptions, text};
use crate::fault::Fault;
use crate::normal::{Budget, normalize};
use crate::scalar::{self, Scalar};
use crate::table::{FieldTable, Message, Tables, key_kind, wire_type_of};
use crate::time;
use crate::wire::{MAX_DEPTH, Reader, WireError, wire_type};

/// Writes messages of one schema. One per JSON text, since depth and budget are the text's.
pub(crate) struct Writer<'t> {
    tables: &'t Tables,
    options: WriteOptions,
    budget: Budget,
    depth: u32,
    /// Objects and arrays that are open, and how many may be.
    nesting: u32,
    max_nesting: u32,
}

/// Messages that may lie around a row in a request or an answer: a column must leave room for them.
const ENVELOPE: u32 = 8;

impl<'t> Writer<'t> {
    pub(crate) fn new(tables: &'t Tables, options: WriteOptions, wire: &[u8]) -> Self {
        Self { tables, options, budget: Budget::of(wire), depth: 0, nesting: 0, max_nesting: u32::MAX }
    }

    /// Writes a column. What it accepts must be readable again: as text, and in the row's message and that one's.
    pub(crate) fn of_column(tables: &'t Tables, wire: &[u8]) -> Self {
        let options = WriteOptions { secrets: true };
        // The row is an object around it.
        Self { depth: ENVELOPE, nesting: 1, max_nesting: text::MAX_DEPTH, ..Self::new(tables, options, wire) }
    }

    fn open(&mut self, bracket: u8, out: &mut Vec<u8>) -> Result<(), Fault> {
        self.nesting += 1;
        if self.nesting > self.max_nesting {
            return Err(Fault::new("TOO_DEEP", format!("is nested more than {} deep", self.max_nesting)));
        }
        out.push(bracket);
        Ok(())
    }

    fn close(&mut self, bracket: u8, out: &mut Vec<u8>) {
        self.nesting -= 1;
        out.push(bracket);
    }

    /// A message in whatever form JSON gives it.
    pub(crate) fn message(&mut self, id: MessageId, wire: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(WireError::Depth.into());
        }
        let table = self.tables.message(id);
        let ordered = normalize(table, wire, &mut self.budget)?;
        match table.well_known {
            None | Some(WellKnown::Date | WellKnown::Decimal | WellKnown::Empty) => {
                self.open(b'{', out)?;
                self.members(table, &ordered, true, out)?;
                self.close(b'}', out);
            }
            Some(known) => self.well_known(known, table, &ordered, out)?,
        }
        self.depth -= 1;
        Ok(())
    }

    /// The members of an object; whether one was written.
    fn members(&mut self, table: &Message, wire: &[u8], mut first: bool, out: &mut Vec<u8>) -> Result<bool, Fault> {
        let mut reader = Reader::new(wire);
        let mut hint = 0;
        while !reader.is_empty() {
            let tag = reader.tag()?;
            let Some(place) = table.place(tag >> 3, hint) else {
                reader.skip(tag)?;
                continue;
            };
            hint = place + 1;
            let field = &table.fields[place];
            if field.secret && !self.options.secrets {
                reader.skip(tag)?;
                continue;
            }
            let start = out.len();
            if !first {
                out.push(b',');
            }
            out.extend_from_slice(field.json_key.as_bytes());
            if self.values(field, tag, &mut reader, out).map_err(|fault| fault.field(&field.name))? {
                first = false;
            } else {
                out.truncate(start);
            }
        }
        Ok(!first)
    }

    /// All values of a field whose first tag was read; `false` if JSON leaves the field out.
    pub(crate) fn values(
        &mut self,
        field: &FieldTable,
        tag: u32,
        reader: &mut Reader<'_>,
        out: &mut Vec<u8>,
    ) -> Result<bool, Fault> {
        match field.cardinality {
            Cardinality::Implicit => {
                let value = scalar::read_tagged(field.kind, tag, reader)?;
                if value.is_zero() {
                    return Ok(false);
                }
                self.scalar(field.kind, value, out);
                Ok(true)
            }
            Cardinality::Explicit => self.value(field.kind, tag, reader, out).map(|()| true),
            Cardinality::Repeated => self.items(field, tag, reader, out),
            Cardinality::Map(key) => self.entries(field, key, tag, reader, out),
        }
    }

    fn value(&mut self, kind: Kind, tag: u32, reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
        let value = scalar::read_tagged(kind, tag, reader)?;
        match (kind, value) {
            (Kind::Message(id), Scalar::Bytes(wire)) => self.message(id, wire, out),
            (kind, value) => {
                self.scalar(kind, value, out);
                Ok(())
            }
        }
    }

    fn items(
        &mut self,
        field: &FieldTable,
        tag: u32,
        reader: &mut Reader<'_>,
        out: &mut Vec<u8>,
    ) -> Result<bool, Fault> {
        self.open(b'[', out)?;
        let mut count = 0;
        let mut tag = Some(tag);
        while let Some(current) = tag {
            self.occurrence(field, current, reader, &mut count, out).map_err(|fault| fault.item(count))?;
            tag = same_field(field.number, reader)?;
        }
        self.close(b']', out);
        Ok(count > 0)
    }

    /// One item, or a packed run of them.
    fn occurrence(
        &mut self,
        field: &FieldTable,
        tag: u32,
        reader: &mut Reader<'_>,
        count: &mut usize,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        let packed = tag & 7 == wire_type::LENGTH && wire_type_of(field.kind) != wire_type::LENGTH;
        if !packed {
            separate(count, out);
            return self.value(field.kind, tag, reader, out);
        }
        let mut run = Reader::new(reader.bytes()?);
        while !run.is_empty() {
            separate(count, out);
            let value = scalar::read(field.kind, &mut run)?;
            self.scalar(field.kind, value, out);
        }
        Ok(())
    }

    /// A map, sorted by key so that equal maps are equal texts; of equal keys the last counts.
    fn entries(
        &mut self,
        field: &FieldTable,
        key: MapKey,
        tag: u32,
        reader: &mut Reader<'_>,
        out: &mut Vec<u8>,
    ) -> Result<bool, Fault> {
        let mut entries: Vec<Entry<'_>> = Vec::new();
        let mut tag = Some(tag);
        while let Some(current) = tag {
            if current & 7 != wire_type::LENGTH {
                return Err(scalar::wrong_wire_type(field.kind, current));
            }
            entries.push(self.entry(field.kind, key, reader.bytes()?)?);
            tag = same_field(field.number, reader)?;
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        self.open(b'{', out)?;
        for (place, Entry { name, value, merged }) in entries.iter().enumerate() {
            if entries.get(place + 1).is_some_and(|next| next.name == *name) {
                continue;
            }
            if out.last() != Some(&b'{') {
                out.push(b',');
            }
            out.extend_from_slice(name);
            out.push(b':');
            match (field.kind, value) {
                (Kind::Message(id), Scalar::Bytes(wire)) => {
                    let wire = merged.as_deref().unwrap_or(wire);
                    self.message(id, wire, out).map_err(|fault| fault.key(&String::from_utf8_lossy(name)))?;
                }
                (kind, value) => self.scalar(kind, *value, out),
            }
        }
        self.close(b'}', out);
        Ok(!entries.is_empty())
    }

    fn entry<'w>(&mut self, kind: Kind, key: MapKey, wire: &'w [u8]) -> Result<Entry<'w>, Fault> {
        let key_kind = key_kind(key);
        let (mut name, mut value, mut merged) = (scalar::zero(key_kind), None, None);
        let mut reader = Reader::new(wire);
        while !reader.is_empty() {
            let tag = reader.tag()?;
            match tag >> 3 {
                1 => name = scalar::read_tagged(key_kind, tag, &mut reader)?,
                2 => {
                    let next = scalar::read_tagged(kind, tag, &mut reader)?;
                    if let (Kind::Message(_), Some(Scalar::Bytes(first)), Scalar::Bytes(next)) = (kind, value, next) {
                        self.budget.spend(next.len())?;
                        merged.get_or_insert_with(|| first.to_vec()).extend_from_slice(next);
                    } else {
                        value = Some(next);
                    }
                }
                _ => reader.skip(tag)?,
            }
        }
        Ok(Entry { name: key_text(name), value: value.unwrap_or_else(|| scalar::zero(kind)), merged })
    }

    fn scalar(&self, kind: Kind, value: Scalar<'_>, out: &mut Vec<u8>) {
        match value {
            Scalar::Bool(value) => out.extend_from_slice(if value { b"true" } else { b"false" }),
            Scalar::Int(number) => match kind {
                Kind::Enum(id) => self.enumeration(id, number, out),
                Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => quoted(out, itoa::Buffer::new().format(number)),
                _ => out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes()),
            },
            Scalar::Uint(number) => match kind {
                Kind::Uint64 | Kind::Fixed64 => quoted(out, itoa::Buffer::new().format(number)),
                _ => out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes()),
            },
            Scalar::Float(value) if value.is_finite() => {
                out.extend_from_slice(ryu::Buffer::new().format_finite(value).as_bytes());
            }
            Scalar::Float(value) => infinite(f64::from(value), out),
            Scalar::Double(value) if value.is_finite() => {
                out.extend_from_slice(ryu::Buffer::new().format_finite(value).as_bytes());
            }
            Scalar::Double(value) => infinite(value, out),
            Scalar::Text(value) => write_string(out, value),
            Scalar::Bytes(value) => {
                out.push(b'"');
                let start = out.len();
                out.resize(start + value.len().div_ceil(3) * 4, 0);
                // The buffer has exactly the size of the padded encoding.
                let _ = STANDARD.encode_slice(value, &mut out[start..]);
                out.push(b'"');
            }
        }
    }

    fn enumeration(&self, id: rowkeep_schema::EnumId, number: i64, out: &mut Vec<u8>) {
        let table = self.tables.enumeration(id);
        if table.is_null_value {
            return out.extend_from_slice(b"null");
        }
        match i32::try_from(number).ok().and_then(|number| table.name(number)) {
            Some(name) => write_string(out, name),
            None => out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes()),
        }
    }

    fn well_known(&mut self, known: WellKnown, table: &Message, wire: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        match known {
            WellKnown::Timestamp => {
                let (seconds, nanos) = seconds_and_nanos(wire)?;
                time::check_timestamp(seconds, nanos).map_err(|text| Fault::new("OUT_OF_RANGE", text))?;
                out.push(b'"');
                time::write_timestamp(out, seconds, nanos);
                out.push(b'"');
                Ok(())
            }
            WellKnown::Duration => {
                let (seconds, nanos) = seconds_and_nanos(wire)?;
                time::check_duration(seconds, nanos).map_err(|text| Fault::new("OUT_OF_RANGE", text))?;
                out.push(b'"');
                time::write_duration(out, seconds, nanos);
                out.push(b'"');
                Ok(())
            }
            WellKnown::FieldMask => field_mask(wire, out),
            WellKnown::Struct | WellKnown::ListValue => self.whole_field(table, wire, known, out),
            WellKnown::Value | WellKnown::Wrapper => self.only_field(known, table, wire, out),
            WellKnown::Any => self.any(wire, out),
            WellKnown::Date | WellKnown::Decimal | WellKnown::Empty => {
                unreachable!("written as objects by `message`")
            }
        }
    }

    /// Struct is its map, ListValue its list.
    fn whole_field(&mut self, table: &Message, wire: &[u8], known: WellKnown, out: &mut Vec<u8>) -> Result<(), Fault> {
        let start = out.len();
        let mut reader = Reader::new(wire);
        while !reader.is_empty() {
            let tag = reader.tag()?;
            match table.place(tag >> 3, 0) {
                Some(place) => {
                    if self.values(&table.fields[place], tag, &mut reader, out)? {
                        return Ok(());
                    }
                }
                None => reader.skip(tag)?,
            }
        }
        out.truncate(start);
        out.extend_from_slice(if known == WellKnown::Struct { b"{}" } else { b"[]" });
        Ok(())
    }

    /// Value is the one field that is set, a wrapper its value.
    fn only_field(&mut self, known: WellKnown, table: &Message, wire: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        let mut reader = Reader::new(wire);
        while !reader.is_empty() {
            let tag = reader.tag()?;
            match table.place(tag >> 3, 0) {
                Some(place) => return self.value(table.fields[place].kind, tag, &mut reader, out),
                None => reader.skip(tag)?,
            }
        }
        match table.fields.first().filter(|_| known == WellKnown::Wrapper) {
            Some(field) => self.scalar(field.kind, scalar::zero(field.kind), out),
            None => out.extend_from_slice(b"null"),
        }
        Ok(())
    }

    fn any(&mut self, wire: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        let (url, value) = split_any(wire)?;
        if url.is_empty() && value.is_empty() {
            out.extend_from_slice(b"{}");
            return Ok(());
        }
        let Some(id) = self.tables.find_type_url(url) else {
            return Err(Fault::new(
                "UNKNOWN_TYPE",
                format!("{} is not a type of this schema", crate::fault::excerpt(url)),
            ));
        };
        self.open(b'{', out)?;
        out.extend_from_slice(b"\"@type\":");
        write_string(out, url);
        let table = self.tables.message(id);
        if table.is_plain() {
            let ordered = normalize(table, value, &mut self.budget)?;
            self.depth += 1;
            if self.depth > MAX_DEPTH {
                return Err(WireError::Depth.into());
            }
            self.members(table, &ordered, false, out)?;
            self.depth -= 1;
        } else {
            out.extend_from_slice(b",\"value\":");
            self.message(id, value, out)?;
        }
        self.close(b'}', out);
        Ok(())
    }
}

/// A map entry.
struct Entry<'w> {
    /// The key as a JSON string.
    name: Vec<u8>,
    value: Scalar<'w>,
    /// The value, if it is a message that came in pieces.
    merged: Option<Vec<u8>>,
}

fn key_text(key: Scalar<'_>) -> Vec<u8> {
    let mut text = Vec::new();
    match key {
        Scalar::Text(key) => write_string(&mut text, key),
        Scalar::Bool(key) => quoted(&mut text, if key { "true" } else { "false" }),
        Scalar::Int(key) => quoted(&mut text, itoa::Buffer::new().format(key)),
        Scalar::Uint(key) => quoted(&mut text, itoa::Buffer::new().format(key)),
        Scalar::Float(_) | Scalar::Double(_) | Scalar::Bytes(_) => {}
    }
    text
}

fn separate(count: &mut usize, out: &mut Vec<u8>) {
    if *count > 0 {
        out.push(b',');
    }
    *count += 1;
}

/// The next tag, if it is of this field.
fn same_field(number: u32, reader: &mut Reader<'_>) -> Result<Option<u32>, Fault> {
    if reader.is_empty() {
        return Ok(None);
    }
    let mut ahead = reader.clone();
    let tag = ahead.tag()?;
    if tag >> 3 != number {
        return Ok(None);
    }
    *reader = ahead;
    Ok(Some(tag))
}

/// Fields 1 and 2 of a Timestamp or Duration.
pub(crate) fn seconds_and_nanos(wire: &[u8]) -> Result<(i64, i32), Fault> {
    let (mut seconds, mut nanos) = (0, 0);
    let mut reader = Reader::new(wire);
    while !reader.is_empty() {
        let tag = reader.tag()?;
        match (tag >> 3, scalar_of(tag, &mut reader)?) {
            (1, Some(value)) => seconds = value,
            #[expect(clippy::cast_possible_truncation, reason = "protobuf cuts 64-bit varints to the field's 32 bits")]
            (2, Some(value)) => nanos = value as i32,
            _ => {}
        }
    }
    Ok((seconds, nanos))
}

fn scalar_of(tag: u32, reader: &mut Reader<'_>) -> Result<Option<i64>, Fault> {
    if tag >> 3 > 2 {
        reader.skip(tag)?;
        return Ok(None);
    }
    match scalar::read_tagged(Kind::Int64, tag, reader)? {
        Scalar::Int(value) => Ok(Some(value)),
        _ => Ok(None),
    }
}

/// Type URL and value of an Any.
fn split_any(wire: &[u8]) -> Result<(&str, &[u8]), Fault> {
    let (mut url, mut value) = ("", &[][..]);
    let mut reader = Reader::new(wire);
    while !reader.is_empty() {
        let tag = reader.tag()?;
        match (tag >> 3, tag & 7) {
            (1, wire_type::LENGTH) => url = scalar::text(reader.bytes()?)?,
            (2, wire_type::LENGTH) => value = reader.bytes()?,
            _ => reader.skip(tag)?,
        }
    }
    Ok((url, value))
}

fn field_mask(wire: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    let mut text = String::new();
    let mut reader = Reader::new(wire);
    while !reader.is_empty() {
        let tag = reader.tag()?;
        if tag != (1 << 3 | wire_type::LENGTH) {
            reader.skip(tag)?;
            continue;
        }
        if !text.is_empty() {
            text.push(',');
        }
        let path = scalar::text(reader.bytes()?)?;
        if !has_camel_case(path) {
            let text = format!("{} is no path that JSON can show: lower_snake_case is", crate::fault::excerpt(path));
            return Err(Fault::new("INVALID_VALUE", text));
        }
        let mut upper = false;
        for c in path.chars() {
            match c {
                '_' => upper = true,
                c if upper => {
                    text.push(c.to_ascii_uppercase());
                    upper = false;
                }
                c => text.push(c),
            }
        }
    }
    write_string(out, &text);
    Ok(())
}

/// Whether a path comes back from its form in JSON.
fn has_camel_case(path: &str) -> bool {
    let follows = |pair: &[u8]| pair[0] != b'_' || pair[1].is_ascii_lowercase();
    let is_clean = !path.is_empty() && path.trim() == path && !path.ends_with('_') && !path.contains(',');
    is_clean && !path.bytes().any(|byte| byte.is_ascii_uppercase()) && path.as_bytes().windows(2).all(follows)
}

fn quoted(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

fn infinite(value: f64, out: &mut Vec<u8>) {
    let text: &[u8] = if value.is_nan() {
        b"\"NaN\""
    } else if value > 0.0 {
        b"\"Infinity\""
    } else {
        b"\"-Infinity\""
    };
    out.extend_from_slice(text);
}

/// Appends a JSON string.
pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut clean = 0;
    for (at, byte) in bytes.iter().enumerate() {
        if *byte >= 0x20 && *byte != b'"' && *byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[clean..at]);
        clean = at + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            8 => out.extend_from_slice(b"\\b"),
            12 => out.extend_from_slice(b"\\f"),
            other => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(other >> 4)]);
                out.push(HEX[usize::from(other & 15)]);
            }
        }
    }
    out.extend_from_slice(&bytes[clean..]);
    out.push(b'"');
}
