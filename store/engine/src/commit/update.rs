//! Changes of rows: the mask, then the transforms, then the rules of what they touched.

use kit_core::{Error, FieldViolation};
use rowkeep_record::{ColumnSet, Key, Value};
use rowkeep_schema::EntityId;

use super::{Commit, Seen};
use crate::prepare::{PreparedPrecondition, RowChange};
use crate::{Stored, WriteResult};

impl Commit<'_> {
    pub(super) async fn update(
        &mut self,
        entity: EntityId,
        path: &str,
        key: &Key,
        asked: &PreparedPrecondition,
        change: &RowChange,
    ) -> Result<WriteResult, Error> {
        let seen = self.see(entity, key).await?;
        self.check(entity, key, asked, &seen)?;
        match seen {
            Seen::Live(_) if self.entity(entity).require_etag && asked.etag.is_none() => {
                Err(self.shared.etag_required(entity, path))
            }
            Seen::Live(row) => self.change(entity, path, key, change, row).await,
            Seen::Hidden(_) if change.allow_missing => Err(self.shared.already_exists(entity, key, true)),
            Seen::Absent | Seen::Expired if change.allow_missing => self.create_missing(entity, path, change).await,
            seen => Err(self.absent(entity, key, &seen)),
        }
    }

    async fn change(
        &mut self,
        entity: EntityId,
        path: &str,
        key: &Key,
        change: &RowChange,
        mut row: Stored,
    ) -> Result<WriteResult, Error> {
        let is_referenced = !self.entity(entity).referenced_by.is_empty();
        let before = if is_referenced { row.values.clone() } else { Vec::new() };
        let mut changed = self.mask_in(entity, path, change, &mut row)?;
        self.transform(entity, path, change, &mut row, &mut changed)?;
        self.check_not_referenced(entity, key, &before, &row.values).await?;
        for column in &self.plan(entity).references {
            if changed.contains(*column) {
                self.check_reference(entity, *column, &row.values, path).await?;
            }
        }
        self.stamp(entity, &mut row);
        self.store(entity, path, key, &changed, &mut row).await?;
        self.result(entity, &row, false).await
    }

    /// Writes what the mask names into the row and answers the columns that differ now.
    fn mask_in(&self, entity: EntityId, path: &str, change: &RowChange, row: &mut Stored) -> Result<ColumnSet, Error> {
        let (codec, plan) = (self.shared.codec(entity), self.plan(entity));
        let (mut changed, mut merged) = (ColumnSet::new(), ColumnSet::new());
        let mut violations = Vec::new();
        let new = &change.row.values;
        for column in change.mask.columns.iter() {
            if row.values[column.index()] != new[column.index()] {
                row.values[column.index()].clone_from(&new[column.index()]);
                changed.insert(column);
            }
        }
        for (column, nested) in &change.mask.nested {
            let old = &row.values[column.index()];
            let value = codec.merge_nested(*column, nested, old, &new[column.index()])?;
            if *old != value {
                row.values[column.index()] = value;
                changed.insert(*column);
                merged.insert(*column);
            }
        }
        for column in changed.iter().filter(|column| plan.immutable.contains(*column)) {
            let field = format!("{path}{}", self.entity(entity).column(column).field);
            let description = "is set on create and never changes".to_owned();
            violations.push(FieldViolation { field, reason: "IMMUTABLE", description });
        }
        codec.check_rules(&row.values, &merged, &merged, path, &mut violations);
        if !violations.is_empty() {
            return Err(Error::invalid(violations));
        }
        self.clear_siblings(entity, row, &mut changed);
        Ok(changed)
    }

    /// Setting a member of a oneof clears the others.
    pub(super) fn clear_siblings(&self, entity: EntityId, row: &mut Stored, changed: &mut ColumnSet) {
        let set: Vec<_> = changed.iter().filter(|column| !row.values[column.index()].is_null()).collect();
        for sibling in set.iter().flat_map(|column| self.shared.codec(entity).oneof_siblings(*column)) {
            if !row.values[sibling.index()].is_null() && !set.contains(sibling) {
                row.values[sibling.index()] = Value::Null;
                changed.insert(*sibling);
            }
        }
    }

    /// An update of a row that is not there creates it from all that the request says, whatever the mask.
    async fn create_missing(&mut self, entity: EntityId, path: &str, change: &RowChange) -> Result<WriteResult, Error> {
        let plan = self.plan(entity);
        let (mut values, mut present) = (change.row.values.clone(), change.row.present.clone());
        let counted = plan.complete(self.shared, self.entity(entity), &mut values, &mut present);
        let mut violations = Vec::new();
        self.shared.codec(entity).check_rules(&values, &plan.checked, &present, path, &mut violations);
        if !violations.is_empty() {
            return Err(Error::invalid(violations));
        }
        let mut row = Stored { values, version: 0, deleted_at: None };
        self.transform(entity, path, change, &mut row, &mut ColumnSet::new())?;
        self.insert(entity, path, &mut row, counted).await?;
        self.result(entity, &row, true).await
    }
}
