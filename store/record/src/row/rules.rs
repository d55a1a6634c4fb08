//! The rules of a column, with their bounds parsed once.

use std::cmp::Ordering;
use std::sync::Arc;

use rowkeep_schema::{Bound, Column, EnumType, Pattern, Storage};

use super::formats;
use crate::json::array_items;
use crate::query::zero;
use crate::{Value, ValueRef, text};

/// What a column's values must be.
#[derive(Debug, Clone)]
pub(crate) struct ColumnRules {
    required: bool,
    storage: Storage,
    min_length: usize,
    max_length: usize,
    min: Option<(Value, Bound)>,
    max: Option<(Value, Bound)>,
    pattern: Option<Arc<Pattern>>,
    one_of: Vec<Value>,
    not_in: Vec<Value>,
    choices: String,
    format: Option<&'static str>,
    /// The declared numbers of an enum whose other numbers are refused.
    declared: Option<Vec<i64>>,
    unique_items: bool,
    is_key: bool,
}

impl ColumnRules {
    pub(crate) fn new(column: &Column, enums: &[EnumType], is_key: bool) -> Self {
        let rules = &column.rules;
        // The schema was checked: texts that do not parse do not get here.
        let parse = |text: &str| text::parse(enums, column.storage, text).ok();
        let bound = |bound: &Option<Bound>| bound.as_ref().and_then(|bound| Some((parse(&bound.text)?, bound.clone())));
        let declared = match column.storage {
            Storage::Enum(id) if rules.defined_only => {
                Some(enums[id.index()].values.iter().map(|(_, number)| i64::from(*number)).collect())
            }
            _ => None,
        };
        Self {
            required: rules.required,
            storage: column.storage,
            min_length: rules.min_length.map_or(0, |length| length as usize),
            max_length: rules.max_length.map_or(usize::MAX, |length| length as usize),
            min: bound(&rules.min),
            max: bound(&rules.max),
            pattern: rules.pattern.clone(),
            one_of: rules.one_of.iter().filter_map(|text| parse(text)).collect(),
            not_in: rules.not_in.iter().filter_map(|text| parse(text)).collect(),
            choices: rules.one_of.join(", "),
            format: rules.format,
            declared,
            unique_items: rules.unique_items,
            is_key,
        }
    }

    /// Reports every violation. `present`: the request set the value.
    pub(crate) fn check(&self, value: &Value, present: bool, mut report: impl FnMut(&'static str, String)) {
        if self.required && self.is_missing(value, present) {
            let is_empty_key = self.is_key && matches!(value, Value::Text(_) | Value::Blob(_));
            let why = if is_empty_key { "must not be empty: it is part of the key" } else { "must be set" };
            return report("REQUIRED", why.to_owned());
        }
        match value {
            Value::Null => return,
            Value::Text(text) if self.storage == Storage::Json => return self.check_items(text, &mut report),
            Value::Text(text) => {
                self.check_length(text.chars().count(), "characters", &mut report);
                self.check_text(text, &mut report);
            }
            Value::Blob(bytes) if self.storage == Storage::Blob => {
                self.check_length(bytes.len(), "bytes", &mut report);
            }
            _ => {}
        }
        self.check_value(value.as_ref(), &mut report);
    }

    fn is_missing(&self, value: &Value, present: bool) -> bool {
        match value {
            Value::Null => true,
            Value::Text(text) if self.storage == Storage::Json => matches!(&**text, "[]" | "{}"),
            Value::Text(text) => text.is_empty(),
            Value::Blob(bytes) if self.storage == Storage::Blob => bytes.is_empty(),
            value => !present && *value == zero(self.storage),
        }
    }

    fn check_length(&self, length: usize, unit: &str, report: &mut impl FnMut(&'static str, String)) {
        if length > self.max_length {
            report("TOO_LONG", format!("has {length} {unit}; at most {} are allowed", self.max_length));
        }
        if length < self.min_length {
            report("TOO_SHORT", format!("has {length} {unit}; at least {} are needed", self.min_length));
        }
    }

    fn check_text(&self, text: &str, report: &mut impl FnMut(&'static str, String)) {
        if let Some(pattern) = self.pattern.as_ref().filter(|pattern| !pattern.regex.is_match(text)) {
            report("PATTERN_MISMATCH", format!("must match {}", pattern.source));
        }
        if let Some(format) = self.format.filter(|format| !formats::matches(format, text)) {
            report("FORMAT_MISMATCH", format!("must be a valid {format}"));
        }
    }

    fn check_value(&self, value: ValueRef<'_>, report: &mut impl FnMut(&'static str, String)) {
        let outside = |bound: &(Value, Bound), side: Ordering| {
            let order = value.compare(&bound.0.as_ref());
            order == side || order.is_eq() && !bound.1.inclusive
        };
        if let Some(min) = self.min.as_ref().filter(|min| outside(min, Ordering::Less)) {
            let relation = if min.1.inclusive { "at least" } else { "greater than" };
            report("OUT_OF_RANGE", format!("must be {relation} {}", min.1.text));
        }
        if let Some(max) = self.max.as_ref().filter(|max| outside(max, Ordering::Greater)) {
            let relation = if max.1.inclusive { "at most" } else { "less than" };
            report("OUT_OF_RANGE", format!("must be {relation} {}", max.1.text));
        }
        let equals = |other: &Value| other.as_ref() == value;
        if !self.one_of.is_empty() && !self.one_of.iter().any(equals) {
            report("NOT_ALLOWED", format!("must be one of {}", self.choices));
        }
        if self.not_in.iter().any(equals) {
            report("NOT_ALLOWED", "is a value that is not allowed".to_owned());
        }
        if let (Some(declared), ValueRef::Int(number)) = (&self.declared, value)
            && !declared.contains(&number)
        {
            report("NOT_ALLOWED", format!("{number} is not a declared value of its enum"));
        }
    }

    fn check_items(&self, json: &str, report: &mut impl FnMut(&'static str, String)) {
        if self.max_length == usize::MAX && self.min_length == 0 && !self.unique_items {
            return;
        }
        let mut items = array_items(json);
        self.check_length(items.len(), "items", report);
        if self.unique_items {
            let count = items.len();
            items.sort_unstable();
            items.dedup();
            if items.len() < count {
                report("NOT_UNIQUE", "has equal items; they must differ".to_owned());
            }
        }
    }
}
