//! One write, decoded and checked.

use kit_core::{Error, FieldViolation};
use rowkeep_record::{ColumnSet, DecodedRow, RowCodec, UpdateMask};
use rowkeep_schema::Entity;

use super::entity::is_unset;
use super::{EntityPlan, NewRow, Preparation, PreparedOperation, PreparedWrite, RowChange, beside, without};
use crate::{Operation, Precondition, Stored, Transform, Write};

/// What an update asks for, but for its row.
struct Update {
    mask: Option<Vec<String>>,
    allow_missing: bool,
    transforms: Vec<Transform>,
}

/// Where a write goes.
struct Target<'a> {
    entity: &'a Entity,
    codec: &'a RowCodec,
    plan: &'a EntityPlan,
    path: &'a str,
}

impl Preparation<'_> {
    /// `None` if something is wrong with it, which is then among the violations.
    pub(super) fn write(&mut self, write: Write) -> Result<Option<PreparedWrite>, Error> {
        let Write { entity: id, operation, precondition, path } = write;
        let shared = self.shared;
        let target = Target { entity: shared.entity(id), codec: shared.codec(id), plan: shared.plan(id), path: &path };
        if target.entity.read_only && !matches!(operation, Operation::Check { .. }) {
            let why = format!("rows of {} are read-only", target.entity.name);
            self.violation(path.trim_end_matches('.').to_owned(), "READ_ONLY", why);
            return Ok(None);
        }
        self.require_etag(&target, &operation, &precondition)?;
        let precondition = self.precondition(target.entity, precondition, &operation, &path)?;
        let operation = self.operation(&target, operation)?;
        Ok(operation.map(|operation| PreparedWrite { entity: id, path, precondition, operation }))
    }

    fn require_etag(&self, target: &Target<'_>, operation: &Operation, asked: &Precondition) -> Result<(), Error> {
        let needs_one = match operation {
            // Whether an update with `allow_missing` needs one depends on the row.
            Operation::Update { allow_missing, .. } => !allow_missing,
            Operation::Delete { .. } => true,
            _ => false,
        };
        let has_one = asked.etag.as_deref().is_some_and(|etag| !etag.is_empty());
        if target.entity.require_etag && needs_one && !has_one {
            return Err(self.shared.etag_required(target.entity.id, target.path));
        }
        Ok(())
    }

    fn operation(&mut self, target: &Target<'_>, operation: Operation) -> Result<Option<PreparedOperation>, Error> {
        Ok(match operation {
            Operation::Create { row } => self.create(target, &row)?.map(PreparedOperation::Create),
            Operation::Update { row, mask, allow_missing, transforms } => {
                self.update(target, &row, Update { mask, allow_missing, transforms })?
            }
            Operation::Delete { key, allow_missing } => Some(PreparedOperation::Delete(key, allow_missing)),
            Operation::Check { key } => Some(PreparedOperation::Check(key)),
            Operation::Undelete { key } if target.entity.soft_delete.is_some() => {
                Some(PreparedOperation::Undelete(key))
            }
            Operation::Undelete { .. } => {
                let why = format!("rows of {} are deleted for good; the entity has no soft_delete", target.entity.name);
                self.violation(target.path.trim_end_matches('.').to_owned(), "NO_SOFT_DELETE", why);
                None
            }
        })
    }

    fn create(&mut self, target: &Target<'_>, wire: &[u8]) -> Result<Option<NewRow>, Error> {
        let decoded = target.codec.decode(wire).map_err(|error| error.under(target.path));
        let Some(DecodedRow { mut values, mut present }) = self.keep(decoded)? else { return Ok(None) };
        for (column, _) in &target.plan.generated {
            if target.entity.column(*column).output_only {
                values[column.index()] = target.plan.empty[column.index()].clone();
            }
        }
        let counted = target.plan.complete(self.shared, target.entity, &mut values, &mut present);
        let mut checked = target.plan.checked.clone();
        if let Some(column) = counted {
            checked.remove(column);
        }
        target.codec.check_rules(&values, &checked, &present, target.path, &mut self.violations);
        Ok(Some(NewRow { row: Stored { values, version: 0, deleted_at: None }, counted }))
    }

    fn update(&mut self, target: &Target<'_>, wire: &[u8], asked: Update) -> Result<Option<PreparedOperation>, Error> {
        let decoded = target.codec.decode(wire).map_err(|error| error.under(target.path));
        let Some(row) = self.keep(decoded)? else { return Ok(None) };
        let Some(mask) = self.mask(target, &row, asked.mask)? else { return Ok(None) };
        // What the mask names is set, be it to zero.
        let mut present = row.present.clone();
        mask.columns.iter().for_each(|column| _ = present.insert(column));
        target.codec.check_rules(&row.values, &mask.columns, &present, target.path, &mut self.violations);
        self.refuse_missing_key(target, &row, asked.allow_missing);
        let transforms = self.transforms(target.entity, target.codec, asked.transforms, target.path);
        let key = target.codec.key_of(&row.values);
        let change = RowChange { row, mask, allow_missing: asked.allow_missing, transforms };
        Ok(Some(PreparedOperation::Update(key, Box::new(change))))
    }

    /// What an update writes: the mask, or the fields that are set; never the key nor what the store keeps.
    fn mask(
        &mut self,
        target: &Target<'_>,
        row: &DecodedRow,
        paths: Option<Vec<String>>,
    ) -> Result<Option<UpdateMask>, Error> {
        let is_full = paths.as_deref().is_some_and(|paths| paths == ["*"]);
        let mut mask = match paths {
            None => UpdateMask { columns: row.present.clone(), nested: Vec::new() },
            Some(paths) => match self.keep(target.codec.update_mask(&paths).map_err(|e| at_mask(e, target.path)))? {
                Some(mask) => mask,
                None => return Ok(None),
            },
        };
        mask.columns = without(&mask.columns, &target.plan.ignored);
        target.entity.primary_key.iter().for_each(|column| _ = mask.columns.remove(*column));
        if is_full {
            // A full replacement need not repeat what cannot change.
            let left_out: ColumnSet = target.plan.immutable.iter().filter(|id| !row.present.contains(*id)).collect();
            mask.columns = without(&mask.columns, &left_out);
        }
        mask.nested.retain(|(column, _)| !target.plan.ignored.contains(*column) && !target.entity.is_key(*column));
        Ok(Some(mask))
    }

    /// The key of a row that an update may create is the caller's to give.
    fn refuse_missing_key(&mut self, target: &Target<'_>, row: &DecodedRow, allow_missing: bool) {
        for (column, _) in &target.plan.generated {
            if allow_missing && target.entity.is_key(*column) && is_unset(&row.values[column.index()]) {
                let field = format!("{}{}", target.path, target.entity.column(*column).field);
                self.violation(field, "REQUIRED", "must name the row; use create to have one made");
            }
        }
    }
}

/// Unknown paths are named in the mask, not in the row.
fn at_mask(error: Error, path: &str) -> Error {
    let mask = beside(path, "update_mask");
    let violations = error.fields().iter().map(|violation| FieldViolation {
        field: mask.clone(),
        reason: violation.reason,
        description: if violation.field.contains("update_mask") {
            violation.description.clone()
        } else {
            format!("`{}` {}", violation.field, violation.description)
        },
    });
    let violations: Vec<_> = violations.collect();
    if violations.is_empty() { error } else { Error::invalid(violations) }
}
