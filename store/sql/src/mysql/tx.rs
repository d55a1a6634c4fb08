//! A transaction as programs see it.

use std::time::Instant;

use kit_core::{Error, Reply};
use rowkeep_engine::{Isolation, Remembered, Stored, Tx, WriteError};
use rowkeep_mysql::{Connection, Done, Param, Row};
use rowkeep_record::{Key, Value};
use rowkeep_schema::{ColumnId, Entity, EntityId, Storage};

use super::errors::{Failed, Fate, fate, violated};
use super::meta;
use super::session::{is_silent, patiently_until};
use super::store::Shared;
use super::values::{number, param, read_owned};
use crate::statements::{Deleted, EntitySql};

/// One program's transaction. It begins with the first statement.
pub(super) struct MySqlTx<'a> {
    shared: &'a Shared,
    connection: &'a mut Connection,
    isolation: Isolation,
    begun: bool,
    /// The highest version written.
    pub(super) version: u64,
    /// The worst that happened: a program's error does not tell.
    pub(super) fate: Option<Fate>,
    /// The server was given up while it was at work.
    pub(super) silent: bool,
    deadline: Option<Instant>,
    /// When what was recalled, and is to be remembered anew, could be forgotten.
    recalled: Option<i64>,
}

impl<'a> MySqlTx<'a> {
    /// No statement is waited for past the deadline.
    pub(super) fn new(
        shared: &'a Shared,
        connection: &'a mut Connection,
        isolation: Isolation,
        deadline: Option<Instant>,
    ) -> Self {
        let (begun, silent) = (false, false);
        Self { shared, connection, isolation, begun, version: 0, fate: None, silent, deadline, recalled: None }
    }

    /// One that was begun already, for whoever waits as long as it takes.
    pub(super) fn begun(shared: &'a Shared, connection: &'a mut Connection) -> Self {
        Self { begun: true, ..Self::new(shared, connection, Isolation::ReadCommitted, None) }
    }

    /// Whether there is anything to commit or to roll back.
    pub(super) fn has_begun(&self) -> bool {
        self.begun
    }

    pub(super) fn shared(&self) -> &'a Shared {
        self.shared
    }

    fn entity(&self, id: EntityId) -> (&'a EntitySql, &'a Entity) {
        (self.shared.sql(id), self.shared.schema.entity(id))
    }

    /// Runs a statement in the transaction, which begins with it if it has not begun yet.
    pub(super) async fn execute(
        &mut self,
        sql: &str,
        params: &[Param<'_>],
        row: impl FnMut(&mut Row<'_>) -> Result<(), Failed> + Send,
    ) -> Result<Done, Failed> {
        self.execute_after(self.beginning(), sql, params, row).await
    }

    /// What has to be said before the next statement for it to be in the transaction.
    ///
    /// Everything a program reads it locks, at either level. What it does not know of does so at `SERIALIZABLE` only: what
    /// triggers read, which a database that was there already may have.
    fn beginning(&self) -> &'static [&'static str] {
        match self.isolation {
            _ if self.begun => &[],
            Isolation::ReadCommitted => &["START TRANSACTION"],
            Isolation::Serializable => &["SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "START TRANSACTION"],
        }
    }

    async fn execute_after(
        &mut self,
        commands: &[&str],
        sql: &str,
        params: &[Param<'_>],
        row: impl FnMut(&mut Row<'_>) -> Result<(), Failed> + Send,
    ) -> Result<Done, Failed> {
        let deadline = self.deadline;
        let done = patiently_until(deadline, self.try_execute(commands, sql, params, row)).await;
        if let Err(Failed::Driver(error)) = &done {
            self.silent = is_silent(error);
        }
        self.heed(&done);
        done
    }

    /// What came of a step decides what becomes of the transaction.
    fn heed<T>(&mut self, done: &Result<T, Failed>) {
        if let Err(Failed::Driver(error)) = done {
            let fate = fate(error);
            if fate != Fate::Refused {
                self.fate = Some(fate);
            }
        }
    }

    /// The same of a step on a connection of its own. This one is still there, with a transaction to roll back.
    pub(super) fn heed_other<T>(&mut self, done: &Result<T, Failed>) {
        self.heed(done);
        if self.fate == Some(Fate::Lost) {
            self.fate = Some(Fate::Moved);
        }
    }

    async fn try_execute(
        &mut self,
        commands: &[&str],
        sql: &str,
        params: &[Param<'_>],
        row: impl FnMut(&mut Row<'_>) -> Result<(), Failed> + Send,
    ) -> Result<Done, Failed> {
        let statement = self.connection.prepare(sql).await?;
        for command in commands {
            self.connection.send_command(command);
        }
        self.connection.send_execute(statement, params)?;
        self.connection.flush().await?;
        for _ in commands {
            self.begun = true;
            self.connection.receive(|_| Ok::<(), Failed>(())).await?;
        }
        self.connection.receive(row).await
    }

    pub(super) async fn rows(&mut self, id: EntityId, sql: &str, params: &[Param<'_>]) -> Result<Vec<Stored>, Error> {
        let (shared, mut found) = (self.shared, Vec::new());
        self.execute(sql, params, |row| {
            found.push(stored(shared, id, row)?);
            Ok(())
        })
        .await?;
        Ok(found)
    }

    async fn read_matching(
        &mut self,
        id: EntityId,
        columns: &[ColumnId],
        values: &[Value],
        limit: u32,
    ) -> Result<Vec<Stored>, Error> {
        let (sql, entity) = self.entity(id);
        let text = sql.find(entity, columns, |at| values[at].is_null());
        let given = columns.iter().zip(values).filter(|(_, value)| !value.is_null());
        let mut params: Vec<Param<'_>> =
            given.map(|(column, value)| param(value.as_ref(), entity.column(*column).storage)).collect();
        params.push(Param::Int(limit.into()));
        self.rows(id, &text, &params).await
    }

    pub(super) async fn add(&mut self, id: EntityId, row: &Stored) -> Result<Option<i64>, WriteError> {
        self.version = self.version.max(row.version);
        let (sql, entity) = self.entity(id);
        let params = row_params(sql, entity, row)?;
        let done = self.execute(&sql.insert, &params, |_| Ok(())).await;
        let counted = self.shared.counted(id).filter(|column| row.values[column.index()].is_null());
        let done = done.map_err(|failed| self.write_error(id, failed, counted.is_some()))?;
        Ok(counted.and_then(|_| i64::try_from(done.last_insert_id).ok()))
    }

    pub(super) async fn change(
        &mut self,
        id: EntityId,
        key: &Key,
        changed: &[ColumnId],
        row: &Stored,
    ) -> Result<(), WriteError> {
        self.version = self.version.max(row.version);
        let (sql, entity) = self.entity(id);
        let columns: Vec<ColumnId> = changed.iter().copied().filter(|column| sql.is_settable(*column)).collect();
        if columns.is_empty() && !sql.versioned && sql.deleted == Deleted::Nowhere {
            return Ok(());
        }
        let text = sql.update(entity, columns.iter().copied());
        let mut params: Vec<Param<'_>> = columns
            .iter()
            .map(|column| param(row.values[column.index()].as_ref(), entity.column(*column).storage))
            .collect();
        if sql.versioned {
            params.push(version(row.version)?);
        }
        match sql.deleted {
            Deleted::Nowhere => {}
            Deleted::Hidden => params.push(row.deleted_at.map_or(Param::Null, Param::Int)),
            Deleted::Shown(_) => params.push(deleted_at(row)),
        }
        params.extend(key_params(entity, key));
        let done = self.execute(&text, &params, |_| Ok(())).await;
        match done.map_err(|failed| self.write_error(id, failed, false))?.affected {
            0 => Err(WriteError::Other(Error::internal("an update of a row that does not exist"))),
            _ => Ok(()),
        }
    }

    pub(super) async fn remove(&mut self, id: EntityId, key: &Key) -> Result<bool, Error> {
        let (sql, entity) = self.entity(id);
        let params: Vec<Param<'_>> = key_params(entity, key).collect();
        let done = self.execute(&sql.delete, &params, |_| Ok(())).await?;
        Ok(done.affected > 0)
    }

    /// A row, locked.
    pub(super) async fn locked(&mut self, id: EntityId, key: &Key) -> Result<Option<Stored>, Error> {
        let (sql, entity) = self.entity(id);
        let params: Vec<Param<'_>> = key_params(entity, key).collect();
        self.rows(id, &sql.get_stored, &params).await.map(|mut rows| rows.pop())
    }

    fn write_error(&self, entity: EntityId, failed: Failed, counting: bool) -> WriteError {
        let Failed::Driver(error) = failed else { return WriteError::Other(failed.into()) };
        match violated(&error).map(|name| self.shared.unique(entity, name)) {
            // A number that the server gave cannot clash, unless it can count no further.
            Some(None) if counting => WriteError::Other(self.shared.used_up(entity)),
            Some(index) => WriteError::Duplicate(index),
            None if counting && self.shared.counts_no_further(entity, &error) => {
                WriteError::Other(self.shared.used_up(entity))
            }
            None => WriteError::Other(Failed::Driver(error).into()),
        }
    }

    async fn remembered(&mut self, request_id: &str) -> Result<Option<Remembered>, Error> {
        let mut found = None;
        // Not locked: a lock on the place of an id that is not there would be in the way of every other new id. Before the
        // transaction begins, since at `SERIALIZABLE` every read in it locks.
        self.execute_after(&[], meta::RECALL, &[Param::Bytes(request_id.as_bytes())], |row| {
            found = Some(meta::remembered(row)?);
            Ok(())
        })
        .await?;
        self.recalled = found.as_ref().map(|found| found.forget_at);
        Ok(found)
    }

    async fn keep(&mut self, request_id: &str, remembered: &Remembered) -> Result<(), Error> {
        let Remembered { fingerprint, outcome, forget_at } = remembered;
        let id = Param::Bytes(request_id.as_bytes());
        let (fingerprint, outcome, until) = (Param::Bytes(fingerprint), Param::Bytes(outcome), Param::Int(*forget_at));
        let done = match self.recalled {
            None => self.execute(meta::REMEMBER, &[id, fingerprint, outcome, until], |_| Ok(())).await,
            Some(was) => {
                let params = [fingerprint, outcome, until, id, Param::Int(was)];
                self.execute(meta::REMEMBER_AGAIN, &params, |_| Ok(())).await
            }
        };
        let is_taken = match &done {
            Ok(done) => done.affected == 0,
            Err(Failed::Driver(error)) => violated(error).is_some(),
            Err(Failed::Other(_)) => false,
        };
        if is_taken {
            // The same request was answered meanwhile; run again, the program finds its answer.
            self.fate = Some(Fate::Conflict);
            return Err(Error::internal("a request id was used twice at once"));
        }
        done.map(drop).map_err(Error::from)
    }
}

impl Tx for MySqlTx<'_> {
    fn get<'a>(&'a mut self, entity: EntityId, key: &'a Key) -> Reply<'a, Result<Option<Stored>, Error>> {
        Reply::later(self.locked(entity, key))
    }

    fn find<'a>(
        &'a mut self,
        entity: EntityId,
        columns: &'a [ColumnId],
        values: &'a [Value],
        limit: u32,
    ) -> Reply<'a, Result<Vec<Stored>, Error>> {
        Reply::later(self.read_matching(entity, columns, values, limit))
    }

    fn insert<'a>(&'a mut self, entity: EntityId, row: &'a Stored) -> Reply<'a, Result<Option<i64>, WriteError>> {
        match self.shared.shards() {
            None => Reply::later(self.add(entity, row)),
            Some(shards) => Reply::later(shards.insert(self, entity, row)),
        }
    }

    fn update<'a>(
        &'a mut self,
        entity: EntityId,
        key: &'a Key,
        changed: &'a [ColumnId],
        row: &'a Stored,
    ) -> Reply<'a, Result<(), WriteError>> {
        match self.shared.shards() {
            None => Reply::later(self.change(entity, key, changed, row)),
            Some(shards) => Reply::later(shards.update(self, entity, key, changed, row)),
        }
    }

    fn delete<'a>(&'a mut self, entity: EntityId, key: &'a Key) -> Reply<'a, Result<bool, Error>> {
        match self.shared.shards() {
            None => Reply::later(self.remove(entity, key)),
            Some(shards) => Reply::later(shards.delete(self, entity, key)),
        }
    }

    fn recall<'a>(&'a mut self, request_id: &'a str) -> Reply<'a, Result<Option<Remembered>, Error>> {
        Reply::later(self.remembered(request_id))
    }

    fn remember<'a>(&'a mut self, request_id: &'a str, remembered: &'a Remembered) -> Reply<'a, Result<(), Error>> {
        Reply::later(self.keep(request_id, remembered))
    }
}

fn key_params<'a>(entity: &'a Entity, key: &'a Key) -> impl Iterator<Item = Param<'a>> {
    let columns = entity.primary_key.iter().zip(key.values());
    columns.map(|(column, value)| param(value.as_ref(), entity.column(*column).storage))
}

fn version<'a>(version: u64) -> Result<Param<'a>, Error> {
    i64::try_from(version).map(Param::Int).map_err(Error::internal)
}

fn deleted_at(row: &Stored) -> Param<'_> {
    row.deleted_at.map_or(Param::Null, |at| param(rowkeep_record::ValueRef::Int(at), Storage::Timestamp))
}

/// A whole row, in the order of [`EntitySql::insert`].
pub(super) fn row_params<'a>(sql: &EntitySql, entity: &Entity, row: &'a Stored) -> Result<Vec<Param<'a>>, Error> {
    let value = |selected: &crate::statements::Selected| match sql.deleted {
        Deleted::Shown(column) if column == selected.column => deleted_at(row),
        _ => param(row.values[selected.column.index()].as_ref(), selected.storage),
    };
    let mut params: Vec<Param<'a>> = sql.written.iter().map(value).collect();
    debug_assert!(sql.written.iter().all(|selected| entity.column(selected.column).storage == selected.storage));
    if sql.versioned {
        params.push(version(row.version)?);
    }
    if sql.deleted == Deleted::Hidden {
        params.push(row.deleted_at.map_or(Param::Null, Param::Int));
    }
    Ok(params)
}

/// A row of [`EntitySql::get_stored`].
pub(super) fn stored(shared: &Shared, id: EntityId, row: &mut Row<'_>) -> Result<Stored, Failed> {
    let (sql, entity) = (shared.sql(id), shared.schema.entity(id));
    let mut values = vec![Value::Null; entity.columns.len()];
    for selected in &sql.stored {
        values[selected.column.index()] = read_owned(row.value()?, selected.storage)?;
    }
    let version = number(row.value()?)?.unwrap_or_default().unsigned_abs();
    let deleted_at = match sql.deleted {
        Deleted::Nowhere => None,
        Deleted::Hidden => number(row.value()?)?,
        Deleted::Shown(_) => match read_owned(row.value()?, Storage::Timestamp)? {
            Value::Int(at) => Some(at),
            _ => None,
        },
    };
    Ok(Stored { values, version, deleted_at })
}
