//! From the binary form to a tree.

use std::borrow::Cow;

use crate::{Error, bytes::Bytes, value::Decimal};

/// The deepest that the server allows.
const DEEPEST: usize = 100;

const BAD: Error = Error::Malformed("a JSON value that is none");

mod kind {
    pub(super) const SMALL_OBJECT: u8 = 0;
    pub(super) const LARGE_OBJECT: u8 = 1;
    pub(super) const SMALL_ARRAY: u8 = 2;
    pub(super) const LARGE_ARRAY: u8 = 3;
    pub(super) const LITERAL: u8 = 4;
    pub(super) const I16: u8 = 5;
    pub(super) const U16: u8 = 6;
    pub(super) const I32: u8 = 7;
    pub(super) const U32: u8 = 8;
    pub(super) const I64: u8 = 9;
    pub(super) const U64: u8 = 10;
    pub(super) const DOUBLE: u8 = 11;
    pub(super) const STRING: u8 = 12;
    pub(super) const OPAQUE: u8 = 15;
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(Cow<'a, str>),
    Decimal(Decimal<'a>),
    /// Of a column type that JSON does not have.
    Opaque(u8, &'a [u8]),
    Array(Vec<Node<'a>>),
    /// In the server's order of keys: shorter ones first.
    Object(Vec<(Cow<'a, str>, Node<'a>)>),
}

/// Reads a value with its type in front.
pub(super) fn parse(bytes: &[u8]) -> Result<Node<'_>, Error> {
    let Some((kind, value)) = bytes.split_first() else { return Ok(Node::Null) };
    // Every value of a sound document has bytes of its own. Offsets that lead to the same ones again and again would make a
    // small document a tree without end.
    let mut budget = bytes.len();
    node(*kind, value, DEEPEST, &mut budget)
}

fn node<'a>(kind: u8, value: &'a [u8], depth: usize, budget: &mut usize) -> Result<Node<'a>, Error> {
    *budget = budget.checked_sub(1).ok_or(BAD)?;
    let mut bytes = Bytes(value);
    Ok(match kind {
        kind::SMALL_OBJECT => object(value, 2, depth, budget)?,
        kind::LARGE_OBJECT => object(value, 4, depth, budget)?,
        kind::SMALL_ARRAY => array(value, 2, depth, budget)?,
        kind::LARGE_ARRAY => array(value, 4, depth, budget)?,
        kind::LITERAL => match bytes.u8()? {
            0 => Node::Null,
            1 => Node::Bool(true),
            2 => Node::Bool(false),
            _ => return Err(BAD),
        },
        kind::I16 => Node::Int(i16::from_le_bytes(bytes.array()?).into()),
        kind::U16 => Node::Uint(bytes.u16()?.into()),
        kind::I32 => Node::Int(i32::from_le_bytes(bytes.array()?).into()),
        kind::U32 => Node::Uint(bytes.u32()?.into()),
        kind::I64 => Node::Int(i64::from_le_bytes(bytes.array()?)),
        kind::U64 => Node::Uint(bytes.u64()?),
        kind::DOUBLE => Node::Double(f64::from_le_bytes(bytes.array()?)),
        kind::STRING => {
            let length = length(&mut bytes)?;
            Node::Text(utf8(bytes.take(length)?)?.into())
        }
        kind::OPAQUE => {
            let of = bytes.u8()?;
            let length = length(&mut bytes)?;
            opaque(of, bytes.take(length)?)?
        }
        _ => return Err(BAD),
    })
}

/// Seven bits in each byte, the lowest first; the eighth says that more follow.
fn length(bytes: &mut Bytes<'_>) -> Result<usize, Error> {
    let mut length = 0_u64;
    for at in 0..5 {
        let byte = bytes.u8()?;
        length |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return usize::try_from(length).map_err(|_| BAD);
        }
    }
    Err(BAD)
}

fn utf8(bytes: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(bytes).map_err(|_| BAD)
}

fn opaque(of: u8, bytes: &[u8]) -> Result<Node<'_>, Error> {
    const DECIMAL: u8 = 246;
    if of != DECIMAL {
        return Ok(Node::Opaque(of, bytes));
    }
    let mut bytes = Bytes(bytes);
    let (precision, scale) = (bytes.u8()?, bytes.u8()?);
    if precision > 65 || scale > 38 || scale > precision {
        return Err(BAD);
    }
    let digits = bytes.take(crate::value::decimal_size(precision, scale).into())?;
    Ok(Node::Decimal(Decimal::new(digits, precision, scale)))
}

/// Number of elements, and of bytes of the whole; what follows is addressed from the start of these.
fn head(value: &[u8], width: usize) -> Result<(usize, Bytes<'_>), Error> {
    let mut bytes = Bytes(value);
    let count = bytes.uint(width)? as usize;
    bytes.uint(width)?;
    // An element has a type and a place at least.
    if count > value.len() / (width + 1) {
        return Err(BAD);
    }
    Ok((count, bytes))
}

fn array<'a>(value: &'a [u8], width: usize, depth: usize, budget: &mut usize) -> Result<Node<'a>, Error> {
    let (count, mut entries) = head(value, width)?;
    let mut elements = Vec::with_capacity(count);
    for _ in 0..count {
        elements.push(element(value, &mut entries, width, depth, budget)?);
    }
    Ok(Node::Array(elements))
}

fn object<'a>(value: &'a [u8], width: usize, depth: usize, budget: &mut usize) -> Result<Node<'a>, Error> {
    let (count, mut entries) = head(value, width)?;
    let mut keys = Vec::with_capacity(count);
    for _ in 0..count {
        let at = entries.uint(width)? as usize;
        let length = entries.u16()?.into();
        let mut key = Bytes(value);
        key.take(at)?;
        keys.push(utf8(key.take(length)?)?);
    }
    let mut members = Vec::with_capacity(count);
    for key in keys {
        members.push((key.into(), element(value, &mut entries, width, depth, budget)?));
    }
    Ok(Node::Object(members))
}

/// Small values lie in the place of their offset.
fn element<'a>(
    value: &'a [u8],
    entries: &mut Bytes<'a>,
    width: usize,
    depth: usize,
    budget: &mut usize,
) -> Result<Node<'a>, Error> {
    let kind = entries.u8()?;
    let place = entries.take(width)?;
    let is_inlined = match kind {
        kind::LITERAL | kind::I16 | kind::U16 => true,
        kind::I32 | kind::U32 => width == 4,
        _ => false,
    };
    let depth = depth.checked_sub(1).ok_or(BAD)?;
    if is_inlined {
        return node(kind, place, depth, budget);
    }
    let mut bytes = Bytes(value);
    bytes.take(crate::bytes::little_endian(place) as usize)?;
    node(kind, bytes.0, depth, budget)
}
