//! Bounded, ordered reads.

use std::cmp::Ordering;

use rowkeep_record::query::{OrderBy, matches};
use rowkeep_record::{Value, ValueRef};
use rowkeep_schema::Entity;

use super::table::Table;
use crate::commit::is_expired;
use crate::{Scan, Stored, View};

/// Whether a view shows a row.
pub(super) fn sees(entity: &Entity, view: View, row: &Stored) -> bool {
    (view.deleted || row.deleted_at.is_none()) && !is_expired(entity, &row.values, view.now)
}

/// The rows that a scan is about, in no order.
pub(super) fn matching<'a>(
    entity: &'a Entity,
    table: &'a Table,
    scan: &'a Scan,
) -> impl Iterator<Item = &'a Stored> + 'a {
    let passes = |row: &Stored| scan.filter.as_ref().is_none_or(|filter| matches(filter, entity, &row.values));
    table.rows.values().filter(move |row| sees(entity, scan.view, row) && passes(row))
}

/// The rows behind the scan's start, in its order, up to its limit.
pub(super) fn page<'a>(entity: &'a Entity, table: &'a Table, scan: &'a Scan) -> Vec<&'a Stored> {
    let is_behind = |row: &&Stored| {
        scan.after.as_ref().is_none_or(|after| {
            let start = after.iter().map(Value::as_ref);
            compare(&scan.order, order_values(&scan.order, row), start).is_gt()
        })
    };
    let mut rows: Vec<_> = matching(entity, table, scan).filter(is_behind).collect();
    rows.sort_by(|a, b| compare(&scan.order, order_values(&scan.order, a), order_values(&scan.order, b)));
    rows.truncate(scan.limit as usize);
    rows
}

fn order_values<'a>(order: &'a OrderBy, row: &'a Stored) -> impl Iterator<Item = ValueRef<'a>> {
    order.iter().map(|(column, _)| row.values[column.index()].as_ref())
}

fn compare<'a>(
    order: &OrderBy,
    a: impl Iterator<Item = ValueRef<'a>>,
    b: impl Iterator<Item = ValueRef<'a>>,
) -> Ordering {
    let by_column = order.iter().zip(a.zip(b)).map(|((_, descending), (a, b))| {
        let ordering = a.compare(&b);
        if *descending { ordering.reverse() } else { ordering }
    });
    by_column.into_iter().find(|ordering| ordering.is_ne()).unwrap_or(Ordering::Equal)
}
