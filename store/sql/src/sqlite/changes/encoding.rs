//! What a transaction changed, as bytes.
//!
//! A change is its entity and which of the two rows it has; then the row before, whole, and the row after: whole if there
//! was none before, else the columns that differ. Numbers are varints, so that a row takes about what it takes in its
//! table.

use kit_core::{Code, Error};
use rowkeep_engine::{RowChange, Stored};
use rowkeep_record::Value;
use rowkeep_schema::EntityId;

/// What follows in the bytes.
#[derive(Debug, PartialEq)]
pub(super) enum Item {
    Row(RowChange),
    /// The whole table may have changed.
    Table(EntityId),
}

const TABLE: u8 = 0;
const HAS_BEFORE: u8 = 1;
const HAS_AFTER: u8 = 2;

/// Appends that rows of a table changed in ways that are not told.
pub(super) fn put_table(out: &mut Vec<u8>, entity: EntityId) {
    out.push(TABLE);
    put_varint(out, u64::from(entity.0));
}

/// Appends a change; one of the rows at least is there.
pub(super) fn put_change(out: &mut Vec<u8>, entity: EntityId, before: Option<&Stored>, after: Option<&Stored>) {
    let flag = |row: Option<&Stored>, flag| if row.is_some() { flag } else { 0 };
    out.push(flag(before, HAS_BEFORE) | flag(after, HAS_AFTER));
    put_varint(out, u64::from(entity.0));
    if let Some(row) = before {
        put_head(out, row);
        row.values.iter().for_each(|value| put_value(out, value));
    }
    if let Some(row) = after {
        put_head(out, row);
        match before {
            None => row.values.iter().for_each(|value| put_value(out, value)),
            Some(before) => put_difference(out, before, row),
        }
    }
}

fn put_head(out: &mut Vec<u8>, row: &Stored) {
    put_varint(out, row.version);
    // Times of deletion are never the first microsecond there is.
    put_varint(out, row.deleted_at.map_or(0, |at| zigzag(at).saturating_add(1)));
}

fn put_difference(out: &mut Vec<u8>, before: &Stored, after: &Stored) {
    let differ = || (0_u64..).zip(before.values.iter().zip(&after.values)).filter(|(_, (one, other))| one != other);
    put_varint(out, differ().count() as u64);
    for (column, (_, value)) in differ() {
        put_varint(out, column);
        put_value(out, value);
    }
}

fn put_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.push(0),
        Value::Int(number) => put_number(out, 1, zigzag(*number)),
        Value::Uint(number) => put_number(out, 2, *number),
        Value::Real(number) => {
            out.push(3);
            out.extend_from_slice(&number.to_le_bytes());
        }
        Value::Text(text) => put_bytes(out, 4, text.as_bytes()),
        Value::Blob(bytes) => put_bytes(out, 5, bytes),
    }
}

fn put_number(out: &mut Vec<u8>, tag: u8, number: u64) {
    out.push(tag);
    put_varint(out, number);
}

fn put_bytes(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    put_number(out, tag, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[expect(clippy::cast_sign_loss, reason = "a change of representation, not of range")]
const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

#[expect(clippy::cast_possible_wrap, reason = "a change of representation, not of range")]
const fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// Reads what [`put_change`] and [`put_table`] wrote. `columns` tells how many an entity has.
pub(super) struct Items<'a, C> {
    rest: &'a [u8],
    columns: C,
}

impl<'a, C: Fn(EntityId) -> Option<usize>> Items<'a, C> {
    pub(super) fn new(bytes: &'a [u8], columns: C) -> Self {
        Self { rest: bytes, columns }
    }

    /// The next one, or `None` at the end.
    ///
    /// # Errors
    /// `DATA_LOSS` if the bytes are not what was written.
    pub(super) fn next(&mut self) -> Result<Option<Item>, Error> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        self.item().map(Some).ok_or_else(|| {
            let message = "the log of changes is corrupt; restore the data file from a backup";
            Error::new(Code::DataLoss, "STORAGE_CORRUPT", message)
        })
    }

    fn item(&mut self) -> Option<Item> {
        let flags = self.byte()?;
        let entity = EntityId(u16::try_from(self.varint()?).ok()?);
        let columns = (self.columns)(entity)?;
        if flags == TABLE {
            return Some(Item::Table(entity));
        }
        let before = if flags & HAS_BEFORE == 0 { None } else { Some(self.row(columns)?) };
        let after = match &before {
            _ if flags & HAS_AFTER == 0 => None,
            None => Some(self.row(columns)?),
            Some(before) => Some(self.difference(before)?),
        };
        Some(Item::Row(RowChange { entity, before, after }))
    }

    fn row(&mut self, columns: usize) -> Option<Stored> {
        let (version, deleted_at) = self.head()?;
        let values = (0..columns).map(|_| self.value()).collect::<Option<_>>()?;
        Some(Stored { values, version, deleted_at })
    }

    fn difference(&mut self, before: &Stored) -> Option<Stored> {
        let (version, deleted_at) = self.head()?;
        let mut values = before.values.clone();
        for _ in 0..self.varint()? {
            let column = usize::try_from(self.varint()?).ok()?;
            *values.get_mut(column)? = self.value()?;
        }
        Some(Stored { values, version, deleted_at })
    }

    fn head(&mut self) -> Option<(u64, Option<i64>)> {
        let version = self.varint()?;
        Some((version, self.varint()?.checked_sub(1).map(unzigzag)))
    }

    fn value(&mut self) -> Option<Value> {
        Some(match self.byte()? {
            0 => Value::Null,
            1 => Value::Int(unzigzag(self.varint()?)),
            2 => Value::Uint(self.varint()?),
            3 => Value::Real(f64::from_le_bytes(self.take(8)?.try_into().ok()?)),
            4 => Value::Text(std::str::from_utf8(self.sized()?).ok()?.into()),
            5 => Value::Blob(self.sized()?.into()),
            _ => return None,
        })
    }

    fn sized(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.varint()?).ok()?;
        self.take(length)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|byte| byte[0])
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: Vec<Value>, version: u64, deleted_at: Option<i64>) -> Stored {
        Stored { values, version, deleted_at }
    }

    fn values() -> Vec<Value> {
        vec![
            Value::Null,
            Value::Int(i64::MIN),
            Value::Uint(u64::MAX),
            Value::Real(-0.1),
            Value::Text("Zo\u{eb} \0".into()),
            Value::Blob(vec![0, 255].into()),
        ]
    }

    fn changes() -> Vec<Item> {
        let whole = || row(values(), u64::MAX, None);
        let mut other = row(values(), 7, Some(-1));
        other.values[3] = Value::Null;
        other.values[5] = Value::Blob(vec![1; 300].into());
        let change = |before, after| Item::Row(RowChange { entity: EntityId(300), before, after });
        vec![
            change(None, Some(whole())),
            Item::Table(EntityId(300)),
            change(Some(whole()), Some(other.clone())),
            change(Some(other.clone()), Some(other.clone())),
            change(Some(other), None),
        ]
    }

    fn written() -> Vec<u8> {
        let mut out = Vec::new();
        for item in changes() {
            match item {
                Item::Row(RowChange { entity, before, after }) => {
                    put_change(&mut out, entity, before.as_ref(), after.as_ref());
                }
                Item::Table(entity) => put_table(&mut out, entity),
            }
        }
        out
    }

    fn read(bytes: &[u8]) -> Result<Vec<Item>, Error> {
        let mut items = Items::new(bytes, |entity| (entity == EntityId(300)).then_some(6));
        let mut all = Vec::new();
        while let Some(item) = items.next()? {
            all.push(item);
        }
        Ok(all)
    }

    #[test]
    fn what_is_written_is_read_back() {
        assert_eq!(read(&written()).expect("whole"), changes());
    }

    #[test]
    fn a_change_of_one_column_takes_little_more_than_one_row() {
        let (one, mut other) = (row(values(), 1 << 50, None), row(values(), 1 << 50, None));
        other.values[1] = Value::Int(1);
        let (mut alone, mut both) = (Vec::new(), Vec::new());
        put_change(&mut alone, EntityId(0), Some(&one), None);
        put_change(&mut both, EntityId(0), Some(&one), Some(&other));
        assert!(both.len() - alone.len() <= 13, "{} and {}", both.len(), alone.len());
    }

    #[test]
    fn no_truncation_and_no_other_schema_panics() {
        let whole = written();
        for end in 0..whole.len() {
            // At the end of a change it is a shorter list of them.
            if let Ok(fewer) = read(&whole[..end]) {
                assert!(fewer.len() < changes().len());
            }
        }
        for columns in [0, 5, 7, 70_000] {
            let mut items = Items::new(&whole, |_| Some(columns));
            while let Ok(Some(_)) = items.next() {}
        }
        assert!(Items::new(&whole, |_| None).next().is_err());
    }
}
