//! Checks before and after. Rows that exist are never checked again, so every change is compatible; one that refuses more
//! than before is named, because an update of such a row may fail.

use super::{ChangeKind, Report, Verdict};
use crate::model::{Bound, Column, Rules};

pub(super) fn compare(report: &mut Report<'_>, was: &Column, now: &Column) {
    let (old, new) = (&was.rules, &now.rules);
    let mut tightened = Vec::new();
    let mut changed = Vec::new();
    let mut note = |name: &'static str, differs: bool, tighter: bool| {
        if differs {
            if tighter { tightened.push(name) } else { changed.push(name) }
        }
    };
    note("required", old.required != new.required, new.required);
    note("max_length", old.max_length != new.max_length, less(new.max_length, old.max_length));
    note("min_length", old.min_length != new.min_length, new.min_length.unwrap_or(0) > old.min_length.unwrap_or(0));
    note("min", old.min != new.min, new.min.is_some() && raised(old.min.as_ref(), new.min.as_ref()));
    note("max", old.max != new.max, new.max.is_some() && raised(new.max.as_ref(), old.max.as_ref()));
    note("pattern", pattern(old) != pattern(new), pattern(new).is_some());
    note("one_of", old.one_of != new.one_of, narrower(&old.one_of, &new.one_of));
    note("not_in", old.not_in != new.not_in, new.not_in.iter().any(|value| !old.not_in.contains(value)));
    note("format", old.format != new.format, new.format.is_some());
    note("defined_only", old.defined_only != new.defined_only, new.defined_only);
    note("unique", old.unique_items != new.unique_items, new.unique_items);
    note("immutable", was.immutable != now.immutable, now.immutable);
    if !tightened.is_empty() {
        let reason = format!("{} refuses more than before; rows that exist are not checked", tightened.join(", "));
        report.add(ChangeKind::Rule, &now.field, Verdict::Compatible, reason);
    }
    if !changed.is_empty() {
        let reason = format!("{} refuses less than before", changed.join(", "));
        report.add(ChangeKind::Rule, &now.field, Verdict::Compatible, reason);
    }
}

fn less(new: Option<u32>, old: Option<u32>) -> bool {
    new.is_some_and(|new| old.is_none_or(|old| new < old))
}

/// Whether the bound moved up; bounds that do not compare as numbers count as moved.
fn raised(from: Option<&Bound>, to: Option<&Bound>) -> bool {
    let (Some(from), Some(to)) = (from, to) else { return true };
    let number = |bound: &Bound| bound.text.trim_end_matches('s').parse::<f64>();
    match (number(from), number(to)) {
        (Ok(a), Ok(b)) if a == b => from.inclusive != to.inclusive,
        (Ok(a), Ok(b)) => b > a,
        _ => true,
    }
}

fn pattern(rules: &Rules) -> Option<&str> {
    rules.pattern.as_ref().map(|pattern| pattern.source.as_str())
}

fn narrower(old: &[String], new: &[String]) -> bool {
    !new.is_empty() && (old.is_empty() || old.iter().any(|value| !new.contains(value)))
}
