//! Which index serves a list, or which one is missing.
//!
//! A path (the primary key, or an index followed by the primary key) serves a list if its leading columns are bound by
//! equality and the rows behind them come in the order asked for; or if a range of its first free column is asked for;
//! or if there is no filter at all. What it cannot check is checked row by row, but only within that part of the path:
//! the work of a page never grows with the table.
//!
//! Only what all of the filter's alternatives share can be walked along: conjuncts that compare a column with a literal,
//! and `a = 1 OR a = 2`, which is an equality with several values. Lists without an order come in the order of the path.

use kit_core::{Code, Error};
use rowkeep_record::query::{Compare, Filter, OrderBy};
use rowkeep_schema::{ColumnId, Entity};

use crate::{Access, AccessPath};

/// How a list is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Total: it ends with the primary key.
    pub(crate) order: OrderBy,
    pub(crate) access: Access,
}

/// What a filter says about columns, as far as a path can use it.
#[derive(Debug, Default)]
struct Bounds {
    /// Columns with an equality, and whether it names one value.
    equal: Vec<(ColumnId, bool)>,
    ranges: Vec<ColumnId>,
    is_empty: bool,
}

/// Plans a list.
///
/// # Errors
/// `FAILED_PRECONDITION` `NO_INDEX` with the index to add, unless the entity allows scans.
pub(crate) fn plan(entity: &Entity, filter: Option<&Filter>, asked: &OrderBy) -> Result<Plan, Error> {
    let bounds = Bounds::of(filter);
    let paths = (0..entity.indexes.len()).map(|at| AccessPath::Index(u16::try_from(at).unwrap_or(u16::MAX)));
    let fits: Vec<Fit> =
        std::iter::once(AccessPath::Primary).chain(paths).map(|path| Fit::of(entity, path, &bounds, asked)).collect();
    // The first of the best, so that the primary key wins where nothing speaks for an index.
    let best = fits.iter().rev().filter(|fit| fit.serves).max_by_key(|fit| fit.score());
    if let Some(fit) = best {
        return Ok(fit.plan.clone());
    }
    if !entity.allow_scan {
        return Err(no_index(entity, &bounds, asked));
    }
    let best = fits.into_iter().rev().max_by_key(Fit::score);
    best.map(|fit| fit.plan).ok_or_else(|| Error::internal("an entity has a primary key"))
}

/// What a path does for a list.
struct Fit {
    plan: Plan,
    serves: bool,
    /// At most a few rows match.
    is_point: bool,
    has_range: bool,
}

impl Fit {
    fn of(entity: &Entity, path: AccessPath, bounds: &Bounds, asked: &OrderBy) -> Self {
        let (columns, unique) = columns_of(entity, path);
        let bound = columns.iter().take_while(|(column, _)| bounds.equality(*column).is_some()).count();
        let is_single = columns[..bound].iter().all(|(column, _)| bounds.equality(*column) == Some(true));
        let is_point = unique.is_some_and(|length| bound >= length);
        // Columns with one value order nothing.
        let free = |order: &OrderBy| -> OrderBy {
            order.iter().filter(|(column, _)| bounds.equality(*column) != Some(true)).copied().collect()
        };
        let (rest, wanted) = (free(&columns), free(asked));
        let backward = wanted.first().zip(rest.first()).is_some_and(|(wanted, has)| wanted.1 != has.1);
        let follows = wanted.len() <= rest.len()
            && wanted.iter().zip(&rest).all(|(wanted, has)| wanted.0 == has.0 && (wanted.1 != has.1) == backward);
        // Behind a column with several values the path starts over for each of them.
        let merges = !is_single && columns.get(bound).map(|(column, _)| *column) == wanted.first().map(|(c, _)| *c);
        let has_range = columns.get(bound).is_some_and(|(column, _)| bounds.ranges.contains(column));
        let in_order = follows || merges && follows_behind(&columns[bound..], &wanted);
        let serves = is_point || in_order && (bound > 0 || has_range || bounds.is_empty && path_is_asked(path, asked));
        let order = if follows { flip(rest, backward) } else { with_key(entity, wanted) };
        let access = Access {
            path,
            bound: u16::try_from(bound).unwrap_or(u16::MAX),
            sorted: follows,
            backward: backward && follows,
        };
        Self { plan: Plan { order, access }, serves, is_point, has_range }
    }

    fn score(&self) -> (bool, u16, bool, bool) {
        (self.is_point, self.plan.access.bound, self.has_range, self.plan.access.sorted)
    }
}

/// Without filter and order, rows come by primary key.
fn path_is_asked(path: AccessPath, asked: &OrderBy) -> bool {
    path == AccessPath::Primary || !asked.is_empty()
}

fn follows_behind(rest: &[(ColumnId, bool)], wanted: &OrderBy) -> bool {
    let Some(backward) = wanted.first().zip(rest.first()).map(|(wanted, has)| wanted.1 != has.1) else { return false };
    wanted.len() <= rest.len()
        && wanted.iter().zip(rest).all(|(wanted, has)| wanted.0 == has.0 && (wanted.1 != has.1) == backward)
}

/// The path's columns with the primary key behind them, and how many leading ones name a row.
fn columns_of(entity: &Entity, path: AccessPath) -> (OrderBy, Option<usize>) {
    match path {
        AccessPath::Primary => (with_key(entity, Vec::new()), Some(entity.primary_key.len())),
        AccessPath::Index(at) => {
            let index = &entity.indexes[usize::from(at)];
            (with_key(entity, index.columns.clone()), index.unique.then_some(index.columns.len()))
        }
    }
}

/// Appends the missing columns of the primary key, ascending.
fn with_key(entity: &Entity, mut order: OrderBy) -> OrderBy {
    for column in &entity.primary_key {
        if !order.iter().any(|(known, _)| known == column) {
            order.push((*column, false));
        }
    }
    order
}

fn flip(mut order: OrderBy, backward: bool) -> OrderBy {
    order.iter_mut().for_each(|(_, descending)| *descending ^= backward);
    order
}

impl Bounds {
    fn of(filter: Option<&Filter>) -> Self {
        let mut bounds = Self { is_empty: filter.is_none(), ..Self::default() };
        if let Some(filter) = filter {
            bounds.add(filter);
        }
        bounds
    }

    fn add(&mut self, filter: &Filter) {
        match filter {
            Filter::And(all) => all.iter().for_each(|filter| self.add(filter)),
            Filter::Column { column, compare: Compare::Equal, value } if !value.is_null() => {
                self.equal.push((*column, true));
            }
            Filter::Column { column, compare, .. } if *compare != Compare::NotEqual => self.ranges.push(*column),
            Filter::Prefix { column, .. } => self.ranges.push(*column),
            Filter::Or(any) => self.equal.extend(one_column(any).map(|column| (column, false))),
            _ => {}
        }
    }

    /// Whether a column is bound by an equality, and if so to one value.
    fn equality(&self, column: ColumnId) -> Option<bool> {
        let found = self.equal.iter().filter(|(bound, _)| *bound == column).map(|(_, single)| *single);
        found.max()
    }
}

/// The column that all alternatives compare for equality.
fn one_column(any: &[Filter]) -> Option<ColumnId> {
    let column = |filter: &Filter| match filter {
        Filter::Column { column, compare: Compare::Equal, value } if !value.is_null() => Some(*column),
        _ => None,
    };
    let first = column(any.first()?)?;
    any.iter().all(|filter| column(filter) == Some(first)).then_some(first)
}

fn no_index(entity: &Entity, bounds: &Bounds, asked: &OrderBy) -> Error {
    let error = |advice: String| {
        let message = format!("no index of {} serves this filter and order: {advice}", entity.name);
        Error::new(Code::FailedPrecondition, "NO_INDEX", message).with("entity", &entity.full_name)
    };
    let mut columns: OrderBy = Vec::new();
    for (column, _) in &bounds.equal {
        if !columns.iter().any(|(known, _)| known == column) {
            columns.push((*column, false));
        }
    }
    let is_bound = !columns.is_empty() || bounds.is_empty;
    let starts_with_range = asked.first().is_none_or(|(column, _)| bounds.ranges.contains(column));
    if !is_bound && (bounds.ranges.is_empty() || !starts_with_range) {
        return error(match bounds.ranges.first() {
            None => {
                "compare an indexed field with =, < or > as well, or set `allow_scan: true` on the entity".to_owned()
            }
            Some(range) => {
                let field = &entity.column(*range).field;
                format!("a range of `{field}` needs an order_by that starts with it; or set `allow_scan: true`")
            }
        });
    }
    let behind: OrderBy = if asked.is_empty() {
        bounds.ranges.iter().take(1).map(|column| (*column, false)).collect()
    } else {
        asked.clone()
    };
    columns.extend(behind.into_iter().filter(|(column, _)| bounds.equality(*column).is_none()));
    let fields: Vec<_> = columns
        .iter()
        .map(|(column, descending)| {
            format!("{}{}", entity.column(*column).field, if *descending { " desc" } else { "" })
        })
        .collect();
    let index = format!("index: [{{ fields: \"{}\" }}]", fields.join(", "));
    error(format!("add `{index}` to the entity, or `allow_scan: true`")).with("index", index)
}
