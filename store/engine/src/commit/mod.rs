//! What a commit does inside its transaction, write by write, in order. Later writes see what earlier ones did, so a
//! commit may create a row and then one that refers to it.

mod create;
mod delete;
mod precondition;
mod references;
pub(crate) mod replay;
mod transform;
mod update;

pub(crate) use delete::deletes_unseen;
use kit_core::Error;
use rowkeep_record::{Key, Record, Value};
use rowkeep_schema::{ColumnId, Entity, EntityId};

use crate::engine::Shared;
use crate::prepare::{EntityPlan, PreparedOperation, PreparedWrite};
use crate::{Stored, Tx, WriteResult};

/// A commit under way.
pub(crate) struct Commit<'a> {
    shared: &'a Shared,
    tx: &'a mut dyn Tx,
    /// The commit's time, the same for all its writes.
    now: i64,
    version: u64,
    /// Referenced rows that were seen to exist and not touched since.
    verified: Vec<(EntityId, ColumnId, Value)>,
}

/// A stored row as this commit sees it.
enum Seen {
    Absent,
    /// Still stored, but it counts as absent.
    Expired,
    /// Soft-deleted.
    Hidden(Stored),
    Live(Stored),
}

impl<'a> Commit<'a> {
    pub(crate) fn new(shared: &'a Shared, tx: &'a mut dyn Tx, now: i64, version: u64) -> Self {
        Self { shared, tx, now, version, verified: Vec::new() }
    }

    pub(crate) async fn apply(&mut self, write: &mut PreparedWrite) -> Result<WriteResult, Error> {
        let PreparedWrite { entity, path, precondition, operation } = write;
        let entity = *entity;
        match operation {
            PreparedOperation::Create(new) => self.create(entity, path, new).await,
            PreparedOperation::Update(key, change) => self.update(entity, path, key, precondition, change).await,
            PreparedOperation::Delete(key, allow_missing) => {
                self.delete(entity, key, precondition, *allow_missing).await
            }
            PreparedOperation::Expire(key) => self.expire(entity, key).await,
            PreparedOperation::Undelete(key) => self.undelete(entity, path, key, precondition).await,
            PreparedOperation::Check(key) => {
                let seen = self.see(entity, key).await?;
                self.check(entity, key, precondition, &seen)?;
                Ok(WriteResult { record: None, key: key.clone(), created: false })
            }
        }
    }

    fn entity(&self, id: EntityId) -> &'a Entity {
        self.shared.entity(id)
    }

    fn plan(&self, id: EntityId) -> &'a EntityPlan {
        self.shared.plan(id)
    }

    async fn see(&mut self, entity: EntityId, key: &Key) -> Result<Seen, Error> {
        let row = self.tx.get(entity, key).await?;
        Ok(row.map_or(Seen::Absent, |row| self.seen(entity, row)))
    }

    fn seen(&self, entity: EntityId, row: Stored) -> Seen {
        if is_expired(self.entity(entity), &row.values, self.now) {
            Seen::Expired
        } else if row.deleted_at.is_some() {
            Seen::Hidden(row)
        } else {
            Seen::Live(row)
        }
    }

    /// Stamps a row that is about to be written.
    fn stamp(&self, entity: EntityId, row: &mut Stored) {
        if self.entity(entity).versioned {
            row.version = self.version.max(row.version.saturating_add(1));
            self.shared.seen_version(row.version);
        }
        let plan = self.plan(entity);
        for column in &plan.update_times {
            row.values[column.index()] = Value::Int(self.now);
        }
        if let Some(column) = plan.delete_time {
            row.values[column.index()] = row.deleted_at.map_or(Value::Null, Value::Int);
        }
    }

    /// What a write answers. A table without versions is one that others made: what it keeps of a value (a fraction cut
    /// off, a computed column, the work of a trigger) is known only when it is read.
    async fn result(&mut self, entity: EntityId, row: &Stored, created: bool) -> Result<WriteResult, Error> {
        let key = self.shared.codec(entity).key_of(&row.values);
        let kept = if self.entity(entity).versioned { None } else { self.tx.get(entity, &key).await? };
        let record = Some(self.record(entity, kept.as_ref().unwrap_or(row))?);
        Ok(WriteResult { record, key, created })
    }

    fn record(&self, entity: EntityId, row: &Stored) -> Result<Record, Error> {
        self.shared.codec(entity).encode(&row.values, row.version)
    }
}

/// Whether a row does not exist any more at a time.
pub(crate) fn is_expired(entity: &Entity, values: &[Value], now: i64) -> bool {
    let never = |column: ColumnId, at: i64| at == 0 && !entity.column(column).nullable;
    entity
        .expire
        .is_some_and(|column| matches!(values[column.index()], Value::Int(at) if at <= now && !never(column, at)))
}
