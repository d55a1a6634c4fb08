//! Bulk loads: one statement, run row by row in a transaction of its own.

use kit_core::Error;
use rowkeep_engine::{LoadBatch, LoadOutcome, OnConflict};

use super::errors::{failed, violated};
use super::tx::{bind_number, bind_row};
use super::writer::Writer;
use super::{meta, numbers};

/// KiB of pages that a load keeps.
const LOAD_CACHE_KIB: i64 = 64 * 1024;

pub(super) fn run(writer: &mut Writer, batch: &LoadBatch) -> Result<LoadOutcome, Error> {
    let (shared, connection) = writer.parts();
    // Rows of a file come in the order of none of the indexes but one: pages that do not stay in memory would be written
    // and read again for nearly every row.
    connection.pragma_update(None, "cache_size", -LOAD_CACHE_KIB).map_err(failed)?;
    let (sql, entity) = (shared.sql(batch.entity), shared.schema.entity(batch.entity));
    let counted = shared.counted(batch.entity);
    let text = if batch.on_conflict == OnConflict::Replace { &sql.upsert } else { &sql.insert };
    let mut statement = connection.prepare_cached(text).map_err(failed)?;
    let mut outcome = LoadOutcome::default();
    let mut version = 0;
    for (at, row) in batch.rows.iter().enumerate() {
        let number = numbers::next(shared, connection, batch.entity, row)?;
        bind_row(&mut statement, sql, row)?;
        if let Some((column, _, value)) = &number {
            bind_number(&mut statement, sql, *column, value)?;
        }
        match statement.raw_execute() {
            Ok(_) => {
                outcome.stored += 1;
                let counted = counted.filter(|column| row.values[column.index()].is_null() && number.is_none());
                if let Some(column) = counted {
                    numbers::check(entity, column, connection.last_insert_rowid())?;
                }
            }
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
