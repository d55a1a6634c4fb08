//! The checks on a column's value: from `(rowkeep.v1.column)`, then from `buf.validate`.

use std::sync::Arc;

use prost_reflect::FieldDescriptor;

use super::column::describe;
use super::context::Context;
use super::validate;
use crate::literal::{self, Literal};
use crate::model::{Bound, Column, EnumType, Pattern, Rules, Storage};
use crate::options::ColumnOptions;

/// Patterns longer than this are refused.
const MAX_PATTERN: usize = 4096;

pub(crate) fn rules(
    ctx: &mut Context<'_>,
    descriptor: &FieldDescriptor,
    column: &Column,
    column_options: &ColumnOptions,
    required: bool,
    enums: &[EnumType],
) -> Rules {
    let mut rules = Rules {
        required: column_options.required || required || descriptor.is_required(),
        max_length: (column_options.max_length > 0).then_some(column_options.max_length),
        min_length: (column_options.min_length > 0).then_some(column_options.min_length),
        min: bound(&column_options.min),
        max: bound(&column_options.max),
        one_of: column_options.one_of.clone(),
        ..Rules::default()
    };
    if !column_options.pattern.is_empty() {
        rules.pattern = pattern(ctx, descriptor, column, &column_options.pattern);
    }
    validate::add(ctx, descriptor, column, &mut rules);
    check_length(ctx, descriptor, column, &mut rules);
    check_range(ctx, descriptor, column, &mut rules, enums);
    check_lists(ctx, descriptor, column, &mut rules, enums);
    rules
}

fn bound(text: &str) -> Option<Bound> {
    (!text.is_empty()).then(|| Bound { text: text.to_owned(), inclusive: true })
}

fn pattern(ctx: &mut Context<'_>, descriptor: &FieldDescriptor, column: &Column, source: &str) -> Option<Arc<Pattern>> {
    if column.storage != Storage::Text {
        let message = format!("`{}` holds {}, which no pattern matches", column.field, describe(column.storage));
        ctx.column_error(descriptor, ("pattern", ""), message, "drop `pattern`");
        return None;
    }
    match compile_pattern(source) {
        Ok(pattern) => Some(Arc::new(pattern)),
        Err(error) => {
            let message = format!("`{}` has a pattern that is no regular expression: {error}", column.field);
            let help = "write RE2 syntax without look-around and back references; double each `\\` in a string";
            ctx.column_error(descriptor, ("pattern", ""), message, help);
            None
        }
    }
}

/// Compiles a pattern that the whole string must match.
pub(crate) fn compile_pattern(source: &str) -> Result<Pattern, String> {
    if source.len() > MAX_PATTERN {
        return Err(format!("it has {} bytes, at most {MAX_PATTERN} are taken", source.len()));
    }
    // Alone first: `a)|(b` would become valid inside the group.
    regex_lite::Regex::new(source).map_err(|error| error.to_string())?;
    let regex = regex_lite::Regex::new(&format!("^(?:{source})$")).map_err(|error| error.to_string())?;
    Ok(Pattern { source: source.to_owned(), regex })
}

fn check_length(ctx: &mut Context<'_>, descriptor: &FieldDescriptor, column: &Column, rules: &mut Rules) {
    if !matches!(column.storage, Storage::Text | Storage::Blob | Storage::Json) {
        for (set, option) in [(rules.max_length.is_some(), "max_length"), (rules.min_length.is_some(), "min_length")] {
            if set {
                let message = format!("`{}` holds {}, which has no length", column.field, describe(column.storage));
                let help = "write `min` and `max` for the range of a value";
                ctx.column_error(descriptor, (option, ""), message, help);
            }
        }
        (rules.max_length, rules.min_length) = (None, None);
    }
    if let (Some(min), Some(max)) = (rules.min_length, rules.max_length)
        && min > max
    {
        let message = format!("`{}` must be at least {min} long and at most {max}", column.field);
        ctx.column_error(descriptor, ("min_length", ""), message, "make `min_length` the smaller number");
    }
}

fn check_range(
    ctx: &mut Context<'_>,
    descriptor: &FieldDescriptor,
    column: &Column,
    rules: &mut Rules,
    enums: &[EnumType],
) {
    let mut values = [None, None];
    for (end, value, option) in [(&mut rules.min, 0, "min"), (&mut rules.max, 1, "max")] {
        let Some(bound) = end.as_ref() else { continue };
        if !has_order(column.storage) {
            let message = format!("`{}` holds {}, which has no range", column.field, describe(column.storage));
            ctx.column_error(descriptor, (option, ""), message, "write `min_length`, `max_length` or `one_of` instead");
            *end = None;
            continue;
        }
        match literal::parse(column.storage, &bound.text, enums) {
            Ok(literal) => values[value] = Some(literal),
            Err(expected) => {
                let message = format!("`{option}` of `{}` is `{}`", column.field, bound.text);
                ctx.column_error(descriptor, (option, &bound.text), message, expected);
                *end = None;
            }
        }
    }
    let [Some(min), Some(max)] = &values else { return };
    let empty = match min.compare(max) {
        Some(std::cmp::Ordering::Less) => false,
        Some(std::cmp::Ordering::Equal) => !inclusive(rules.min.as_ref()) || !inclusive(rules.max.as_ref()),
        _ => true,
    };
    if empty {
        let message = format!("no value of `{}` is at least `min` and at most `max`", column.field);
        ctx.column_error(descriptor, ("min", ""), message, "make `min` the smaller value");
    }
}

fn inclusive(bound: Option<&Bound>) -> bool {
    bound.is_none_or(|bound| bound.inclusive)
}

const fn has_order(storage: Storage) -> bool {
    !matches!(storage, Storage::Bool | Storage::Text | Storage::Blob | Storage::Enum(_) | Storage::Json)
}

fn check_lists(
    ctx: &mut Context<'_>,
    descriptor: &FieldDescriptor,
    column: &Column,
    rules: &mut Rules,
    enums: &[EnumType],
) {
    if matches!(column.storage, Storage::Json | Storage::Bool) && !rules.one_of.is_empty() {
        let message = format!("`{}` holds {}, which `one_of` cannot list", column.field, describe(column.storage));
        ctx.column_error(descriptor, ("one_of", ""), message, "drop `one_of`");
        rules.one_of.clear();
        return;
    }
    for value in rules.one_of.clone() {
        let problem = match literal::parse(column.storage, &value, enums) {
            Ok(literal) => {
                broken(&Rules { one_of: Vec::new(), ..rules.clone() }, column.storage, &value, &literal, enums)
            }
            Err(expected) => Some(expected),
        };
        if let Some(expected) = problem {
            let message = format!("`{value}` in `one_of` does not fit `{}`", column.field);
            ctx.column_error(descriptor, ("one_of", &value), message, expected);
        }
    }
}

/// Which of the rules the value breaks, as an instruction.
pub(crate) fn broken(
    rules: &Rules,
    storage: Storage,
    text: &str,
    value: &Literal,
    enums: &[EnumType],
) -> Option<String> {
    let length = match value {
        Literal::Text(text) => Some(text.chars().count()),
        Literal::Bytes(bytes) => Some(bytes.len()),
        _ => None,
    };
    let limit = |limit: Option<u32>| limit.and_then(|limit| usize::try_from(limit).ok()).zip(length);
    if let Some((max, _)) = limit(rules.max_length).filter(|(max, length)| length > max) {
        return Some(format!("write at most {max} characters (`max_length`)"));
    }
    if let Some((min, _)) = limit(rules.min_length).filter(|(min, length)| length < min) {
        return Some(format!("write at least {min} characters (`min_length`)"));
    }
    if let Some(pattern) = rules.pattern.as_ref().filter(|pattern| !pattern.regex.is_match(text)) {
        return Some(format!("write a value that matches `{}`", pattern.source));
    }
    if out_of_range(rules, storage, value, enums) {
        return Some("write a value between `min` and `max`".to_owned());
    }
    if !rules.one_of.is_empty() && !contains(&rules.one_of, storage, value, enums) {
        return Some(format!("write one of {}", rules.one_of.join(", ")));
    }
    contains(&rules.not_in, storage, value, enums).then(|| "write a value that is not excluded".to_owned())
}

fn out_of_range(rules: &Rules, storage: Storage, value: &Literal, enums: &[EnumType]) -> bool {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let beyond = |bound: &Option<Bound>, side| {
        let bound = bound.as_ref()?;
        let order = value.compare(&literal::parse(storage, &bound.text, enums).ok()?)?;
        Some(order == side || order == Equal && !bound.inclusive)
    };
    beyond(&rules.min, Less) == Some(true) || beyond(&rules.max, Greater) == Some(true)
}

fn contains(list: &[String], storage: Storage, value: &Literal, enums: &[EnumType]) -> bool {
    list.iter().any(|item| literal::parse(storage, item, enums).as_ref() == Ok(value))
}
