//! Values of unique indexes that are taken: a row for each, in a table for each index.
//!
//! The row is a hash of the values and nothing else. It is inserted and deleted in the transaction that writes the row whose
//! values they are, so that whoever wants the same value waits for that transaction, as at an index. Absent values are
//! never equal, and take nothing.

use rowkeep_engine::{Stored, WriteError};
use rowkeep_mysql::Param;
use rowkeep_record::{Value, decimal_unscaled};
use rowkeep_schema::{ColumnId, Entity, Storage};
use sha2::{Digest, Sha256};

use super::names;
use crate::mysql::errors::{Failed, violated};
use crate::mysql::tx::MySqlTx;

/// What their tables are called, before a hash of what they are for.
pub(super) const PREFIX: &str = "rowkeep_unique_";

/// One unique index.
pub(super) struct Taken {
    /// Its place among the entity's indexes.
    index: u16,
    columns: Vec<(ColumnId, Storage)>,
    take: String,
    release: String,
}

/// The hash of a row's values in an index.
pub(super) type Hash = [u8; 32];

/// The table of an index: named by the table and the columns, because an index may be renamed.
pub(super) fn table_of<'a>(table: &str, columns: impl Iterator<Item = &'a str>) -> String {
    let hash = Sha256::digest(described(table, columns));
    let hex: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{PREFIX}{hex}")
}

/// `users(email)`
pub(super) fn described<'a>(table: &str, columns: impl Iterator<Item = &'a str>) -> String {
    format!("{table}({})", columns.collect::<Vec<_>>().join(","))
}

/// Those of an entity, in the order of its indexes.
pub(super) fn of_entity(entity: &Entity) -> Vec<Taken> {
    let indexes = (0..).zip(&entity.indexes).filter(|(_, index)| index.unique);
    let taken = indexes.map(|(index, definition)| {
        let columns: Vec<ColumnId> = definition.columns.iter().map(|(column, _)| *column).collect();
        let table = table_of(&entity.table, names(entity, &columns));
        Taken {
            index,
            columns: columns.into_iter().map(|column| (column, entity.column(column).storage)).collect(),
            take: format!("INSERT INTO {table} (value) VALUES (?)"),
            release: format!("DELETE FROM {table} WHERE value = ?"),
        }
    });
    taken.collect()
}

impl Taken {
    pub(super) fn is_about_any(&self, changed: &[ColumnId]) -> bool {
        self.columns.iter().any(|(column, _)| changed.contains(column))
    }

    /// `None` if one of the values is absent.
    pub(super) fn value_of(&self, row: &Stored) -> Option<Hash> {
        let mut hash = Sha256::new();
        for (column, storage) in &self.columns {
            push(&mut hash, &row.values[column.index()], *storage)?;
        }
        Some(hash.finalize().into())
    }

    /// # Errors
    /// [`WriteError::Duplicate`] if another row has it.
    pub(super) async fn take(&self, tx: &mut MySqlTx<'_>, value: &Hash) -> Result<(), WriteError> {
        match tx.execute(&self.take, &[Param::Bytes(value)], |_| Ok(())).await {
            Ok(_) => Ok(()),
            Err(Failed::Driver(error)) if violated(&error).is_some() => Err(WriteError::Duplicate(Some(self.index))),
            Err(failed) => Err(WriteError::Other(failed.into())),
        }
    }

    pub(super) async fn release(&self, tx: &mut MySqlTx<'_>, value: &Hash) -> Result<(), kit_core::Error> {
        Ok(tx.execute(&self.release, &[Param::Bytes(value)], |_| Ok(())).await.map(drop)?)
    }
}

/// Equal values have equal bytes, whether they come from a request or from a row, and no two lists of values the same.
fn push(hash: &mut Sha256, value: &Value, storage: Storage) -> Option<()> {
    let mut number = |number: i128| {
        hash.update([1]);
        hash.update(number.to_be_bytes());
    };
    match value {
        Value::Null => return None,
        Value::Int(_) | Value::Blob(_) if matches!(storage, Storage::Decimal { .. }) => {
            number(decimal_unscaled(value.as_ref()).unwrap_or_default());
        }
        Value::Int(value) => number((*value).into()),
        Value::Uint(value) => number((*value).into()),
        Value::Real(value) => number(value.to_bits().into()),
        Value::Text(text) => push_bytes(hash, text.as_bytes()),
        Value::Blob(bytes) => push_bytes(hash, bytes),
    }
    Some(())
}

fn push_bytes(hash: &mut Sha256, bytes: &[u8]) {
    hash.update([2]);
    hash.update((bytes.len() as u64).to_be_bytes());
    hash.update(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(values: &[Value]) -> Option<Hash> {
        let columns = (0..values.len()).map(|at| (ColumnId(u16::try_from(at).unwrap()), Storage::Text)).collect();
        let taken = Taken { index: 0, columns, take: String::new(), release: String::new() };
        taken.value_of(&Stored { values: values.to_vec(), version: 0, deleted_at: None })
    }

    #[test]
    fn equal_values_are_one_value_however_they_are_held() {
        assert_eq!(value(&[Value::Int(5)]), value(&[Value::Uint(5)]));
        assert_ne!(value(&[Value::Int(-1)]), value(&[Value::Uint(u64::MAX)]));
    }

    #[test]
    fn neighbours_are_told_apart_and_absent_values_take_nothing() {
        let text = |text: &str| Value::Text(text.into());
        assert_ne!(value(&[text("ab"), text("c")]), value(&[text("a"), text("bc")]));
        assert_ne!(value(&[text("")]), value(&[text("\0")]));
        assert_eq!(value(&[text("a"), Value::Null]), None);
    }

    #[test]
    fn the_table_is_named_by_what_it_is_for() {
        let name = table_of("users", ["email"].into_iter());
        assert!(name.starts_with(PREFIX) && name.len() == PREFIX.len() + 16, "{name}");
        assert_ne!(name, table_of("users", ["email", "name"].into_iter()));
    }
}
