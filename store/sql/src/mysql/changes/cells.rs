//! Cells of the log as stored values: the same that a read of the row gives.
//!
//! A cell is first brought into the form in which the server answers it, and then read like an answer, so that there is one
//! place that knows what a stored value is.

use std::net::{Ipv4Addr, Ipv6Addr};

use kit_core::Error;
use rowkeep_binlog::{Cell, Column, ColumnType, Image, mariadb_uuid};
use rowkeep_mysql::Raw;
use rowkeep_record::Value;
use rowkeep_schema::Storage;

use super::charset::Charset;
use crate::mysql::values::read_owned;

/// How a column's cells are brought into the form of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    /// They are in it, or the cell says all that is needed.
    Plain,
    /// A text in this character set.
    Text(Charset),
    /// Bytes that are filled up to this length.
    Padded(usize),
    /// MariaDB's, of which the log has bytes.
    Uuid,
    Inet4,
    Inet6,
    /// Of an `ENUM` or `SET`.
    Members(Vec<String>),
}

impl Form {
    /// `sql_type`: as the schema spells it, if it does. `None` if values of this column cannot be told.
    pub(super) fn of(column: &Column, sql_type: Option<&str>, storage: Storage, charset: Charset) -> Option<Self> {
        let is_binary = column.collation == Some(BINARY);
        Some(match (column.kind, sql_type) {
            (ColumnType::Char { .. }, Some("uuid")) => Self::Uuid,
            (ColumnType::Char { .. }, Some("inet4")) => Self::Inet4,
            (ColumnType::Char { .. }, Some("inet6")) => Self::Inet6,
            (ColumnType::Char { bytes }, _) if is_binary => Self::Padded(bytes.into()),
            (ColumnType::Enum { .. } | ColumnType::Set { .. }, _) => {
                let text = |member: &Vec<u8>| charset.text(member).map(|text| text.into_owned());
                Self::Members(column.members.iter().map(text).collect::<Option<_>>()?)
            }
            _ if storage == Storage::Blob => Self::Plain,
            (ColumnType::Char { .. } | ColumnType::VarChar { .. } | ColumnType::Blob { .. }, _)
            | (ColumnType::CompressedVarChar { .. } | ColumnType::CompressedBlob { .. }, _) => Self::Text(charset),
            _ => Self::Plain,
        })
    }
}

/// The collation of bytes.
const BINARY: u16 = 63;

/// A column's value. `before`: the row as it was, of which JSON may be told in parts.
pub(super) fn value(
    image: &Image<'_>,
    before: Option<&Image<'_>>,
    at: usize,
    form: &Form,
    storage: Storage,
) -> Result<Value, Error> {
    let cell = image.cell(at).map_err(Error::internal)?.ok_or_else(|| unknown("the log has a part of the row only"))?;
    match cell {
        Cell::Null => Ok(Value::Null),
        Cell::Int(number) => read_owned(Raw::Int(number), storage),
        Cell::Uint(number) => read_owned(Raw::Uint(number), storage),
        Cell::Float(number) => read_owned(Raw::Float(number), storage),
        Cell::Double(number) => read_owned(Raw::Double(number), storage),
        Cell::Year(year) => read_owned(Raw::Uint(year.into()), storage),
        Cell::Date(date) | Cell::DateTime(date) => read_owned(Raw::DateTime(date), storage),
        Cell::Timestamp(time) => read_owned(Raw::DateTime(time.utc()), storage),
        Cell::Time(time) => read_owned(Raw::Time(time), storage),
        Cell::Decimal(decimal) => {
            let mut text = Vec::with_capacity(40);
            decimal.write(&mut text);
            read_owned(Raw::Bytes(&text), storage)
        }
        Cell::Bit(bits) => bit(bits, &image.table().columns[at], storage),
        Cell::Bytes(bytes) => text(bytes, form, storage),
        Cell::Geometry(bytes) | Cell::Vector(bytes) => read_owned(Raw::Bytes(bytes), storage),
        Cell::Compressed(_) => {
            let bytes = cell.inflated().map_err(Error::internal)?.unwrap_or_default();
            text(&bytes, form, storage)
        }
        Cell::Enum(number) => member(number, form, storage),
        Cell::Set(bits) => set(bits, form, storage),
        Cell::Json(json) => {
            let mut text = Vec::with_capacity(json.bytes().len() * 2);
            json.write(&mut text).map_err(Error::internal)?;
            read_owned(Raw::Bytes(&text), storage)
        }
        Cell::JsonPatch(patch) => {
            let old = before.map(|before| before.cell(at)).transpose().map_err(Error::internal)?.flatten();
            let Some(Cell::Json(old)) = old else { return Err(unknown("the log has a part of a value only")) };
            let text = patch.apply(&old).map_err(Error::internal)?;
            read_owned(Raw::Bytes(text.as_bytes()), storage)
        }
    }
}

/// As an answer has bits: as many bytes as they need, the highest first.
fn bit(bits: u64, column: &Column, storage: Storage) -> Result<Value, Error> {
    let ColumnType::Bit { bits: width } = column.kind else { return Err(unknown("bits of no width")) };
    let bytes = bits.to_be_bytes();
    let from = bytes.len().saturating_sub(usize::from(width.div_ceil(8)));
    read_owned(Raw::Bytes(&bytes[from..]), storage)
}

fn text(bytes: &[u8], form: &Form, storage: Storage) -> Result<Value, Error> {
    let of = |text: &str| read_owned(Raw::Bytes(text.as_bytes()), storage);
    match form {
        Form::Plain => read_owned(Raw::Bytes(bytes), storage),
        Form::Text(Charset::Utf8) => read_owned(Raw::Bytes(bytes), storage),
        Form::Text(charset) => {
            of(&charset.text(bytes).ok_or_else(|| unknown("the column's character set is not known here"))?)
        }
        Form::Padded(length) => {
            let mut padded = bytes.to_vec();
            padded.resize(*length, 0);
            read_owned(Raw::Bytes(&padded), storage)
        }
        Form::Uuid => {
            let uuid = mariadb_uuid(bytes).ok_or_else(|| unknown("a UUID of more than 16 bytes"))?;
            let digits = format!("{:032x}", u128::from_be_bytes(uuid));
            let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
            of(&parts.join("-"))
        }
        Form::Inet4 => of(&Ipv4Addr::from(filled::<4>(bytes)?).to_string()),
        Form::Inet6 => of(&inet6(filled(bytes)?)),
        Form::Members(_) => Err(unknown("bytes where a member was expected")),
    }
}

/// What filled a value up at its end is missing in the log.
fn filled<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Error> {
    let mut filled = [0; N];
    let there = filled.get_mut(..bytes.len()).ok_or_else(|| unknown("an address of too many bytes"))?;
    there.copy_from_slice(bytes);
    Ok(filled)
}

/// MariaDB writes addresses that stand for those of version 4 with points.
fn inet6(bytes: [u8; 16]) -> String {
    let (number, [.., a, b, c, d]) = (u128::from_be_bytes(bytes), bytes);
    match number {
        2..=0xffff_ffff => format!("::{}", Ipv4Addr::new(a, b, c, d)),
        _ => Ipv6Addr::from(bytes).to_string(),
    }
}

fn member(number: u16, form: &Form, storage: Storage) -> Result<Value, Error> {
    let Form::Members(members) = form else { return Err(unknown("a member of nothing")) };
    let name = match number {
        0 => "",
        number => members.get(usize::from(number) - 1).ok_or_else(|| unknown("a member that the log does not name"))?,
    };
    read_owned(Raw::Bytes(name.as_bytes()), storage)
}

fn set(bits: u64, form: &Form, storage: Storage) -> Result<Value, Error> {
    let Form::Members(members) = form else { return Err(unknown("a set of nothing")) };
    if members.len() < 64 && bits >> members.len() != 0 {
        return Err(unknown("a member that the log does not name"));
    }
    let named = members.iter().enumerate().filter(|(at, _)| bits >> at & 1 == 1).map(|(_, name)| name.as_str());
    read_owned(Raw::Bytes(named.collect::<Vec<_>>().join(",").as_bytes()), storage)
}

pub(super) fn unknown(what: &'static str) -> Error {
    Error::internal(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_the_server_writes_them() {
        let of = |text: &str| inet6(text.parse::<Ipv6Addr>().unwrap().octets());
        for text in ["::", "::1", "2001:db8::ff00:42:8329", "::ffff:192.0.2.1"] {
            assert_eq!(of(text), text);
        }
        assert_eq!(of("::c000:201"), "::192.0.2.1");
    }

    #[test]
    fn members_are_named_by_their_number() {
        let form = Form::Members(vec!["a".to_owned(), "b".to_owned(), "c".to_owned()]);
        let text = |text: &str| Value::Text(text.into());
        assert_eq!(member(2, &form, Storage::Text).unwrap(), text("b"));
        assert_eq!(member(0, &form, Storage::Text).unwrap(), text(""));
        assert!(member(4, &form, Storage::Text).is_err());
        assert_eq!(set(0b101, &form, Storage::Text).unwrap(), text("a,c"));
        assert!(set(0b1000, &form, Storage::Text).is_err());
    }
}
