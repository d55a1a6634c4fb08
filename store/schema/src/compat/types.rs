//! Messages inside columns, which are stored as JSON, and enums.

use std::collections::BTreeSet;

use super::column::same_wire;
use super::{Change, ChangeKind, Report, Verdict};
use crate::model::{Cardinality, EnumId, EnumType, Field, Kind, MessageId, MessageType, Schema};

pub(super) fn compare(changes: &mut Vec<Change>, old: &Schema, new: &Schema) {
    let stored = Stored::of(old);
    for id in &stored.messages {
        let was = old.message(*id);
        if let Some(now) = new.message_by_name(&was.full_name) {
            message(changes, (old, was), (new, new.message(now)));
        }
    }
    for id in &stored.enums {
        let was = old.enumeration(*id);
        if let Some(now) = new.enums.iter().find(|now| now.full_name == was.full_name) {
            enumeration(changes, was, now);
        }
    }
}

/// Types whose values are in the database.
#[derive(Default)]
struct Stored {
    messages: BTreeSet<MessageId>,
    enums: BTreeSet<EnumId>,
}

impl Stored {
    fn of(schema: &Schema) -> Self {
        let mut stored = Self::default();
        let mut open = Vec::new();
        for entity in &schema.entities {
            stored.add_fields(&schema.message(entity.message).fields, &mut open);
        }
        while let Some(id) = open.pop() {
            stored.add_fields(&schema.message(id).fields, &mut open);
        }
        stored.messages.retain(|id| schema.message(*id).well_known.is_none());
        stored
    }

    fn add_fields(&mut self, fields: &[Field], open: &mut Vec<MessageId>) {
        for field in fields {
            match field.kind {
                Kind::Message(id) if self.messages.insert(id) => open.push(id),
                Kind::Enum(id) => {
                    self.enums.insert(id);
                }
                _ => {}
            }
        }
    }
}

fn message(changes: &mut Vec<Change>, (old, was): (&Schema, &MessageType), (new, now): (&Schema, &MessageType)) {
    let mut report = Report { changes, entity: &now.full_name };
    for old_field in &was.fields {
        let by_name = now.fields.iter().find(|field| field.name == old_field.name);
        let by_number = now.fields.iter().find(|field| field.number == old_field.number);
        match (by_name, by_number) {
            (Some(field), _) => field_change(&mut report, (old, old_field), (new, field)),
            (None, Some(field)) => {
                let reason =
                    format!("number {} was `{}`; stored values have the old name", field.number, old_field.name);
                report.add(ChangeKind::MessageField, &field.name, Verdict::Refused, reason);
            }
            (None, None) => {
                let reason = "the field is gone, and so are its stored values; reserve its number";
                report.add(ChangeKind::MessageField, &old_field.name, Verdict::LosesData, reason);
            }
        }
    }
}

fn field_change(report: &mut Report<'_>, (old, was): (&Schema, &Field), (new, now): (&Schema, &Field)) {
    let many = |field: &Field| match field.cardinality {
        Cardinality::Repeated => (true, None),
        Cardinality::Map(key) => (true, Some(key)),
        Cardinality::Implicit | Cardinality::Explicit => (false, None),
    };
    let reason = if was.number != now.number {
        format!("its number changes from {} to {}; clients of the old file would misread it", was.number, now.number)
    } else if was.json_name != now.json_name {
        format!("stored values have the JSON name `{}`", was.json_name)
    } else if many(was) != many(now) || !same_wire((old, was.kind), (new, now.kind)) {
        "the types have different forms; add a new field".to_owned()
    } else {
        return;
    };
    report.add(ChangeKind::MessageField, &now.name, Verdict::Refused, reason);
}

fn enumeration(changes: &mut Vec<Change>, was: &EnumType, now: &EnumType) {
    let mut report = Report { changes, entity: &now.full_name };
    for (name, number) in &was.values {
        let (verdict, reason) = match (now.number_of(name), now.name_of(*number)) {
            (Some(new_number), _) if new_number == *number => continue,
            (Some(new_number), _) => {
                (Verdict::Refused, format!("its number changes from {number} to {new_number}; rows would be misread"))
            }
            (None, Some(new_name)) => {
                (Verdict::Compatible, format!("it is now called `{new_name}`; filters and JSON use the new name"))
            }
            (None, None) => {
                (Verdict::LosesData, format!("rows that hold it keep only the number {number}; change them first"))
            }
        };
        report.add(ChangeKind::EnumValue, name, verdict, reason);
    }
    for (name, _) in
        now.values.iter().filter(|(name, number)| was.number_of(name).is_none() && was.name_of(*number).is_none())
    {
        report.add(ChangeKind::EnumValue, name, Verdict::Compatible, "old clients see its number");
    }
}
