//! The reads of the port, from SQLite's columns straight to wire bytes.

use kit_core::Error;
use rowkeep_engine::{Scan, View};
use rowkeep_record::{Key, Record, RowCodec, Value};
use rowkeep_schema::EntityId;
use rusqlite::{Row, Statement};

use super::Shared;
use super::errors::failed;
use super::reader::Reader;
use super::values::{Bound, read};
use crate::dialect::Dialect;
use crate::filter_sql::{Bind, Condition};
use crate::statements::EntitySql;

/// What a row's buffer starts with; grown to the last row's size when rows follow each other.
const ROW_BYTES: usize = 256;

impl Shared {
    pub(super) fn get(
        &self,
        reader: &Reader,
        entity: EntityId,
        key: &Key,
        view: View,
    ) -> Result<Option<Record>, Error> {
        let sql = self.sql(entity);
        self.one(reader, entity, sql.get.text(view.deleted), key, view)
    }

    pub(super) fn get_many(
        &self,
        reader: &Reader,
        entity: EntityId,
        keys: &[Key],
        view: View,
    ) -> Result<Vec<Option<Record>>, Error> {
        let sql = self.sql(entity);
        let mut statement = reader.connection.prepare_cached(sql.get.text(view.deleted)).map_err(failed)?;
        keys.iter().map(|key| self.run_one(&mut statement, entity, key, view)).collect()
    }

    pub(super) fn lookup(
        &self,
        reader: &Reader,
        entity: EntityId,
        index: u16,
        values: &Key,
        view: View,
    ) -> Result<Option<Record>, Error> {
        let text = self.sql(entity).lookups.get(usize::from(index)).and_then(Option::as_ref);
        let text = text.ok_or_else(|| Error::internal("a lookup by an index that is not unique"))?;
        self.one(reader, entity, text.text(view.deleted), values, view)
    }

    fn one(
        &self,
        reader: &Reader,
        entity: EntityId,
        text: &str,
        key: &Key,
        view: View,
    ) -> Result<Option<Record>, Error> {
        let mut statement = reader.connection.prepare_cached(text).map_err(failed)?;
        self.run_one(&mut statement, entity, key, view)
    }

    fn run_one(
        &self,
        statement: &mut Statement<'_>,
        entity: EntityId,
        key: &Key,
        view: View,
    ) -> Result<Option<Record>, Error> {
        let sql = self.sql(entity);
        let codec = self.codecs.row(entity);
        bind(statement, 1, key.values().iter())?;
        if sql.has_expiry {
            statement.raw_bind_parameter(key.values().len() + 1, view.now).map_err(failed)?;
        }
        let mut rows = statement.raw_query();
        match rows.next().map_err(failed)? {
            None => Ok(None),
            Some(row) => record(row, sql, codec, ROW_BYTES).map(Some),
        }
    }

    pub(super) fn scan(&self, reader: &Reader, scan: &Scan) -> Result<Vec<Record>, Error> {
        let sql = self.sql(scan.entity);
        let codec = self.codecs.row(scan.entity);
        let mut condition = self.condition(sql.select_wire.clone(), scan, sql.visible(scan.view.deleted), true);
        condition.push_order(&scan.order);
        condition.sql.push_str(" LIMIT ?");
        condition.binds.push(Bind::Int(i64::from(scan.limit)));
        reader.probes.set(&condition.probes);
        let _limited = reader.patience.until(scan.deadline);
        let mut statement = reader.connection.prepare_cached(&condition.sql).map_err(failed)?;
        bind_all(&mut statement, &condition.binds)?;
        let mut rows = statement.raw_query();
        let mut records = Vec::with_capacity(scan.limit.min(1000) as usize);
        let (mut size, mut total) = (ROW_BYTES, 0);
        while let Some(row) = rows.next().map_err(failed)? {
            let record = record(row, sql, codec, size)?;
            size = record.wire().len();
            total += size;
            records.push(record);
            if total >= scan.max_bytes {
                break;
            }
        }
        Ok(records)
    }

    pub(super) fn count(&self, reader: &Reader, scan: &Scan) -> Result<u64, Error> {
        let sql = self.sql(scan.entity);
        let text = format!("SELECT count(*) FROM {}", sql.table);
        let condition = self.condition(text, scan, sql.visible(scan.view.deleted), false);
        reader.probes.set(&condition.probes);
        let _limited = reader.patience.until(scan.deadline);
        let mut statement = reader.connection.prepare_cached(&condition.sql).map_err(failed)?;
        bind_all(&mut statement, &condition.binds)?;
        let mut rows = statement.raw_query();
        let row = rows.next().map_err(failed)?.ok_or_else(|| Error::internal("a count without a row"))?;
        let count: i64 = row.get(0).map_err(failed)?;
        Ok(count.unsigned_abs())
    }

    /// A text with the scan's `WHERE`.
    fn condition<'a>(&'a self, text: String, scan: &'a Scan, visible: &str, paged: bool) -> Condition<'a> {
        let entity = self.schema.entity(scan.entity);
        let mut condition = Condition::new(Dialect::Sqlite, entity, text);
        let start = condition.sql.len();
        condition.sql.push_str(visible);
        if self.sql(scan.entity).has_expiry {
            condition.binds.push(Bind::Int(scan.view.now));
        }
        if let Some(filter) = &scan.filter {
            condition.sql.push_str(" AND ");
            condition.push_filter(filter);
        }
        if let Some(after) = scan.after.as_ref().filter(|_| paged) {
            condition.sql.push_str(" AND ");
            condition.push_after(&scan.order, after);
        }
        if condition.sql.len() > start {
            condition.sql.replace_range(start..start + " AND ".len(), " WHERE ");
        }
        condition
    }
}

fn record(row: &Row<'_>, sql: &EntitySql, codec: &RowCodec, capacity: usize) -> Result<Record, Error> {
    let version: i64 = row.get(sql.wire.len()).map_err(failed)?;
    let version = version.unsigned_abs();
    let mut buffer = Record::reserve(capacity);
    let mut writer = codec.writer(&mut buffer, version);
    for (at, selected) in sql.wire.iter().enumerate() {
        let raw = row.get_ref(at).map_err(failed)?;
        writer.column(selected.column, read(raw, selected.storage)?)?;
    }
    writer.finish();
    Ok(Record::from_reserved(buffer, version))
}

/// Binds values from this place on.
pub(super) fn bind<'a>(
    statement: &mut Statement<'_>,
    first: usize,
    values: impl Iterator<Item = &'a Value>,
) -> Result<(), Error> {
    for (at, value) in values.enumerate() {
        statement.raw_bind_parameter(first + at, Bound(value.as_ref())).map_err(failed)?;
    }
    Ok(())
}

fn bind_all(statement: &mut Statement<'_>, binds: &[Bind<'_>]) -> Result<(), Error> {
    for (at, bind) in binds.iter().enumerate() {
        let bound = match bind {
            Bind::Value(value) => statement.raw_bind_parameter(at + 1, Bound(value.as_ref())),
            Bind::Text(text) => statement.raw_bind_parameter(at + 1, &**text),
            Bind::Int(number) => statement.raw_bind_parameter(at + 1, number),
        };
        bound.map_err(failed)?;
    }
    Ok(())
}
