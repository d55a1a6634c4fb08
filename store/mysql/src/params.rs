//! Parameters of prepared statements.
//!
//! Types matter: a decimal sent as a string is compared as a floating point number.

use crate::values::push_bytes;

/// A parameter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Param<'a> {
    /// NULL.
    Null,
    /// A signed number.
    Int(i64),
    /// An unsigned number.
    Uint(u64),
    /// A floating point number.
    Double(f64),
    /// Text.
    Text(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
    /// An exact decimal, written out.
    Decimal(&'a str),
    /// A date, or a date and a time.
    DateTime(DateTime),
}

/// Parts of a `DATE` or a `DATETIME(6)`. Months and days may be 0 where the server's mode allows it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DateTime {
    /// 0 to 9999.
    pub year: u16,
    /// 0 to 12.
    pub month: u8,
    /// 0 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
    /// 0 to 999,999.
    pub micros: u32,
}

mod kind {
    pub(super) const DOUBLE: u8 = 5;
    pub(super) const NULL: u8 = 6;
    pub(super) const LONGLONG: u8 = 8;
    pub(super) const DATETIME: u8 = 12;
    pub(super) const NEWDECIMAL: u8 = 246;
    pub(super) const BLOB: u8 = 252;
    pub(super) const VAR_STRING: u8 = 253;
    pub(super) const UNSIGNED: u8 = 0x80;
}

impl Param<'_> {
    fn type_code(self) -> [u8; 2] {
        match self {
            Self::Null => [kind::NULL, 0],
            Self::Int(_) => [kind::LONGLONG, 0],
            Self::Uint(_) => [kind::LONGLONG, kind::UNSIGNED],
            Self::Double(_) => [kind::DOUBLE, 0],
            Self::Text(_) => [kind::VAR_STRING, 0],
            Self::Bytes(_) => [kind::BLOB, 0],
            Self::Decimal(_) => [kind::NEWDECIMAL, 0],
            Self::DateTime(_) => [kind::DATETIME, 0],
        }
    }

    fn push(self, buffer: &mut Vec<u8>) {
        match self {
            Self::Null => {}
            Self::Int(number) => buffer.extend_from_slice(&number.to_le_bytes()),
            Self::Uint(number) => buffer.extend_from_slice(&number.to_le_bytes()),
            Self::Double(number) => buffer.extend_from_slice(&number.to_le_bytes()),
            Self::Text(text) | Self::Decimal(text) => push_bytes(buffer, text.as_bytes()),
            Self::Bytes(bytes) => push_bytes(buffer, bytes),
            Self::DateTime(time) => time.push(buffer),
        }
    }
}

impl DateTime {
    fn push(self, buffer: &mut Vec<u8>) {
        let [low, high] = self.year.to_le_bytes();
        buffer.extend_from_slice(&[11, low, high, self.month, self.day, self.hour, self.minute, self.second]);
        buffer.extend_from_slice(&self.micros.to_le_bytes());
    }
}

/// Appends the parameters of an execution: which are NULL, their types, their values. Nothing if there are none.
pub(crate) fn push_params<'a>(buffer: &mut Vec<u8>, params: &[Param<'a>]) {
    if params.is_empty() {
        return;
    }
    let nulls = buffer.len();
    buffer.resize(nulls + params.len().div_ceil(8), 0);
    buffer.push(1);
    for (at, param) in params.iter().enumerate() {
        if *param == Param::Null {
            buffer[nulls + at / 8] |= 1 << (at % 8);
        }
        buffer.extend_from_slice(&param.type_code());
    }
    for param in params {
        param.push(buffer);
    }
}
