//! References: a row that is named must be there, and what becomes of the rows that name one that goes.
//!
//! A hard delete works in three steps, so that nothing depends on the order in which rows are found: the rows that go
//! are gathered along `CASCADE`, cycles included; then every `RESTRICT` of a row that stays is looked for; then the
//! references of rows that stay are set null and the gathered rows removed.
//!
//! A soft delete leaves the row in its place and touches no other row; only new references to it are refused. Hidden
//! and expired rows restrict nothing. Rows of a soft-deletable entity are hidden by a cascade, not removed.
//!
//! An expired row leaves the disk by the same steps, for a sweep or for a new row that wants its key or unique values.

use std::collections::BTreeSet;

use kit_core::Error;
use rowkeep_record::{ColumnSet, Key, Value};
use rowkeep_schema::{ColumnId, EntityId, OnDelete};

use super::{Commit, Seen};
use crate::Stored;

/// Rows asked for first where one is enough to answer.
const FEW: u32 = 8;
/// Verified references kept.
const MAX_VERIFIED: usize = 16;

impl Commit<'_> {
    /// All rows that a row names must exist.
    pub(super) async fn check_references(&mut self, id: EntityId, values: &[Value], path: &str) -> Result<(), Error> {
        for column in &self.plan(id).references {
            self.check_reference(id, *column, values, path).await?;
        }
        Ok(())
    }

    /// The row that a column of `values` names must exist.
    pub(super) async fn check_reference(
        &mut self,
        id: EntityId,
        column: ColumnId,
        values: &[Value],
        path: &str,
    ) -> Result<(), Error> {
        let Some(reference) = self.entity(id).column(column).references else { return Ok(()) };
        let value = &values[column.index()];
        let is_itself = reference.entity == id && values[reference.column.index()] == *value;
        let is_known = |(entity, column, known): &(EntityId, ColumnId, Value)| {
            (*entity, *column) == (reference.entity, reference.column) && known == value
        };
        if value.is_null() || is_itself || self.verified.iter().any(is_known) {
            return Ok(());
        }
        let found = if self.entity(reference.entity).primary_key == [reference.column] {
            self.tx.get(reference.entity, &Key::one(value.clone())).await?
        } else {
            self.tx.find(reference.entity, &[reference.column], std::slice::from_ref(value), 1).await?.pop()
        };
        if !found.is_some_and(|row| matches!(self.seen(reference.entity, row), Seen::Live(_))) {
            return Err(self.shared.reference_not_found(id, column, value, path));
        }
        if self.verified.len() < MAX_VERIFIED {
            self.verified.push((reference.entity, reference.column, value.clone()));
        }
        Ok(())
    }

    /// A value that others name must not change under them.
    pub(super) async fn check_not_referenced(
        &mut self,
        id: EntityId,
        key: &Key,
        before: &[Value],
        after: &[Value],
    ) -> Result<(), Error> {
        for (child, column) in &self.entity(id).referenced_by {
            let Some(reference) = self.entity(*child).column(*column).references else { continue };
            let (old, new) = (&before[reference.column.index()], &after[reference.column.index()]);
            if old == new || old.is_null() {
                continue;
            }
            // The row itself lets go of its old value if its reference changes with it.
            let lets_go = *child == id && before[column.index()] != after[column.index()];
            let gone: BTreeSet<_> = lets_go.then(|| (id, key.clone())).into_iter().collect();
            if let Some(by) = self.referrer(*child, *column, old, &gone).await? {
                return Err(self.shared.referenced((id, key), (*child, &by, *column), false));
            }
        }
        Ok(())
    }

    /// Removes a row and does to its referrers what they declare.
    pub(super) async fn remove(&mut self, id: EntityId, key: &Key, row: Stored) -> Result<(), Error> {
        self.verified.clear();
        let mut removal =
            Removal { gone: BTreeSet::from([(id, key.clone())]), rows: vec![(id, key.clone(), row)], hide: Vec::new() };
        self.gather(&mut removal).await?;
        self.refuse_restricted(&removal).await?;
        self.set_null(&removal).await?;
        for (entity, key, mut row) in removal.hide {
            row.deleted_at = Some(self.now);
            self.stamp(entity, &mut row);
            self.rewrite(entity, &key, &ColumnSet::new(), &row).await?;
        }
        for (entity, key, _) in &removal.rows {
            self.tx.delete(*entity, key).await?;
        }
        Ok(())
    }

    async fn gather(&mut self, removal: &mut Removal) -> Result<(), Error> {
        let mut next = 0;
        while next < removal.rows.len() {
            for link in self.links(removal, next, OnDelete::Cascade) {
                let hides = self.entity(link.child).soft_delete.is_some();
                for row in self.referrers(&link, removal).await? {
                    let key = self.shared.codec(link.child).key_of(&row.values);
                    match self.seen_ref(link.child, &row) {
                        Visible::Hidden if hides => {}
                        _ if !removal.gone.insert((link.child, key.clone())) => {}
                        Visible::Live if hides => removal.hide.push((link.child, key, row)),
                        _ => removal.rows.push((link.child, key, row)),
                    }
                }
            }
            next += 1;
        }
        Ok(())
    }

    async fn refuse_restricted(&mut self, removal: &Removal) -> Result<(), Error> {
        for at in 0..removal.rows.len() {
            for link in self.links(removal, at, OnDelete::Restrict) {
                if let Some(by) = self.referrer(link.child, link.column, &link.value, &removal.gone).await? {
                    let (entity, key, row) = &removal.rows[at];
                    let expired = super::is_expired(self.entity(*entity), &row.values, self.now);
                    return Err(self.shared.referenced((*entity, key), (link.child, &by, link.column), expired));
                }
            }
        }
        Ok(())
    }

    async fn set_null(&mut self, removal: &Removal) -> Result<(), Error> {
        for at in 0..removal.rows.len() {
            for link in self.links(removal, at, OnDelete::SetNull) {
                for mut row in self.referrers(&link, removal).await? {
                    let key = self.shared.codec(link.child).key_of(&row.values);
                    if removal.gone.contains(&(link.child, key.clone())) {
                        continue;
                    }
                    row.values[link.column.index()] = Value::Null;
                    self.stamp(link.child, &mut row);
                    self.rewrite(link.child, &key, &ColumnSet::from_iter([link.column]), &row).await?;
                }
            }
        }
        Ok(())
    }

    /// The columns that may name a row of the removal, and the value they would have.
    fn links(&self, removal: &Removal, at: usize, on_delete: OnDelete) -> Vec<Link> {
        let (entity, _, row) = &removal.rows[at];
        let link = |(child, column): &(EntityId, ColumnId)| {
            let reference = self.entity(*child).column(*column).references?;
            let value = row.values[reference.column.index()].clone();
            (reference.on_delete == on_delete && !value.is_null()).then_some(Link {
                child: *child,
                column: *column,
                value,
            })
        };
        self.entity(*entity).referenced_by.iter().filter_map(link).collect()
    }

    async fn referrers(&mut self, link: &Link, removal: &Removal) -> Result<Vec<Stored>, Error> {
        let max = self.shared.options.max_cascade;
        let limit = u32::try_from(max + 1).unwrap_or(u32::MAX);
        let rows = self.tx.find(link.child, &[link.column], std::slice::from_ref(&link.value), limit).await?;
        if rows.len() + removal.gone.len() > max {
            let (entity, key, _) = &removal.rows[0];
            return Err(self.shared.cascade_too_large(*entity, key));
        }
        Ok(rows)
    }

    /// A live row that names the value and is not on its way out.
    async fn referrer(
        &mut self,
        child: EntityId,
        column: ColumnId,
        value: &Value,
        gone: &BTreeSet<(EntityId, Key)>,
    ) -> Result<Option<Key>, Error> {
        for limit in [FEW, u32::MAX] {
            let rows = self.tx.find(child, &[column], std::slice::from_ref(value), limit).await?;
            let is_all = rows.len() < limit as usize;
            for row in rows {
                let key = self.shared.codec(child).key_of(&row.values);
                if matches!(self.seen_ref(child, &row), Visible::Live) && !gone.contains(&(child, key.clone())) {
                    return Ok(Some(key));
                }
            }
            if is_all {
                break;
            }
        }
        Ok(None)
    }

    fn seen_ref(&self, entity: EntityId, row: &Stored) -> Visible {
        if super::is_expired(self.entity(entity), &row.values, self.now) {
            Visible::Expired
        } else if row.deleted_at.is_some() {
            Visible::Hidden
        } else {
            Visible::Live
        }
    }
}

/// Rows that go with a deleted one.
struct Removal {
    /// Their keys, hidden ones included.
    gone: BTreeSet<(EntityId, Key)>,
    /// To be removed; the first is the one that was asked for.
    rows: Vec<(EntityId, Key, Stored)>,
    /// To be soft-deleted.
    hide: Vec<(EntityId, Key, Stored)>,
}

/// A column that names a row.
struct Link {
    child: EntityId,
    column: ColumnId,
    value: Value,
}

enum Visible {
    Live,
    Hidden,
    Expired,
}
