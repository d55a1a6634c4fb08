//! Which rows a program is going to ask for, as far as can be told before it runs.

use std::collections::BTreeMap;

use rowkeep_record::Key;
use rowkeep_schema::EntityId;

use crate::Program;
use crate::commit::deletes_unseen;
use crate::engine::Shared;
use crate::prepare::{NewRow, PreparedOperation};

/// Rows that a program asks [`Tx::get`](crate::Tx::get) for, by table and key; whether it writes them. The others are named by
/// new rows, or only looked at, and need not be kept from others who do the same.
pub type Needs = BTreeMap<(EntityId, Key), bool>;

impl Program {
    /// The rows it asks for by key whatever it finds. Storage that is far from its rows can read and lock them at once, and
    /// in the same order for all programs, so that fewer of them wait for each other in a circle.
    ///
    /// Left out is what may not be asked for after all (the row that an update names only now), and what the program itself
    /// adds: a lock on the place of a row that is not there would be in the way of others who add one.
    pub fn needs(&self) -> Needs {
        let shared = &*self.shared;
        let mut needs = Needs::new();
        for write in &self.writes {
            let entity = shared.entity(write.entity);
            let mut need = |key: &Key, writes| *needs.entry((write.entity, key.clone())).or_default() |= writes;
            match &write.operation {
                PreparedOperation::Update(key, _)
                | PreparedOperation::Undelete(key)
                | PreparedOperation::Expire(key) => {
                    need(key, true);
                }
                PreparedOperation::Delete(key, _) if !deletes_unseen(entity, &write.precondition) => {
                    need(key, true);
                }
                PreparedOperation::Check(key) => need(key, false),
                PreparedOperation::Create(new) => shared.named_by(write.entity, new, &mut needs),
                PreparedOperation::Delete(..) => {}
            }
        }
        for write in &self.writes {
            if let PreparedOperation::Create(NewRow { row, counted: None }) = &write.operation {
                needs.remove(&(write.entity, shared.codec(write.entity).key_of(&row.values)));
            }
        }
        needs
    }

    /// Changes it makes: its writes, and its memory of what it answered.
    pub fn changes(&self) -> usize {
        self.writes.len() + usize::from(self.is_remembered())
    }
}

impl Shared {
    /// The rows that a new one names by their key.
    fn named_by(&self, id: EntityId, NewRow { row, .. }: &NewRow, needs: &mut Needs) {
        let entity = self.entity(id);
        for column in &self.plan(id).references {
            let (Some(reference), value) = (entity.column(*column).references, &row.values[column.index()]) else {
                continue;
            };
            let by_key = self.entity(reference.entity).primary_key == [reference.column];
            let is_itself = reference.entity == id && row.values[reference.column.index()] == *value;
            if by_key && !is_itself && !value.is_null() {
                needs.entry((reference.entity, Key::one(value.clone()))).or_default();
            }
        }
    }
}
