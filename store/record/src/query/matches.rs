//! A filter evaluated on one row: for preconditions inside a transaction, watch streams, and as the oracle of the SQL form.

use std::cmp::Ordering;

use rowkeep_schema::Entity;

use super::{Compare, Filter, JsonLiteral, JsonTest, check::zero};
use crate::{Value, ValueRef};

/// Whether a row (one value per column) matches.
pub fn matches(filter: &Filter, entity: &Entity, row: &[Value]) -> bool {
    match filter {
        Filter::And(all) => all.iter().all(|filter| matches(filter, entity, row)),
        Filter::Or(any) => any.iter().any(|filter| matches(filter, entity, row)),
        Filter::Not(filter) => !matches(filter, entity, row),
        Filter::Column { column, compare, value } => holds(*compare, row[column.index()].as_ref(), value.as_ref()),
        Filter::Prefix { column, prefix } => {
            matches!(&row[column.index()], Value::Text(text) if text.starts_with(prefix.as_ref()))
        }
        Filter::Present { column } => {
            let value = &row[column.index()];
            let column = entity.column(*column);
            !value.is_null() && (column.nullable || *value != zero(column.storage))
        }
        Filter::Json { column, path, test } => {
            let text = match &row[column.index()] {
                Value::Text(text) => Some(text.as_ref()),
                _ => None,
            };
            json_matches(text, path, test)
        }
    }
}

fn holds(compare: Compare, left: ValueRef<'_>, right: ValueRef<'_>) -> bool {
    if left == ValueRef::Null {
        return compare == Compare::NotEqual;
    }
    ordering_holds(compare, left.compare(&right))
}

fn ordering_holds(compare: Compare, ordering: Ordering) -> bool {
    match compare {
        Compare::Equal => ordering.is_eq(),
        Compare::NotEqual => ordering.is_ne(),
        Compare::Less => ordering.is_lt(),
        Compare::LessOrEqual => ordering.is_le(),
        Compare::Greater => ordering.is_gt(),
        Compare::GreaterOrEqual => ordering.is_ge(),
    }
}

/// Whether a place in a stored JSON text passes a test; for databases that evaluate filters themselves.
pub fn json_matches(text: Option<&str>, path: &[Box<str>], test: &JsonTest) -> bool {
    let absent = match test {
        JsonTest::Compare(compare, _) | JsonTest::CompareImplicit { compare, .. } => *compare == Compare::NotEqual,
        JsonTest::Present | JsonTest::Has(_) => false,
    };
    let Some(text) = text else { return absent };
    let Ok(top) = serde_json::from_str::<serde_json::Value>(text) else { return absent };
    let mut place = &top;
    for (at, name) in path.iter().enumerate() {
        let Some(next) = place.get(name.as_ref()) else {
            let left_out = at + 1 == path.len() && place.is_object();
            return if left_out { passes_left_out(test, absent) } else { absent };
        };
        place = next;
    }
    match test {
        JsonTest::Present => match place {
            serde_json::Value::Null => false,
            serde_json::Value::Array(items) => !items.is_empty(),
            serde_json::Value::Object(members) => !members.is_empty(),
            _ => true,
        },
        JsonTest::Has(literal) => place
            .as_array()
            .is_some_and(|items| items.iter().any(|item| json_compare(item, literal) == Some(Ordering::Equal))),
        JsonTest::Compare(compare, literal) | JsonTest::CompareImplicit { compare, literal, .. } => {
            json_compare(place, literal).map_or(absent, |ordering| ordering_holds(*compare, ordering))
        }
    }
}

/// Whether a field that is not in its object passes.
fn passes_left_out(test: &JsonTest, absent: bool) -> bool {
    match test {
        JsonTest::CompareImplicit { zero_passes, .. } => *zero_passes,
        _ => absent,
    }
}

/// Whether a literal compares so with another of its kind.
pub(super) fn literal_passes(compare: Compare, left: &JsonLiteral, right: &JsonLiteral) -> bool {
    let ordering = match (left, right) {
        (JsonLiteral::Bool(left), JsonLiteral::Bool(right)) => Some(left.cmp(right)),
        (JsonLiteral::Number(left), JsonLiteral::Number(right)) => left.partial_cmp(right),
        (JsonLiteral::Integer(left), JsonLiteral::Integer(right)) => Some(left.cmp(right)),
        (JsonLiteral::Text(left), JsonLiteral::Text(right)) => Some(left.as_bytes().cmp(right.as_bytes())),
        _ => None,
    };
    ordering.is_some_and(|ordering| ordering_holds(compare, ordering))
}

/// `None` if the place holds another type.
fn json_compare(place: &serde_json::Value, literal: &JsonLiteral) -> Option<Ordering> {
    match literal {
        JsonLiteral::Bool(wanted) => place.as_bool().map(|found| found.cmp(wanted)),
        JsonLiteral::Number(wanted) => place.as_f64().and_then(|found| found.partial_cmp(wanted)),
        JsonLiteral::Integer(wanted) => {
            let text = place.as_str().map_or_else(|| place.to_string(), str::to_owned);
            text.parse::<i128>().ok().map(|found| found.cmp(wanted))
        }
        JsonLiteral::Text(wanted) => place.as_str().map(|found| found.as_bytes().cmp(wanted.as_bytes())),
    }
}
