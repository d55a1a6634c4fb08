//! A transaction as programs see it. Replies are always ready.

use kit_core::{Error, Reply};
use rowkeep_engine::{Remembered, Stored, Tx, WriteError};
use rowkeep_record::{Key, Value};
use rowkeep_schema::{ColumnId, Entity, EntityId};
use rusqlite::{Connection, Row, Statement};

use super::Shared;
use super::changes::Recorder;
use super::errors::{failed, violated};
use super::reads::bind;
use super::values::{Bound, read_owned};
use super::{meta, numbers};
use crate::statements::{Deleted, EntitySql};

/// One program's part of the writer's transaction.
pub(super) struct SqliteTx<'a> {
    shared: &'a Shared,
    /// Exclusive, so that the transaction may move between threads although a connection cannot be shared.
    connection: &'a mut Connection,
    /// What it changes, for the log.
    recorder: &'a mut Recorder,
    /// The row that was read last and not written since: what is written next, as a rule.
    read: Option<(EntityId, Stored)>,
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
    pub(super) fn new(
        shared: &'a Shared,
        connection: &'a mut Connection,
        recorder: &'a mut Recorder,
        alone: bool,
    ) -> Self {
        Self { shared, connection, recorder, read: None, undo: Undo::Nothing { alone }, version: 0 }
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

    /// A row as it is before it is written.
    fn before(&mut self, id: EntityId, key: &Key) -> Result<Option<Stored>, Error> {
        let entity = self.shared.schema.entity(id);
        let is_key = |row: &Stored| {
            entity.primary_key.iter().zip(key.values()).all(|(column, value)| row.values[column.index()] == *value)
        };
        match self.read.take().filter(|(of, row)| *of == id && is_key(row)) {
            Some((_, row)) => Ok(Some(row)),
            None => self.read_one(id, key),
        }
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
        let number = numbers::next(self.shared, self.connection, id, row)?;
        let mut statement = self.connection.prepare_cached(&sql.insert).map_err(failed)?;
        bind_row(&mut statement, sql, row)?;
        if let Some((column, _, value)) = &number {
            bind_number(&mut statement, sql, *column, value)?;
        }
        statement.raw_execute().map_err(|error| self.write_error(id, error))?;
        let counted = self.shared.counted(id).filter(|column| row.values[column.index()].is_null());
        let counted = counted.map(|column| {
            let number = number.map_or_else(|| self.connection.last_insert_rowid(), |(_, number, _)| number);
            numbers::check(entity, column, number).map(|()| (column, number))
        });
        let counted = counted.transpose()?;
        record_added(self.recorder, entity, row, counted);
        Ok(counted.map(|(_, number)| number))
    }

    fn change(&mut self, id: EntityId, key: &Key, changed: &[ColumnId], row: &Stored) -> Result<(), WriteError> {
        self.before_write()?;
        self.version = self.version.max(row.version);
        let (sql, entity) = self.entity(id);
        let columns: Vec<ColumnId> = changed.iter().copied().filter(|column| sql.is_settable(*column)).collect();
        if columns.is_empty() && !sql.versioned && sql.deleted == Deleted::Nowhere {
            return Ok(());
        }
        let before = if self.recorder.is_kept() { self.before(id, key)? } else { None };
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
            _ => {
                record_changed(self.recorder, entity, before, &columns, row);
                Ok(())
            }
        }
    }

    fn remove(&mut self, entity: EntityId, key: &Key) -> Result<bool, Error> {
        self.before_write()?;
        let before = if self.recorder.is_kept() { self.before(entity, key)? } else { None };
        let (sql, entity) = self.entity(entity);
        let mut statement = self.connection.prepare_cached(&sql.delete).map_err(failed)?;
        bind(&mut statement, 1, key.values().iter())?;
        let is_gone = statement.raw_execute().map_err(failed)? > 0;
        if let Some(before) = before.filter(|_| is_gone) {
            self.recorder.row(entity, Some(&before), None);
        }
        Ok(is_gone)
    }

    fn write_error(&self, entity: EntityId, error: rusqlite::Error) -> WriteError {
        match violated(&error).map(|text| self.shared.unique(entity, text)) {
            Some(index) => WriteError::Duplicate(index),
            None => WriteError::Other(failed(error)),
        }
    }
}

impl Tx for SqliteTx<'_> {
    fn get<'a>(&'a mut self, entity: EntityId, key: &'a Key) -> Reply<'a, Result<Option<Stored>, Error>> {
        let row = self.read_one(entity, key);
        if self.recorder.is_kept() {
            self.read = row.as_ref().ok().and_then(Clone::clone).map(|row| (entity, row));
        }
        Reply::ready(row)
    }

    fn find<'a>(
        &'a mut self,
        entity: EntityId,
        columns: &'a [ColumnId],
        values: &'a [Value],
        limit: u32,
    ) -> Reply<'a, Result<Vec<Stored>, Error>> {
        Reply::ready(self.read_matching(entity, columns, values, limit))
    }

    fn insert<'a>(&'a mut self, entity: EntityId, row: &'a Stored) -> Reply<'a, Result<Option<i64>, WriteError>> {
        Reply::ready(self.add(entity, row))
    }

    fn update<'a>(
        &'a mut self,
        entity: EntityId,
        key: &'a Key,
        changed: &'a [ColumnId],
        row: &'a Stored,
    ) -> Reply<'a, Result<(), WriteError>> {
        Reply::ready(self.change(entity, key, changed, row))
    }

    fn delete<'a>(&'a mut self, entity: EntityId, key: &'a Key) -> Reply<'a, Result<bool, Error>> {
        Reply::ready(self.remove(entity, key))
    }

    fn recall<'a>(&'a mut self, request_id: &'a str) -> Reply<'a, Result<Option<Remembered>, Error>> {
        Reply::ready(meta::recall(self.connection, request_id).map_err(failed))
    }

    fn remember<'a>(&'a mut self, request_id: &'a str, remembered: &'a Remembered) -> Reply<'a, Result<(), Error>> {
        let kept = self.before_write();
        Reply::ready(kept.and_then(|()| meta::remember(self.connection, request_id, remembered).map_err(failed)))
    }
}

fn record_added(recorder: &mut Recorder, entity: &Entity, row: &Stored, counted: Option<(ColumnId, i64)>) {
    if !recorder.is_kept() {
        return;
    }
    let mut row = row.clone().as_kept(entity);
    if let Some((column, number)) = counted {
        row.values[column.index()] = numbers::value(entity.column(column).storage, number);
    }
    recorder.row(entity, None, Some(&row));
}

fn record_changed(
    recorder: &mut Recorder,
    entity: &Entity,
    before: Option<Stored>,
    changed: &[ColumnId],
    row: &Stored,
) {
    let Some(before) = before else { return };
    let after = before.clone().updated(changed, row).as_kept(entity);
    recorder.row(entity, Some(&before), Some(&after));
}

/// Binds a whole row, in the order of [`EntitySql::insert`].
pub(super) fn bind_row(statement: &mut Statement<'_>, sql: &EntitySql, row: &Stored) -> Result<(), Error> {
    for (at, selected) in sql.written.iter().enumerate() {
        if sql.deleted == Deleted::Shown(selected.column) {
            statement.raw_bind_parameter(at + 1, row.deleted_at).map_err(failed)?;
        } else {
            let value = row.values[selected.column.index()].as_ref();
            statement.raw_bind_parameter(at + 1, Bound(value)).map_err(failed)?;
        }
    }
    let mut next = sql.written.len() + 1;
    if sql.versioned {
        bind_version(statement, next, row.version)?;
        next += 1;
    }
    if sql.deleted == Deleted::Hidden {
        statement.raw_bind_parameter(next, row.deleted_at).map_err(failed)?;
    }
    Ok(())
}

/// Binds a number that was counted over the NULL of the row.
pub(super) fn bind_number(
    statement: &mut Statement<'_>,
    sql: &EntitySql,
    column: ColumnId,
    number: &Value,
) -> Result<(), Error> {
    let at = sql.written.iter().position(|selected| selected.column == column).unwrap_or_default();
    statement.raw_bind_parameter(at + 1, Bound(number.as_ref())).map_err(failed)
}

fn bind_version(statement: &mut Statement<'_>, at: usize, version: u64) -> Result<(), Error> {
    let version = i64::try_from(version).map_err(Error::internal)?;
    statement.raw_bind_parameter(at, version).map_err(failed)
}

/// A row of [`EntitySql::get_stored`].
pub(super) fn stored(row: &Row<'_>, sql: &EntitySql, columns: usize) -> Result<Stored, Error> {
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
