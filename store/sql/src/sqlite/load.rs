//! Bulk loads: one statement, run row by row in a transaction of its own.

use std::cmp::Ordering;

use kit_core::Error;
use rowkeep_engine::{LoadBatch, LoadOutcome, OnConflict, Stored};
use rowkeep_schema::{ColumnId, Entity};
use rusqlite::Connection;

use super::Shared;
use super::connect::{UNMAPPED, memory};
use super::errors::{failed, violated};
use super::tx::{bind_number, bind_row};
use super::writer::Writer;
use super::{left_out, meta, numbers};

/// KiB of pages that a load keeps.
const LOAD_CACHE_KIB: i64 = 40 * 1024;

pub(super) fn run(writer: &mut Writer, batch: &LoadBatch) -> Result<LoadOutcome, Error> {
    let (shared, connection, recorder) = writer.parts();
    // Rows of a file come in the order of none of the indexes but one: pages that do not stay in memory would be written
    // and read again for nearly every row.
    memory(connection, UNMAPPED, LOAD_CACHE_KIB).map_err(failed)?;
    if batch.more {
        left_out::begin(connection, shared.schema.entity(batch.entity))?;
    }
    let mut outcome = insert(shared, connection, batch)?;
    if batch.on_conflict == OnConflict::Fail && !outcome.conflicts.is_empty() {
        connection.execute_batch("ROLLBACK").map_err(failed)?;
        outcome.stored = 0;
        return Ok(outcome);
    }
    if outcome.stored > 0 {
        // So many rows would push everything else out of the log.
        recorder.table(batch.entity);
    }
    if let Some((id, remembered)) = &batch.remember {
        meta::remember(connection, id, remembered).map_err(failed)?;
    }
    if !batch.more {
        left_out::make(connection)?;
    }
    let version = batch.rows.iter().map(|row| row.version).max().unwrap_or(0);
    writer.wrote(version);
    Ok(outcome)
}

fn insert(shared: &Shared, connection: &Connection, batch: &LoadBatch) -> Result<LoadOutcome, Error> {
    let (sql, entity) = (shared.sql(batch.entity), shared.schema.entity(batch.entity));
    let counted = shared.counted(batch.entity);
    let text = if batch.on_conflict == OnConflict::Replace { &sql.upsert } else { &sql.insert };
    let mut statement = connection.prepare_cached(text).map_err(failed)?;
    let mut outcome = LoadOutcome::default();
    for at in order(entity, &batch.rows) {
        let row = &batch.rows[at];
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
    }
    outcome.conflicts.sort_unstable_by_key(|(at, _)| *at);
    Ok(outcome)
}

/// The places of the rows as they are stored: by key, so that rows of one page follow each other.
///
/// Of rows with one key the first stays first. Where more decides than the key, the order is the file's: which of two
/// rows has a unique value, or the lower number.
fn order(entity: &Entity, rows: &[Stored]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..rows.len()).collect();
    if crate::ddl::counted(entity).is_none() && !entity.indexes.iter().any(|index| index.unique) {
        order.sort_by(|one, other| compare_keys(entity, &rows[*one], &rows[*other]));
    }
    order
}

fn compare_keys(entity: &Entity, one: &Stored, other: &Stored) -> Ordering {
    let column =
        |column: &ColumnId| one.values[column.index()].as_ref().compare(&other.values[column.index()].as_ref());
    entity.primary_key.iter().map(column).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}
