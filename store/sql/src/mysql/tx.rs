//! A transaction as programs see it.
//!
//! What a program is going to ask for is read in one go. Its writes are answered before they are made, and sent together
//! when an answer is needed or the program has ended, unless it [runs in order](MySqlTx::defers).

use std::time::Instant;

use kit_core::{Error, Reply};
use rowkeep_engine::{Isolation, Needs, Remembered, Stored, Tx, WriteError};
use rowkeep_mysql::{Connection, Done, Error as DriverError, Param, Row};
use rowkeep_record::{Key, Value};
use rowkeep_schema::{ColumnId, Entity, EntityId, Storage};

use super::errors::{Failed, Fate, violated};
use super::held::HeldRows;
use super::meta;
use super::store::Shared;
use super::train::{Sent, Train};
use super::values::{number, param, read_owned};
use crate::statements::{Deleted, EntitySql};

/// Rows that are read together.
const TOGETHER: usize = 64;

/// One program's transaction. It begins with the first statement.
pub(super) struct MySqlTx<'a> {
    shared: &'a Shared,
    train: Train<'a>,
    isolation: Isolation,
    /// Where every statement would be a transaction of its own.
    is_gateway: bool,
    begun: bool,
    /// Writes may be answered before they are made.
    pub(super) defers: bool,
    /// The one write of a program may be sent together with the commit.
    pub(super) closes: bool,
    /// A commit to several shards is seen in one before the other: where its rows are, its memory may yet come.
    pub(super) recalls_settled: bool,
    held: HeldRows,
    /// Writes that were asked for.
    writes: usize,
    /// The highest version written.
    version: u64,
    /// When what was recalled, and is to be remembered anew, could be forgotten.
    recalled: Option<i64>,
}

/// What became of a transaction when its program had ended.
pub(super) struct Ended {
    /// There is something to commit or to roll back.
    pub(super) begun: bool,
    pub(super) version: u64,
    /// The worst that happened: a program's error does not tell.
    pub(super) fate: Option<Fate>,
    /// A write failed that was said to be made: what the program answered is void.
    pub(super) is_false: bool,
    /// The server was given up while it was at work.
    pub(super) silent: bool,
    /// What the last writes failed with.
    pub(super) error: Option<Error>,
}

impl<'a> MySqlTx<'a> {
    /// For a program that asks for these rows. No statement is waited for past the deadline.
    pub(super) fn new(
        shared: &'a Shared,
        connection: &'a mut Connection,
        isolation: Isolation,
        needs: Needs,
        deadline: Option<Instant>,
    ) -> Self {
        let is_gateway = shared.dialect.is_gateway();
        let (train, held) = (Train::new(connection, deadline), HeldRows::expecting(needs));
        Self {
            shared,
            train,
            isolation,
            is_gateway,
            begun: false,
            defers: false,
            closes: false,
            recalls_settled: false,
            held,
            writes: 0,
            version: 0,
            recalled: None,
        }
    }

    /// One that was begun already, for whoever waits as long as it takes.
    pub(super) fn begun(shared: &'a Shared, connection: &'a mut Connection) -> Self {
        Self { begun: true, ..Self::new(shared, connection, Isolation::ReadCommitted, Needs::default(), None) }
    }

    /// Makes what is not made yet.
    pub(super) async fn end(mut self) -> Ended {
        let is_over = self.train.fate.is_some() || self.train.is_false || self.train.silent;
        let error = if is_over { None } else { self.train.settle().await.err().map(Error::from) };
        self.ended(error)
    }

    fn ended(self, error: Option<Error>) -> Ended {
        let Self { train: Train { fate, is_false, silent, .. }, begun, version, .. } = self;
        Ended { begun, version, fate, is_false, silent, error }
    }

    /// Whether all that there is to commit is one write that is not made yet, and that nothing can be in the way of: it is
    /// made or not, at once, and if it is not, a commit behind it commits nothing.
    pub(super) fn is_one_write(&self) -> bool {
        self.closes && self.writes == 1 && self.train.is_one_update() && self.train.fate.is_none()
    }

    /// Makes [the one write](Self::is_one_write) and commits it in one exchange. No answer to the commit: the write was not
    /// made or, if the server was lost or silent, nobody knows.
    pub(super) async fn end_with_commit(mut self) -> (Ended, Option<Result<Done, DriverError>>) {
        match self.train.commit().await {
            Ok(done) => (self.ended(None), Some(done)),
            Err(failed) => (self.ended(Some(failed.into())), None),
        }
    }

    /// The highest version written.
    pub(super) fn version(&self) -> u64 {
        self.version
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
        let statement = self.train.statement(sql).await?;
        self.begin();
        self.train.ask(statement, params, row).await
    }

    /// Says what has to be said before the first statement for it to be in the transaction.
    ///
    /// Everything a program reads it locks, at either level. What it does not know of does so at `SERIALIZABLE` only: what
    /// triggers read, which a database that was there already may have.
    fn begin(&mut self) {
        if std::mem::replace(&mut self.begun, true) {
            return;
        }
        if self.isolation == Isolation::Serializable {
            self.train.command("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE");
        }
        if self.is_gateway {
            self.train.command("START TRANSACTION");
        }
    }

    /// What came of a step on a connection of its own decides what becomes of the transaction, too.
    pub(super) fn heed_other<T>(&mut self, done: &Result<T, Failed>) {
        self.train.heed_other(done);
    }

    /// Makes a write, now or later.
    async fn write(&mut self, sql: &str, params: &[Param<'_>], what: Sent, defers: bool) -> Result<(), Failed> {
        if !defers {
            // It may be of a kind that cannot be undone: what was deferred has to have succeeded before.
            self.train.settle().await?;
            let answer = self.execute(sql, params, |_| Ok(())).await;
            return self.train.check(what, answer);
        }
        let statement = self.train.statement(sql).await?;
        self.begin();
        self.train.defer(statement, params, what).await
    }

    /// Forgets what a write may change. Whether the write can be made later: what those to tables of others change, by
    /// triggers, may be read next, and not all of it may be undone.
    fn before_write(&mut self, id: EntityId, key: Option<&Key>) -> bool {
        self.writes += 1;
        let is_ours = self.shared.sql(id).versioned;
        match is_ours {
            true => self.held.forget(id, key),
            false => self.held.clear(),
        }
        is_ours && self.defers
    }

    /// A row by key: read before, or now, with all others that are needed.
    pub(super) async fn row(&mut self, entity: EntityId, key: &Key) -> Result<Option<Stored>, Error> {
        let id = (entity, key.clone());
        if let Some(row) = self.held.get(&id) {
            return Ok(row.clone());
        }
        if let Some(needs) = self.held.needs_with(&id) {
            self.hold(needs).await?;
            if let Some(row) = self.held.get(&id) {
                return Ok(row.clone());
            }
        }
        let (sql, definition) = self.entity(entity);
        let params: Vec<Param<'_>> = key_params(definition, key).collect();
        self.rows(entity, &sql.get_stored, &params).await.map(|mut rows| rows.pop())
    }

    /// Reads rows, in the order of their keys, and keeps them.
    async fn hold(&mut self, needs: Needs) -> Result<(), Failed> {
        let shared = self.shared;
        let needs: Vec<_> = needs.into_iter().filter(|((entity, _), _)| shared.sql(*entity).versioned).collect();
        let mut needs = needs.as_slice();
        while !needs.is_empty() {
            let sent = self.ask_for(&needs[..needs.len().min(TOGETHER)]).await?;
            self.train.settle().await?;
            let (asked, rest) = needs.split_at(sent);
            for (id, _) in asked {
                let mut row = None;
                let read = |columns: &mut Row<'_>| {
                    row = Some(stored(shared, id.0, columns)?);
                    Ok(())
                };
                self.train.receive(read).await?;
                self.held.keep(id.clone(), row);
            }
            needs = rest;
        }
        Ok(())
    }

    /// Queues reads that lock, and says how many: at least one, and no more than can be sent before an answer is received.
    async fn ask_for(&mut self, needs: &[((EntityId, Key), bool)]) -> Result<usize, Failed> {
        let shared = self.shared;
        let mut statements = Vec::with_capacity(needs.len());
        for ((entity, _), writes) in needs {
            let sql = shared.sql(*entity);
            statements.push(self.train.statement(if *writes { &sql.get_stored } else { &sql.get_shared }).await?);
        }
        self.begin();
        let mut sent = 0;
        for (((entity, key), _), statement) in needs.iter().zip(statements) {
            if sent > 0 && self.train.is_full() {
                break;
            }
            let params: Vec<Param<'_>> = key_params(shared.schema.entity(*entity), key).collect();
            self.train.send(statement, &params)?;
            sent += 1;
        }
        Ok(sent)
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
        let counted = self.shared.counted(id).filter(|column| row.values[column.index()].is_null());
        if counted.is_none() {
            let key = entity.primary_key.iter().map(|column| row.values[column.index()].clone()).collect();
            let defers = self.before_write(id, Some(&key));
            let done = self.write(&sql.insert, &params, Sent::Insert, defers).await;
            return done.map(|()| None).map_err(|failed| self.shared.write_error(id, failed, false));
        }
        self.before_write(id, None);
        if !sql.versioned {
            self.train.settle().await.map_err(Error::from)?;
        }
        let done = self.execute(&sql.insert, &params, |_| Ok(())).await;
        let done = done.map_err(|failed| self.shared.write_error(id, failed, true))?;
        Ok(i64::try_from(done.last_insert_id).ok())
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
        let alone =
            self.closes && self.held.has(id, key) && !columns.iter().any(|column| leads_elsewhere(entity, *column));
        let defers = self.before_write(id, Some(key)) || alone;
        let done = self.write(&text, &params, Sent::Update, defers).await;
        done.map_err(|failed| self.shared.write_error(id, failed, false))
    }

    pub(super) async fn remove(&mut self, id: EntityId, key: &Key) -> Result<bool, Error> {
        let (sql, definition) = self.entity(id);
        let params: Vec<Param<'_>> = key_params(definition, key).collect();
        self.before_write(id, Some(key));
        if !sql.versioned {
            self.train.settle().await?;
        }
        let done = self.execute(&sql.delete, &params, |_| Ok(())).await?;
        Ok(done.affected > 0)
    }

    async fn remembered(&mut self, request_id: &str) -> Result<Option<Remembered>, Error> {
        let mut found = None;
        // Not locked: a lock on the place of an id that is not there would be in the way of every other new id. Before the
        // transaction begins, since at `SERIALIZABLE` every read in it locks.
        let text = if self.recalls_settled { meta::RECALL_SETTLED } else { meta::RECALL };
        let statement = self.train.statement(text).await?;
        self.train.send(statement, &[Param::Bytes(request_id.as_bytes())])?;
        // With `autocommit` off it is in a transaction all the same, whose view is not for the next on this connection.
        self.begun = !self.is_gateway;
        self.train.settle().await?;
        self.train
            .receive(|row| {
                found = Some(meta::remembered(row)?);
                Ok(())
            })
            .await?;
        if !self.is_gateway {
            // What was seen then is no snapshot for what follows.
            self.train.command("ROLLBACK");
            self.begun = false;
        }
        self.recalled = found.as_ref().map(|found| found.forget_at);
        Ok(found)
    }

    async fn keep(&mut self, request_id: &str, remembered: &Remembered) -> Result<(), Error> {
        let Remembered { fingerprint, outcome, forget_at } = remembered;
        let id = Param::Bytes(request_id.as_bytes());
        let (fingerprint, outcome, until) = (Param::Bytes(fingerprint), Param::Bytes(outcome), Param::Int(*forget_at));
        let defers = self.defers;
        self.writes += 1;
        match self.recalled {
            None => self.write(meta::REMEMBER, &[id, fingerprint, outcome, until], Sent::Memory, defers).await?,
            Some(was) => {
                let params = [fingerprint, outcome, until, id, Param::Int(was)];
                self.write(meta::REMEMBER_AGAIN, &params, Sent::Memory, defers).await?;
            }
        }
        Ok(())
    }
}

impl Shared {
    /// Why a write failed. `counting`: the server was to give the row its number.
    pub(super) fn write_error(&self, entity: EntityId, failed: Failed, counting: bool) -> WriteError {
        let Failed::Driver(error) = failed else { return WriteError::Other(failed.into()) };
        match violated(&error).map(|name| self.unique(entity, name)) {
            // A number that the server gave cannot clash, unless it can count no further.
            Some(None) if counting => WriteError::Other(self.used_up(entity)),
            Some(index) => WriteError::Duplicate(index),
            None if counting && self.counts_no_further(entity, &error) => WriteError::Other(self.used_up(entity)),
            None => WriteError::Other(Failed::Driver(error).into()),
        }
    }
}

impl Tx for MySqlTx<'_> {
    fn get<'a>(&'a mut self, entity: EntityId, key: &'a Key) -> Reply<'a, Result<Option<Stored>, Error>> {
        Reply::later(self.row(entity, key))
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

/// Whether the server, to change this column, looks at more than the row: it may have to wait there.
fn leads_elsewhere(entity: &Entity, column: ColumnId) -> bool {
    let is_indexed = entity.indexes.iter().any(|index| index.columns.iter().any(|(indexed, _)| *indexed == column));
    is_indexed || entity.primary_key.contains(&column) || entity.column(column).references.is_some()
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
