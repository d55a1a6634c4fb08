//! Parameters of prepared statements.
//!
//! Types matter: a decimal sent as a string is compared as a floating point number.

use crate::Product;
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
    /// An exact decimal: the unscaled number, and how many of its digits stand behind the point.
    Decimal(i128, u8),
    /// A date and a time.
    DateTime(DateTime),
    /// A date; the time of day is not sent.
    Date(DateTime),
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
    pub(super) const DATE: u8 = 10;
    pub(super) const DATETIME: u8 = 12;
    pub(super) const NEWDECIMAL: u8 = 246;
    pub(super) const BLOB: u8 = 252;
    pub(super) const VAR_STRING: u8 = 253;
    pub(super) const UNSIGNED: u8 = 0x80;
}

impl Param<'_> {
    /// Vitess reads every number of 64 bits as a signed one; a decimal of the same value is a number to it like any other.
    fn as_read_by(self, product: Product) -> Self {
        match self {
            Self::Uint(number) if product == Product::Vitess && i64::try_from(number).is_err() => {
                Self::Decimal(number.into(), 0)
            }
            other => other,
        }
    }

    fn type_code(self) -> [u8; 2] {
        match self {
            Self::Null => [kind::NULL, 0],
            Self::Int(_) => [kind::LONGLONG, 0],
            Self::Uint(_) => [kind::LONGLONG, kind::UNSIGNED],
            Self::Double(_) => [kind::DOUBLE, 0],
            Self::Text(_) => [kind::VAR_STRING, 0],
            Self::Bytes(_) => [kind::BLOB, 0],
            Self::Decimal(..) => [kind::NEWDECIMAL, 0],
            Self::Date(_) => [kind::DATE, 0],
            Self::DateTime(_) => [kind::DATETIME, 0],
        }
    }

    fn push(self, buffer: &mut Vec<u8>) {
        match self {
            Self::Null => {}
            Self::Int(number) => buffer.extend_from_slice(&number.to_le_bytes()),
            Self::Uint(number) => buffer.extend_from_slice(&number.to_le_bytes()),
            Self::Double(number) => buffer.extend_from_slice(&number.to_le_bytes()),
            Self::Text(text) => push_bytes(buffer, text.as_bytes()),
            Self::Decimal(unscaled, scale) => push_decimal(buffer, unscaled, scale),
            Self::Date(date) => date.push_date(buffer),
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

    fn push_date(self, buffer: &mut Vec<u8>) {
        let [low, high] = self.year.to_le_bytes();
        buffer.extend_from_slice(&[4, low, high, self.month, self.day]);
    }
}

/// Appends a decimal written out: `-0.05`.
fn push_decimal(buffer: &mut Vec<u8>, unscaled: i128, scale: u8) {
    use std::io::Write as _;
    let start = buffer.len();
    // 39 digits, a sign, a point and a zero: shorter than what needs a longer length.
    buffer.push(0);
    let (sign, digits, scale) = (if unscaled < 0 { "-" } else { "" }, unscaled.unsigned_abs(), usize::from(scale));
    // Writing to a Vec cannot fail. One digit stands before the point.
    let _ = write!(buffer, "{sign}{digits:0>width$}", width = scale + 1);
    if scale > 0 {
        let point = buffer.len() - scale;
        buffer.insert(point, b'.');
    }
    #[expect(clippy::cast_possible_truncation, reason = "a scale of 38 at most")]
    let length = (buffer.len() - start - 1) as u8;
    buffer[start] = length;
}

/// Appends the parameters of an execution: which are NULL, their types, their values. Nothing if there are none.
pub(crate) fn push_params(buffer: &mut Vec<u8>, params: &[Param<'_>], product: Product) {
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
        buffer.extend_from_slice(&param.as_read_by(product).type_code());
    }
    for param in params {
        param.as_read_by(product).push(buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_would_be_read_as_a_negative_one_is_sent_as_a_decimal() {
        let large = Param::Uint(u64::MAX);
        assert_eq!(large.as_read_by(Product::MySql), large);
        assert_eq!(large.as_read_by(Product::Vitess), Param::Decimal(u64::MAX.into(), 0));
        assert_eq!(Param::Uint(7).as_read_by(Product::Vitess), Param::Uint(7));
    }

    #[test]
    fn decimals_are_written_out() {
        for (unscaled, scale, text) in [
            (0, 0, "0"),
            (0, 2, "0.00"),
            (-5, 2, "-0.05"),
            (12_345, 2, "123.45"),
            (i128::MAX, 10, "17014118346046923173168730371.5884105727"),
        ] {
            let mut buffer = Vec::new();
            push_decimal(&mut buffer, unscaled, scale);
            assert_eq!(usize::from(buffer[0]), text.len());
            assert_eq!(&buffer[1..], text.as_bytes());
        }
    }
}
