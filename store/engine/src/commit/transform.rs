//! Changes that depend on the current value.

use kit_core::Error;
use rowkeep_record::{ColumnSet, Value};
use rowkeep_schema::{Column, EntityId, Storage};

use super::Commit;
use crate::Stored;
use crate::number::{from_value, to_value};
use crate::prepare::{PreparedChange, RowChange, split_items};

impl Commit<'_> {
    /// Applies the transforms to a row and checks the rules of the results.
    pub(super) fn transform(
        &self,
        id: EntityId,
        path: &str,
        change: &RowChange,
        row: &mut Stored,
        changed: &mut ColumnSet,
    ) -> Result<(), Error> {
        if change.transforms.is_empty() {
            return Ok(());
        }
        let (entity, codec) = (self.shared.entity(id), self.shared.codec(id));
        let mut touched = ColumnSet::new();
        for transform in &change.transforms {
            let column = entity.column(transform.column);
            let result = self.result_of(&transform.change, column, &row.values[column.id.index()]);
            row.values[column.id.index()] = result.map_err(|why| {
                self.shared.transform_failed(self.shared.subject(id, &codec.key_of(&row.values)), &transform.path, why)
            })?;
            touched.insert(column.id);
            changed.insert(column.id);
        }
        self.clear_siblings(id, row, changed);
        let mut violations = Vec::new();
        codec.check_rules(&row.values, &touched, &touched, path, &mut violations);
        match violations.into_iter().next() {
            None => Ok(()),
            Some(first) => {
                let subject = self.shared.subject(id, &codec.key_of(&row.values));
                Err(self.shared.transform_failed(subject, &first.field, &first.description))
            }
        }
    }

    fn result_of(&self, change: &PreparedChange, column: &Column, current: &Value) -> Result<Value, &'static str> {
        match change {
            PreparedChange::AddWhole(operand) => {
                let sum = from_value(current).and_then(|number| number.checked_add(*operand));
                sum.and_then(|sum| to_value(column.storage, sum)).ok_or("is out of the field's range")
            }
            PreparedChange::AddReal(operand) => {
                let number = if let Value::Real(number) = current { *number } else { 0.0 };
                add_real(column.storage, number, *operand).ok_or("is not a finite number")
            }
            PreparedChange::Maximum(operand) => Ok(if is_before(current, operand) { operand } else { current }.clone()),
            PreparedChange::Minimum(operand) => {
                let keep = !current.is_null() && !is_before(operand, current);
                Ok(if keep { current } else { operand }.clone())
            }
            PreparedChange::CommitTime => Ok(Value::Int(self.now)),
            PreparedChange::AppendMissing(items) => edit_items(current, |current| {
                for item in items {
                    if !current.contains(item) {
                        current.push(item.clone());
                    }
                }
            }),
            PreparedChange::RemoveAll(items) => {
                edit_items(current, |current| current.retain(|item| !items.contains(item)))
            }
        }
    }
}

fn is_before(a: &Value, b: &Value) -> bool {
    a.as_ref().compare(&b.as_ref()).is_lt()
}

fn add_real(storage: Storage, number: f64, operand: f64) -> Option<Value> {
    let sum = number + operand;
    #[expect(clippy::cast_possible_truncation, reason = "a float column holds 32 bits")]
    let sum = if storage == Storage::Float { f64::from(sum as f32) } else { sum };
    // A sum may round to the negative zero, which is not stored.
    sum.is_finite().then_some(Value::Real(sum + 0.0))
}

fn edit_items(current: &Value, edit: impl FnOnce(&mut Vec<Box<str>>)) -> Result<Value, &'static str> {
    let text = if let Value::Text(text) = current { text } else { "" };
    let mut items = split_items(text).ok_or("cannot be made: the stored value is not a JSON array")?;
    edit(&mut items);
    Ok(Value::Text(format!("[{}]", items.join(",")).into()))
}
