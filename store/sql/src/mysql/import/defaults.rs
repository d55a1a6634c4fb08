//! Defaults of columns: what the two products say of them, and what the annotation takes.

use rowkeep_schema::Storage;

use crate::dialect::Dialect;

/// What a row gets that does not set the column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Default {
    None,
    /// A value, as text without quotes.
    Literal(String),
    /// The time of the insert.
    Now,
    /// A new UUID.
    Uuid,
    /// Any other expression.
    Expression(String),
}

/// MySQL gives values bare and marks expressions; MariaDB quotes values.
pub(super) fn default(dialect: Dialect, text: Option<&str>, is_marked: bool) -> Default {
    let Some(text) = text else { return Default::None };
    let is_value = match dialect {
        Dialect::MySql | Dialect::Vitess => !is_marked && !is_now(text),
        Dialect::MariaDb | Dialect::Sqlite => false,
    };
    if is_value {
        return bits(text).unwrap_or_else(|| Default::Literal(text.to_owned()));
    }
    expression(text)
}

fn expression(text: &str) -> Default {
    let lower = text.to_ascii_lowercase();
    if lower == "null" {
        Default::None
    } else if is_now(&lower) {
        Default::Now
    } else if matches!(lower.as_str(), "uuid()" | "(uuid())") {
        Default::Uuid
    } else if let Some(quoted) = text.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
        Default::Literal(unquoted(quoted))
    } else if text.parse::<f64>().is_ok() {
        Default::Literal(text.to_owned())
    } else {
        bits(text).unwrap_or_else(|| Default::Expression(text.to_owned()))
    }
}

fn is_now(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    lower.starts_with("current_timestamp") || lower.starts_with("now(") || lower.starts_with("localtime")
}

/// `b'101'` as a number.
fn bits(text: &str) -> Option<Default> {
    let digits = text.strip_prefix("b'")?.strip_suffix('\'')?;
    u64::from_str_radix(digits, 2).ok().map(|number| Default::Literal(number.to_string()))
}

/// Quotes are doubled or escaped.
fn unquoted(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        plain.push(match character {
            '\'' | '\\' => match characters.next() {
                Some('n') if character == '\\' => '\n',
                Some('t') if character == '\\' => '\t',
                Some('r') if character == '\\' => '\r',
                Some('0') if character == '\\' => '\0',
                Some(next) => next,
                None => character,
            },
            other => other,
        });
    }
    plain
}

/// The value as the annotation takes it; `None` if it takes no such value.
pub(super) fn annotated(literal: &str, storage: Storage) -> Option<String> {
    Some(match storage {
        Storage::Bool => (literal.parse::<i64>().ok()? != 0).to_string(),
        Storage::Int32 | Storage::Int64 | Storage::Uint32 | Storage::Uint64 => {
            literal.parse::<i128>().ok()?.to_string()
        }
        Storage::Float | Storage::Double => literal.parse::<f64>().ok()?.to_string(),
        Storage::Decimal { .. } | Storage::Text => literal.to_owned(),
        Storage::Timestamp => timestamp(literal)?,
        Storage::Date => Some(literal).filter(|date| is_day(date))?.to_owned(),
        Storage::Blob | Storage::Enum(_) | Storage::Duration | Storage::Json => return None,
    })
}

/// Whether the value is what an absent field stands for anyway.
pub(super) fn is_zero(annotated: &str, storage: Storage) -> bool {
    match storage {
        Storage::Bool => annotated == "false",
        Storage::Text | Storage::Blob => annotated.is_empty(),
        Storage::Timestamp | Storage::Date | Storage::Json => false,
        _ => annotated.parse::<f64>() == Ok(0.0),
    }
}

/// `1000-01-01 00:00:00` in UTC.
fn timestamp(literal: &str) -> Option<String> {
    let (day, clock) = literal.split_once(' ').unwrap_or((literal, "00:00:00"));
    is_day(day).then(|| format!("{day}T{clock}Z"))
}

/// Whether a calendar has the day.
fn is_day(text: &str) -> bool {
    let mut parts = text.split('-').map(|part| part.parse::<u16>().unwrap_or(0));
    let (year, month, day) = (parts.next(), parts.next(), parts.next());
    year.is_some_and(|year| year > 0) && month.is_some_and(|month| month > 0) && day.is_some_and(|day| day > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_products_say_the_same_in_their_own_way() {
        let same: [(&str, &str, Default); 4] = [
            ("'it''s'", "it's", Default::Literal("it's".to_owned())),
            ("-5", "-5", Default::Literal("-5".to_owned())),
            ("current_timestamp()", "CURRENT_TIMESTAMP", Default::Now),
            ("b'101'", "b'101'", Default::Literal("5".to_owned())),
        ];
        for (mariadb, mysql, expected) in same {
            assert_eq!(default(Dialect::MariaDb, Some(mariadb), false), expected);
            assert_eq!(default(Dialect::MySql, Some(mysql), false), expected);
        }
        assert_eq!(default(Dialect::MariaDb, Some("NULL"), false), Default::None);
        assert_eq!(default(Dialect::MySql, Some("NULL"), false), Default::Literal("NULL".to_owned()));
        assert_eq!(default(Dialect::MySql, Some("(1 + 1)"), true), Default::Expression("(1 + 1)".to_owned()));
    }

    #[test]
    fn a_day_that_no_calendar_has_is_no_default() {
        assert_eq!(annotated("2024-01-31 12:00:00", Storage::Timestamp).as_deref(), Some("2024-01-31T12:00:00Z"));
        assert_eq!(annotated("0000-00-00 00:00:00", Storage::Timestamp), None);
        assert_eq!(annotated("0000-00-00", Storage::Date), None);
    }
}
