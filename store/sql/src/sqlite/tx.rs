//! A transaction as programs see it. Replies are always ready.

use kit_core::{Code, Error, Reply};
use rowkeep_engine::{Remembered, Stored, Tx, WriteError};
use rowkeep_record::{Key, Value};
use rowkeep_schema::{ColumnId, Entity, EntityId, Generated, Storage};
use rusqlite::{Connection, Row, Statement};

use super::Shared;
use super::errors::{failed, violated};
use super::meta;
use super::reads::bind;
use super::values::{Bound, read_owned};
use crate::statements::{Deleted, EntitySql};

/// One program's part of the writer's transaction.
pub(super) struct SqliteTx<'a> {
    shared: &'a Shared,
    /// Exclusive, so that the transaction may move between threads although a connection cannot be shared.
    connection: &'a mut Connection,
    undo: Undo,
    /// The highest version written.
    pub(super) version: u64,
}

/// How what a program wrote is undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Undo {
    /// Nothing was written yet. `alone`: no other program wrote in this transaction.
    Nothing { alone: bool },
    /// By ending the transaction.
    Transaction,
    /// By going back to the savepoint.
    Savepoint,
}

impl<'a> SqliteTx<'a> {
    pub(super) fn new(shared: &'a Shared, connection: &'a mut Connection, alone: bool) -> Self {
        Self { shared, connection, undo: Undo::Nothing { alone }, version: 0 }
    }

    pub(super) fn undo(&self) -> Undo {
        self.undo
    }

    /// Before the first write: a failing program must not take others with it.
    fn before_write(&mut self) -> Result<(), Error> {
        match self.undo {
            Undo::Nothing { alone: true } => self.undo = Undo::Transaction,
            Undo::Nothing { alone: false } => {
                self.connection.prepare_cached("SAVEPOINT program").and_then(|mut s| s.execute([])).map_err(failed)?;
                self.undo = Undo::Savepoint;
            }
            Undo::Transaction | Undo::Savepoint => {}
        }
        Ok(())
    }

    fn entity(&self, id: EntityId) -> (&'a EntitySql, &'a Entity) {
        (self.shared.sql(id), self.shared.schema.entity(id))
    }

    fn read_one(&self, entity: EntityId, key: &Key) -> Result<Option<Stored>, Error> {
        let (sql, _) = self.entity(entity);
        let mut statement = self.connection.prepare_cached(&sql.get_stored).map_err(failed)?;
        bind(&mut statement, 1, key.values().iter())?;
        let mut rows = statement.raw_query();
        rows.next().map_err(failed)?.map(|row| stored(row, sql, self.shared.columns(entity))).transpose()
    }

    fn read_matching(
        &self,
        id: EntityId,
        columns: &[ColumnId],
        values: &[Value],
        limit: u32,
    ) -> Result<Vec<Stored>, Error> {
        let (sql, entity) = self.entity(id);
        let text = sql.find(entity, columns, |at| values[at].is_null());
        let mut statement = self.connection.prepare_cached(&text).map_err(failed)?;
        let bound = values.iter().filter(|value| !value.is_null());
        bind(&mut statement, 1, bound.clone())?;
        statement.raw_bind_parameter(bound.count() + 1, limit).map_err(failed)?;
        let mut rows = statement.raw_query();
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(failed)? {
            found.push(stored(row, sql, self.shared.columns(id))?);
        }
        Ok(found)
    }

    fn add(&mut self, id: EntityId, row: &Stored) -> Result<Option<i64>, WriteError> {
        self.before_write()?;
        self.version = self.version.max(row.version);
        let (sql, entity) = self.entity(id);
        let counted = self.shared.counted(id).filter(|column| row.values[column.index()].is_null());
        let sequence = match counted {
            Some(column) if !self.shared.counts_itself(id) => Some(self.next_number(entity, column)?),
            _ => None,
        };
        let mut statement = self.connection.prepare_cached(&sql.insert).map_err(failed)?;
        bind_row(&mut statement, sql, row)?;
        if let (Some((_, value)), Some(column)) = (&sequence, counted) {
            let at = sql.stored.iter().position(|selected| selected.column == column).unwrap_or_default();
            statement.raw_bind_parameter(at + 1, Bound(value.as_ref())).map_err(failed)?;
        }
        statement.raw_execute().map_err(|error| self.write_error(id, error))?;
        let number = match (counted, sequence) {
            (None, _) => return Ok(None),
            (Some(_), Some((number, _))) => number,
            (Some(_), None) => self.connection.last_insert_rowid(),
        };
        match counted.map(|column| in_range(entity, column, number)) {
            Some(false) => Err(WriteError::Other(exhausted(entity))),
            _ => Ok(Some(number)),
        }
    }

    /// The next number of a column that SQLite does not count: above every one given and every one stored.
    fn next_number(&self, entity: &Entity, column: ColumnId) -> Result<(i64, Value), Error> {
        let storage = entity.column(column).storage;
        let name = crate::dialect::Dialect::Sqlite.name(&entity.column(column).name);
        let table = &self.shared.sql(entity.id).table;
        let highest = format!("SELECT max({name}) FROM {table}");
        let mut statement = self.connection.prepare_cached(&highest).map_err(failed)?;
        let highest = statement.query_row([], |row| Ok(read_owned(row.get_ref(0)?, storage))).map_err(failed)??;
        let highest = match highest {
            Value::Int(number) => number,
            Value::Uint(number) => i64::try_from(number).map_err(|_| exhausted(entity))?,
            _ => 0,
        };
        let mut statement = self
            .connection
            .prepare_cached(
                "INSERT INTO rowkeep_sequences (name, last) VALUES (?1, ?2 + 1)
                 ON CONFLICT (name) DO UPDATE SET last = max(last, ?2) + 1 RETURNING last",
            )
            .map_err(failed)?;
        let next = |row: &Row<'_>| row.get::<_, i64>(0);
        let number = statement.query_row((&entity.table, highest.max(0)), next).map_err(failed)?;
        let value = match storage {
            Storage::Uint64 => Value::Uint(number.unsigned_abs()),
            _ => Value::Int(number),
        };
        Ok((number, value))
    }

    fn change(&mut self, id: EntityId, key: &Key, changed: &[ColumnId], row: &Stored) -> Result<(), WriteError> {
        self.before_write()?;
        self.version = self.version.max(row.version);
        let (sql, entity) = self.entity(id);
        let columns: Vec<ColumnId> = changed.iter().copied().filter(|column| sql.is_settable(*column)).collect();
        if columns.is_empty() && !sql.versioned && sql.deleted == Deleted::Nowhere {
            return Ok(());
        }
        let text = sql.update(entity, columns.iter().copied());
        let mut statement = self.connection.prepare_cached(&text).map_err(failed)?;
        bind(&mut statement, 1, columns.iter().map(|column| &row.values[column.index()]))?;
        let mut next = columns.len() + 1;
        if sql.versioned {
            bind_version(&mut statement, next, row.version)?;
            next += 1;
        }
        if sql.deleted != Deleted::Nowhere {
            statement.raw_bind_parameter(next, row.deleted_at).map_err(failed)?;
            next += 1;
        }
        bind(&mut statement, next, key.values().iter())?;
        match statement.raw_execute().map_err(|error| self.write_error(id, error))? {
            0 => Err(WriteError::Other(Error::internal("an update of a row that does not exist"))),
            _ => Ok(()),
        }
    }

    fn remove(&mut self, entity: EntityId, key: &Key) -> Result<bool, Error> {
        self.before_write()?;
        let (sql, _) = self.entity(entity);
        let mut statement = self.connection.prepare_cached(&sql.delete).map_err(failed)?;
        bind(&mut statement, 1, key.values().iter())?;
        Ok(statement.raw_execute().map_err(failed)? > 0)
    }

    fn write_error(&self, entity: EntityId, error: rusqlite::Error) -> WriteError {
        match violated(&error).map(|text| self.shared.unique(entity, text)) {
            Some(index) => WriteError::Duplicate(index),
            None => WriteError::Other(failed(error)),
        }
    }
}

impl Tx for SqliteTx<'_> {
    fn get(&mut self, entity: EntityId, key: &Key) -> Reply<'_, Result<Option<Stored>, Error>> {
        Reply::ready(self.read_one(entity, key))
    }

    fn find(
        &mut self,
        entity: EntityId,
        columns: &[ColumnId],
        values: &[Value],
        limit: u32,
    ) -> Reply<'_, Result<Vec<Stored>, Error>> {
        Reply::ready(self.read_matching(entity, columns, values, limit))
    }

    fn insert(&mut self, entity: EntityId, row: &Stored) -> Reply<'_, Result<Option<i64>, WriteError>> {
        Reply::ready(self.add(entity, row))
    }

    fn update(
        &mut self,
        entity: EntityId,
        key: &Key,
        changed: &[ColumnId],
        row: &Stored,
    ) -> Reply<'_, Result<(), WriteError>> {
        Reply::ready(self.change(entity, key, changed, row))
    }

    fn delete(&mut self, entity: EntityId, key: &Key) -> Reply<'_, Result<bool, Error>> {
        Reply::ready(self.remove(entity, key))
    }

    fn recall(&mut self, request_id: &str) -> Reply<'_, Result<Option<Remembered>, Error>> {
        Reply::ready(meta::recall(self.connection, request_id).map_err(failed))
    }

    fn remember(&mut self, request_id: &str, remembered: &Remembered) -> Reply<'_, Result<(), Error>> {
        let kept = self.before_write();
        Reply::ready(kept.and_then(|()| meta::remember(self.connection, request_id, remembered).map_err(failed)))
    }
}

/// Binds a whole row, in the order of [`EntitySql::insert`].
pub(super) fn bind_row(statement: &mut Statement<'_>, sql: &EntitySql, row: &Stored) -> Result<(), Error> {
    for (at, selected) in sql.stored.iter().enumerate() {
        if sql.deleted == Deleted::Shown(selected.column) {
            statement.raw_bind_parameter(at + 1, row.deleted_at).map_err(failed)?;
        } else {
            let value = row.values[selected.column.index()].as_ref();
            statement.raw_bind_parameter(at + 1, Bound(value)).map_err(failed)?;
        }
    }
    let mut next = sql.stored.len() + 1;
    if sql.versioned {
        bind_version(statement, next, row.version)?;
        next += 1;
    }
    if sql.deleted == Deleted::Hidden {
        statement.raw_bind_parameter(next, row.deleted_at).map_err(failed)?;
    }
    Ok(())
}

fn bind_version(statement: &mut Statement<'_>, at: usize, version: u64) -> Result<(), Error> {
    let version = i64::try_from(version).map_err(Error::internal)?;
    statement.raw_bind_parameter(at, version).map_err(failed)
}

/// A row of [`EntitySql::get_stored`].
fn stored(row: &Row<'_>, sql: &EntitySql, columns: usize) -> Result<Stored, Error> {
    let mut values = vec![Value::Null; columns];
    for (at, selected) in sql.stored.iter().enumerate() {
        values[selected.column.index()] = read_owned(row.get_ref(at).map_err(failed)?, selected.storage)?;
    }
    let version: i64 = row.get(sql.stored.len()).map_err(failed)?;
    let deleted_at = match sql.deleted {
        Deleted::Nowhere => None,
        _ => row.get(sql.stored.len() + 1).map_err(failed)?,
    };
    Ok(Stored { values, version: version.unsigned_abs(), deleted_at })
}

fn in_range(entity: &Entity, column: ColumnId, number: i64) -> bool {
    match entity.column(column).storage {
        Storage::Int32 => i32::try_from(number).is_ok(),
        Storage::Uint32 => u32::try_from(number).is_ok(),
        _ => true,
    }
}

fn exhausted(entity: &Entity) -> Error {
    let message = format!("the numbers of {} are used up", entity.full_name);
    Error::new(Code::ResourceExhausted, "NUMBERS_USED_UP", message)
}

/// The column whose NULL is replaced by the next number.
pub(super) fn counted(entity: &Entity) -> Option<ColumnId> {
    let counted = entity.columns.iter().find(|column| column.generated == Some(Generated::AutoIncrement));
    counted.map(|column| column.id)
}
