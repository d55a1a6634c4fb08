//! Keys: in request messages, in REST paths.

use kit_core::{Error, FieldViolation};
use rowkeep_schema::{ColumnId, Kind};

use super::{RowCodec, malformed};
use crate::scalar::{self, Scalar};
use crate::table::wire_type_of;
use crate::wire::{Reader, wire_type};
use crate::{Key, Value, text};

impl RowCodec {
    /// A key as in a REST path: percent-encoded segments between slashes.
    pub fn key_text(&self, key: &Key) -> String {
        let mut path = String::new();
        for (id, value) in self.key.iter().zip(key.values()) {
            if !path.is_empty() {
                path.push('/');
            }
            let mut segment = Vec::new();
            text::format(&self.enums, self.column(*id).storage, value.as_ref(), &mut segment);
            segment.iter().for_each(|byte| push_encoded(*byte, &mut path));
        }
        path
    }

    /// The key in the segments of a REST path, still percent-encoded.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` naming the fields that do not parse.
    pub fn parse_key_segments(&self, segments: &[&str]) -> Result<Key, Error> {
        let mut violations = Vec::new();
        let mut key = Key::default();
        for (place, id) in self.key.iter().enumerate() {
            let column = self.column(*id);
            let segment = segments.get(place).copied().unwrap_or_default();
            let parsed = match percent_decode(segment) {
                Some(text) => text::parse(&self.enums, column.storage, &text),
                None => Err("is not valid percent-encoded UTF-8".to_owned()),
            };
            match parsed {
                Ok(value) => key.0.push(value),
                Err(description) => violations.push(violation(&column.name, "INVALID_VALUE", description)),
            }
        }
        if violations.is_empty() { Ok(key) } else { Err(Error::invalid(violations)) }
    }

    /// The primary key in the fields 1 to n of a request message (`GetUserRequest`, `UserKey`).
    ///
    /// # Errors
    /// As [`Self::decode`].
    pub fn decode_key(&self, request: &[u8]) -> Result<Key, Error> {
        self.decode_lookup(&self.key, request)
    }

    /// The values of these columns in the fields 1 to n of a request message (`GetUserByEmailRequest`).
    ///
    /// # Errors
    /// As [`Self::decode`].
    pub fn decode_lookup(&self, columns: &[ColumnId], request: &[u8]) -> Result<Key, Error> {
        let mut key: Key = columns.iter().map(|id| self.column(*id).unset_in_request()).collect();
        let mut reader = Reader::new(request);
        while !reader.is_empty() {
            let start = reader.position();
            let tag = reader.tag().map_err(malformed)?;
            let place = (tag >> 3) as usize - 1;
            let Some(id) = columns.get(place) else {
                reader.skip(tag).map_err(malformed)?;
                continue;
            };
            let column = self.column(*id);
            let read = column.read(&self.json, self.message, tag, &mut reader, (request, start));
            key.0[place] = read.map_err(|fault| fault.field(&column.name).into_error())?;
        }
        let missing = columns.iter().zip(key.values()).filter(|(_, value)| value.is_null());
        let missing: Vec<_> =
            missing.map(|(id, _)| violation(&self.column(*id).name, "REQUIRED", "must be set".to_owned())).collect();
        if missing.is_empty() { Ok(key) } else { Err(Error::invalid(missing)) }
    }

    /// The keys in field 1 of a `BatchGetUsersRequest`: single keys, or `UserKey` messages. More than `max` are refused.
    ///
    /// # Errors
    /// As [`Self::decode`].
    pub fn decode_keys(&self, request: &[u8], max: usize) -> Result<Vec<Key>, Error> {
        let mut keys = Vec::new();
        let mut reader = Reader::new(request);
        while !reader.is_empty() {
            let start = reader.position();
            let tag = reader.tag().map_err(malformed)?;
            if tag >> 3 != 1 {
                reader.skip(tag).map_err(malformed)?;
                continue;
            }
            let prefix = format!("{}[{}]", if self.key.len() == 1 { "ids" } else { "keys" }, keys.len());
            self.occurrence(tag, &mut reader, (request, start), &mut keys).map_err(|error| error.under(&prefix))?;
            if keys.len() > max {
                let description = format!("holds more than {max} keys; ask in several requests");
                return Err(Error::invalid_field(
                    prefix.split('[').next().unwrap_or_default(),
                    "TOO_MANY",
                    description,
                ));
            }
        }
        Ok(keys)
    }

    fn occurrence<'w>(
        &self,
        tag: u32,
        reader: &mut Reader<'w>,
        place: (&'w [u8], usize),
        keys: &mut Vec<Key>,
    ) -> Result<(), Error> {
        let [only] = self.key.as_slice() else {
            return match scalar::read_tagged(Kind::Bytes, tag, reader).map_err(|fault| fault.into_error())? {
                Scalar::Bytes(key) => self.decode_key(key).map(|key| keys.push(key)).map_err(|error| error.under(".")),
                _ => Ok(()),
            };
        };
        let column = self.column(*only);
        let packed = tag & 7 == wire_type::LENGTH && wire_type_of(column.kind) != wire_type::LENGTH;
        let mut read = |tag, reader: &mut Reader<'w>, place| {
            let value = column.read(&self.json, self.message, tag, reader, place);
            value.map(|value: Value| keys.push(Key::one(value))).map_err(|fault| fault.into_error())
        };
        if !packed {
            return read(tag, reader, place);
        }
        let run = reader.bytes().map_err(malformed)?;
        let mut items = Reader::new(run);
        while !items.is_empty() {
            let at = items.position();
            read(1 << 3 | wire_type_of(column.kind), &mut items, (run, at))?;
        }
        Ok(())
    }
}

fn violation(field: &str, reason: &'static str, description: String) -> FieldViolation {
    FieldViolation { field: field.to_owned(), description, reason }
}

fn push_encoded(byte: u8, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
        out.push(char::from(byte));
    } else {
        out.push('%');
        out.push(char::from(HEX[usize::from(byte >> 4)]));
        out.push(char::from(HEX[usize::from(byte & 15)]));
    }
}

fn percent_decode(segment: &str) -> Option<String> {
    let mut out = Vec::with_capacity(segment.len());
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let mut digit = || bytes.next().and_then(|byte| char::from(byte).to_digit(16));
        out.push(u8::try_from(digit()? * 16 + digit()?).ok()?);
    }
    String::from_utf8(out).ok()
}
