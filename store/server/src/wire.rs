//! Protobuf wire format, as far as the fixed request and response messages need it.
//!
//! Rows pass through as bytes; only the envelopes around them are read and written here, field by field, without a
//! message tree. The last occurrence of a singular scalar wins and occurrences of a message are merged by
//! concatenation, as protobuf asks of every reader.

use bytes::Bytes;
use kit_core::{Code, Error};

/// Groups inside groups, which only an attacker sends.
const MAX_GROUP_DEPTH: u32 = 64;

/// The value of one field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Payload<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
}

/// Walks over the fields of a message.
#[derive(Debug, Clone)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(crate) fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// The next field with its number; groups are skipped.
    pub(crate) fn next(&mut self) -> Result<Option<(u32, Payload<'a>)>, Error> {
        loop {
            if self.rest.is_empty() {
                return Ok(None);
            }
            let (number, wire_type) = self.key()?;
            match wire_type {
                3 => self.skip_group(number, MAX_GROUP_DEPTH)?,
                4 => return Err(malformed("a group ends that did not begin")),
                other => return Ok(Some((number, self.payload(other)?))),
            }
        }
    }

    fn key(&mut self) -> Result<(u32, u8), Error> {
        let key = self.varint()?;
        let number = u32::try_from(key >> 3).ok().filter(|number| (1..1 << 29).contains(number));
        let number = number.ok_or_else(|| malformed("a field number is out of range"))?;
        Ok((number, (key & 7) as u8))
    }

    fn payload(&mut self, wire_type: u8) -> Result<Payload<'a>, Error> {
        Ok(match wire_type {
            0 => Payload::Varint(self.varint()?),
            1 => Payload::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| malformed("a length is out of range"))?;
                Payload::Bytes(self.take(length)?)
            }
            5 => Payload::Fixed32(u32::from_le_bytes(self.array()?)),
            _ => return Err(malformed("a field has an unknown wire type")),
        })
    }

    fn skip_group(&mut self, number: u32, depth: u32) -> Result<(), Error> {
        let depth = depth.checked_sub(1).ok_or_else(|| malformed("groups are nested too deeply"))?;
        loop {
            let (inner, wire_type) = self.key()?;
            match wire_type {
                3 => self.skip_group(inner, depth)?,
                4 if inner == number => return Ok(()),
                4 => return Err(malformed("a group ends that did not begin")),
                other => drop(self.payload(other)?),
            }
        }
    }

    fn varint(&mut self) -> Result<u64, Error> {
        let mut value = 0;
        for (index, byte) in self.rest.iter().take(10).enumerate() {
            if index == 9 && *byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                self.rest = &self.rest[index + 1..];
                return Ok(value);
            }
        }
        Err(malformed(if self.rest.len() < 10 { "it ends inside a number" } else { "a number is longer than 64 bits" }))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(|| malformed("it ends inside a field"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or_else(|| malformed("it ends inside a field"))?;
        self.rest = rest;
        Ok(*taken)
    }
}

impl<'a> Payload<'a> {
    pub(crate) fn varint(self, field: &str) -> Result<u64, Error> {
        match self {
            Self::Varint(value) => Ok(value),
            _ => Err(wrong_type(field)),
        }
    }

    pub(crate) fn boolean(self, field: &str) -> Result<bool, Error> {
        self.varint(field).map(|value| value != 0)
    }

    /// An `int32`: longer encodings are cut, as protobuf asks.
    pub(crate) fn int32(self, field: &str) -> Result<i32, Error> {
        self.varint(field).map(|value| value as i32)
    }

    pub(crate) fn bytes(self, field: &str) -> Result<&'a [u8], Error> {
        match self {
            Self::Bytes(value) => Ok(value),
            _ => Err(wrong_type(field)),
        }
    }

    pub(crate) fn text(self, field: &str) -> Result<&'a str, Error> {
        std::str::from_utf8(self.bytes(field)?)
            .map_err(|_| Error::invalid_field(field, "INVALID_UTF8", "must be valid UTF-8"))
    }
}

/// Adds another occurrence of a message field to what was read of it.
pub(crate) fn merge(current: &mut Option<Bytes>, request: &Bytes, occurrence: &[u8]) {
    let occurrence = request.slice_ref(occurrence);
    *current = Some(match current.take() {
        None => occurrence,
        Some(before) => [before.as_ref(), occurrence.as_ref()].concat().into(),
    });
}

/// `INVALID_ARGUMENT`: the bytes are not a protobuf message.
pub(crate) fn malformed(what: &'static str) -> Error {
    Error::new(Code::InvalidArgument, "MALFORMED_MESSAGE", format!("not a protobuf message of this method: {what}"))
}

/// `INVALID_ARGUMENT`: the field is there with another wire type.
pub(crate) fn wrong_type(field: &str) -> Error {
    Error::invalid_field(field, "WRONG_WIRE_TYPE", "has a wire type that does not belong to its type")
}

/// Appends a varint.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends the key of a field.
pub(crate) fn put_key(out: &mut Vec<u8>, number: u32, wire_type: u8) {
    put_varint(out, u64::from(number) << 3 | u64::from(wire_type));
}

/// Appends a varint field.
pub(crate) fn put_number(out: &mut Vec<u8>, number: u32, value: u64) {
    put_key(out, number, 0);
    put_varint(out, value);
}

/// Appends a field of bytes, text or a message.
pub(crate) fn put_bytes(out: &mut Vec<u8>, number: u32, value: &[u8]) {
    put_key(out, number, 2);
    put_varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(message: &[u8]) -> Result<Vec<(u32, Payload<'_>)>, Error> {
        let mut fields = Fields::new(message);
        let mut all = Vec::new();
        while let Some(field) = fields.next()? {
            all.push(field);
        }
        Ok(all)
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut out = Vec::new();
        put_number(&mut out, 1, u64::MAX);
        put_bytes(&mut out, 16, b"abc");
        put_number(&mut out, (1 << 29) - 1, 0);
        let expected =
            vec![(1, Payload::Varint(u64::MAX)), (16, Payload::Bytes(b"abc")), ((1 << 29) - 1, Payload::Varint(0))];
        assert_eq!(fields(&out).unwrap(), expected);
    }

    #[test]
    fn groups_are_skipped_and_bounded() {
        assert_eq!(fields(&[0x0b, 0x10, 0x05, 0x0c, 0x18, 0x07]).unwrap(), vec![(3, Payload::Varint(7))]);
        assert!(fields(&[0x0b; 1000]).is_err());
        assert!(fields(&[0x0b, 0x14]).is_err());
        assert!(fields(&[0x0c]).is_err());
    }

    #[test]
    fn every_truncation_is_an_error_and_none_panics() {
        let mut out = Vec::new();
        put_number(&mut out, 1, u64::MAX);
        put_bytes(&mut out, 2, b"abcdef");
        let field_ends = [11, 19];
        for end in 1..out.len() {
            assert_eq!(fields(&out[..end]).is_ok(), field_ends.contains(&end), "cut at {end}");
        }
        assert!(fields(&[0x00, 0x01]).is_err(), "field number 0");
        assert!(fields(&[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]).is_err(), "70 bits");
        assert!(fields(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]).is_err(), "length 2^64-1");
    }

    #[test]
    fn occurrences_of_a_message_are_merged() {
        let request = Bytes::from_static(b"abcd");
        let mut row = None;
        merge(&mut row, &request, &request[..2]);
        merge(&mut row, &request, &request[2..]);
        assert_eq!(row.unwrap(), b"abcd"[..]);
    }
}
