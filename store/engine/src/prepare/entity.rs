//! What the writes of an entity need to know, worked out once at start.

use kit_core::{Code, Error};
use rowkeep_record::{Codecs, ColumnSet, RowCodec, Value};
use rowkeep_schema::{Auto, Column, ColumnId, Entity, Generated, Schema, Storage};

use crate::engine::Shared;
use crate::ids::uuid_text;

/// See the [module](self).
pub(crate) struct EntityPlan {
    /// The values of an empty row.
    pub(crate) empty: Vec<Value>,
    /// Columns with a default and its value.
    pub(crate) defaults: Vec<(ColumnId, Value)>,
    /// Columns whose value is made for a new row that has none.
    pub(crate) generated: Vec<(ColumnId, Generated)>,
    /// Set to the time of the insert.
    pub(crate) create_times: Vec<ColumnId>,
    /// Set to the time of every write.
    pub(crate) update_times: Vec<ColumnId>,
    /// What requests say of them is ignored. The key is never among them.
    pub(crate) ignored: ColumnSet,
    /// Columns whose rules hold for what a request says: all but those that the store keeps.
    pub(crate) checked: ColumnSet,
    /// Columns that refer to other rows.
    pub(crate) references: Vec<ColumnId>,
    /// Set on create, never changed; without the key.
    pub(crate) immutable: ColumnSet,
    /// The declared column that shows the time of deletion.
    pub(crate) delete_time: Option<ColumnId>,
}

/// The plans of all entities.
///
/// # Errors
/// If a default is not a value of its column.
pub(crate) fn plans(schema: &Schema, codecs: &Codecs) -> Result<Vec<EntityPlan>, Error> {
    schema.entities.iter().map(|entity| EntityPlan::new(entity, codecs.row(entity.id))).collect()
}

fn ids(entity: &Entity, wanted: impl Fn(&Column) -> bool) -> impl Iterator<Item = ColumnId> {
    entity.columns.iter().filter(move |column| wanted(column)).map(|column| column.id)
}

impl EntityPlan {
    fn new(entity: &Entity, codec: &RowCodec) -> Result<Self, Error> {
        let is_kept = |column: &Column| column.auto.is_some();
        Ok(Self {
            empty: codec.empty(),
            defaults: defaults(entity, codec)?,
            generated: generated(entity),
            create_times: ids(entity, |column| column.auto == Some(Auto::CreateTime)).collect(),
            update_times: ids(entity, |column| column.auto == Some(Auto::UpdateTime)).collect(),
            ignored: ids(entity, |column| (column.output_only || is_kept(column)) && !entity.is_key(column.id))
                .collect(),
            checked: ids(entity, |column| !is_kept(column)).collect(),
            references: ids(entity, |column| column.references.is_some()).collect(),
            immutable: ids(entity, |column| column.immutable && !entity.is_key(column.id)).collect(),
            delete_time: entity.soft_delete.and_then(|soft| soft.column),
        })
    }

    /// Makes a decoded row one that can be inserted, but for what only the transaction knows: the commit's time and a
    /// number the database counts, whose column is answered.
    pub(crate) fn complete(
        &self,
        shared: &Shared,
        entity: &Entity,
        values: &mut [Value],
        present: &mut ColumnSet,
    ) -> Option<ColumnId> {
        for column in self.ignored.iter() {
            values[column.index()] = self.empty[column.index()].clone();
            present.remove(column);
        }
        self.fill(shared, entity, values, present)
    }

    /// Sets defaults and generated values where the row has none.
    pub(crate) fn fill(
        &self,
        shared: &Shared,
        entity: &Entity,
        values: &mut [Value],
        present: &mut ColumnSet,
    ) -> Option<ColumnId> {
        for (column, default) in &self.defaults {
            if !present.contains(*column) {
                values[column.index()] = default.clone();
                present.insert(*column);
            }
        }
        let mut counted = None;
        for (id, generated) in &self.generated {
            let value = &mut values[id.index()];
            if !is_unset(value) {
                continue;
            }
            if *generated == Generated::AutoIncrement {
                *value = Value::Null;
                counted = Some(*id);
            } else {
                *value = generate(shared, *generated, entity.column(*id).storage);
                present.insert(*id);
            }
        }
        counted
    }
}

/// Columns whose value is made here, or counted where the row is stored.
fn generated(entity: &Entity) -> Vec<(ColumnId, Generated)> {
    let made = entity.columns.iter().filter_map(|column| Some((column.id, column.generated?)));
    made.filter(|(_, generated)| *generated != Generated::Computed).collect()
}

fn defaults(entity: &Entity, codec: &RowCodec) -> Result<Vec<(ColumnId, Value)>, Error> {
    let parse = |column: &Column| {
        let text = column.default.as_deref()?;
        Some(codec.parse_text(column.id, text).map(|value| (column.id, value)).map_err(|why| {
            let message = format!("default of {}.{}: {why}", entity.full_name, column.field);
            Error::new(Code::InvalidArgument, "INVALID_DEFAULT", message)
        }))
    };
    entity.columns.iter().filter_map(parse).collect()
}

fn generate(shared: &Shared, generated: Generated, storage: Storage) -> Value {
    let now = shared.now();
    match (generated, storage) {
        (Generated::UuidV7, Storage::Blob) => Value::Blob(shared.ids.uuid_v7(now).into()),
        (Generated::UuidV7, _) => Value::Text(uuid_text(&shared.ids.uuid_v7(now)).into()),
        (_, Storage::Uint64) => Value::Uint(shared.ids.snowflake(now).cast_unsigned()),
        _ => Value::Int(shared.ids.snowflake(now)),
    }
}

/// Whether a generated column counts as not set: absent or zero.
pub(crate) fn is_unset(value: &Value) -> bool {
    match value {
        Value::Null | Value::Int(0) | Value::Uint(0) => true,
        Value::Text(text) => text.is_empty(),
        Value::Blob(bytes) => bytes.is_empty(),
        _ => false,
    }
}
