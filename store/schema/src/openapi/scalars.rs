//! JSON schemas of proto3's scalar types, as rendered and as accepted.

use serde_json::{Value, json};

use super::pattern;
use crate::{Kind, MapKey};

/// Which way a value goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// In a body that is returned: one form.
    Rendered,
    /// In a body that is sent: every form that proto3 JSON allows.
    Accepted,
    /// In a path or a query: text, of which a schema describes the value.
    Parameter,
}

/// The range and the format of an integer type.
#[derive(Debug, Clone, Copy)]
pub(super) struct Integer {
    pub(super) low: i128,
    pub(super) high: i128,
    pub(super) format: &'static str,
}

impl Integer {
    pub(super) const fn of(kind: Kind) -> Option<Self> {
        let (low, high, format) = match kind {
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => (i32::MIN as i128, i32::MAX as i128, "int32"),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => (i64::MIN as i128, i64::MAX as i128, "int64"),
            Kind::Uint32 | Kind::Fixed32 => (0, u32::MAX as i128, "uint32"),
            Kind::Uint64 | Kind::Fixed64 => (0, u64::MAX as i128, "uint64"),
            Kind::Bool | Kind::Float | Kind::Double | Kind::String | Kind::Bytes | Kind::Enum(_) | Kind::Message(_) => {
                return None;
            }
        };
        Some(Self { low, high, format })
    }

    const fn is_wide(self) -> bool {
        self.high > u32::MAX as i128
    }

    pub(super) fn schema(self, direction: Direction) -> Value {
        match direction {
            Direction::Rendered if self.is_wide() => json!({"type": "string", "format": self.format}),
            Direction::Rendered => json!({"type": "integer", "format": self.format}),
            Direction::Parameter => json!({
                "type": "integer", "format": self.format, "minimum": number(self.low), "maximum": number(self.high),
            }),
            Direction::Accepted => json!({
                "type": ["integer", "string"], "format": self.format,
                "minimum": number(self.low), "maximum": number(self.high), "pattern": self.text_pattern(),
            }),
        }
    }

    /// What the number may be as a string. The whole range of a type is cut to the digits that always fit, as the exact
    /// expression would be unreadable.
    fn text_pattern(self) -> String {
        match (self.low, self.high) {
            (low, high) if low == i64::MIN.into() && high == i64::MAX.into() => "^-?[0-9]{1,18}$".to_owned(),
            (low, high) if low == i32::MIN.into() && high == i32::MAX.into() => "^-?[0-9]{1,9}$".to_owned(),
            (0, high) if high == u64::MAX.into() => "^[0-9]{1,19}$".to_owned(),
            (0, high) if high == i64::MAX.into() => "^[0-9]{1,18}$".to_owned(),
            (0, high) if high == u32::MAX.into() || high == i32::MAX.into() => "^[0-9]{1,9}$".to_owned(),
            (low, high) => format!("^({})$", pattern::integers(low, high)),
        }
    }
}

/// A JSON number; bounds outside 64 bits do not occur in the types above.
pub(super) fn number(value: i128) -> Value {
    i64::try_from(value).map_or_else(|_| json!(u64::try_from(value).unwrap_or(u64::MAX)), |value| json!(value))
}

/// The schema of a kind that is neither an enum nor a message.
pub(super) fn scalar(kind: Kind, direction: Direction) -> Value {
    if let Some(integer) = Integer::of(kind) {
        return integer.schema(direction);
    }
    match kind {
        Kind::Bool => json!({"type": "boolean"}),
        Kind::Float => float("float", f64::from(f32::MAX), direction),
        Kind::Double => float("double", f64::MAX, direction),
        Kind::Bytes => json!({"type": "string", "format": "byte", "contentEncoding": "base64", "pattern": BASE64}),
        _ => json!({"type": "string"}),
    }
}

fn float(format: &str, limit: f64, direction: Direction) -> Value {
    match direction {
        Direction::Rendered => json!({"type": "number", "format": format}),
        Direction::Parameter => json!({"type": "number", "format": format, "minimum": -limit, "maximum": limit}),
        Direction::Accepted => json!({
            "type": ["number", "string"], "format": format, "minimum": -limit, "maximum": limit,
            "pattern": r"^-?[0-9]{1,15}(\.[0-9]{1,15})?$",
        }),
    }
}

/// Standard base64 with padding; the last character carries no stray bits.
const BASE64: &str = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$";

/// What the names of a map's entries look like; `None` for any string.
pub(super) fn map_key_pattern(key: MapKey) -> Option<&'static str> {
    Some(match key {
        MapKey::String => return None,
        MapKey::Bool => "^(true|false)$",
        MapKey::Int32 | MapKey::Sint32 | MapKey::Sfixed32 => "^(0|-?[1-9][0-9]{0,8})$",
        MapKey::Int64 | MapKey::Sint64 | MapKey::Sfixed64 => "^(0|-?[1-9][0-9]{0,17})$",
        MapKey::Uint32 | MapKey::Fixed32 => "^(0|[1-9][0-9]{0,8})$",
        MapKey::Uint64 | MapKey::Fixed64 => "^(0|[1-9][0-9]{0,18})$",
    })
}

/// Adds `null` to what a schema allows.
pub(super) fn nullable(schema: Value) -> Value {
    let Value::Object(mut map) = schema else { return schema };
    if let Some(Value::Array(values)) = map.get_mut("enum") {
        values.push(Value::Null);
    }
    if map.is_empty() {
        return Value::Object(map);
    }
    match map.remove("type") {
        Some(Value::Array(mut types)) => {
            types.push(json!("null"));
            map.insert("type".to_owned(), Value::Array(types));
        }
        Some(single) => {
            map.insert("type".to_owned(), json!([single, "null"]));
        }
        None if map.contains_key("enum") => {}
        None => return json!({"anyOf": [Value::Object(map), {"type": "null"}]}),
    }
    Value::Object(map)
}
