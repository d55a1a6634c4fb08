//! Values as they lie in an event.

mod decimal;
mod json;
pub(crate) mod temporal;

pub use decimal::Decimal;
pub(crate) use decimal::size as decimal_size;
pub use json::{Json, JsonError, JsonPatch};
pub use temporal::Timestamp;

use rowkeep_mysql::DateTime;

use crate::{
    Error,
    bytes::{Bytes, big_endian},
    event,
};

/// A value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'a> {
    /// NULL.
    Null,
    /// Signed numbers.
    Int(i64),
    /// Unsigned numbers.
    Uint(u64),
    /// `FLOAT`.
    Float(f32),
    /// `DOUBLE`.
    Double(f64),
    /// `DECIMAL`.
    Decimal(Decimal<'a>),
    /// `YEAR`: 0, or 1901 to 2155.
    Year(u16),
    /// `DATE`. The time of day is 0.
    Date(DateTime),
    /// `DATETIME`.
    DateTime(DateTime),
    /// `TIMESTAMP`.
    Timestamp(Timestamp),
    /// `TIME`: microseconds, negative ones too.
    Time(i64),
    /// `CHAR` to `TEXT`, `BINARY` to `BLOB`, in the column's character set. Of `CHAR` and `BINARY` without what filled them
    /// up at their end.
    Bytes(&'a [u8]),
    /// `BIT`.
    Bit(u64),
    /// `ENUM`: the number of the member, from 1; 0 is what was none.
    Enum(u16),
    /// `SET`: a bit for each member, the first the lowest.
    Set(u64),
    /// `JSON` of MySQL.
    Json(Json<'a>),
    /// `JSON` of MySQL that changed in parts (`binlog_row_value_options=PARTIAL_JSON`): what to do to the value before.
    JsonPatch(JsonPatch<'a>),
    /// The spatial types: SRID, then WKB.
    Geometry(&'a [u8]),
    /// `VECTOR`: numbers of 32 bits.
    Vector(&'a [u8]),
    /// MariaDB's compressed text or bytes; [`Cell::inflated`] has the value.
    Compressed(&'a [u8]),
}

impl Cell<'_> {
    /// The value of a [`Cell::Compressed`].
    ///
    /// # Errors
    /// [`Error::Malformed`] if it cannot be inflated. `None` for other cells.
    pub fn inflated(&self) -> Result<Option<Vec<u8>>, Error> {
        match self {
            Self::Compressed(bytes) => inflate_column(bytes).map(Some),
            _ => Ok(None),
        }
    }
}

/// Nothing, or a head: its high half the method (8 for zlib), its low bits the width of the length that follows.
fn inflate_column(bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let mut bytes = Bytes(bytes);
    let mut value = Vec::new();
    if bytes.is_empty() {
        return Ok(value);
    }
    let head = bytes.u8()?;
    match head >> 4 {
        0 => value.extend_from_slice(bytes.0),
        8 => {
            let length = usize::try_from(big_endian(bytes.take(usize::from(head & 7))?)).unwrap_or(usize::MAX);
            event::inflate_column(bytes.0, head & 8 == 0, length, &mut value)?;
        }
        _ => return Err(Error::Unsupported("a column is compressed in a way that this reader does not know")),
    }
    Ok(value)
}

/// The bytes of a UUID that MariaDB stores as 16 of a [`Cell::Bytes`], in the order in which they are written.
///
/// It stores those of versions 1 to 5 with the groups turned around, so that times of version 1 sort; others as they are.
/// What filled the value up at its end is missing in the log and is put back.
pub fn mariadb_uuid(stored: &[u8]) -> Option<[u8; 16]> {
    let mut bytes = [0; 16];
    bytes.get_mut(..stored.len())?.copy_from_slice(stored);
    // Where version and variant are in the stored order.
    let (version, variant) = (bytes[8] >> 4, bytes[6] & 0xc0);
    let is_swapped = (1..=5).contains(&version) && variant == 0x80;
    if !is_swapped {
        return Some(bytes);
    }
    let mut uuid = [0; 16];
    uuid[..4].copy_from_slice(&bytes[12..]);
    uuid[4..6].copy_from_slice(&bytes[10..12]);
    uuid[6..8].copy_from_slice(&bytes[8..10]);
    uuid[8..10].copy_from_slice(&bytes[6..8]);
    uuid[10..].copy_from_slice(&bytes[..6]);
    Some(uuid)
}
