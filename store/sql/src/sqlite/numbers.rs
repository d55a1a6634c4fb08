//! Keys that are counted.
//!
//! SQLite counts keys that are its own row numbers. When the last one is taken it reports a full disk and rolls back
//! the whole transaction, other programs' writes included; so it is not asked then. Other columns are counted in a table
//! of the store's own.

use std::sync::atomic::Ordering;

use kit_core::{Code, Error};
use rowkeep_engine::Stored;
use rowkeep_record::Value;
use rowkeep_schema::{ColumnId, Entity, EntityId, Storage};
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::Shared;
use super::errors::failed;
use super::values::read_owned;

/// Numbers above this one are never reached by counting, only by being given.
const HIGH: i64 = i64::MAX / 2;

/// The number for the row's counted column, if it needs one that SQLite does not make.
pub(super) fn next(
    shared: &Shared,
    connection: &Connection,
    id: EntityId,
    row: &Stored,
) -> Result<Option<(ColumnId, i64, Value)>, Error> {
    let Some(column) = shared.counted(id) else { return Ok(None) };
    let counts_itself = shared.counts_itself(id);
    match &row.values[column.index()] {
        Value::Null if counts_itself => {
            refuse_used_up(shared, connection, id)?;
            Ok(None)
        }
        Value::Null => {
            let (number, value) = count(shared, connection, id, column)?;
            Ok(Some((column, number, value)))
        }
        Value::Int(given) if *given > HIGH => {
            shared.has_high_numbers(id).store(true, Ordering::Relaxed);
            Ok(None)
        }
        _ => Ok(None),
    }
}

/// Finds the tables whose numbers may run out.
pub(super) fn look(shared: &Shared, connection: &Connection) -> Result<(), Error> {
    for entity in shared.schema.entities.iter().filter(|entity| shared.counts_itself(entity.id)) {
        let last = last(connection, entity)?;
        shared.has_high_numbers(entity.id).store(last > HIGH, Ordering::Relaxed);
    }
    Ok(())
}

fn refuse_used_up(shared: &Shared, connection: &Connection, id: EntityId) -> Result<(), Error> {
    let entity = shared.schema.entity(id);
    if shared.has_high_numbers(id).load(Ordering::Relaxed) && last(connection, entity)? == i64::MAX {
        return Err(used_up(entity));
    }
    Ok(())
}

/// The highest number that SQLite has seen in a table.
fn last(connection: &Connection, entity: &Entity) -> Result<i64, Error> {
    let mut statement = connection.prepare_cached("SELECT seq FROM sqlite_sequence WHERE name = ?").map_err(failed)?;
    let last = statement.query_row([&entity.table], |row| row.get(0)).optional().map_err(failed)?;
    Ok(last.unwrap_or(0))
}

/// The next number of a column that SQLite does not count: above every one given and every one stored.
fn count(shared: &Shared, connection: &Connection, id: EntityId, column: ColumnId) -> Result<(i64, Value), Error> {
    let entity = shared.schema.entity(id);
    let storage = entity.column(column).storage;
    let name = crate::dialect::Dialect::Sqlite.name(&entity.column(column).name);
    let highest = format!("SELECT max({name}) FROM {}", shared.sql(id).table);
    let mut statement = connection.prepare_cached(&highest).map_err(failed)?;
    let highest = statement.query_row([], |row| Ok(read_owned(row.get_ref(0)?, storage))).map_err(failed)??;
    let highest = match highest {
        Value::Int(number) => number,
        Value::Uint(number) => i64::try_from(number).map_err(|_| used_up(entity))?,
        _ => 0,
    };
    if highest == i64::MAX {
        return Err(used_up(entity));
    }
    let mut statement = connection
        .prepare_cached(
            "INSERT INTO rowkeep_sequences (name, last) VALUES (?1, ?2 + 1)
             ON CONFLICT (name) DO UPDATE SET last = max(last, ?2) + 1 RETURNING last",
        )
        .map_err(failed)?;
    let next = |row: &Row<'_>| row.get::<_, i64>(0);
    let number = statement.query_row((&entity.table, highest.max(0)), next).map_err(failed)?;
    Ok((number, value(storage, number)))
}

/// A number as its column stores it.
pub(super) fn value(storage: Storage, number: i64) -> Value {
    match storage {
        Storage::Uint64 => Value::Uint(number.unsigned_abs()),
        _ => Value::Int(number),
    }
}

/// Whether a number that SQLite made fits its column.
pub(super) fn check(entity: &Entity, column: ColumnId, number: i64) -> Result<(), Error> {
    let fits = match entity.column(column).storage {
        Storage::Int32 => i32::try_from(number).is_ok(),
        Storage::Uint32 => u32::try_from(number).is_ok(),
        _ => true,
    };
    if fits { Ok(()) } else { Err(used_up(entity)) }
}

fn used_up(entity: &Entity) -> Error {
    let message = format!("the numbers of {} are used up", entity.full_name);
    Error::new(Code::ResourceExhausted, "NUMBERS_USED_UP", message)
}
