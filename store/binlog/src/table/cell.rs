//! From bytes to a value, by the column's type.

use super::ColumnType;
use crate::{
    Cell, Error, Json, JsonPatch,
    bytes::{Bytes, big_endian},
    value::{Decimal, temporal},
};

#[inline]
pub(super) fn read<'a>(kind: ColumnType, mut bytes: Bytes<'a>, partial: bool) -> Result<Cell<'a>, Error> {
    Ok(match kind {
        ColumnType::Int { bytes: width, unsigned } => int(&mut bytes, width, unsigned)?,
        ColumnType::Float => Cell::Float(f32::from_le_bytes(bytes.array()?)),
        ColumnType::Double => Cell::Double(f64::from_le_bytes(bytes.array()?)),
        ColumnType::Decimal { precision, scale, .. } => {
            let size = crate::value::decimal_size(precision, scale);
            Cell::Decimal(Decimal::new(bytes.take(size.into())?, precision, scale))
        }
        ColumnType::Year => Cell::Year(match bytes.u8()? {
            0 => 0,
            year => 1900 + u16::from(year),
        }),
        ColumnType::Date => Cell::Date(temporal::date(bytes.uint(3)?)),
        ColumnType::Time { digits } => Cell::Time(temporal::time(&mut bytes, digits)?),
        ColumnType::DateTime { digits } => Cell::DateTime(temporal::date_time(&mut bytes, digits)?),
        ColumnType::Timestamp { digits } => Cell::Timestamp(temporal::timestamp(&mut bytes, digits)?),
        ColumnType::OldTime => Cell::Time(temporal::old_time(bytes.uint(3)?)?),
        ColumnType::OldDateTime => Cell::DateTime(temporal::old_date_time(bytes.u64()?)?),
        ColumnType::OldTimestamp => Cell::Timestamp(temporal::old_timestamp(bytes.u32()?)),
        ColumnType::Char { bytes: most } | ColumnType::VarChar { bytes: most } => {
            Cell::Bytes(behind(&mut bytes, most)?)
        }
        ColumnType::Blob { length } => Cell::Bytes(long(&mut bytes, length)?),
        ColumnType::Geometry { length, .. } => Cell::Geometry(long(&mut bytes, length)?),
        ColumnType::Vector { length, .. } => Cell::Vector(long(&mut bytes, length)?),
        ColumnType::Json { length } => {
            let value = long(&mut bytes, length)?;
            if partial { Cell::JsonPatch(JsonPatch::new(value)) } else { Cell::Json(Json::new(value)) }
        }
        ColumnType::Bit { bits } => Cell::Bit(big_endian(bytes.take(bits.div_ceil(8).into())?)),
        ColumnType::Enum { bytes: width } => Cell::Enum(u16::try_from(bytes.uint(width.into())?).unwrap_or(u16::MAX)),
        ColumnType::Set { bytes: width } => Cell::Set(bytes.uint(width.into())?),
        ColumnType::CompressedVarChar { bytes: most } => Cell::Compressed(behind(&mut bytes, most)?),
        ColumnType::CompressedBlob { length } => Cell::Compressed(long(&mut bytes, length)?),
        ColumnType::Null => Cell::Null,
    })
}

#[inline]
fn int<'a>(bytes: &mut Bytes<'a>, width: u8, unsigned: bool) -> Result<Cell<'a>, Error> {
    Ok(match (width, unsigned) {
        (1, false) => Cell::Int(i8::from_le_bytes(bytes.array()?).into()),
        (1, true) => Cell::Uint(bytes.u8()?.into()),
        (2, false) => Cell::Int(i16::from_le_bytes(bytes.array()?).into()),
        (2, true) => Cell::Uint(bytes.u16()?.into()),
        // The sign is moved to where an i32 has it, and back.
        (3, false) => Cell::Int(i64::from((bytes.uint(3)? as u32) << 8).wrapping_shl(32) >> 40),
        (3, true) => Cell::Uint(bytes.uint(3)?),
        (4, false) => Cell::Int(i32::from_le_bytes(bytes.array()?).into()),
        (4, true) => Cell::Uint(bytes.u32()?.into()),
        (_, false) => Cell::Int(i64::from_le_bytes(bytes.array()?)),
        (_, true) => Cell::Uint(bytes.u64()?),
    })
}

/// Bytes behind a length of one byte or two.
#[inline]
fn behind<'a>(bytes: &mut Bytes<'a>, most: u16) -> Result<&'a [u8], Error> {
    let length = if most > 255 { bytes.u16()?.into() } else { bytes.u8()?.into() };
    bytes.take(length)
}

#[inline]
fn long<'a>(bytes: &mut Bytes<'a>, width: u8) -> Result<&'a [u8], Error> {
    let length = usize::try_from(bytes.uint(width.into())?).unwrap_or(usize::MAX);
    bytes.take(length)
}
