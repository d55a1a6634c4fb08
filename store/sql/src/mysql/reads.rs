//! The reads of the port, from the server's row packets straight to wire bytes.

use std::sync::Arc;
use std::time::Instant;

use kit_core::Error;
use rowkeep_engine::{Remembered, Scan, Session, Stored, View};
use rowkeep_mysql::{Connection, Error as DriverError, Param, Row, Statement};
use rowkeep_record::query::{Filter, matches};
use rowkeep_record::{Key, Record, RecordBatch, Value, ValueRef};
use rowkeep_schema::{ColumnId, Entity, EntityId, Storage};

use super::errors::Failed;
use super::keyed::KeyedRecords;
use super::servers::{Kind, ask};
use super::store::Shared;
use super::values::{number, param, read};
use super::{meta, tx};
use crate::filter_sql::{Bind, Condition};

/// Rows that a buffer starts with room for, at most.
const ROOM: usize = 100;
/// Keys that are asked for in one statement.
const MANY: usize = 512;
/// Rows that are looked at together where the server cannot tell which of them match.
const LOOKED_AT: u32 = 500;

/// A read, complete: it can be sent on any connection, again and again.
pub(super) struct Read {
    shared: Arc<Shared>,
    sql: Sql,
    params: Vec<(Value, Storage)>,
    shape: Shape,
    /// As many are expected.
    rows: usize,
    max_bytes: usize,
    pub(super) deadline: Option<Instant>,
}

/// Texts that are made once, and others.
enum Sql {
    Get(EntityId, View),
    Lookup(EntityId, u16, View),
    Text(String),
}

/// What the rows of a result are.
#[derive(Clone, Copy)]
enum Shape {
    Records(EntityId),
    Keyed(EntityId),
    Stored(EntityId),
    Number,
    Remembered,
}

/// What was found.
pub(super) enum Found {
    Records(RecordBatch),
    Keyed(KeyedRecords),
    Stored(Vec<Stored>),
    Number(u64),
    Remembered(Option<Remembered>),
}

impl Found {
    pub(super) fn record(self) -> Option<Record> {
        self.records().pop()
    }

    pub(super) fn records(self) -> Vec<Record> {
        if let Self::Records(records) = self { records.into_records() } else { Vec::new() }
    }

    fn in_order_of(self, keys: &[Key]) -> Vec<Option<Record>> {
        if let Self::Keyed(found) = self { found.in_order_of(keys) } else { vec![None; keys.len()] }
    }

    fn stored(self) -> Vec<Stored> {
        if let Self::Stored(stored) = self { stored } else { Vec::new() }
    }

    pub(super) fn number(self) -> u64 {
        if let Self::Number(number) = self { number } else { 0 }
    }

    pub(super) fn remembered(self) -> Option<Remembered> {
        if let Self::Remembered(remembered) = self { remembered } else { None }
    }
}

impl Read {
    fn new(shared: &Arc<Shared>, sql: Sql, params: Vec<(Value, Storage)>, shape: Shape) -> Self {
        Self { shared: Arc::clone(shared), sql, params, shape, rows: 1, max_bytes: usize::MAX, deadline: None }
    }

    pub(super) fn get(shared: &Arc<Shared>, entity: EntityId, key: &Key, view: View) -> Self {
        let columns = &shared.schema.entity(entity).primary_key;
        let params = shared.key_params(entity, columns.iter().copied(), key, view);
        Self::new(shared, Sql::Get(entity, view), params, Shape::Records(entity))
    }

    /// Rows by key in one statement, at most [`MANY`]. Its text depends on the number of keys, rounded up so that there are
    /// few different ones; the last key is asked for again to fill it.
    fn many(shared: &Arc<Shared>, id: EntityId, keys: &[Key], view: View) -> Self {
        let (sql, entity) = (shared.sql(id), shared.schema.entity(id));
        let asked = keys.len().next_power_of_two();
        let padded = keys.iter().chain(std::iter::repeat_n(keys.last(), asked - keys.len()).flatten());
        let storages: Vec<Storage> = entity.primary_key.iter().map(|column| entity.column(*column).storage).collect();
        let mut params = Vec::with_capacity(asked * storages.len() + 1);
        for key in padded {
            params.extend(key.values().iter().cloned().zip(storages.iter().copied()));
        }
        params.extend(entity.expire.map(|_| (Value::Int(view.now), Storage::Timestamp)));
        let read = Self::new(shared, Sql::Text(sql.many(asked, view.deleted)), params, Shape::Keyed(id));
        Self { rows: keys.len().min(ROOM), ..read }
    }

    pub(super) fn lookup(shared: &Arc<Shared>, entity: EntityId, index: u16, key: &Key, view: View) -> Self {
        let columns = shared.schema.entity(entity).indexes[usize::from(index)].columns.iter().map(|(id, _)| *id);
        let params = shared.key_params(entity, columns, key, view);
        Self::new(shared, Sql::Lookup(entity, index, view), params, Shape::Records(entity))
    }

    pub(super) fn recall(shared: &Arc<Shared>, id: &str) -> Self {
        let params = vec![(Value::Text(id.into()), Storage::Text)];
        Self::new(shared, Sql::Text(meta::RECALL.to_owned()), params, Shape::Remembered)
    }

    fn scan(shared: &Arc<Shared>, scan: &Scan) -> Self {
        let (sql, entity) = (shared.sql(scan.entity), shared.schema.entity(scan.entity));
        let text = sql.select_wire.clone();
        let mut condition = Condition::of_scan(sql, entity, text, scan, scan.filter.as_deref(), true);
        limit(&mut condition, scan, scan.limit);
        let read = Self::new(shared, Sql::Text(condition.sql), params(condition.binds), Shape::Records(scan.entity));
        Self { rows: (scan.limit as usize).min(ROOM), max_bytes: scan.max_bytes, deadline: scan.deadline, ..read }
    }

    /// Rows that may match: what the server can tell of the filter holds for them.
    fn candidates(shared: &Arc<Shared>, scan: &Scan, filter: Option<&Filter>) -> Self {
        let (sql, entity) = (shared.sql(scan.entity), shared.schema.entity(scan.entity));
        let text = sql.select_stored.clone();
        let mut condition = Condition::of_scan(sql, entity, text, scan, filter, true);
        limit(&mut condition, scan, LOOKED_AT);
        let read = Self::new(shared, Sql::Text(condition.sql), params(condition.binds), Shape::Stored(scan.entity));
        Self { deadline: scan.deadline, ..read }
    }

    fn count(shared: &Arc<Shared>, scan: &Scan) -> Self {
        let (sql, entity) = (shared.sql(scan.entity), shared.schema.entity(scan.entity));
        let text = format!("{}count(*) FROM {}", shared.dialect.select(), sql.table);
        let condition = Condition::of_scan(sql, entity, text, scan, scan.filter.as_deref(), false);
        let read = Self::new(shared, Sql::Text(condition.sql), params(condition.binds), Shape::Number);
        Self { deadline: scan.deadline, ..read }
    }

    /// Whose rows they are.
    pub(super) fn entity(&self) -> Option<EntityId> {
        match self.shape {
            Shape::Records(entity) | Shape::Keyed(entity) | Shape::Stored(entity) => Some(entity),
            Shape::Number | Shape::Remembered => None,
        }
    }

    pub(super) fn text(&self) -> &str {
        match &self.sql {
            Sql::Get(entity, view) => self.shared.sql(*entity).get.text(view.deleted),
            // The engine looks up by unique indexes only.
            Sql::Lookup(entity, index, view) => {
                let text = self.shared.sql(*entity).lookups[usize::from(*index)].as_ref();
                text.map_or("", |text| text.text(view.deleted))
            }
            Sql::Text(text) => text,
        }
    }

    pub(super) fn send(&self, connection: &mut Connection, statement: Statement) -> Result<(), DriverError> {
        let params: Vec<Param<'_>> =
            self.params.iter().map(|(value, storage)| param(value.as_ref(), *storage)).collect();
        connection.send_execute(statement, &params)
    }

    /// What a result without rows means.
    pub(super) fn nothing(&self) -> Found {
        match self.shape {
            Shape::Records(_) => Found::Records(RecordBatch::with_capacity(self.rows)),
            Shape::Keyed(_) => Found::Keyed(KeyedRecords::with_capacity(self.rows)),
            Shape::Stored(_) => Found::Stored(Vec::new()),
            Shape::Number => Found::Number(0),
            Shape::Remembered => Found::Remembered(None),
        }
    }

    /// Takes a row in.
    pub(super) fn row(&self, found: &mut Found, row: &mut Row<'_>) -> Result<(), Failed> {
        match (self.shape, found) {
            // The rest of the rows is on its way already, and passed over.
            (Shape::Records(_), Found::Records(records)) if records.wire_bytes() >= self.max_bytes => {}
            (Shape::Records(entity), Found::Records(records)) => self.shared.put(entity, row, records, |_, _| {})?,
            (Shape::Keyed(entity), Found::Keyed(KeyedRecords { records, keys })) => {
                let columns = &self.shared.schema.entity(entity).primary_key;
                let mut key: Key = columns.iter().map(|_| Value::Null).collect();
                self.shared.put(entity, row, records, |column, value| {
                    if let Some(at) = columns.iter().position(|part| *part == column) {
                        key.0[at] = value.to_value();
                    }
                })?;
                keys.push(key);
            }
            (Shape::Stored(entity), Found::Stored(stored)) => stored.push(tx::stored(&self.shared, entity, row)?),
            (Shape::Number, Found::Number(count)) => {
                *count = number(row.value()?)?.unwrap_or_default().unsigned_abs();
            }
            (Shape::Remembered, Found::Remembered(remembered)) => *remembered = Some(meta::remembered(row)?),
            _ => return Err(Error::internal("an answer of another shape than its question").into()),
        }
        Ok(())
    }
}

impl Shared {
    fn key_params(
        &self,
        entity: EntityId,
        columns: impl Iterator<Item = ColumnId>,
        key: &Key,
        view: View,
    ) -> Vec<(Value, Storage)> {
        let entity = self.schema.entity(entity);
        let values = columns.zip(key.values()).map(|(id, value)| (value.clone(), entity.column(id).storage));
        let expiry = entity.expire.map(|_| (Value::Int(view.now), Storage::Timestamp));
        values.chain(expiry).collect()
    }

    /// Appends a row as wire bytes; each value is shown to `see` on its way.
    fn put(
        &self,
        entity: EntityId,
        row: &mut Row<'_>,
        records: &mut RecordBatch,
        mut see: impl FnMut(ColumnId, ValueRef<'_>),
    ) -> Result<(), Failed> {
        let (sql, codec) = (self.sql(entity), self.codecs.row(entity));
        let version = number(row.value()?)?.unwrap_or_default().unsigned_abs();
        let mut writer = codec.writer(records.begin(), version);
        for selected in &sql.wire {
            read(row.value()?, selected.storage, |value| {
                see(selected.column, value);
                writer.column(selected.column, value)
            })?;
        }
        let version = writer.finish();
        records.finish(version);
        Ok(())
    }
}

pub(super) async fn get_many(
    shared: Arc<Shared>,
    entity: EntityId,
    keys: Vec<Key>,
    view: View,
    session: &Session,
) -> Result<Vec<Option<Record>>, Error> {
    if !is_exact(shared.schema.entity(entity)) {
        return get_each(&shared, entity, &keys, view, session).await;
    }
    let mut records = Vec::with_capacity(keys.len());
    for keys in keys.chunks(MANY) {
        let found = ask(&shared, Kind::Point, Read::many(&shared, entity, keys, view), session).await?;
        records.extend(found.in_order_of(keys));
    }
    Ok(records)
}

/// Whether a row has the very key it is found by. Texts of an adopted table are found by another spelling too.
fn is_exact(entity: &Entity) -> bool {
    entity.versioned || entity.primary_key.iter().all(|id| entity.column(*id).storage != Storage::Text)
}

/// One read for each key, sent together.
async fn get_each(
    shared: &Arc<Shared>,
    entity: EntityId,
    keys: &[Key],
    view: View,
    session: &Session,
) -> Result<Vec<Option<Record>>, Error> {
    let asked = keys.iter().map(|key| ask(shared, Kind::Point, Read::get(shared, entity, key, view), session));
    let asked: Vec<_> = asked.collect();
    let mut records = Vec::with_capacity(keys.len());
    for found in asked {
        records.push(found.await?.record());
    }
    Ok(records)
}

pub(super) async fn scan(shared: Arc<Shared>, scan: Scan, session: &Session) -> Result<Vec<Record>, Error> {
    match scan.filter.as_deref().filter(|filter| asks_json(filter)) {
        None => ask(&shared, Kind::Scan, Read::scan(&shared, &scan), session).await.map(Found::records),
        Some(_) => scan_looking(&shared, scan, session).await,
    }
}

pub(super) async fn count(shared: Arc<Shared>, scan: Scan, session: &Session) -> Result<u64, Error> {
    if !scan.filter.as_deref().is_some_and(asks_json) {
        return ask(&shared, Kind::Scan, Read::count(&shared, &scan), session).await.map(Found::number);
    }
    let mut count = 0;
    let scan = Scan { after: None, ..scan };
    look(&shared, scan, session, |_| {
        count += 1;
        Ok(true)
    })
    .await?;
    Ok(count)
}

async fn scan_looking(shared: &Arc<Shared>, scan: Scan, session: &Session) -> Result<Vec<Record>, Error> {
    let (limit, max_bytes, codec) = (scan.limit as usize, scan.max_bytes, shared.codecs.row(scan.entity));
    let (mut records, mut total) = (Vec::new(), 0);
    look(shared, scan, session, |row| {
        let record = codec.encode(&row.values, row.version)?;
        total += record.wire().len();
        records.push(record);
        Ok(records.len() < limit && total < max_bytes)
    })
    .await?;
    Ok(records)
}

/// Hands every row that matches to `take`, in the scan's order, until it says no.
///
/// Places inside JSON are compared here and not by the server: its comparisons of JSON are not those of the list
/// language (numbers, case, absence), and the two products differ.
async fn look(
    shared: &Arc<Shared>,
    mut scan: Scan,
    session: &Session,
    mut take: impl FnMut(Stored) -> Result<bool, Error>,
) -> Result<(), Error> {
    let Some(filter) = scan.filter.clone() else { return Ok(()) };
    let told = without_json(&filter);
    loop {
        let rows = ask(shared, Kind::Scan, Read::candidates(shared, &scan, told.as_ref()), session).await?.stored();
        let is_last = rows.len() < LOOKED_AT as usize;
        if let Some(last) = rows.last() {
            scan.after = Some(scan.order.iter().map(|(column, _)| last.values[column.index()].clone()).collect());
        }
        let entity: &Entity = shared.schema.entity(scan.entity);
        for row in rows {
            if matches(&filter, entity, &row.values) && !take(row)? {
                return Ok(());
            }
        }
        if is_last {
            return Ok(());
        }
    }
}

fn asks_json(filter: &Filter) -> bool {
    match filter {
        Filter::And(parts) | Filter::Or(parts) => parts.iter().any(asks_json),
        Filter::Not(inner) => asks_json(inner),
        Filter::Json { .. } => true,
        Filter::Column { .. } | Filter::Prefix { .. } | Filter::Present { .. } => false,
    }
}

/// What of a filter the server can check: a weaker condition.
fn without_json(filter: &Filter) -> Option<Filter> {
    match filter {
        Filter::And(parts) => {
            let kept: Vec<Filter> = parts.iter().filter_map(without_json).collect();
            (!kept.is_empty()).then_some(Filter::And(kept))
        }
        other => (!asks_json(other)).then(|| other.clone()),
    }
}

fn limit(condition: &mut Condition<'_>, scan: &Scan, rows: u32) {
    // The condition borrows the scan for as long as the scan itself lives.
    condition.push_order(&scan.order);
    condition.sql.push_str(" LIMIT ?");
    condition.binds.push(Bind::Int(i64::from(rows)));
}

fn params(binds: Vec<Bind<'_>>) -> Vec<(Value, Storage)> {
    let param = |bind| match bind {
        Bind::Value(value, storage) => (Value::clone(value), storage),
        Bind::Text(text) => (Value::Text(text), Storage::Text),
        Bind::Time(time) => (Value::Int(time), Storage::Timestamp),
        Bind::Int(number) => (Value::Int(number), Storage::Int64),
    };
    binds.into_iter().map(param).collect()
}
