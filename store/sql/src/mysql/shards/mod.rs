//! A database whose tables are spread over several shards, each a database of its own behind one gateway.
//!
//! What the gateway leaves to its users is done here:
//!
//! - **Where rows lie** ([`layout`]). The first column of a table's primary key that can decide it does, so that a key names
//!   one shard and the shard's own primary key keeps keys apart.
//! - **Unique indexes** ([`taken`]). An index sees its shard alone. So each value that is taken has a row in a table of its
//!   own, which is spread by the value, and which is written in the transaction that writes the row. The gateway's own way
//!   (`consistent_lookup_unique`) uses transactions of its own beside that one: a commit that lets go of a value in one write
//!   and takes it in the next would wait for itself until it times out.
//! - **Counted keys** ([`numbers`]). A counter row for each table, from which a number is taken before the row is written. The
//!   gateway's sequences hand out numbers that a client has given already.
//!
//! Commits are two-phase: the connections say so to the gateway.

mod layout;
mod load;
mod numbers;
mod taken;
#[cfg(test)]
mod tests;

use kit_core::Error;
use rowkeep_engine::{Isolation, Needs, Stored, WriteError};
use rowkeep_mysql::Connection;
use rowkeep_record::{Key, Value, ValueRef};
use rowkeep_schema::{ColumnId, Entity, EntityId, Schema, Storage};

use super::errors::classify;
use super::session::patiently;
use super::store::Shared;
use super::tx::MySqlTx;
use super::values::param;
use super::writes::roll_back;
use crate::dialect::Dialect;
pub(super) use layout::{Layout, check, prepare, settle, without_counting};
use numbers::Numbers;
use taken::{Taken, of_entity};

/// Numbers that were given by others, past the counter, are met at most this often in a row.
const MOST_MET: u32 = 3;
/// Expired rows that are removed in one transaction.
const SWEPT: u32 = 100;

/// What the writes of a store have to see to.
pub(super) struct Shards {
    numbers: Numbers,
    taken: Vec<Vec<Taken>>,
    keys: Vec<Vec<ColumnId>>,
}

impl Shards {
    pub(super) fn new(schema: &Schema) -> Self {
        Self {
            numbers: Numbers::new(schema),
            taken: schema.entities.iter().map(of_entity).collect(),
            keys: schema.entities.iter().map(|entity| entity.primary_key.clone()).collect(),
        }
    }

    /// Whether rows of an entity have values to let go of when they go.
    pub(super) fn takes_values(&self, entity: EntityId) -> bool {
        !self.taken[entity.index()].is_empty()
    }

    /// Adds a row with the values that it takes. One that clashes leaves nothing behind.
    pub(super) async fn insert(
        &self,
        tx: &mut MySqlTx<'_>,
        id: EntityId,
        row: &Stored,
    ) -> Result<Option<i64>, WriteError> {
        let Some(column) = tx.shared().counted(id) else {
            self.add(tx, id, row).await?;
            return Ok(None);
        };
        let given = &row.values[column.index()];
        if !given.is_null() {
            self.numbers.pass(tx, id, number_of(given)).await?;
            self.add(tx, id, row).await?;
            return Ok(None);
        }
        let mut row = row.clone();
        for _ in 0..MOST_MET {
            let number = self.numbers.next(tx, id, 1).await?;
            row.values[column.index()] = counted_value(tx.shared(), id, column, number)?;
            match self.add(tx, id, &row).await {
                // Somebody who does not count wrote the row.
                Err(WriteError::Duplicate(None)) => self.numbers.catch_up(tx, id, column).await?,
                added => return added.map(|()| i64::try_from(number).ok()),
            }
        }
        Err(WriteError::Duplicate(None))
    }

    async fn add(&self, tx: &mut MySqlTx<'_>, id: EntityId, row: &Stored) -> Result<(), WriteError> {
        tx.add(id, row).await?;
        for (at, taken) in self.taken[id.index()].iter().enumerate() {
            let Some(value) = taken.value_of(row) else { continue };
            let Err(error) = taken.take(tx, &value).await else { continue };
            for earlier in &self.taken[id.index()][..at] {
                if let Some(value) = earlier.value_of(row) {
                    earlier.release(tx, &value).await?;
                }
            }
            tx.remove(id, &self.key_of(id, row)).await?;
            return Err(error);
        }
        Ok(())
    }

    fn key_of(&self, id: EntityId, row: &Stored) -> Key {
        Key(self.keys[id.index()].iter().map(|column| row.values[column.index()].clone()).collect())
    }

    /// Changes a row, and which values it takes. A change that clashes leaves nothing behind.
    pub(super) async fn update(
        &self,
        tx: &mut MySqlTx<'_>,
        id: EntityId,
        key: &Key,
        changed: &[ColumnId],
        row: &Stored,
    ) -> Result<(), WriteError> {
        // The key decides where a row lies; the gateway lets nobody set it, not even to what it is.
        let settable: Vec<ColumnId> =
            changed.iter().copied().filter(|column| !self.keys[id.index()].contains(column)).collect();
        let concerned: Vec<&Taken> =
            self.taken[id.index()].iter().filter(|taken| taken.is_about_any(&settable)).collect();
        if concerned.is_empty() {
            return tx.change(id, key, &settable, row).await;
        }
        let Some(before) = tx.row(id, key).await? else {
            return tx.change(id, key, &settable, row).await;
        };
        let moves = concerned.into_iter().map(|taken| (taken, taken.value_of(&before), taken.value_of(row)));
        let moves: Vec<_> = moves.filter(|(_, old, new)| old != new).collect();
        let mut new = Vec::with_capacity(moves.len());
        let mut written = Ok(());
        for (taken, _, value) in &moves {
            let Some(value) = value else { continue };
            written = taken.take(tx, value).await;
            if written.is_err() {
                break;
            }
            new.push((*taken, value));
        }
        if written.is_ok() {
            written = tx.change(id, key, &settable, row).await;
        }
        if let Err(error) = written {
            for (taken, value) in new {
                taken.release(tx, value).await?;
            }
            return Err(error);
        }
        for (taken, old, _) in &moves {
            if let Some(value) = old {
                taken.release(tx, value).await?;
            }
        }
        Ok(())
    }

    /// Removes a row and lets go of its values. Answers whether there was one.
    pub(super) async fn delete(&self, tx: &mut MySqlTx<'_>, id: EntityId, key: &Key) -> Result<bool, Error> {
        if !self.takes_values(id) {
            return tx.remove(id, key).await;
        }
        let Some(before) = tx.row(id, key).await? else { return Ok(false) };
        for taken in &self.taken[id.index()] {
            if let Some(value) = taken.value_of(&before) {
                taken.release(tx, &value).await?;
            }
        }
        tx.remove(id, key).await
    }

    /// Removes expired rows, a bounded number, one by one: each lets go of its values.
    pub(super) async fn sweep(
        &self,
        shared: &Shared,
        connection: &mut Connection,
        id: EntityId,
        now: i64,
    ) -> Result<u64, Error> {
        let (entity, sql) = (shared.schema.entity(id), shared.sql(id));
        let Some(expire) = entity.expire else { return Ok(0) };
        let name = Dialect::Vitess.name(&entity.column(expire).name);
        let zero = crate::ddl::literal(Dialect::Vitess, &Value::Int(0), Storage::Timestamp);
        let never = if entity.column(expire).nullable { String::new() } else { format!(" AND {name} <> {zero}") };
        let text = format!("{} WHERE {name} <= ?{never} LIMIT {SWEPT} FOR UPDATE", sql.select_stored);
        let tx = MySqlTx::new(shared, connection, Isolation::ReadCommitted, Needs::default(), None);
        let swept = self.sweep_each(tx, id, &text, now).await;
        match swept {
            Ok(removed) => patiently(connection.command("COMMIT")).await.map(|_| removed).map_err(classify),
            Err(error) => {
                roll_back(connection).await;
                Err(error)
            }
        }
    }

    async fn sweep_each(&self, mut tx: MySqlTx<'_>, id: EntityId, expired: &str, now: i64) -> Result<u64, Error> {
        let mut removed = 0;
        for row in tx.rows(id, expired, &[param(ValueRef::Int(now), Storage::Timestamp)]).await? {
            removed += u64::from(self.delete(&mut tx, id, &self.key_of(id, &row)).await?);
        }
        Ok(removed)
    }
}

/// A number that a client gave, as the counter counts: those below zero are not in its way.
fn number_of(value: &Value) -> u64 {
    match value {
        Value::Int(number) => u64::try_from(*number).unwrap_or_default(),
        Value::Uint(number) => *number,
        _ => 0,
    }
}

/// A number as the column's value, if it holds it.
fn counted_value(shared: &Shared, id: EntityId, column: ColumnId, number: u64) -> Result<Value, Error> {
    let storage = shared.schema.entity(id).column(column).storage;
    let most = match storage {
        Storage::Int32 => i32::MAX.unsigned_abs().into(),
        Storage::Uint32 => u32::MAX.into(),
        Storage::Uint64 => return Ok(Value::Uint(number)),
        _ => i64::MAX.unsigned_abs(),
    };
    match i64::try_from(number) {
        Ok(value) if number <= most => Ok(Value::Int(value)),
        _ => Err(shared.used_up(id)),
    }
}

/// The names of columns.
fn names<'a>(entity: &'a Entity, columns: &'a [ColumnId]) -> impl Iterator<Item = &'a str> {
    columns.iter().map(|column| entity.column(*column).name.as_str())
}
