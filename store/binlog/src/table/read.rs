//! Reads a TABLE_MAP.

use super::{Column, ColumnType, Layout, Table, metadata};
use crate::{
    Error,
    bytes::{Bytes, text},
};

/// The number of the table that a TABLE_MAP or a rows event is about.
pub(crate) fn table_number(body: &[u8]) -> Result<u64, Error> {
    Bytes(body).uint(6)
}

/// Reads a TABLE_MAP, of MariaDB or of MySQL.
pub(crate) fn read_table(body: &[u8], mariadb: bool) -> Result<Table, Error> {
    let mut bytes = Bytes(body);
    let number = bytes.uint(6)?;
    bytes.u16()?;
    let database = text(bytes.string()?);
    bytes.u8()?;
    let name = text(bytes.string()?);
    bytes.u8()?;
    let count = bytes.length()?;
    let types = bytes.take(count)?;
    let mut details = Bytes(bytes.string()?);
    let nullable = bytes.take(count.div_ceil(8))?;
    let mut columns = Vec::with_capacity(count);
    for (at, code) in types.iter().enumerate() {
        let kind = read_type(*code, &mut details)?;
        let nullable = nullable[at / 8] & 1 << (at % 8) != 0;
        columns.push(Column {
            name: String::new(),
            kind,
            nullable,
            collation: None,
            members: Vec::new(),
            visible: true,
            json: None,
        });
    }
    let key = metadata::read(bytes, types, mariadb, &mut columns)?;
    let mut json_columns = 0;
    for column in &mut columns {
        if matches!(column.kind, ColumnType::Json { .. }) {
            column.json = Some(json_columns);
            json_columns += 1;
        }
    }
    let layouts: Vec<Layout> = columns.iter().map(|column| column.kind.layout()).collect();
    Ok(Table { number, database, name, columns, key, layouts, json_columns })
}

/// Reads a type with what belongs to it. Signs come later.
fn read_type(code: u8, details: &mut Bytes<'_>) -> Result<ColumnType, Error> {
    let int = |bytes| ColumnType::Int { bytes, unsigned: false };
    Ok(match code {
        1 => int(1),
        2 => int(2),
        9 => int(3),
        3 => int(4),
        8 => int(8),
        4 => {
            details.u8()?;
            ColumnType::Float
        }
        5 => {
            details.u8()?;
            ColumnType::Double
        }
        6 => ColumnType::Null,
        7 => ColumnType::OldTimestamp,
        10 | 14 => ColumnType::Date,
        11 => ColumnType::OldTime,
        12 => ColumnType::OldDateTime,
        13 => ColumnType::Year,
        15 | 253 => ColumnType::VarChar { bytes: details.u16()? },
        16 => {
            let (odd, whole) = (details.u8()?, details.u8()?);
            let bits = u16::from(whole) * 8 + u16::from(odd);
            match u8::try_from(bits) {
                Ok(bits @ ..=64) => ColumnType::Bit { bits },
                _ => return Err(Error::Malformed("a BIT of more than 64 bits")),
            }
        }
        17 => ColumnType::Timestamp { digits: digits(details)? },
        18 => ColumnType::DateTime { digits: digits(details)? },
        19 => ColumnType::Time { digits: digits(details)? },
        140 => ColumnType::CompressedBlob { length: length(details)? },
        141 => ColumnType::CompressedVarChar { bytes: details.u16()? },
        242 => ColumnType::Vector { length: length(details)?, dimensions: None },
        245 => ColumnType::Json { length: length(details)? },
        246 => {
            let (precision, scale) = (details.u8()?, details.u8()?);
            if precision > 65 || scale > 38 || scale > precision {
                return Err(Error::Malformed("a DECIMAL of more digits than there are"));
            }
            ColumnType::Decimal { precision, scale, unsigned: false }
        }
        249..=252 => ColumnType::Blob { length: length(details)? },
        254 => read_string(details)?,
        255 => ColumnType::Geometry { length: length(details)?, kind: None },
        _ => return Err(Error::Unsupported("a column of a type that this reader does not know")),
    })
}

/// CHAR, and what is stored like it. Two bits of its length hide in the type, upside down.
fn read_string(details: &mut Bytes<'_>) -> Result<ColumnType, Error> {
    let (code, low) = (details.u8()?, details.u8()?);
    match code {
        247 | 248 if low > 8 => Err(Error::Malformed("an ENUM or SET of more than 64 members")),
        247 => Ok(ColumnType::Enum { bytes: low }),
        248 => Ok(ColumnType::Set { bytes: low }),
        _ => {
            let high = u16::from((code & 0x30) ^ 0x30) << 4;
            Ok(ColumnType::Char { bytes: high | u16::from(low) })
        }
    }
}

fn digits(details: &mut Bytes<'_>) -> Result<u8, Error> {
    match details.u8()? {
        digits @ ..=6 => Ok(digits),
        _ => Err(Error::Malformed("fractional seconds of more than 6 digits")),
    }
}

/// Bytes of a length.
fn length(details: &mut Bytes<'_>) -> Result<u8, Error> {
    match details.u8()? {
        length @ 1..=4 => Ok(length),
        _ => Err(Error::Malformed("a length of more than 4 bytes")),
    }
}
