//! Removing from disk what no read sees any more.
//!
//! Expired rows that nothing can refer to are the storage's to remove, many at once. Those of other entities are
//! deleted here, row by row, by the program that a delete runs: rows that refer to one go with it or let go of it as
//! they declare, and one that a `RESTRICT` names is kept, invisible as it is.
//!
//! ## Why a restriction keeps the row
//! A reference names a row that is stored, whatever became of it. Were the row removed, whoever creates another one with
//! its key would find old references attached to it. The price is its place on disk and a look at it in every sweep; who
//! wants rows gone in time declares `CASCADE` or `SET_NULL`.
//!
//! ## Bounds
//! A step takes a few rows, each with a program of its own: a storage that groups writes flushes them together and lets
//! other writes in between, and one that is kept back undoes nothing of the others. A sweep walks past rows that are
//! kept, so it ends; the next one looks at them again.

use std::collections::VecDeque;
use std::sync::Arc;

use kit_core::{Code, Error};
use rowkeep_record::query::{Compare, Filter, OrderBy};
use rowkeep_record::{Key, Value};
use rowkeep_schema::{ColumnId, Entity, EntityId};

use crate::engine::Shared;
use crate::{Access, AccessPath, Scan, Session, View, prepare};

/// Rows of a step.
const STEP: u32 = 500;
/// Bytes of rows that a step reads, unless a single row is larger.
const MAX_BYTES: usize = 1 << 20;

/// A walk over what no read sees any more, which removes it in bounded steps. Dropping it leaves the rest to another.
pub struct Sweep {
    shared: Arc<Shared>,
    /// What expires later is another sweep's, so that this one ends.
    now: i64,
    /// The storage may have more of what it removes by itself.
    has_unreferenced: bool,
    /// Entities that others refer to and that are still to be walked over.
    referenced: Vec<EntityId>,
    /// Where the walk over the last of them is up to: a row's values of the order columns.
    after: Option<Vec<Value>>,
}

impl Sweep {
    /// Over everything.
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        let referenced = shared.schema.entities.iter().filter(|entity| expires_referenced(entity));
        let referenced = referenced.map(|entity| entity.id).collect();
        Self { shared: Arc::clone(shared), now: shared.now(), has_unreferenced: true, referenced, after: None }
    }

    /// Over the expired rows of one entity, at least.
    pub(crate) fn of(shared: &Arc<Shared>, entity: &Entity, now: i64) -> Self {
        let is_referenced = expires_referenced(entity);
        let referenced = if is_referenced { vec![entity.id] } else { Vec::new() };
        let has_unreferenced = entity.expire.is_some() && !is_referenced;
        Self { shared: Arc::clone(shared), now, has_unreferenced, referenced, after: None }
    }

    /// Removes some of it. Answers how many rows and forgotten request ids are gone, which may be none; `None` at the
    /// sweep's end.
    ///
    /// # Errors
    /// What the storage says; the sweep may go on all the same.
    pub async fn step(&mut self) -> Result<Option<u64>, Error> {
        if self.has_unreferenced {
            let removed = self.shared.rows.sweep(self.now).await?;
            self.has_unreferenced = removed > 0;
            return Ok(Some(removed));
        }
        let Some(entity) = self.referenced.last().copied() else { return Ok(None) };
        let keys = self.next_keys(entity).await?;
        if keys.is_empty() {
            self.referenced.pop();
            self.after = None;
        }
        self.remove(entity, keys).await.map(Some)
    }

    /// Keys of the next expired rows, as they were committed last; the programs look again.
    async fn next_keys(&mut self, id: EntityId) -> Result<Vec<Key>, Error> {
        let (entity, codec) = (self.shared.entity(id), self.shared.codec(id));
        let Some(expire) = entity.expire else { return Ok(Vec::new()) };
        let (order, access) = path(entity, expire);
        let after = self.after.take();
        let from = after.as_ref().and_then(|after| after.first()).filter(|_| order[0].0 == expire);
        let scan = Scan {
            entity: id,
            filter: Some(Arc::new(expired(entity, expire, from, self.now))),
            order: Arc::new(order),
            after,
            limit: STEP,
            max_bytes: MAX_BYTES,
            access,
            view: View { now: i64::MIN, deleted: true },
            deadline: None,
        };
        let records = self.shared.rows.scan(&scan, &Session::strong()).await?;
        let rows = records.iter().map(|record| Ok(codec.decode(record.wire())?.values));
        let rows: Vec<Vec<Value>> = rows.collect::<Result<_, Error>>()?;
        let place = |row: &Vec<Value>| scan.order.iter().map(|(column, _)| row[column.index()].clone()).collect();
        self.after = rows.last().map(place);
        Ok(rows.iter().map(|row| codec.key_of(row)).collect())
    }

    /// Answers how many are gone; the others are kept.
    async fn remove(&self, entity: EntityId, keys: Vec<Key>) -> Result<u64, Error> {
        let most = self.shared.rows.capabilities().own_programs.max(1);
        let (mut keys, mut under_way, mut removed) = (keys.into_iter(), VecDeque::new(), 0);
        loop {
            // Many are begun before the first is waited for.
            let room = most - under_way.len();
            let programs = keys.by_ref().take(room).map(|key| prepare::expiry(&self.shared, entity, key));
            under_way.extend(programs.map(|program| self.shared.rows.transact(program)));
            let Some(first) = under_way.pop_front() else { return Ok(removed) };
            match first.await {
                Ok(_) => removed += 1,
                Err(error) if is_kept(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl std::fmt::Debug for Sweep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sweep").field("now", &self.now).field("referenced", &self.referenced).finish_non_exhaustive()
    }
}

fn expires_referenced(entity: &Entity) -> bool {
    entity.expire.is_some() && !entity.referenced_by.is_empty()
}

/// Whether a delete of the row would be refused as well.
fn is_kept(error: &Error) -> bool {
    matches!(error.code(), Code::FailedPrecondition | Code::AlreadyExists)
}

/// `from`: where the walk is up to, said once more for storages that do not see it in the place to start behind.
fn expired(entity: &Entity, expire: ColumnId, from: Option<&Value>, now: i64) -> Filter {
    let compare = |compare, value| Filter::Column { column: expire, compare, value };
    let mut all = vec![compare(Compare::LessOrEqual, Value::Int(now))];
    if !entity.column(expire).nullable {
        // Where there is no NULL, 0 means never.
        all.push(compare(Compare::NotEqual, Value::Int(0)));
    }
    all.extend(from.map(|from| compare(Compare::GreaterOrEqual, from.clone())));
    Filter::And(all)
}

/// By time of expiry, which a storage keeps an index on, and then by primary key.
fn path(entity: &Entity, expire: ColumnId) -> (OrderBy, Access) {
    let begins = |index: &rowkeep_schema::Index| index.columns.first() == Some(&(expire, false));
    let index = entity.indexes.iter().position(begins).and_then(|at| u16::try_from(at).ok());
    let path = index.map_or(AccessPath::Primary, AccessPath::Index);
    let key = entity.primary_key.iter().copied().filter(|column| *column != expire);
    // A sweep finds its place again by the rows it read, and those do not show a secret.
    let first = (!entity.column(expire).secret).then_some(expire);
    let order = first.into_iter().chain(key).map(|column| (column, false)).collect();
    (order, Access { path, bound: 0, sorted: false, backward: false })
}
