//! Stored values as SQLite keeps them.
//!
//! SQLite's integers are signed. `uint64` is kept with its sign bit flipped, so that the order of the stored numbers is
//! the order of the values: 0 is -2^63, 2^63 is 0. Everything else is kept as it is: numbers, booleans, enums, times,
//! dates and short decimals as INTEGER, floats as REAL, text and JSON as TEXT (compared by bytes, which for UTF-8 is
//! code point order), bytes and long decimals as BLOB.

use kit_core::Error;
use rowkeep_record::{Value, ValueRef};
use rowkeep_schema::Storage;
use rusqlite::types::{ToSqlOutput, ValueRef as Raw};

/// A `uint64` as a number of the same order, and back.
#[expect(clippy::cast_possible_wrap, reason = "a change of representation, not of range")]
pub(crate) const fn flip(value: u64) -> i64 {
    (value ^ (1 << 63)) as i64
}

#[expect(clippy::cast_sign_loss, reason = "a change of representation, not of range")]
pub(crate) const fn unflip(value: i64) -> u64 {
    (value as u64) ^ (1 << 63)
}

/// A value to bind.
pub(crate) struct Bound<'a>(pub(crate) ValueRef<'a>);

impl rusqlite::ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            ValueRef::Null => Raw::Null,
            ValueRef::Int(number) => Raw::Integer(number),
            ValueRef::Uint(number) => Raw::Integer(flip(number)),
            ValueRef::Real(number) => Raw::Real(number),
            ValueRef::Text(text) => Raw::Text(text.as_bytes()),
            ValueRef::Blob(bytes) => Raw::Blob(bytes),
        }))
    }
}

/// What a column of a result holds.
pub(crate) fn read(raw: Raw<'_>, storage: Storage) -> Result<ValueRef<'_>, Error> {
    Ok(match raw {
        Raw::Null => ValueRef::Null,
        Raw::Integer(number) => match storage {
            Storage::Uint64 => ValueRef::Uint(unflip(number)),
            #[expect(clippy::cast_precision_loss, reason = "a whole number in a REAL column is a float written short")]
            Storage::Float | Storage::Double => ValueRef::Real(number as f64),
            _ => ValueRef::Int(number),
        },
        Raw::Real(number) => ValueRef::Real(number),
        Raw::Text(bytes) => ValueRef::Text(std::str::from_utf8(bytes).map_err(Error::internal)?),
        Raw::Blob(bytes) => ValueRef::Blob(bytes),
    })
}

/// The same, as an owned value.
pub(crate) fn read_owned(raw: Raw<'_>, storage: Storage) -> Result<Value, Error> {
    read(raw, storage).map(ValueRef::to_value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flipped_numbers_keep_their_order() {
        let numbers = [0, 1, i64::MAX as u64, 1 << 63, u64::MAX];
        assert!(numbers.windows(2).all(|pair| flip(pair[0]) < flip(pair[1])));
        assert!(numbers.iter().all(|number| unflip(flip(*number)) == *number));
    }
}
