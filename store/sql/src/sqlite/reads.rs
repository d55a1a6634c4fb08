//! The reads of the port, from SQLite's columns straight to wire bytes.

use kit_core::Error;
use rowkeep_engine::{Scan, View};
use rowkeep_record::{Key, Record, RecordBatch, RowCodec, Value};
use rowkeep_schema::EntityId;
use rusqlite::{Row, Statement};

use super::Shared;
use super::errors::failed;
use super::reader::Reader;
use super::values::{Bound, read};
use crate::filter_sql::{Bind, Condition};
use crate::statements::EntitySql;

/// What a row's buffer starts with.
const ROW_BYTES: usize = 256;
/// Rows that a list's buffer starts with room for, at most.
const MANY: u32 = 100;

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
            Some(row) => {
                let mut buffer = Record::reserve(ROW_BYTES);
                let version = put(row, sql, codec, &mut buffer)?;
                Ok(Some(Record::from_reserved(buffer, version)))
            }
        }
    }

    pub(super) fn scan(&self, reader: &Reader, scan: &Scan) -> Result<Vec<Record>, Error> {
        let sql = self.sql(scan.entity);
        let codec = self.codecs.row(scan.entity);
        let entity = self.schema.entity(scan.entity);
        let filter = scan.filter.as_deref();
        let mut condition = Condition::of_scan(sql, entity, sql.select_wire.clone(), scan, filter, true);
        condition.push_order(&scan.order);
        condition.sql.push_str(" LIMIT ?");
        condition.binds.push(Bind::Int(i64::from(scan.limit)));
        reader.probes.set(&condition.probes);
        let _limited = reader.patience.until(scan.deadline);
        let mut statement = reader.connection.prepare_cached(&condition.sql).map_err(failed)?;
        bind_all(&mut statement, &condition.binds)?;
        let mut rows = statement.raw_query();
        let mut records = RecordBatch::with_capacity(scan.limit.min(MANY) as usize);
        while let Some(row) = rows.next().map_err(failed)? {
            let version = put(row, sql, codec, records.begin())?;
            records.finish(version);
            if records.wire_bytes() >= scan.max_bytes {
                break;
            }
        }
        Ok(records.into_records())
    }

    pub(super) fn count(&self, reader: &Reader, scan: &Scan) -> Result<u64, Error> {
        let sql = self.sql(scan.entity);
        let text = format!("SELECT count(*) FROM {}", sql.table);
        let entity = self.schema.entity(scan.entity);
        let condition = Condition::of_scan(sql, entity, text, scan, scan.filter.as_deref(), false);
        reader.probes.set(&condition.probes);
        let _limited = reader.patience.until(scan.deadline);
        let mut statement = reader.connection.prepare_cached(&condition.sql).map_err(failed)?;
        bind_all(&mut statement, &condition.binds)?;
        let mut rows = statement.raw_query();
        let row = rows.next().map_err(failed)?.ok_or_else(|| Error::internal("a count without a row"))?;
        let count: i64 = row.get(0).map_err(failed)?;
        Ok(count.unsigned_abs())
    }
}

/// Appends a row's wire form and tells its version.
fn put(row: &Row<'_>, sql: &EntitySql, codec: &RowCodec, out: &mut Vec<u8>) -> Result<u64, Error> {
    let version: i64 = row.get(0).map_err(failed)?;
    let mut writer = codec.writer(out, version.unsigned_abs());
    for (at, selected) in sql.wire.iter().enumerate() {
        let raw = row.get_ref(at + 1).map_err(failed)?;
        writer.column(selected.column, read(raw, selected.storage)?)?;
    }
    Ok(writer.finish())
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
            Bind::Value(value, _) => statement.raw_bind_parameter(at + 1, Bound(value.as_ref())),
            Bind::Text(text) => statement.raw_bind_parameter(at + 1, &**text),
            Bind::Int(number) | Bind::Time(number) => statement.raw_bind_parameter(at + 1, number),
        };
        bound.map_err(failed)?;
    }
    Ok(())
}
