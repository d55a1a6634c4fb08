//! One scalar on the wire.

use rowkeep_schema::Kind;

use crate::fault::Fault;
use crate::table::wire_type_of;
use crate::wire::{self, Reader, unzigzag};

/// A scalar by its form, not its protobuf type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Scalar<'a> {
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f32),
    Double(f64),
    Text(&'a str),
    Bytes(&'a [u8]),
}

/// Reads a value whose tag was read and fits.
///
/// # Panics
/// Never: a message is no scalar, and reads as its bytes.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "protobuf cuts 64-bit varints to the field's 32 bits")]
pub(crate) fn read<'a>(kind: Kind, reader: &mut Reader<'a>) -> Result<Scalar<'a>, Fault> {
    Ok(match kind {
        Kind::Int64 => Scalar::Int(reader.varint()?.cast_signed()),
        Kind::Int32 | Kind::Enum(_) => Scalar::Int(i64::from(reader.varint()? as i32)),
        Kind::Bool => Scalar::Bool(reader.varint()? != 0),
        Kind::String => Scalar::Text(text(reader.bytes()?)?),
        Kind::Bytes | Kind::Message(_) => Scalar::Bytes(reader.bytes()?),
        Kind::Sint32 => Scalar::Int(i64::from(unzigzag(u64::from(reader.varint()? as u32)) as i32)),
        Kind::Sint64 => Scalar::Int(unzigzag(reader.varint()?)),
        Kind::Uint32 => Scalar::Uint(u64::from(reader.varint()? as u32)),
        Kind::Uint64 => Scalar::Uint(reader.varint()?),
        Kind::Fixed32 => Scalar::Uint(u64::from(reader.fixed32()?)),
        Kind::Fixed64 => Scalar::Uint(reader.fixed64()?),
        Kind::Sfixed32 => Scalar::Int(i64::from(reader.fixed32()?.cast_signed())),
        Kind::Sfixed64 => Scalar::Int(reader.fixed64()?.cast_signed()),
        Kind::Float => Scalar::Float(f32::from_bits(reader.fixed32()?)),
        Kind::Double => Scalar::Double(f64::from_bits(reader.fixed64()?)),
    })
}

/// Reads the value of the tag just read, which must be of this kind.
#[inline]
pub(crate) fn read_tagged<'a>(kind: Kind, tag: u32, reader: &mut Reader<'a>) -> Result<Scalar<'a>, Fault> {
    if tag & 7 != wire_type_of(kind) {
        return Err(wrong_wire_type(kind, tag));
    }
    read(kind, reader)
}

/// The zero of a kind.
pub(crate) const fn zero(kind: Kind) -> Scalar<'static> {
    match kind {
        Kind::Bool => Scalar::Bool(false),
        Kind::Int32 | Kind::Int64 | Kind::Sint32 | Kind::Sint64 | Kind::Sfixed32 | Kind::Sfixed64 | Kind::Enum(_) => {
            Scalar::Int(0)
        }
        Kind::Uint32 | Kind::Uint64 | Kind::Fixed32 | Kind::Fixed64 => Scalar::Uint(0),
        Kind::Float => Scalar::Float(0.0),
        Kind::Double => Scalar::Double(0.0),
        Kind::String => Scalar::Text(""),
        Kind::Bytes | Kind::Message(_) => Scalar::Bytes(&[]),
    }
}

impl Scalar<'_> {
    /// Whether a field without presence leaves it off the wire. Minus zero is not zero.
    #[inline]
    pub(crate) fn is_zero(&self) -> bool {
        match self {
            Self::Bool(value) => !value,
            Self::Int(value) => *value == 0,
            Self::Uint(value) => *value == 0,
            Self::Float(value) => value.to_bits() == 0,
            Self::Double(value) => value.to_bits() == 0,
            Self::Text(value) => value.is_empty(),
            Self::Bytes(value) => value.is_empty(),
        }
    }
}

/// Appends a value without its tag. The caller saw to it that the form fits the kind.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the value is in the range of the kind")]
pub(crate) fn put(kind: Kind, value: Scalar<'_>, out: &mut Vec<u8>) {
    match value {
        Scalar::Bool(value) => out.push(u8::from(value)),
        Scalar::Int(value) => match kind {
            Kind::Sint32 | Kind::Sint64 => wire::put_varint(out, wire::zigzag(value)),
            Kind::Sfixed32 => out.extend_from_slice(&(value as i32).to_le_bytes()),
            Kind::Sfixed64 => out.extend_from_slice(&value.to_le_bytes()),
            _ => wire::put_varint(out, value.cast_unsigned()),
        },
        Scalar::Uint(value) => match kind {
            Kind::Fixed32 => out.extend_from_slice(&(value as u32).to_le_bytes()),
            Kind::Fixed64 => out.extend_from_slice(&value.to_le_bytes()),
            _ => wire::put_varint(out, value),
        },
        Scalar::Float(value) => out.extend_from_slice(&value.to_le_bytes()),
        Scalar::Double(value) => out.extend_from_slice(&value.to_le_bytes()),
        Scalar::Text(value) => put_bytes(value.as_bytes(), out),
        Scalar::Bytes(value) => put_bytes(value, out),
    }
}

fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    wire::put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

#[inline]
pub(crate) fn text(bytes: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(bytes).map_err(|_| Fault::new("INVALID_UTF8", "is not valid UTF-8"))
}

pub(crate) fn wrong_wire_type(kind: Kind, tag: u32) -> Fault {
    let name = match kind {
        Kind::Message(_) => "a message".to_owned(),
        Kind::Enum(_) => "an enum".to_owned(),
        scalar => format!("{scalar:?}").to_lowercase(),
    };
    Fault::new("WRONG_WIRE_TYPE", format!("has wire type {}, which is not that of {name}", tag & 7))
}
