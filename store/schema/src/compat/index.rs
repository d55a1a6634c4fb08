//! The indexes of an entity before and after.

use super::entity::former;
use super::{ChangeKind, Report, Verdict};
use crate::model::{Entity, Index};

pub(super) fn compare(report: &mut Report<'_>, before: &Entity, after: &Entity) {
    let mut matched = vec![false; before.indexes.len()];
    for index in &after.indexes {
        let is_same = |was: &&(usize, &Index)| same(before, was.1, after, index);
        let candidates: Vec<(usize, &Index)> = before.indexes.iter().enumerate().collect();
        let found = candidates
            .iter()
            .filter(|(i, _)| !matched[*i])
            .filter(is_same)
            .min_by_key(|(_, was)| was.name != index.name);
        match found {
            Some((i, was)) => {
                matched[*i] = true;
                renamed(report, was, index);
            }
            None => added(report, index),
        }
    }
    for (was, _) in before.indexes.iter().zip(&matched).filter(|(_, matched)| !**matched) {
        let lookup = was.lookup.as_ref().map(|name| format!("; its lookup by {name} goes too")).unwrap_or_default();
        let reason = format!("index `{}` is dropped{lookup}", was.name);
        report.add(ChangeKind::IndexDropped, &was.name, Verdict::NeedsMigration, reason);
    }
}

fn same(before: &Entity, was: &Index, after: &Entity, now: &Index) -> bool {
    was.unique == now.unique
        && was.columns.len() == now.columns.len()
        && was.columns.iter().zip(&now.columns).all(|((old, old_descending), (new, new_descending))| {
            old_descending == new_descending
                && former(before, after, after.column(*new)).is_some_and(|column| column.id == *old)
        })
}

fn renamed(report: &mut Report<'_>, was: &Index, now: &Index) {
    if was.name != now.name {
        let reason = format!("index `{}` becomes `{}`", was.name, now.name);
        report.add(ChangeKind::IndexRenamed, &now.name, Verdict::NeedsMigration, reason);
    }
}

fn added(report: &mut Report<'_>, index: &Index) {
    let reason = if index.unique {
        format!("unique index `{}` is built; it fails if two rows have the same values", index.name)
    } else {
        format!("index `{}` is built", index.name)
    };
    report.add(ChangeKind::IndexAdded, &index.name, Verdict::NeedsMigration, reason);
}
