//! Column types of both products as fields.
//!
//! A type that Rowkeep itself would not choose stays as it is: the annotation repeats it, verbatim, so that the plan
//! has nothing to change. What a type cannot hold is refused by the annotation before the database has to.

use rowkeep_schema::Storage;

use super::source::Column;
use crate::ddl::mysql::{natural_type, normal_type};
use crate::dialect::Dialect;

/// Digits of the largest decimal that is a number here; longer ones are texts.
const MAX_PRECISION: u8 = 38;

/// How a column is declared.
#[derive(Debug)]
pub(super) struct FieldType {
    /// As in `.proto`.
    pub(super) proto: &'static str,
    pub(super) storage: Storage,
    /// Of the annotation: `max_length: 40`.
    pub(super) options: Vec<String>,
    max_length: Option<u32>,
    /// Its values are never NULL on the wire unless the message lacks them.
    pub(super) is_message: bool,
    /// What a row gets in a `NOT NULL` column of which nothing is said: the first value of an `ENUM`.
    pub(super) first: Option<String>,
    /// What a reader of the schema should know.
    pub(super) note: Option<&'static str>,
}

impl FieldType {
    fn new(proto: &'static str, storage: Storage) -> Self {
        let is_message = proto.contains('.');
        Self { proto, storage, options: Vec::new(), max_length: None, is_message, first: None, note: None }
    }

    /// In the place of one that is taken out.
    pub(super) fn none() -> Self {
        Self::new("", Storage::Text)
    }

    fn with(mut self, option: impl Into<String>) -> Self {
        self.options.push(option.into());
        self
    }

    fn within(self, min: i64, max: i64) -> Self {
        self.with(format!("min: \"{min}\"")).with(format!("max: \"{max}\""))
    }

    fn at_most(mut self, length: Option<u64>) -> Self {
        self.max_length = length.and_then(|length| u32::try_from(length).ok()).filter(|length| *length > 0);
        match self.max_length {
            Some(length) => self.with(format!("max_length: {length}")),
            None => self,
        }
    }

    fn noted(mut self, note: &'static str) -> Self {
        self.note = Some(note);
        self
    }

    /// Adds the SQL type where it is not what Rowkeep would choose.
    pub(super) fn keeping(self, dialect: Dialect, found: &str, indexed: bool) -> Self {
        let natural = natural_type(dialect, self.storage, self.max_length, indexed);
        if normal_type(&natural) == normal_type(found) {
            return self;
        }
        self.with(format!("sql_type: {}", quoted(found)))
    }
}

/// The field of a column; `keyed` if it is part of the primary key, which takes fewer types. `Err` says why there is
/// none.
pub(super) fn field_type(column: &Column, keyed: bool) -> Result<FieldType, String> {
    let unsigned = column.column_type.to_ascii_lowercase().contains("unsigned");
    let not_negative = |field: FieldType| if unsigned { field.with("min: \"0\"") } else { field };
    Ok(match column.data_type.as_str() {
        "tinyint" if column.column_type.eq_ignore_ascii_case("tinyint(1)") => FieldType::new("bool", Storage::Bool),
        "tinyint" | "smallint" | "mediumint" | "int" | "bigint" => whole(&column.data_type, unsigned),
        "float" if !keyed => not_negative(FieldType::new("float", Storage::Float)),
        "double" if !keyed => not_negative(FieldType::new("double", Storage::Double)),
        "decimal" => decimal(column, keyed, unsigned),
        "bit" if column.precision == Some(1) => FieldType::new("bool", Storage::Bool),
        "bit" => bits(column),
        "year" => FieldType::new("int32", Storage::Int32).within(1901, 2155),
        _ if column.is_json && !keyed => FieldType::new("google.protobuf.Value", Storage::Json),
        "char" | "varchar" => FieldType::new("string", Storage::Text).at_most(column.length),
        "tinytext" | "text" | "mediumtext" | "longtext" => FieldType::new("string", Storage::Text),
        "binary" => binary(column),
        "varbinary" | "tinyblob" | "blob" | "mediumblob" => {
            FieldType::new("bytes", Storage::Blob).at_most(column.length)
        }
        "longblob" => FieldType::new("bytes", Storage::Blob),
        "date" if keyed => text(r"[0-9]{4}-[0-9]{2}-[0-9]{2}").noted("A date as text: `2024-01-31`."),
        "date" => FieldType::new("google.type.Date", Storage::Date),
        "datetime" | "timestamp" => FieldType::new("google.protobuf.Timestamp", Storage::Timestamp),
        "time" => text(r"-?[0-9]{2,3}:[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?").noted("A time as text: `08:30:00`."),
        "enum" => enumeration(column),
        "set" => FieldType::new("string", Storage::Text).noted("Members of the set, with commas between them."),
        "uuid" => text("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"),
        "inet4" | "inet6" => FieldType::new("string", Storage::Text),
        "geometry" | "point" | "linestring" | "polygon" | "multipoint" | "multilinestring" | "multipolygon"
        | "geometrycollection" | "geomcollection"
            if !keyed =>
        {
            FieldType::new("bytes", Storage::Blob).noted("As the server keeps it: SRID in 4 bytes, then WKB.")
        }
        "vector" if !keyed => FieldType::new("bytes", Storage::Blob).noted("Floats of 4 bytes, little-endian."),
        other if keyed => return Err(format!("a key of type {other} has no form in a path")),
        other => return Err(format!("the type {other} is not known")),
    })
}

fn whole(data_type: &str, unsigned: bool) -> FieldType {
    let small = match (data_type, unsigned) {
        ("tinyint", false) => Some((-128, 127)),
        ("tinyint", true) => Some((0, 255)),
        ("smallint", false) => Some((-32_768, 32_767)),
        ("smallint", true) => Some((0, 65_535)),
        ("mediumint", false) => Some((-8_388_608, 8_388_607)),
        ("mediumint", true) => Some((0, 16_777_215)),
        _ => None,
    };
    let field = match (data_type, unsigned) {
        ("bigint", true) => FieldType::new("uint64", Storage::Uint64),
        ("bigint", false) => FieldType::new("int64", Storage::Int64),
        (_, true) => FieldType::new("uint32", Storage::Uint32),
        (_, false) => FieldType::new("int32", Storage::Int32),
    };
    match small {
        Some((0, max)) => field.with(format!("max: \"{max}\"")),
        Some((min, max)) => field.within(min, max),
        None => field,
    }
}

fn decimal(column: &Column, keyed: bool, unsigned: bool) -> FieldType {
    let (precision, scale) = (column.precision.unwrap_or(10), column.scale.unwrap_or(0));
    if keyed || precision > MAX_PRECISION {
        let point = if scale > 0 { format!(r"(\.[0-9]{{1,{scale}}})?") } else { String::new() };
        let sign = if unsigned { "" } else { "-?" };
        let pattern = format!("{sign}[0-9]{{1,{}}}{point}", (precision - scale).max(1));
        return text(&pattern).noted("A decimal number as text.");
    }
    let option = format!("decimal: {{ precision: {precision} scale: {scale} }}");
    let field = FieldType::new("string", Storage::Decimal { precision, scale }).with(option);
    if unsigned { field.with("min: \"0\"") } else { field }
}

fn bits(column: &Column) -> FieldType {
    let field = FieldType::new("uint64", Storage::Uint64);
    match column.precision {
        Some(bits) if bits < 64 => field.with(format!("max: \"{}\"", (1_u64 << bits) - 1)),
        _ => field,
    }
}

/// The server fills shorter values up, so that they would be read as others than were written.
fn binary(column: &Column) -> FieldType {
    let field = FieldType::new("bytes", Storage::Blob).at_most(column.length);
    match column.length {
        Some(length) if length > 0 => field.with(format!("min_length: {length}")),
        _ => field,
    }
}

fn text(pattern: &str) -> FieldType {
    FieldType::new("string", Storage::Text).with(format!("pattern: {}", quoted(pattern)))
}

fn enumeration(column: &Column) -> FieldType {
    let values = members(&column.column_type);
    let mut field = FieldType::new("string", Storage::Text);
    field.first = values.first().cloned();
    values.iter().fold(field, |field, value| field.with(format!("one_of: {}", quoted(value))))
}

/// The members of `enum('a','b')`. Quotes in them are doubled.
fn members(column_type: &str) -> Vec<String> {
    let inside = column_type.split_once('(').map_or("", |(_, rest)| rest.strip_suffix(')').unwrap_or(rest));
    let mut members = Vec::new();
    let mut rest = inside;
    while let Some(from) = rest.strip_prefix('\'') {
        let (member, behind) = member(from);
        members.push(member);
        rest = behind.strip_prefix(',').unwrap_or(behind);
    }
    members
}

fn member(text: &str) -> (String, &str) {
    let mut member = String::new();
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        if character == '\'' && characters.next_if(|(_, next)| *next == '\'').is_none() {
            return (member, &text[at + 1..]);
        }
        member.push(character);
    }
    (member, "")
}

/// A string of a `.proto`.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\n' => quoted.push_str("\\n"),
            other if other.is_control() => {
                let mut bytes = [0; 4];
                let octal = other.encode_utf8(&mut bytes).bytes().map(|byte| format!("\\{byte:03o}"));
                quoted.extend(octal);
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_may_hold_what_separates_them() {
        assert_eq!(members("enum('a','it''s','x,y','(',')')"), ["a", "it's", "x,y", "(", ")"]);
        assert_eq!(members("set('')"), [""]);
    }

    #[test]
    fn strings_are_escaped() {
        assert_eq!(quoted("a\"b\\c\u{1}ü"), "\"a\\\"b\\\\c\\001ü\"");
    }
}
