//! Bulk loads: one statement, run row by row in a transaction of its own.

use kit_core::Error;
use rowkeep_engine::{LoadBatch, LoadOutcome, OnConflict};

use super::errors::{failed, violated};
use super::meta;
use super::tx::bind_row;
use super::writer::Writer;

pub(super) fn run(writer: &mut Writer, batch: &LoadBatch) -> Result<LoadOutcome, Error> {
    let (shared, connection) = writer.parts();
    let sql = shared.sql(batch.entity);
    let text = if batch.on_conflict == OnConflict::Replace { &sql.upsert } else { &sql.insert };
    let mut statement = connection.prepare_cached(text).map_err(failed)?;
    let mut outcome = LoadOutcome::default();
    let mut version = 0;
    for (at, row) in batch.rows.iter().enumerate() {
        bind_row(&mut statement, sql, row)?;
        match statement.raw_execute() {
            Ok(_) => outcome.stored += 1,
            Err(error) => match violated(&error) {
                Some(text) => outcome.conflicts.push((at, shared.unique(batch.entity, text))),
                None => return Err(failed(error)),
            },
        }
        version = version.max(row.version);
    }
    drop(statement);
    if batch.on_conflict == OnConflict::Fail && !outcome.conflicts.is_empty() {
        connection.execute_batch("ROLLBACK").map_err(failed)?;
        outcome.stored = 0;
        return Ok(outcome);
    }
    if let Some((id, remembered)) = &batch.remember {
        meta::remember(connection, id, remembered).map_err(failed)?;
    }
    writer.wrote(version);
    Ok(outcome)
}
