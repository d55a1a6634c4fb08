//! What a TABLE_MAP says beyond types: signs, character sets, names, keys. Each part counts only the columns of its own
//! kind.

use super::{Column, ColumnType};
use crate::{
    Error,
    bytes::{Bytes, text},
};

mod part {
    pub(super) const SIGNEDNESS: u8 = 1;
    pub(super) const DEFAULT_CHARSET: u8 = 2;
    pub(super) const COLUMN_CHARSET: u8 = 3;
    pub(super) const COLUMN_NAME: u8 = 4;
    pub(super) const SET_MEMBERS: u8 = 5;
    pub(super) const ENUM_MEMBERS: u8 = 6;
    pub(super) const GEOMETRY_TYPE: u8 = 7;
    pub(super) const SIMPLE_KEY: u8 = 8;
    pub(super) const KEY_WITH_PREFIX: u8 = 9;
    pub(super) const ENUM_AND_SET_DEFAULT_CHARSET: u8 = 10;
    pub(super) const ENUM_AND_SET_COLUMN_CHARSET: u8 = 11;
    pub(super) const VISIBILITY: u8 = 12;
    pub(super) const DIMENSIONS: u8 = 13;
}

/// Puts everything where it belongs; the key's columns.
pub(super) fn read(
    mut bytes: Bytes<'_>,
    types: &[u8],
    mariadb: bool,
    columns: &mut [Column],
) -> Result<Vec<(usize, u32)>, Error> {
    let is_character = |kind: ColumnType| kind.is_character(mariadb);
    let mut key = Vec::new();
    while !bytes.is_empty() {
        let part = bytes.u8()?;
        let mut value = Bytes(bytes.string()?);
        match part {
            part::SIGNEDNESS => signs(value.0, types, columns),
            part::DEFAULT_CHARSET => defaults(value, columns, is_character)?,
            part::COLUMN_CHARSET => collations(value, columns, is_character)?,
            part::COLUMN_NAME => {
                for column in columns.iter_mut() {
                    column.name = text(value.string()?);
                }
            }
            part::SET_MEMBERS => members(value, columns, |kind| matches!(kind, ColumnType::Set { .. }))?,
            part::ENUM_MEMBERS => members(value, columns, |kind| matches!(kind, ColumnType::Enum { .. }))?,
            part::GEOMETRY_TYPE => {
                for column in columns.iter_mut() {
                    if let ColumnType::Geometry { kind, .. } = &mut column.kind {
                        *kind = u8::try_from(value.packed()?).ok();
                    }
                }
            }
            part::DIMENSIONS => {
                for column in columns.iter_mut() {
                    if let ColumnType::Vector { dimensions, .. } = &mut column.kind {
                        *dimensions = u32::try_from(value.packed()?).ok();
                    }
                }
            }
            part::SIMPLE_KEY | part::KEY_WITH_PREFIX => {
                while !value.is_empty() {
                    let column = value.length()?;
                    let prefix = if part == part::KEY_WITH_PREFIX { value.packed()? } else { 0 };
                    if column >= columns.len() {
                        return Err(Error::Malformed("a key of columns that are not there"));
                    }
                    key.push((column, u32::try_from(prefix).unwrap_or(0)));
                }
            }
            part::ENUM_AND_SET_DEFAULT_CHARSET => defaults(value, columns, is_enum_or_set)?,
            part::ENUM_AND_SET_COLUMN_CHARSET => collations(value, columns, is_enum_or_set)?,
            part::VISIBILITY => {
                for (at, column) in columns.iter_mut().enumerate() {
                    column.visible = bit(value.0, at);
                }
            }
            // Parts of later versions only add.
            _ => {}
        }
    }
    Ok(key)
}

fn is_enum_or_set(kind: ColumnType) -> bool {
    matches!(kind, ColumnType::Enum { .. } | ColumnType::Set { .. })
}

/// The highest bit is the first.
fn bit(bits: &[u8], at: usize) -> bool {
    bits.get(at / 8).is_some_and(|byte| byte & 0x80 >> (at % 8) != 0)
}

/// Numbers, to which YEAR is counted.
fn signs(bits: &[u8], types: &[u8], columns: &mut [Column]) {
    let is_number = |code: &u8| matches!(code, 0..=5 | 8 | 9 | 13 | 246);
    let numbers = columns.iter_mut().zip(types).filter(|(_, code)| is_number(code));
    for (at, (column, _)) in numbers.enumerate() {
        if let ColumnType::Int { unsigned, .. } | ColumnType::Decimal { unsigned, .. } = &mut column.kind {
            *unsigned = bit(bits, at);
        }
    }
}

/// One for all, then those that differ.
fn defaults(mut value: Bytes<'_>, columns: &mut [Column], is_of: impl Fn(ColumnType) -> bool) -> Result<(), Error> {
    let default = u16::try_from(value.packed()?).ok();
    let mut of_kind: Vec<&mut Column> = columns.iter_mut().filter(|column| is_of(column.kind)).collect();
    of_kind.iter_mut().for_each(|column| column.collation = default);
    while !value.is_empty() {
        let at = value.length()?;
        let collation = u16::try_from(value.packed()?).ok();
        let column = of_kind.get_mut(at).ok_or(Error::Malformed("a character set of a column that is not there"))?;
        column.collation = collation;
    }
    Ok(())
}

fn collations(mut value: Bytes<'_>, columns: &mut [Column], is_of: impl Fn(ColumnType) -> bool) -> Result<(), Error> {
    for column in columns.iter_mut().filter(|column| is_of(column.kind)) {
        column.collation = u16::try_from(value.packed()?).ok();
    }
    Ok(())
}

fn members(mut value: Bytes<'_>, columns: &mut [Column], is_of: impl Fn(ColumnType) -> bool) -> Result<(), Error> {
    for column in columns.iter_mut().filter(|column| is_of(column.kind)) {
        for _ in 0..value.packed()? {
            column.members.push(value.string()?.to_vec());
        }
    }
    Ok(())
}
