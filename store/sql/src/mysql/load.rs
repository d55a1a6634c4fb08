//! Bulk loads: rows are sent many at a time in one transaction, each with its own answer.

use kit_core::Error;
use rowkeep_engine::{Atomicity, LoadBatch, LoadOutcome, OnConflict, Stored};
use rowkeep_mysql::{Connection, Done, Param};
use rowkeep_schema::EntityId;

use super::errors::{Failed, Fate, classify, fate, is_undone, violated};
use super::meta;
use super::servers::no_primary;
use super::session::patiently;
use super::store::Shared;
use super::tx::{MySqlTx, row_params};
use super::values::param;
use super::writes::{reserve, roll_back, unknown};

/// Rows that are sent before their answers are read.
const TOGETHER: usize = 256;
/// Bytes that are sent before answers are read. Answers are short: the server is never held up by them.
const QUEUED_BYTES: usize = 1 << 20;

pub(super) async fn run(shared: &Shared, batch: LoadBatch) -> Result<LoadOutcome, Error> {
    let server = shared.servers.writer()?;
    let mut held = server.pool.take(false, None).await?;
    let connection = held.connection();
    connection.command("START TRANSACTION").await.map_err(classify)?;
    let inserted = match shared.shards() {
        None => insert(shared, connection, &batch).await,
        Some(shards) => {
            let mut tx = MySqlTx::begun(shared, connection);
            shards.load(&mut tx, &batch).await.map_err(Failed::from)
        }
    };
    let outcome = match inserted {
        Ok(outcome) if batch.on_conflict != OnConflict::Fail || outcome.conflicts.is_empty() => outcome,
        refused => {
            roll_back(connection).await;
            return Ok(LoadOutcome { stored: 0, ..refused? });
        }
    };
    let version = batch.rows.iter().map(|row| row.version).max().unwrap_or(0);
    if let Err(error) = reserve(shared, server, version).await {
        roll_back(connection).await;
        return Err(error);
    }
    if !shared.servers.is_primary(server) {
        roll_back(connection).await;
        return Err(no_primary());
    }
    match patiently(connection.command("COMMIT")).await {
        Ok(_) => Ok(outcome),
        Err(error) if is_undone(&error) && shared.capabilities.atomicity == Atomicity::Local => Err(classify(error)),
        Err(error) => Err(unknown().with_source(error)),
    }
}

async fn insert(shared: &Shared, connection: &mut Connection, batch: &LoadBatch) -> Result<LoadOutcome, Failed> {
    let mut outcome = LoadOutcome::default();
    let mut from = 0;
    while from < batch.rows.len() {
        let until = (from + TOGETHER).min(batch.rows.len());
        let rows: Vec<(usize, &Stored)> =
            batch.rows[from..until].iter().enumerate().map(|(at, row)| (from + at, row)).collect();
        match batch.on_conflict {
            OnConflict::Fail | OnConflict::Skip => add(shared, connection, batch.entity, &rows, &mut outcome).await?,
            OnConflict::Replace => replace(shared, connection, batch.entity, &rows, &mut outcome).await?,
        }
        from = until;
    }
    if let Some((id, remembered)) = &batch.remember {
        let params = [
            Param::Bytes(id.as_bytes()),
            Param::Bytes(&remembered.fingerprint),
            Param::Bytes(&remembered.outcome),
            Param::Int(remembered.forget_at),
        ];
        meta::run(connection, meta::REMEMBER_OVER, &params).await?;
    }
    outcome.conflicts.sort_unstable_by_key(|(at, _)| *at);
    Ok(outcome)
}

/// Inserts rows; those that clash are told.
async fn add(
    shared: &Shared,
    connection: &mut Connection,
    entity: EntityId,
    rows: &[(usize, &Stored)],
    outcome: &mut LoadOutcome,
) -> Result<(), Failed> {
    let counted = shared.counted(entity);
    let answers = each(shared, connection, entity, Statement::Insert, rows).await?;
    for ((at, row), answer) in rows.iter().zip(answers) {
        match answer {
            Ok(_) => outcome.stored += 1,
            Err(Failed::Driver(error)) => {
                let counting = counted.is_some_and(|column| row.values[column.index()].is_null());
                match violated(&error).map(|name| shared.unique(entity, name)) {
                    Some(None) if counting => return Err(shared.used_up(entity).into()),
                    Some(index) => outcome.conflicts.push((*at, index)),
                    None => return Err(error.into()),
                }
            }
            Err(other) => return Err(other),
        }
    }
    Ok(())
}

/// Updates rows that are there and inserts the others.
async fn replace(
    shared: &Shared,
    connection: &mut Connection,
    entity: EntityId,
    rows: &[(usize, &Stored)],
    outcome: &mut LoadOutcome,
) -> Result<(), Failed> {
    let mut rest = rows.to_vec();
    // Twice: of rows with one key the later replaces the earlier, which is there only then.
    for _ in 0..2 {
        let answers = each(shared, connection, entity, Statement::Replace, &rest).await?;
        let mut missing = Vec::new();
        for ((at, row), answer) in rest.iter().zip(answers) {
            match answer {
                Ok(done) if done.affected == 0 => missing.push((*at, *row)),
                Ok(_) => outcome.stored += 1,
                Err(Failed::Driver(error)) => match violated(&error).map(|name| shared.unique(entity, name)) {
                    Some(index) => outcome.conflicts.push((*at, index)),
                    None => return Err(error.into()),
                },
                Err(other) => return Err(other),
            }
        }
        let mut inserted = LoadOutcome::default();
        add(shared, connection, entity, &missing, &mut inserted).await?;
        outcome.stored += inserted.stored;
        let (again, clashed): (Vec<_>, Vec<_>) = inserted.conflicts.into_iter().partition(|(_, index)| index.is_none());
        outcome.conflicts.extend(clashed);
        rest = missing.into_iter().filter(|(at, _)| again.iter().any(|(clash, _)| clash == at)).collect();
        if rest.is_empty() {
            return Ok(());
        }
    }
    outcome.conflicts.extend(rest.into_iter().map(|(at, _)| (at, None)));
    Ok(())
}

#[derive(Clone, Copy)]
enum Statement {
    Insert,
    Replace,
}

/// Runs one statement per row, sent together.
async fn each(
    shared: &Shared,
    connection: &mut Connection,
    entity: EntityId,
    statement: Statement,
    rows: &[(usize, &Stored)],
) -> Result<Vec<Result<Done, Failed>>, Failed> {
    let (sql, definition) = (shared.sql(entity), shared.schema.entity(entity));
    let text = if matches!(statement, Statement::Insert) { &sql.insert } else { &sql.upsert };
    let prepared = connection.prepare(text).await?;
    let mut answers = Vec::with_capacity(rows.len());
    // A gateway may commit by itself what comes behind the end of a transaction.
    let together = if shared.dialect.is_gateway() { 1 } else { usize::MAX };
    let mut sent = 0;
    while answers.len() < rows.len() {
        while sent < rows.len() && connection.queued() < QUEUED_BYTES && sent - answers.len() < together {
            let row = rows[sent].1;
            let mut params = row_params(sql, definition, row)?;
            if matches!(statement, Statement::Replace) {
                let key = definition.primary_key.iter();
                params.extend(
                    key.map(|column| param(row.values[column.index()].as_ref(), definition.column(*column).storage)),
                );
            }
            connection.send_execute(prepared, &params)?;
            sent += 1;
        }
        connection.flush().await?;
        while answers.len() < sent {
            let answer = connection.receive(|_| Ok::<(), Failed>(())).await;
            if let Err(Failed::Driver(error)) = &answer
                && fate(error) != Fate::Refused
            {
                return Err(answer.err().unwrap_or_else(|| Error::internal("an error that is none").into()));
            }
            answers.push(answer);
        }
    }
    Ok(answers)
}
