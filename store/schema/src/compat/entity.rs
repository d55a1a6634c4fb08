//! One entity before and after.

use super::{Change, ChangeKind, Report, Verdict, column, index};
use crate::model::{Column, Entity, Schema};

pub(super) fn compare(changes: &mut Vec<Change>, (old, before): (&Schema, &Entity), (new, after): (&Schema, &Entity)) {
    let mut report = Report { changes, entity: &after.full_name };
    names(&mut report, before, after);
    key(&mut report, before, after);
    lifecycle(&mut report, before, after);
    columns(&mut report, (old, before), (new, after));
    index::compare(&mut report, before, after);
}

fn names(report: &mut Report<'_>, before: &Entity, after: &Entity) {
    if before.full_name != after.full_name {
        let reason = format!("`{}` is now `{}`; clients use the new name", before.full_name, after.full_name);
        report.add(ChangeKind::MessageRenamed, "", Verdict::Compatible, reason);
    }
    if before.rest_collection != after.rest_collection || before.plural != after.plural {
        let reason =
            format!("methods and paths change from `{}` to `{}`", before.rest_collection, after.rest_collection);
        report.add(ChangeKind::PathChanged, "", Verdict::Compatible, reason);
    }
    if before.table == after.table {
        return;
    }
    let change = format!("table `{}` becomes `{}`", before.table, after.table);
    let told = after
        .renamed_from
        .as_deref()
        .is_some_and(|from| [&before.table, &before.name, &before.full_name].iter().any(|name| *name == from));
    if told {
        report.add(ChangeKind::TableRenamed, "", Verdict::NeedsMigration, change);
    } else {
        let reason = format!("{change}; write `renamed_from: \"{}\"` to keep its rows", before.table);
        report.add(ChangeKind::TableRenamed, "", Verdict::Refused, reason);
    }
}

fn key(report: &mut Report<'_>, before: &Entity, after: &Entity) {
    let is_same = before.primary_key.len() == after.primary_key.len()
        && before
            .primary_key
            .iter()
            .zip(&after.primary_key)
            .all(|(old, new)| former(before, after, after.column(*new)).is_some_and(|column| column.id == *old));
    if !is_same {
        let fields = |entity: &Entity| {
            let names: Vec<&str> = entity.primary_key.iter().map(|id| entity.column(*id).field.as_str()).collect();
            names.join(", ")
        };
        let reason = format!(
            "the primary key changes from ({}) to ({}); declare a new entity and copy the rows",
            fields(before),
            fields(after)
        );
        report.add(ChangeKind::PrimaryKey, "", Verdict::Refused, reason);
    }
}

fn lifecycle(report: &mut Report<'_>, before: &Entity, after: &Entity) {
    match (before.versioned, after.versioned) {
        (false, true) => {
            report.add(ChangeKind::Versioned, "", Verdict::NeedsMigration, "rows get a version (etag)");
        }
        (true, false) => {
            report.add(ChangeKind::Versioned, "", Verdict::LosesData, "the versions of all rows are dropped");
        }
        _ => {}
    }
    match (before.read_only, after.read_only) {
        (false, true) => {
            report.add(ChangeKind::ReadOnly, "", Verdict::Compatible, "clients can no longer write");
        }
        (true, false) => {
            report.add(ChangeKind::ReadOnly, "", Verdict::Compatible, "clients can write from now on");
        }
        _ => {}
    }
    match (before.soft_delete.is_some(), after.soft_delete.is_some()) {
        (false, true) => {
            report.add(ChangeKind::SoftDelete, "", Verdict::NeedsMigration, "deleted rows are kept from now on");
        }
        (true, false) => {
            let reason = "rows that are deleted softly would be seen again, and are dropped instead";
            report.add(ChangeKind::SoftDelete, "", Verdict::LosesData, reason);
        }
        _ => {}
    }
    let field = |entity: &Entity| entity.expire.map(|id| entity.column(id).field.clone());
    let (was, is) = (field(before), field(after));
    if was != is {
        let reason = match &is {
            Some(field) => format!("rows whose `{field}` has passed vanish"),
            None => "rows no longer expire".to_owned(),
        };
        let verdict = if is.is_some() { Verdict::LosesData } else { Verdict::Compatible };
        report.add(ChangeKind::Expire, is.or(was).as_deref().unwrap_or_default(), verdict, reason);
    }
}

fn columns(report: &mut Report<'_>, old: (&Schema, &Entity), new: (&Schema, &Entity)) {
    let (before, after) = (old.1, new.1);
    let mut matched = vec![false; before.columns.len()];
    for now in &after.columns {
        match former(before, after, now) {
            Some(was) => {
                matched[was.id.index()] = true;
                column::compare(report, (old.0, before, was), (new.0, after, now));
            }
            None => column::added(report, old, new, now),
        }
    }
    for was in before.columns.iter().filter(|column| !matched[column.id.index()]) {
        column::dropped(report, was);
    }
}

/// The old column that this one continues.
pub(super) fn former<'a>(before: &'a Entity, after: &Entity, column: &Column) -> Option<&'a Column> {
    before.column_by_field(&column.field).or_else(|| {
        let from = column.renamed_from.as_deref()?;
        let is_free = |was: &&Column| after.column_by_field(&was.field).is_none();
        before.columns.iter().filter(is_free).find(|was| was.field == from || was.name == from)
    })
}
