//! `buf.validate` standard rules that say the same as one of Rowkeep's; the others are named in a warning.
//!
//! What has no equal here (CEL, `lt_now`, prefixes of bytes, …) is left to whoever generates code from the file: the store
//! does not check it, and says so.

use std::sync::Arc;

use prost_reflect::{DynamicMessage, FieldDescriptor, Value};

use super::context::Context;
use super::rules::compile_pattern;
use crate::model::{Bound, Column, Rules, Storage};
use crate::options;

/// Adds the rules of the field.
pub(crate) fn add(ctx: &mut Context<'_>, descriptor: &FieldDescriptor, column: &Column, rules: &mut Rules) {
    let Some(field_rules) = options::validate_rules(&descriptor.options()) else { return };
    let ignored_always = field_rules.get_field_by_name("ignore").is_some_and(|v| v.as_enum_number() == Some(3));
    if ignored_always {
        return;
    }
    for (rule, value) in field_rules.fields() {
        match (rule.name(), value) {
            ("required", value) => rules.required |= value.as_bool() == Some(true),
            ("ignore", _) => {}
            (kind, Value::Message(typed)) => typed_rules(ctx, descriptor, column, rules, (kind, typed)),
            (other, _) => unsupported(ctx, descriptor, other),
        }
    }
}

fn unsupported(ctx: &mut Context<'_>, descriptor: &FieldDescriptor, rule: &str) {
    let place = ctx.rule_place(descriptor, rule);
    let message = format!("buf.validate rule `{rule}` of `{}` is not checked by the store", descriptor.name());
    ctx.out.warning(place, message, "write it with `(rowkeep.v1.column)` if the store should check it");
}

fn typed_rules(
    ctx: &mut Context<'_>,
    descriptor: &FieldDescriptor,
    column: &Column,
    rules: &mut Rules,
    (kind, typed): (&str, &DynamicMessage),
) {
    for (rule, value) in typed.fields() {
        let applied = match kind {
            "string" => string_rule(rules, column.storage, rule.name(), value),
            "bytes" => length_rule(rules, rule.name(), value),
            "repeated" | "map" => items_rule(rules, rule.name(), value),
            "enum" => enum_rule(rules, rule.name(), value),
            "any" | "field_mask" => None,
            _ => order_rule(rules, rule.name(), value),
        };
        if applied.is_none() && rule.name() != "example" {
            unsupported(ctx, descriptor, &format!("{kind}.{}", rule.name()));
        }
    }
    if outside(rules) {
        (rules.min, rules.max) = (None, None);
        unsupported(ctx, descriptor, &format!("{kind} (a range turned inside out)"));
    }
}

/// With `gt` above `lt`, buf.validate means everything outside.
fn outside(rules: &Rules) -> bool {
    let number = |bound: &Option<Bound>| bound.as_ref()?.text.trim_end_matches('s').parse::<f64>().ok();
    matches!((number(&rules.min), number(&rules.max)), (Some(min), Some(max)) if min > max)
}

fn string_rule(rules: &mut Rules, storage: Storage, name: &str, value: &Value) -> Option<()> {
    if storage != Storage::Text {
        return None;
    }
    match name {
        "const" => rules.one_of = vec![value.as_str()?.to_owned()],
        "in" => rules.one_of = texts(value)?,
        "not_in" => rules.not_in = texts(value)?,
        "pattern" => add_pattern(rules, &contained(value.as_str()?))?,
        "prefix" => add_pattern(rules, &format!("(?s){}.*", escape(value.as_str()?)))?,
        "suffix" => add_pattern(rules, &format!("(?s).*{}", escape(value.as_str()?)))?,
        "contains" => add_pattern(rules, &format!("(?s).*{}.*", escape(value.as_str()?)))?,
        "email" => format_rule(rules, value, "email")?,
        "hostname" => format_rule(rules, value, "hostname")?,
        "ip" => format_rule(rules, value, "ip")?,
        "ipv4" => format_rule(rules, value, "ipv4")?,
        "ipv6" => format_rule(rules, value, "ipv6")?,
        "uri" => format_rule(rules, value, "uri")?,
        "uuid" => format_rule(rules, value, "uuid")?,
        _ => length_rule(rules, name, value)?,
    }
    Some(())
}

/// buf.validate searches for the pattern, Rowkeep matches the whole string.
fn contained(pattern: &str) -> String {
    let start = pattern.strip_prefix('^');
    let (head, rest) = start.map_or(("(?s:.*)", pattern), |rest| ("", rest));
    let end = rest.strip_suffix('$').filter(|rest| !rest.ends_with('\\'));
    match end {
        Some(rest) => format!("{head}(?:{rest})"),
        None => format!("{head}(?:{rest})(?s:.*)"),
    }
}

fn add_pattern(rules: &mut Rules, source: &str) -> Option<()> {
    if rules.pattern.is_some() {
        return None;
    }
    rules.pattern = Some(Arc::new(compile_pattern(source).ok()?));
    Some(())
}

fn escape(text: &str) -> String {
    regex_lite::escape(text)
}

fn format_rule(rules: &mut Rules, value: &Value, format: &'static str) -> Option<()> {
    if value.as_bool()? {
        rules.format = Some(format);
    }
    Some(())
}

fn length_rule(rules: &mut Rules, name: &str, value: &Value) -> Option<()> {
    let length = u32::try_from(value.as_u64()?).ok();
    match name {
        "len" => (rules.min_length, rules.max_length) = (Some(length?), Some(length?)),
        "min_len" => rules.min_length = Some(length?),
        // More than 32 bits can say is no limit.
        "max_len" => rules.max_length = length,
        _ => return None,
    }
    Some(())
}

fn items_rule(rules: &mut Rules, name: &str, value: &Value) -> Option<()> {
    match name {
        "min_items" | "min_pairs" => rules.min_length = Some(u32::try_from(value.as_u64()?).ok()?),
        "max_items" | "max_pairs" => rules.max_length = u32::try_from(value.as_u64()?).ok(),
        "unique" => rules.unique_items = value.as_bool()?,
        _ => return None,
    }
    Some(())
}

fn enum_rule(rules: &mut Rules, name: &str, value: &Value) -> Option<()> {
    match name {
        "defined_only" => rules.defined_only = value.as_bool()?,
        "const" => rules.one_of = vec![text(value)?],
        "in" => rules.one_of = texts(value)?,
        "not_in" => rules.not_in = texts(value)?,
        _ => return None,
    }
    Some(())
}

fn order_rule(rules: &mut Rules, name: &str, value: &Value) -> Option<()> {
    match name {
        "gt" | "gte" => rules.min = Some(Bound { text: text(value)?, inclusive: name == "gte" }),
        "lt" | "lte" => rules.max = Some(Bound { text: text(value)?, inclusive: name == "lte" }),
        "const" => rules.one_of = vec![text(value)?],
        "in" => rules.one_of = texts(value)?,
        "not_in" => rules.not_in = texts(value)?,
        // Floats are always finite here.
        "finite" => {}
        _ => return None,
    }
    Some(())
}

fn texts(value: &Value) -> Option<Vec<String>> {
    value.as_list()?.iter().map(text).collect()
}

/// A rule's value as the text that options would have.
fn text(value: &Value) -> Option<String> {
    Some(match value {
        Value::Bool(v) => v.to_string(),
        Value::I32(v) | Value::EnumNumber(v) => v.to_string(),
        Value::I64(v) => v.to_string(),
        Value::U32(v) => v.to_string(),
        Value::U64(v) => v.to_string(),
        Value::F32(v) => v.to_string(),
        Value::F64(v) => v.to_string(),
        Value::String(v) => v.clone(),
        Value::Message(message) => time_text(message)?,
        _ => return None,
    })
}

/// The canonical JSON text of a Timestamp or a Duration.
fn time_text(message: &DynamicMessage) -> Option<String> {
    match serde_json::to_value(message).ok()? {
        serde_json::Value::String(text) => Some(text),
        _ => None,
    }
}
