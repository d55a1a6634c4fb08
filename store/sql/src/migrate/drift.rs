//! Changes that somebody else made to managed tables since the last apply.

use super::Drift;
use super::applied::Applied;
use super::found::{FoundIndex, FoundTable};

/// What differs from the state after the last apply.
pub(crate) fn drift(applied: &Applied, found: &[FoundTable]) -> Vec<Drift> {
    let mut drift = Vec::new();
    for (name, was) in &applied.tables {
        match found.iter().find(|table| table.name == *name) {
            None => drift.push(Drift::new(name, "the table is gone")),
            Some(is) => compare(&was.found, is, &mut drift),
        }
    }
    drift
}

fn compare(was: &FoundTable, is: &FoundTable, drift: &mut Vec<Drift>) {
    let mut report = |what: String| drift.push(Drift::new(&is.name, what));
    for column in &was.columns {
        match is.column(&column.name) {
            None => report(format!("column {} is gone", column.name)),
            Some(now) if now != column => report(format!(
                "column {} was {}, is {}",
                column.name,
                declaration(&column.sql_type, column.not_null),
                declaration(&now.sql_type, now.not_null)
            )),
            Some(_) => {}
        }
    }
    for column in is.columns.iter().filter(|column| was.column(&column.name).is_none()) {
        report(format!("column {} was added", column.name));
    }
    if (&was.primary_key, was.key) != (&is.primary_key, is.key) {
        report(format!("the primary key was ({}), is ({})", was.primary_key.join(", "), is.primary_key.join(", ")));
    }
    for index in &was.indexes {
        match is.index(&index.name) {
            None => report(format!("index {} is gone", index.name)),
            Some(now) if now != index => {
                report(format!("index {} was {}, is {}", index.name, index_text(index), index_text(now)));
            }
            Some(_) => {}
        }
    }
    for index in is.indexes.iter().filter(|index| was.index(&index.name).is_none()) {
        report(format!("index {} {} was added", index.name, index_text(index)));
    }
}

fn declaration(sql_type: &str, not_null: bool) -> String {
    format!("{sql_type}{}", if not_null { " NOT NULL" } else { "" })
}

fn index_text(index: &FoundIndex) -> String {
    let column = |(name, descending): &(String, bool)| format!("{name}{}", if *descending { " DESC" } else { "" });
    let columns: Vec<_> = index.columns.iter().map(column).collect();
    format!("{}({})", if index.unique { "UNIQUE " } else { "" }, columns.join(", "))
}
