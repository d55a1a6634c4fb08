//! What changes between two schemas, and whether rows, clients and stored JSON survive it.
//!
//! Entities and columns are matched by name, then by `renamed_from`, then by table. Field numbers are the wire's identity:
//! a number that changes its meaning is refused, because clients built from the old file would read wrong values
//! without an error. What only costs work in the database needs a migration; what cannot be undone loses data.

mod column;
mod entity;
mod index;
mod rules;
mod types;

use crate::model::{Entity, Schema};

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What it is.
    pub what: ChangeKind,
    /// Full name of the entity (of the message or enum, for types that several entities use).
    pub entity: String,
    /// The column's field name, the index, the enum value; empty for the entity itself.
    pub subject: String,
    /// What it means for what is stored.
    pub verdict: Verdict,
    /// Why, and what to do about it.
    pub reason: String,
}

/// What a change means, from harmless to impossible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Nothing in the database changes.
    Compatible,
    /// The database changes and keeps every value.
    NeedsMigration,
    /// The database changes and values are lost.
    LosesData,
    /// Clients or rows would be misread: never done.
    Refused,
}

/// The kinds of difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the names say it
pub enum ChangeKind {
    EntityAdded,
    EntityDropped,
    MessageRenamed,
    TableRenamed,
    PathChanged,
    PrimaryKey,
    Versioned,
    ReadOnly,
    SoftDelete,
    Expire,
    ColumnAdded,
    ColumnDropped,
    ColumnRenamed,
    FieldRenamed,
    FieldNumber,
    ColumnType,
    SqlType,
    Nullability,
    Generated,
    Auto,
    Default,
    Reference,
    Secret,
    Rule,
    IndexAdded,
    IndexDropped,
    IndexRenamed,
    MessageField,
    EnumValue,
}

/// All differences, in order of the new schema's entities, what is gone last.
pub fn compare(old: &Schema, new: &Schema) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut matched = vec![false; old.entities.len()];
    for entity in &new.entities {
        match former(old, new, entity) {
            Some(before) => {
                matched[before.id.index()] = true;
                entity::compare(&mut changes, (old, before), (new, entity));
            }
            None => changes.push(Change {
                what: ChangeKind::EntityAdded,
                entity: entity.full_name.clone(),
                subject: String::new(),
                verdict: Verdict::NeedsMigration,
                reason: format!("table `{}` is created", entity.table),
            }),
        }
    }
    for entity in old.entities.iter().filter(|entity| !matched[entity.id.index()]) {
        changes.push(Change {
            what: ChangeKind::EntityDropped,
            entity: entity.full_name.clone(),
            subject: String::new(),
            verdict: Verdict::LosesData,
            reason: format!(
                "table `{}` is dropped with its rows; if the message was renamed, write `renamed_from: \"{}\"`",
                entity.table, entity.table
            ),
        });
    }
    types::compare(&mut changes, old, new);
    changes
}

/// The old entity that this one continues.
fn former<'a>(old: &'a Schema, new: &Schema, entity: &Entity) -> Option<&'a Entity> {
    let same_name = old.entities.iter().find(|before| before.full_name == entity.full_name);
    let is_free = |before: &&Entity| new.entities.iter().all(|other| other.full_name != before.full_name);
    same_name
        .or_else(|| {
            let from = entity.renamed_from.as_deref()?;
            let named = |before: &&Entity| [&before.table, &before.name, &before.full_name].iter().any(|n| *n == from);
            old.entities.iter().filter(is_free).find(named)
        })
        .or_else(|| old.entities.iter().filter(is_free).find(|before| before.table == entity.table))
}

/// Collects the changes of one entity.
pub(crate) struct Report<'a> {
    changes: &'a mut Vec<Change>,
    entity: &'a str,
}

impl Report<'_> {
    fn add(&mut self, what: ChangeKind, subject: &str, verdict: Verdict, reason: impl Into<String>) {
        self.changes.push(Change {
            what,
            entity: self.entity.to_owned(),
            subject: subject.to_owned(),
            verdict,
            reason: reason.into(),
        });
    }
}

impl Verdict {
    /// `compatible`, `needs migration`, `loses data` or `refused`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Compatible => "compatible",
            Self::NeedsMigration => "needs migration",
            Self::LosesData => "loses data",
            Self::Refused => "refused",
        }
    }
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let dot = if self.subject.is_empty() { "" } else { "." };
        write!(f, "{}: {}{dot}{}: {}", self.verdict.as_str(), self.entity, self.subject, self.reason)
    }
}
