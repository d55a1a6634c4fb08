//! Bulk loads: rows are completed and checked here and stored by the adapter in one go.
//!
//! Unlike a request, a file may set what the store keeps (times, generated keys), so that a dump can be loaded again.
//! References are checked with one read per distinct value, against what is stored and against the batch itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kit_core::{Code, Error, FieldViolation};
use rowkeep_record::{ColumnSet, Key, Value};
use rowkeep_schema::{ColumnId, Entity, EntityId, Reference};

use crate::engine::Shared;
use crate::{LoadBatch, LoadCheckpoint, LoadReport, LoadRequest, OnConflict, Remembered, Session, Stored, Sweep, View};

/// Keys looked up in one call.
const CHUNK: usize = 500;

pub(crate) async fn load(shared: &Arc<Shared>, request: LoadRequest) -> Result<LoadReport, Error> {
    let LoadRequest { entity, rows, columns, on_conflict, all_or_none, checkpoint, more } = request;
    if shared.entity(entity).read_only {
        let message = format!("rows of {} are read-only", shared.entity(entity).full_name);
        return Err(Error::new(Code::FailedPrecondition, "READ_ONLY", message));
    }
    let mut loading = Loading::new(shared, entity, columns.into_iter().collect());
    loading.remove_expired().await?;
    let mut kept = loading.complete(rows);
    loading.check_references(&mut kept).await?;
    if all_or_none && !loading.rejected.is_empty() {
        return Ok(loading.report(0));
    }
    let (places, rows): (Vec<usize>, Vec<Stored>) = kept.into_iter().unzip();
    // Kept to name the rows that clash.
    let codec = shared.codec(entity);
    let keys: Vec<Key> = match on_conflict {
        OnConflict::Replace => Vec::new(),
        OnConflict::Fail | OnConflict::Skip => rows.iter().map(|row| codec.key_of(&row.values)).collect(),
    };
    let remember = checkpoint.map(|checkpoint| remembered(checkpoint, loading.now));
    let outcome = shared.rows.load(LoadBatch { entity, rows, on_conflict, remember, more }).await?;
    for (at, index) in outcome.conflicts {
        let Some(place) = places.get(at) else { continue };
        let error = match (index, keys.get(at)) {
            (None, Some(key)) => shared.already_exists(entity, key, false),
            (index, _) => shared.clash(entity, index),
        };
        loading.rejected.push((*place, error));
    }
    Ok(loading.report(outcome.stored))
}

fn remembered(checkpoint: LoadCheckpoint, now: i64) -> (String, Remembered) {
    let keep = i64::try_from(checkpoint.keep_for.as_micros()).unwrap_or(i64::MAX);
    let remembered =
        Remembered { fingerprint: [0; 32], outcome: checkpoint.state, forget_at: now.saturating_add(keep) };
    (checkpoint_id(&checkpoint.id), remembered)
}

/// What a load is remembered by. It has a space, which no request id has, so that the two never meet.
pub(crate) fn checkpoint_id(id: &str) -> String {
    format!("load {id}")
}

struct Loading<'a> {
    shared: &'a Arc<Shared>,
    entity: &'a Entity,
    set: ColumnSet,
    now: i64,
    version: u64,
    rejected: Vec<(usize, Error)>,
}

impl<'a> Loading<'a> {
    fn new(shared: &'a Arc<Shared>, id: EntityId, set: ColumnSet) -> Self {
        let (entity, now) = (shared.entity(id), shared.now());
        let version = if entity.versioned { shared.next_version(now) } else { 0 };
        Self { shared, entity, set, now, version, rejected: Vec::new() }
    }

    /// Rows with their place in the request; those that break a rule are rejected.
    fn complete(&mut self, rows: Vec<Vec<Value>>) -> Vec<(usize, Stored)> {
        let (plan, codec) = (self.shared.plan(self.entity.id), self.shared.codec(self.entity.id));
        let mut kept = Vec::with_capacity(rows.len());
        let mut violations: Vec<FieldViolation> = Vec::new();
        let mut checked = plan.checked.clone();
        for (place, mut values) in rows.into_iter().enumerate() {
            let mut present = self.set.clone();
            let counted = plan.fill(self.shared, self.entity, &mut values, &mut present);
            for column in plan.create_times.iter().chain(&plan.update_times) {
                if values[column.index()].is_null() {
                    values[column.index()] = Value::Int(self.now);
                }
            }
            let deleted_at = plan.delete_time.and_then(|column| match values[column.index()] {
                Value::Int(at) => Some(at),
                _ => None,
            });
            counted.map(|column| checked.remove(column));
            codec.check_rules(&values, &checked, &present, "", &mut violations);
            counted.map(|column| checked.insert(column));
            if violations.is_empty() {
                kept.push((place, Stored { values, version: self.version, deleted_at }));
            } else {
                self.rejected.push((place, Error::invalid(std::mem::take(&mut violations))));
            }
        }
        kept
    }

    /// Expired rows do not exist, so they are not in the way of new ones either, but for those that others hold fast.
    async fn remove_expired(&self) -> Result<(), Error> {
        let mut sweep = Sweep::of(self.shared, self.entity, self.now);
        while sweep.step().await?.is_some() {}
        Ok(())
    }

    async fn check_references(&mut self, kept: &mut Vec<(usize, Stored)>) -> Result<(), Error> {
        let mut stored: Vec<(ColumnId, Reference, BTreeMap<Key, bool>)> = Vec::new();
        for id in &self.shared.plan(self.entity.id).references {
            let Some(reference) = self.entity.column(*id).references else { continue };
            let mut known: BTreeMap<Key, bool> = BTreeMap::new();
            for (_, row) in kept.iter() {
                let value = &row.values[id.index()];
                if !value.is_null() {
                    known.entry(Key::one(value.clone())).or_insert(false);
                }
            }
            self.find_referenced(reference, &mut known).await?;
            stored.push((*id, reference, known));
        }
        // A row that names a rejected row of its batch is rejected in the next round.
        let mut count = usize::MAX;
        while kept.len() < count {
            count = kept.len();
            for (id, reference, known) in &stored {
                self.reject_dangling(*id, *reference, known, kept);
            }
        }
        Ok(())
    }

    async fn find_referenced(&self, reference: Reference, known: &mut BTreeMap<Key, bool>) -> Result<(), Error> {
        let (rows, target) = (&self.shared.rows, self.shared.entity(reference.entity));
        let (view, session) = (View { now: self.now, deleted: false }, Session::strong());
        if target.primary_key == [reference.column] {
            let mut keys: Vec<Key> = known.keys().cloned().collect();
            while !keys.is_empty() {
                let chunk: Vec<Key> = keys.drain(..keys.len().min(CHUNK)).collect();
                let found = rows.get_many(reference.entity, &chunk, view, &session).await?;
                for (key, row) in chunk.into_iter().zip(found) {
                    known.insert(key, row.is_some());
                }
            }
            return Ok(());
        }
        let is_unique = |index: &rowkeep_schema::Index| {
            index.unique && index.columns.len() == 1 && index.columns[0].0 == reference.column
        };
        let Some(at) = target.indexes.iter().position(is_unique).and_then(|at| u16::try_from(at).ok()) else {
            return Err(Error::internal(format!("{} has no unique index for its references", target.full_name)));
        };
        for (key, is_there) in known {
            *is_there = rows.lookup(reference.entity, at, key, view, &session).await?.is_some();
        }
        Ok(())
    }

    fn reject_dangling(
        &mut self,
        column: ColumnId,
        reference: Reference,
        stored: &BTreeMap<Key, bool>,
        kept: &mut Vec<(usize, Stored)>,
    ) {
        let is_own = reference.entity == self.entity.id;
        let value_of = |row: &Stored| Key::one(row.values[reference.column.index()].clone());
        let batch: BTreeSet<Key> = kept.iter().filter(|_| is_own).map(|(_, row)| value_of(row)).collect();
        kept.retain(|(place, row)| {
            let value = &row.values[column.index()];
            let key = Key::one(value.clone());
            let is_there = value.is_null() || stored.get(&key) == Some(&true) || batch.contains(&key);
            if !is_there {
                self.rejected.push((*place, self.shared.reference_not_found(self.entity.id, column, value, "")));
            }
            is_there
        });
    }

    fn report(mut self, stored: u64) -> LoadReport {
        self.rejected.sort_by_key(|(place, _)| *place);
        LoadReport { stored, rejected: self.rejected }
    }
}
