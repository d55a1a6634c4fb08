//! Filters and page starts as SQL conditions. Names are quoted, values are bound, nothing else comes from a request.
//!
//! A filter has two truth values, SQL three. A condition that is NULL counts as false everywhere except under `NOT`,
//! so `NOT x` is spelled `x IS NOT TRUE`, and `!=`, which absent values match, is the null-safe operator.

use rowkeep_engine::Scan;
use rowkeep_record::Value;
use rowkeep_record::query::{Compare, Filter, JsonTest, OrderBy, zero};
use rowkeep_schema::{ColumnId, Entity, Storage};

use crate::dialect::Dialect;
use crate::statements::EntitySql;

/// A value to bind.
#[derive(Debug, Clone)]
pub(crate) enum Bind<'a> {
    /// From the request, with the storage of the column it is compared with.
    Value(&'a Value, Storage),
    /// A text made from one of the request.
    Text(Box<str>),
    /// A time, in microseconds since 1970.
    Time(i64),
    /// A number.
    Int(i64),
}

/// A test of a place in a JSON column, left to the adapter.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JsonProbe<'a> {
    pub(crate) path: &'a [Box<str>],
    pub(crate) test: &'a JsonTest,
}

/// A condition under construction.
#[derive(Debug)]
pub(crate) struct Condition<'a> {
    dialect: Dialect,
    entity: &'a Entity,
    pub(crate) sql: String,
    pub(crate) binds: Vec<Bind<'a>>,
    /// In the order of their calls in the text.
    pub(crate) probes: Vec<JsonProbe<'a>>,
}

/// Function that adapters provide for JSON tests: `rowkeep_json(column, probe number)`.
pub(crate) const JSON_FUNCTION: &str = "rowkeep_json";

impl<'a> Condition<'a> {
    /// Continues a text.
    pub(crate) fn new(dialect: Dialect, entity: &'a Entity, sql: String) -> Self {
        Self { dialect, entity, sql, binds: Vec::new(), probes: Vec::new() }
    }

    /// Continues a text with a scan's `WHERE`: what its view shows, what matches `filter` and, if it is `paged`, what
    /// lies behind its start.
    pub(crate) fn of_scan(
        sql: &EntitySql,
        entity: &'a Entity,
        text: String,
        scan: &'a Scan,
        filter: Option<&'a Filter>,
        paged: bool,
    ) -> Self {
        let mut condition = Self::new(sql.dialect, entity, text);
        let start = condition.sql.len();
        condition.sql.push_str(sql.visible(scan.view.deleted));
        if sql.has_expiry {
            condition.binds.push(Bind::Time(scan.view.now));
        }
        if let Some(filter) = filter {
            condition.sql.push_str(" AND ");
            condition.push_filter(filter);
        }
        if let Some(after) = scan.after.as_ref().filter(|_| paged) {
            condition.sql.push_str(" AND ");
            condition.push_after(&scan.order, after);
        }
        if condition.sql.len() > start {
            condition.sql.replace_range(start..start + " AND ".len(), " WHERE ");
        }
        condition
    }

    /// Appends a filter, in parentheses where it needs them.
    pub(crate) fn push_filter(&mut self, filter: &'a Filter) {
        match filter {
            Filter::And(parts) => self.push_joined(parts, " AND "),
            Filter::Or(parts) => self.push_joined(parts, " OR "),
            Filter::Not(inner) => {
                self.sql.push('(');
                self.push_filter(inner);
                self.sql.push_str(" IS NOT TRUE)");
            }
            Filter::Column { column, compare, value } => self.push_compare(*column, *compare, value),
            Filter::Prefix { column, prefix } => self.push_prefix(*column, prefix),
            Filter::Present { column } => self.push_present(*column),
            Filter::Json { column, path, test } => self.push_json(*column, path, test),
        }
    }

    fn push_joined(&mut self, parts: &'a [Filter], operator: &str) {
        self.sql.push('(');
        for (at, part) in parts.iter().enumerate() {
            if at > 0 {
                self.sql.push_str(operator);
            }
            self.push_filter(part);
        }
        self.sql.push(')');
    }

    fn push_compare(&mut self, column: ColumnId, compare: Compare, value: &'a Value) {
        let (before, operator) = match compare {
            Compare::Equal => ("", " = "),
            Compare::NotEqual => self.dialect.null_safe_differs(),
            Compare::Less => ("", " < "),
            Compare::LessOrEqual => ("", " <= "),
            Compare::Greater => ("", " > "),
            Compare::GreaterOrEqual => ("", " >= "),
        };
        self.sql.push('(');
        self.sql.push_str(before);
        self.push_term(column, operator, self.bind(column, value));
        self.sql.push(')');
    }

    /// A prefix is a range of the column's index. Where columns may have an order of their own, as adopted ones do, only
    /// the database knows which.
    fn push_prefix(&mut self, column: ColumnId, prefix: &'a str) {
        if self.dialect.has_collations() {
            self.push_term(column, " LIKE ", Bind::Text(like(prefix).into()));
            return;
        }
        self.sql.push('(');
        self.push_term(column, " >= ", Bind::Text(prefix.into()));
        if let Some(end) = behind_prefix(prefix) {
            self.sql.push_str(" AND ");
            self.push_term(column, " < ", Bind::Text(end.into()));
        }
        self.sql.push(')');
    }

    fn push_present(&mut self, column: ColumnId) {
        let definition = self.entity.column(column);
        self.sql.push('(');
        self.push_column(column);
        if definition.nullable {
            self.sql.push_str(" IS NOT NULL)");
        } else {
            self.sql.push_str(" <> ");
            self.sql.push_str(&crate::ddl::literal(self.dialect, &zero(definition.storage), definition.storage));
            self.sql.push(')');
        }
    }

    fn push_json(&mut self, column: ColumnId, path: &'a [Box<str>], test: &'a JsonTest) {
        self.sql.push_str(JSON_FUNCTION);
        self.sql.push('(');
        self.push_column(column);
        self.sql.push_str(", ?)");
        #[expect(clippy::cast_possible_wrap, reason = "a filter has a few hundred terms at most")]
        self.binds.push(Bind::Int(self.probes.len() as i64));
        self.probes.push(JsonProbe { path, test });
    }

    /// Appends the condition that a row lies behind `after` in this order. NULL is the smallest value.
    pub(crate) fn push_after(&mut self, order: &'a OrderBy, after: &'a [Value]) {
        if self.is_row_comparable(order) {
            return self.push_row_comparison(order, after);
        }
        let bounded = self.push_bound(order, after);
        // a > ? OR (a = ? AND (b > ? OR (b = ? AND ...)))
        let last = order.len() - 1;
        for (at, (&(column, descending), value)) in order.iter().zip(after).enumerate() {
            self.sql.push('(');
            self.push_behind(column, descending, value);
            if at < last {
                self.sql.push_str(" OR (");
                self.push_same(column, value);
                self.sql.push_str(" AND ");
            }
        }
        for at in 0..order.len() {
            self.sql.push_str(if at == 0 { ")" } else { "))" });
        }
        self.sql.push_str(if bounded { ")" } else { "" });
    }

    /// The column has this value. MySQL finds one row at most in a unique index by `<=> ?`, of all those with NULL too.
    fn push_same(&mut self, column: ColumnId, value: &'a Value) {
        if value.is_null() {
            self.push_column(column);
            self.sql.push_str(" IS NULL");
        } else {
            self.push_term(column, " = ", self.bind(column, value));
        }
    }

    /// Appends what follows for the first column alone, where it is not the whole condition: databases find their place
    /// in an index by it, which they do not by alternatives. Whether there is one, which leaves a parenthesis open.
    fn push_bound(&mut self, order: &'a OrderBy, after: &'a [Value]) -> bool {
        let [(column, descending), _, ..] = order[..] else { return false };
        let is_nullable = self.entity.column(column).nullable && !self.entity.is_key(column);
        if after[0].is_null() || descending && is_nullable {
            return false;
        }
        self.sql.push('(');
        self.push_term(column, if descending { " <= " } else { " >= " }, self.bind(column, &after[0]));
        self.sql.push_str(" AND ");
        true
    }

    /// One direction and no NULL: databases compare whole rows, along an index.
    fn is_row_comparable(&self, order: &OrderBy) -> bool {
        let nullable = |id: ColumnId| self.entity.column(id).nullable && !self.entity.is_key(id);
        self.dialect.compares_rows()
            && order.len() > 1
            && order.iter().all(|(id, descending)| *descending == order[0].1 && !nullable(*id))
    }

    fn push_row_comparison(&mut self, order: &'a OrderBy, after: &'a [Value]) {
        self.sql.push('(');
        for (at, (column, _)) in order.iter().enumerate() {
            self.sql.push_str(if at == 0 { "" } else { ", " });
            self.push_column(*column);
        }
        self.sql.push_str(if order[0].1 { ") < (" } else { ") > (" });
        for (at, (&(column, _), value)) in order.iter().zip(after).enumerate() {
            self.sql.push_str(if at == 0 { "?" } else { ", ?" });
            self.binds.push(self.bind(column, value));
        }
        self.sql.push(')');
    }

    /// The column's value lies behind `value`.
    fn push_behind(&mut self, column: ColumnId, descending: bool, value: &'a Value) {
        match (descending, value) {
            (false, Value::Null) => {
                self.push_column(column);
                self.sql.push_str(" IS NOT NULL");
            }
            // Nothing is smaller than NULL.
            (true, Value::Null) => self.sql.push_str("1 = 0"),
            (false, value) => self.push_term(column, " > ", self.bind(column, value)),
            (true, value) => {
                self.sql.push('(');
                self.push_term(column, " < ", self.bind(column, value));
                if self.entity.column(column).nullable {
                    self.sql.push_str(" OR ");
                    self.push_column(column);
                    self.sql.push_str(" IS NULL");
                }
                self.sql.push(')');
            }
        }
    }

    /// Appends `ORDER BY`.
    pub(crate) fn push_order(&mut self, order: &OrderBy) {
        for (at, (column, descending)) in order.iter().enumerate() {
            self.sql.push_str(if at == 0 { " ORDER BY " } else { ", " });
            self.push_sorted(*column);
            if *descending {
                self.sql.push_str(" DESC");
            }
        }
    }

    fn bind(&self, column: ColumnId, value: &'a Value) -> Bind<'a> {
        Bind::Value(value, self.entity.column(column).storage)
    }

    fn push_term(&mut self, column: ColumnId, operator: &str, bind: Bind<'a>) {
        self.push_column(column);
        self.sql.push_str(operator);
        self.sql.push('?');
        self.binds.push(bind);
    }

    /// `ENUM` and `SET` are compared as texts and sorted as numbers: paging needs one order.
    fn push_sorted(&mut self, column: ColumnId) {
        let sql_type = self.entity.column(column).sql_type.as_deref().unwrap_or_default().to_ascii_lowercase();
        let is_listed = sql_type.starts_with("enum(") || sql_type.starts_with("set(");
        if !(is_listed && self.dialect.has_collations()) {
            return self.push_column(column);
        }
        self.sql.push_str("CONCAT(");
        self.push_column(column);
        self.sql.push(')');
    }

    pub(crate) fn push_column(&mut self, column: ColumnId) {
        self.dialect.push_name(&mut self.sql, &self.entity.column(column).name);
    }
}

/// The pattern of texts with this prefix.
fn like(prefix: &str) -> String {
    let mut pattern = String::with_capacity(prefix.len() + 1);
    for character in prefix.chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
}

/// The smallest text behind every text with this prefix, in code point order, which is the order of UTF-8 bytes.
fn behind_prefix(prefix: &str) -> Option<String> {
    let mut end = prefix.to_owned();
    while let Some(last) = end.pop() {
        if let Some(next) = next_character(last) {
            end.push(next);
            return Some(end);
        }
    }
    None
}

fn next_character(character: char) -> Option<char> {
    let next = u32::from(character) + 1;
    // Behind the last character before the surrogates comes the first one after them.
    char::from_u32(if next == 0xD800 { 0xE000 } else { next })
}

#[cfg(test)]
mod tests {
    use super::{behind_prefix, like};

    #[test]
    fn a_prefix_is_no_pattern() {
        assert_eq!(like("50%_\\"), "50\\%\\_\\\\%");
    }

    #[test]
    fn the_end_of_a_prefix_is_the_next_text_of_its_length() {
        assert_eq!(behind_prefix("Ann").as_deref(), Some("Ano"));
        assert_eq!(behind_prefix("a\u{d7ff}").as_deref(), Some("a\u{e000}"));
        assert_eq!(behind_prefix("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(behind_prefix("\u{10ffff}"), None);
    }
}
