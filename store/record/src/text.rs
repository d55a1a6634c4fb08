//! Stored values as text: defaults, bounds, query parameters, filter literals and CSV cells.
//!
//! One exact form per storage: RFC 3339 times in UTC, durations in seconds (`1.500s`), dates as `2024-02-29`, bytes in
//! base64, enums by name, decimals with their full scale. Parsing accepts what people write for the same value.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use rowkeep_schema::{EnumType, Storage};

use crate::fault::{did_you_mean, excerpt};
use crate::number::{self, NumberError};
use crate::{Value, ValueRef, decimal, time};

/// Parses text as a stored value. `enums` are the schema's.
///
/// # Errors
/// What was expected instead, to be put behind the field's name.
pub fn parse(enums: &[EnumType], storage: Storage, text: &str) -> Result<Value, String> {
    let not = |expected: &str| format!("{} is not {expected}", excerpt(text));
    match storage {
        Storage::Bool => match text {
            "true" | "1" => Ok(Value::Int(1)),
            "false" | "0" => Ok(Value::Int(0)),
            _ => Err(not("true or false")),
        },
        Storage::Int32 => integer(text, i32::MIN.into(), i32::MAX.into()),
        Storage::Uint32 => integer(text, 0, u32::MAX.into()),
        Storage::Int64 => integer(text, i64::MIN, i64::MAX),
        Storage::Uint64 => match number::integer(text).map(u64::try_from) {
            Ok(Ok(value)) => Ok(Value::Uint(value)),
            _ => Err(not("a whole number from 0 to 18446744073709551615")),
        },
        Storage::Float => {
            number::float(text).map(|value| Value::Real(f64::from(value) + 0.0)).map_err(|_| not("a 32-bit number"))
        }
        Storage::Double => number::double(text).map(|value| Value::Real(value + 0.0)).map_err(|_| not("a number")),
        Storage::Text | Storage::Json => Ok(Value::Text(text.into())),
        Storage::Blob => decode_base64(text).map(|bytes| Value::Blob(bytes.into())).ok_or_else(|| not("base64")),
        Storage::Enum(id) => enumeration(&enums[id.index()], text),
        Storage::Timestamp => {
            time::parse_timestamp(text, true).map(|(s, n)| Value::Int(s * time::MICROS + i64::from(n / 1000)))
        }
        Storage::Duration => {
            time::parse_duration(text).map(|(s, n)| Value::Int(s * time::MICROS + i64::from(n / 1000)))
        }
        Storage::Date => time::parse_date(text).map(Value::Int),
        Storage::Decimal { precision, scale } => decimal::parse(text, precision, scale),
    }
}

fn integer(text: &str, low: i64, high: i64) -> Result<Value, String> {
    let wrong = || format!("{} is not a whole number from {low} to {high}", excerpt(text));
    match number::integer(text) {
        Ok(value) => match i64::try_from(value) {
            Ok(value) if (low..=high).contains(&value) => Ok(Value::Int(value)),
            _ => Err(wrong()),
        },
        Err(NumberError::Syntax | NumberError::Fraction | NumberError::Range) => Err(wrong()),
    }
}

fn enumeration(known: &EnumType, text: &str) -> Result<Value, String> {
    let number = known.number_of(text).or_else(|| text.parse::<i32>().ok());
    number.map(|number| Value::Int(number.into())).ok_or_else(|| {
        let hint = did_you_mean(text, known.values.iter().map(|(name, _)| name.as_str()));
        format!("{} is not a value of {}{hint}", excerpt(text), known.full_name)
    })
}

/// Appends a stored value as text; NULL appends nothing.
pub fn format(enums: &[EnumType], storage: Storage, value: ValueRef<'_>, out: &mut Vec<u8>) {
    match (storage, value) {
        (_, ValueRef::Null) => {}
        (Storage::Bool, ValueRef::Int(value)) => out.extend_from_slice(if value == 0 { b"false" } else { b"true" }),
        (Storage::Enum(id), ValueRef::Int(value)) => {
            match i32::try_from(value).ok().and_then(|number| enums[id.index()].name_of(number)) {
                Some(name) => out.extend_from_slice(name.as_bytes()),
                None => out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes()),
            }
        }
        (Storage::Timestamp, ValueRef::Int(value)) => {
            let (seconds, nanos) = time::split_micros(value);
            time::write_timestamp(out, seconds, nanos);
        }
        (Storage::Duration, ValueRef::Int(value)) => {
            let (seconds, nanos) = time::split_duration(value);
            time::write_duration(out, seconds, nanos);
        }
        (Storage::Date, ValueRef::Int(value)) => time::write_date(out, value),
        (Storage::Decimal { scale, .. }, value) => {
            if let Some(unscaled) = decimal::unscaled(value) {
                decimal::write(out, unscaled, scale);
            }
        }
        (_, ValueRef::Int(value)) => out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes()),
        (_, ValueRef::Uint(value)) => out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes()),
        // Shortest text that reads back as the same 32 bits.
        #[expect(clippy::cast_possible_truncation, reason = "the stored value was rounded to 32 bits")]
        (Storage::Float, ValueRef::Real(value)) => out.extend_from_slice(format!("{}", value as f32).as_bytes()),
        (_, ValueRef::Real(value)) => out.extend_from_slice(format!("{value}").as_bytes()),
        (_, ValueRef::Text(value)) => out.extend_from_slice(value.as_bytes()),
        (_, ValueRef::Blob(value)) => out.extend_from_slice(STANDARD.encode(value).as_bytes()),
    }
}

/// Base64 with either alphabet, padded or not (proto3 JSON accepts both).
pub fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let url = text.contains(['-', '_']);
    let padded = text.ends_with('=');
    match (url, padded) {
        (false, true) => STANDARD.decode(text),
        (false, false) => STANDARD_NO_PAD.decode(text),
        (true, true) => URL_SAFE.decode(text),
        (true, false) => URL_SAFE_NO_PAD.decode(text),
    }
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_back(storage: Storage, text: &str) -> Option<String> {
        let value = parse(&[], storage, text).ok()?;
        let mut out = Vec::new();
        format(&[], storage, value.as_ref(), &mut out);
        String::from_utf8(out).ok()
    }

    #[test]
    fn values_read_back_as_written() {
        for (storage, text) in [
            (Storage::Bool, "true"),
            (Storage::Int32, "-2147483648"),
            (Storage::Int64, "9223372036854775807"),
            (Storage::Uint32, "4294967295"),
            (Storage::Uint64, "18446744073709551615"),
            (Storage::Float, "0.1"),
            (Storage::Double, "-1.5"),
            (Storage::Text, " x "),
            (Storage::Blob, "+/8="),
            (Storage::Timestamp, "9999-12-31T23:59:59.999999Z"),
            (Storage::Timestamp, "0001-01-01T00:00:00Z"),
            (Storage::Duration, "-0.500s"),
            (Storage::Date, "2024-02-29"),
            (Storage::Decimal { precision: 10, scale: 2 }, "-0.50"),
            (Storage::Decimal { precision: 38, scale: 0 }, "99999999999999999999999999999999999999"),
        ] {
            assert_eq!(read_back(storage, text).as_deref(), Some(text), "{storage:?}");
        }
    }

    #[test]
    fn values_that_do_not_fit_are_refused() {
        for (storage, text) in [
            (Storage::Bool, "yes"),
            (Storage::Int32, "2147483648"),
            (Storage::Int64, "1.5"),
            (Storage::Uint32, "-1"),
            (Storage::Uint64, "18446744073709551616"),
            (Storage::Float, "1e39"),
            (Storage::Double, "NaN"),
            (Storage::Blob, "a b"),
            (Storage::Timestamp, "2024-02-30T00:00:00Z"),
            (Storage::Duration, "1m"),
            (Storage::Date, "2023-02-29"),
            (Storage::Decimal { precision: 4, scale: 2 }, "100"),
        ] {
            assert_eq!(read_back(storage, text), None, "{storage:?} {text}");
        }
    }

    #[test]
    fn base64_is_read_in_both_alphabets_with_and_without_padding() {
        for text in ["+/8=", "+/8", "-_8=", "-_8"] {
            assert_eq!(decode_base64(text).as_deref(), Some(&[0xfb, 0xff][..]), "{text}");
        }
    }
}
