//! Rows as they lie in a packet.

use crate::values::Cursor;
use crate::{DateTime, Error};

/// A value of a binary row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Raw<'a> {
    /// NULL.
    Null,
    /// `TINYINT` to `BIGINT`, `YEAR`.
    Int(i64),
    /// The same, unsigned.
    Uint(u64),
    /// `FLOAT`.
    Float(f32),
    /// `DOUBLE`.
    Double(f64),
    /// Text and bytes, decimals written out, JSON, `ENUM`, `SET`, `BIT`.
    Bytes(&'a [u8]),
    /// `DATE`, `DATETIME`, `TIMESTAMP`.
    DateTime(DateTime),
    /// `TIME`: microseconds, negative ones too.
    Time(i64),
}

/// How a column lies in a binary row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    Tiny { unsigned: bool },
    Short { unsigned: bool },
    Long { unsigned: bool },
    LongLong { unsigned: bool },
    Float,
    Double,
    DateTime,
    Time,
    Null,
    Bytes,
}

impl Layout {
    /// Reads a column definition, whose fixed part is at its end.
    pub(crate) fn read(definition: &[u8]) -> Result<Self, Error> {
        let fixed = definition.last_chunk::<12>().ok_or(Error::Protocol("a short column definition"))?;
        let unsigned = fixed[7] & 0x20 != 0;
        Ok(match fixed[6] {
            1 => Self::Tiny { unsigned },
            2 | 13 => Self::Short { unsigned },
            3 | 9 => Self::Long { unsigned },
            8 => Self::LongLong { unsigned },
            4 => Self::Float,
            5 => Self::Double,
            6 => Self::Null,
            7 | 10 | 12 => Self::DateTime,
            11 => Self::Time,
            0 | 15..=17 | 242 | 245..=255 => Self::Bytes,
            _ => return Err(Error::Protocol("a column of a type that is not known")),
        })
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "see `Row::value`")]
    fn value<'a>(self, cursor: &mut Cursor<'a>) -> Result<Raw<'a>, Error> {
        Ok(match self {
            Self::Tiny { unsigned: false } => Raw::Int(i8::from_le_bytes(cursor.array()?).into()),
            Self::Tiny { unsigned: true } => Raw::Uint(cursor.byte()?.into()),
            Self::Short { unsigned: false } => Raw::Int(i16::from_le_bytes(cursor.array()?).into()),
            Self::Short { unsigned: true } => Raw::Uint(cursor.u16()?.into()),
            Self::Long { unsigned: false } => Raw::Int(i32::from_le_bytes(cursor.array()?).into()),
            Self::Long { unsigned: true } => Raw::Uint(cursor.u32()?.into()),
            Self::LongLong { unsigned: false } => Raw::Int(i64::from_le_bytes(cursor.array()?)),
            Self::LongLong { unsigned: true } => Raw::Uint(u64::from_le_bytes(cursor.array()?)),
            Self::Float => Raw::Float(f32::from_le_bytes(cursor.array()?)),
            Self::Double => Raw::Double(f64::from_le_bytes(cursor.array()?)),
            Self::DateTime => Raw::DateTime(date_time(cursor)?),
            Self::Time => Raw::Time(time(cursor)?),
            Self::Bytes => Raw::Bytes(cursor.bytes()?),
            Self::Null => Raw::Null,
        })
    }
}

/// Trailing parts that are 0 are left out.
fn date_time(cursor: &mut Cursor<'_>) -> Result<DateTime, Error> {
    let length = cursor.byte()?;
    let mut value = DateTime::default();
    if length >= 4 {
        (value.year, value.month, value.day) = (cursor.u16()?, cursor.byte()?, cursor.byte()?);
    }
    if length >= 7 {
        (value.hour, value.minute, value.second) = (cursor.byte()?, cursor.byte()?, cursor.byte()?);
    }
    if length >= 11 {
        value.micros = cursor.u32()?;
    }
    match length {
        0 | 4 | 7 | 11 => Ok(value),
        _ => Err(Error::Protocol("a date of an unknown length")),
    }
}

fn time(cursor: &mut Cursor<'_>) -> Result<i64, Error> {
    let length = cursor.byte()?;
    if length == 0 {
        return Ok(0);
    }
    let (negative, days) = (cursor.byte()? != 0, i64::from(cursor.u32()?));
    let (hours, minutes, seconds) = (i64::from(cursor.byte()?), i64::from(cursor.byte()?), i64::from(cursor.byte()?));
    let micros = match length {
        8 => 0,
        12 => i64::from(cursor.u32()?),
        _ => return Err(Error::Protocol("a time of an unknown length")),
    };
    let value = (((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1_000_000 + micros;
    Ok(if negative { -value } else { value })
}

/// A row of a prepared statement. Its columns are read once, from left to right.
#[derive(Debug)]
pub struct Row<'a> {
    nulls: &'a [u8],
    cursor: Cursor<'a>,
    layouts: std::iter::Enumerate<std::slice::Iter<'a, Layout>>,
}

impl<'a> Row<'a> {
    pub(crate) fn new(packet: &'a [u8], layouts: &'a [Layout]) -> Result<Self, Error> {
        let mut cursor = Cursor(packet);
        cursor.byte()?;
        let nulls = cursor.take((layouts.len() + 9) / 8)?;
        Ok(Self { nulls, cursor, layouts: layouts.iter().enumerate() })
    }

    /// The next column.
    ///
    /// # Errors
    /// [`Error::Protocol`] behind the last column, or if the packet does not hold what was announced.
    #[inline(always)]
    #[expect(
        clippy::inline_always,
        reason = "handed over in memory, a value is written in small parts and read in large ones, which stalls for longer \
                  than the rest takes: a sixth of the CPU time of a page of rows"
    )]
    pub fn value(&mut self) -> Result<Raw<'a>, Error> {
        let Some((at, layout)) = self.layouts.next() else {
            return Err(Error::Protocol("a row with fewer columns than were asked for"));
        };
        // The first two bits are the protocol's own.
        let bit = at + 2;
        match self.nulls[bit / 8] & (1 << (bit % 8)) {
            0 => layout.value(&mut self.cursor),
            _ => Ok(Raw::Null),
        }
    }
}

/// A row of a command: every value as text, `None` for NULL.
pub type TextRow = Vec<Option<String>>;

/// Reads a row of texts.
pub(crate) fn text_row(packet: &[u8], columns: usize) -> Result<TextRow, Error> {
    let mut cursor = Cursor(packet);
    let value = |_| {
        let Some(length) = cursor.nullable_length()? else { return Ok(None) };
        let length = usize::try_from(length).map_err(|_| Error::Protocol("a value of absurd length"))?;
        Ok(Some(String::from_utf8_lossy(cursor.take(length)?).into_owned()))
    };
    (0..columns).map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_leave_out_what_is_zero() {
        let read = |bytes: &[u8]| date_time(&mut Cursor(bytes));
        assert_eq!(read(&[0]).unwrap(), DateTime::default());
        let day = DateTime { year: 2024, month: 2, day: 29, ..DateTime::default() };
        assert_eq!(read(&[4, 0xe8, 7, 2, 29]).unwrap(), day);
        let moment = DateTime { hour: 23, minute: 59, second: 58, micros: 1, ..day };
        assert_eq!(read(&[11, 0xe8, 7, 2, 29, 23, 59, 58, 1, 0, 0, 0]).unwrap(), moment);
        assert!(read(&[5, 0, 0, 0, 0, 0]).is_err());
    }

    #[test]
    fn times_are_negative_and_longer_than_a_day() {
        let bytes = [12, 1, 34, 0, 0, 0, 22, 59, 59, 7, 0, 0, 0];
        assert_eq!(time(&mut Cursor(&bytes)).unwrap(), -(((34 * 24 + 22) * 3600 + 59 * 60 + 59) * 1_000_000 + 7));
        assert_eq!(time(&mut Cursor(&[0])).unwrap(), 0);
    }

    #[test]
    fn every_null_is_found() {
        let layouts = [Layout::Tiny { unsigned: false }; 9];
        for null in 0..9 {
            let mut packet = vec![0, 0, 0];
            packet[1 + (null + 2) / 8] |= 1 << ((null + 2) % 8);
            packet.extend([5; 8]);
            let mut row = Row::new(&packet, &layouts).unwrap();
            for at in 0..9 {
                let expected = if at == null { Raw::Null } else { Raw::Int(5) };
                assert_eq!(row.value().unwrap(), expected);
            }
            assert!(row.value().is_err());
        }
    }
}
