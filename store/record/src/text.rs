//! Stored values as text: defaults, bounds, query parameters, filter literals and CSV cells.
//!
//! One exact form per storage: RFC 3339 times in UTC, durations in seconds (`1.5s`), dates as `2024-02-29`, bytes in
//! base64, enums by name, decimals with their full scale. Parsing accepts what people write for the same value.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use rowkeep_schema::{Schema, Storage};

use crate::{Value, ValueRef};

/// Seconds of 0001-01-01T00:00:00Z and of the last second of 9999, the range of `google.protobuf.Timestamp`.
pub const TIMESTAMP_SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;
/// Seconds of `google.protobuf.Duration`, either way (10,000 years).
pub const DURATION_SECONDS: i64 = 315_576_000_000;

/// Parses text as a stored value.
///
/// # Errors
/// What was expected instead, as the end of a sentence that begins with the field's name.
pub fn parse(schema: &Schema, storage: Storage, text: &str) -> Result<Value, String> {
    let not = |expected: &str| format!("{text:?} is not {expected}");
    match storage {
        Storage::Bool => match text {
            "true" | "1" => Ok(Value::Int(1)),
            "false" | "0" => Ok(Value::Int(0)),
            _ => Err(not("true or false")),
        },
        Storage::Int32 => {
            text.parse::<i32>().map(|v| Value::Int(v.into())).map_err(|_| not("a whole number of 32 bits"))
        }
        Storage::Uint32 => {
            text.parse::<u32>().map(|v| Value::Int(v.into())).map_err(|_| not("a whole number from 0 to 4294967295"))
        }
        Storage::Int64 => text.parse().map(Value::Int).map_err(|_| not("a whole number of 64 bits")),
        Storage::Uint64 => {
            text.parse().map(Value::Uint).map_err(|_| not("a whole number from 0 to 18446744073709551615"))
        }
        Storage::Float => match text.parse::<f32>() {
            Ok(value) if value.is_finite() => Ok(Value::Real(value.into())),
            _ => Err(not("a finite number of 32 bits")),
        },
        Storage::Double => match text.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(Value::Real(value)),
            _ => Err(not("a finite number")),
        },
        Storage::Text | Storage::Json => Ok(Value::Text(text.into())),
        Storage::Blob => decode_base64(text).map(|bytes| Value::Blob(bytes.into())).ok_or_else(|| not("base64")),
        Storage::Enum(id) => {
            let known = schema.enumeration(id);
            let number = known.number_of(text).or_else(|| text.parse::<i32>().ok());
            number.map(|number| Value::Int(number.into())).ok_or_else(|| {
                let near = kit_core::nearest(text, known.values.iter().map(|(name, _)| name.as_str()));
                let hint = near.map_or_else(String::new, |near| format!("; did you mean {near}?"));
                not(&format!("a value of {}{hint}", known.full_name))
            })
        }
        Storage::Timestamp => {
            parse_timestamp(text).map(Value::Int).ok_or_else(|| not("a time as in 2024-02-29T12:30:00Z (RFC 3339)"))
        }
        Storage::Duration => {
            parse_duration(text).map(Value::Int).ok_or_else(|| not("a duration in seconds as in 1.5s"))
        }
        Storage::Date => parse_date(text).map(Value::Int).ok_or_else(|| not("a date as in 2024-02-29")),
        Storage::Decimal { precision, scale } => parse_decimal(text, precision, scale),
    }
}

/// Appends a stored value as text; NULL appends nothing.
pub fn format(schema: &Schema, storage: Storage, value: ValueRef<'_>, out: &mut String) {
    // Writing to a String cannot fail.
    match (storage, value) {
        (_, ValueRef::Null) => {}
        (Storage::Bool, ValueRef::Int(value)) => out.push_str(if value == 0 { "false" } else { "true" }),
        (Storage::Enum(id), ValueRef::Int(value)) => {
            match i32::try_from(value).ok().and_then(|number| schema.enumeration(id).name_of(number)) {
                Some(name) => out.push_str(name),
                None => out.push_str(itoa::Buffer::new().format(value)),
            }
        }
        (Storage::Timestamp, ValueRef::Int(value)) => format_timestamp(value, out),
        (Storage::Duration, ValueRef::Int(value)) => format_duration(value, out),
        (Storage::Date, ValueRef::Int(value)) => {
            let _ = write!(out, "{:04}-{:02}-{:02}", value / 10_000, value / 100 % 100, value % 100);
        }
        (Storage::Decimal { scale, .. }, value) => {
            if let Some(unscaled) = unscaled(value) {
                format_decimal(unscaled, scale, out);
            }
        }
        (_, ValueRef::Int(value)) => out.push_str(itoa::Buffer::new().format(value)),
        (_, ValueRef::Uint(value)) => out.push_str(itoa::Buffer::new().format(value)),
        // Shortest text that reads back as the same 32 bits.
        (Storage::Float, ValueRef::Real(value)) => {
            #[expect(clippy::cast_possible_truncation, reason = "the stored value was rounded to 32 bits")]
            let _ = write!(out, "{}", value as f32);
        }
        (_, ValueRef::Real(value)) => {
            let _ = write!(out, "{value}");
        }
        (_, ValueRef::Text(value)) => out.push_str(value),
        (_, ValueRef::Blob(value)) => STANDARD.encode_string(value, out),
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

/// Microseconds since 1970 of an RFC 3339 time; finer digits are cut off.
pub fn parse_timestamp(text: &str) -> Option<i64> {
    let (date, time) = (text.get(..10)?, text.get(11..)?);
    if !matches!(text.as_bytes()[10], b'T' | b't' | b' ') {
        return None;
    }
    let packed = parse_date(date).filter(|packed| packed / 100 % 100 > 0 && packed % 100 > 0 && packed / 10_000 > 0)?;
    let (time, offset) = split_offset(time)?;
    let (clock, fraction) = time.split_once('.').unwrap_or((time, "0"));
    if fraction.is_empty() || fraction.len() > 9 || !is_digits(fraction) {
        return None;
    }
    let micros: i64 = format!("{fraction:0<6}").get(..6)?.parse().ok()?;
    let days = days_from_civil(packed / 10_000, packed / 100 % 100, packed % 100);
    let seconds = days * 86_400 + parse_clock(clock)? - offset;
    TIMESTAMP_SECONDS.contains(&seconds).then_some(seconds * 1_000_000 + micros)
}

/// Seconds of the day of `12:30:00`.
fn parse_clock(text: &str) -> Option<i64> {
    let mut parts = text.split(':').map(|part| part.parse::<i64>().ok().filter(|_| part.len() == 2 && is_digits(part)));
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    let valid = hour < 24 && minute < 60 && second < 60 && parts.next().is_none();
    valid.then_some(hour * 3600 + minute * 60 + second)
}

/// The time without its offset, and the offset in seconds.
fn split_offset(time: &str) -> Option<(&str, i64)> {
    if let Some(time) = time.strip_suffix(['Z', 'z']) {
        return Some((time, 0));
    }
    let at = time.rfind(['+', '-'])?;
    let seconds = parse_clock(&format!("{}:00", &time[at + 1..]))?;
    Some((&time[..at], if time.as_bytes()[at] == b'-' { -seconds } else { seconds }))
}

/// Days since 1970 of a date that exists; the inverse of [`civil_from_days`].
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * shifted + 2) / 5 + day - 1;
    year.div_euclid(400) * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// `2024-02-29T12:30:00Z` with 0, 3 or 6 digits of fraction, as proto3 JSON writes it.
pub fn format_timestamp(micros: i64, out: &mut String) {
    let (seconds, fraction) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil_from_days(days);
    let _ =
        write!(out, "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60);
    push_fraction(fraction, out);
    out.push('Z');
}

/// Microseconds of `1.5s`.
pub fn parse_duration(text: &str) -> Option<i64> {
    let number = text.strip_suffix('s')?;
    let (negative, number) = number.strip_prefix('-').map_or((false, number), |rest| (true, rest));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || fraction.is_empty() || fraction.len() > 9 || !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let seconds: i64 = whole.parse().ok().filter(|seconds| *seconds <= DURATION_SECONDS)?;
    let micros: i64 = format!("{fraction:0<6}").get(..6)?.parse().ok()?;
    let total = seconds * 1_000_000 + micros;
    (total <= DURATION_SECONDS * 1_000_000).then_some(if negative { -total } else { total })
}

/// `1.500s` with 0, 3 or 6 digits of fraction.
pub fn format_duration(micros: i64, out: &mut String) {
    if micros < 0 {
        out.push('-');
    }
    let micros = micros.unsigned_abs();
    out.push_str(itoa::Buffer::new().format(micros / 1_000_000));
    #[expect(clippy::cast_possible_wrap, reason = "below a million")]
    push_fraction((micros % 1_000_000) as i64, out);
    out.push('s');
}

/// `year * 10000 + month * 100 + day` of `2024-02-29`; month and day may be `00` (`google.type.Date`).
pub fn parse_date(text: &str) -> Option<i64> {
    let mut parts = text.split('-');
    let mut part =
        |digits: usize| parts.next().filter(|part| part.len() == digits && is_digits(part))?.parse::<i64>().ok();
    let (year, month, day) = (part(4)?, part(2)?, part(2)?);
    if parts.next().is_some() {
        return None;
    }
    pack_date(year, month, day)
}

/// The stored form of a date, if there is such a date; parts may be 0 as `google.type.Date` allows.
pub fn pack_date(year: i64, month: i64, day: i64) -> Option<i64> {
    let days = match month {
        0 => 0,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    ((0..=9999).contains(&year) && (0..=days).contains(&day)).then_some(year * 10_000 + month * 100 + day)
}

fn parse_decimal(text: &str, precision: u8, scale: u8) -> Result<Value, String> {
    let wanted = format!("a number of at most {precision} digits, {scale} of them behind the point");
    let unscaled = decimal_digits(text, scale).ok_or_else(|| format!("{text:?} is not {wanted}"))?;
    let limit = 10_u128.checked_pow(precision.into());
    if limit.is_some_and(|limit| unscaled.unsigned_abs() >= limit) {
        return Err(format!("{text:?} is not {wanted}"));
    }
    Ok(decimal_value(unscaled, precision))
}

/// The unscaled number of a decimal text, if it has no digit beyond the scale but zeros.
fn decimal_digits(text: &str, scale: u8) -> Option<i128> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok().filter(|e| e.abs() <= 100)?),
        None => (text, 0),
    };
    let (negative, digits) = match mantissa.as_bytes().first()? {
        b'-' => (true, &mantissa[1..]),
        b'+' => (false, &mantissa[1..]),
        _ => (false, mantissa),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() || !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let mut number: i128 = 0;
    let mut shift = i32::from(scale) + exponent - i32::try_from(fraction.len()).ok()?;
    for digit in whole.bytes().chain(fraction.trim_end_matches('0').bytes()) {
        number = number.checked_mul(10)?.checked_add((digit - b'0').into())?;
    }
    shift += i32::try_from(fraction.len() - fraction.trim_end_matches('0').len()).ok()?;
    while shift > 0 && number != 0 {
        number = number.checked_mul(10)?;
        shift -= 1;
    }
    while shift < 0 && number != 0 {
        if number % 10 != 0 {
            return None;
        }
        number /= 10;
        shift += 1;
    }
    Some(if negative { -number } else { number })
}

/// The stored form of an unscaled number.
pub fn decimal_value(unscaled: i128, precision: u8) -> Value {
    match i64::try_from(unscaled) {
        Ok(small) if precision <= 18 => Value::Int(small),
        _ => Value::Blob((unscaled.cast_unsigned() ^ (1 << 127)).to_be_bytes().into()),
    }
}

/// The unscaled number of a stored decimal.
pub fn unscaled(value: ValueRef<'_>) -> Option<i128> {
    match value {
        ValueRef::Int(value) => Some(value.into()),
        ValueRef::Blob(bytes) => Some((u128::from_be_bytes(bytes.try_into().ok()?) ^ (1 << 127)).cast_signed()),
        _ => None,
    }
}

/// A decimal with its full scale: `-0.50`.
pub fn format_decimal(unscaled: i128, scale: u8, out: &mut String) {
    if unscaled < 0 {
        out.push('-');
    }
    let base = 10_u128.pow(scale.min(38).into());
    let magnitude = unscaled.unsigned_abs();
    let _ = write!(out, "{}", magnitude / base);
    if scale > 0 {
        let _ = write!(out, ".{:0width$}", magnitude % base, width = usize::from(scale));
    }
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
}

fn push_fraction(micros: i64, out: &mut String) {
    let _ = match micros {
        0 => Ok(()),
        _ if micros % 1000 == 0 => write!(out, ".{:03}", micros / 1000),
        _ => write!(out, ".{micros:06}"),
    };
}

/// Year, month and day of a day number since 1970 (H. Hinnant, "chrono-compatible low-level date algorithms").
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(f: impl FnOnce(&mut String)) -> String {
        let mut out = String::new();
        f(&mut out);
        out
    }

    #[test]
    fn times_read_back_as_written_over_their_whole_range() {
        for text in [
            "0001-01-01T00:00:00Z",
            "1969-12-31T23:59:59.999999Z",
            "1970-01-01T00:00:00Z",
            "2000-02-29T12:30:00.500Z",
            "9999-12-31T23:59:59.999999Z",
        ] {
            assert_eq!(shown(|out| format_timestamp(parse_timestamp(text).expect(text), out)), text);
        }
        assert_eq!(parse_timestamp("2024-01-01T01:00:00+01:00"), parse_timestamp("2024-01-01T00:00:00Z"));
        assert_eq!(parse_timestamp("1969-12-31T23:59:59.9999999Z"), Some(-1), "finer digits are cut off downwards");
        for bad in [
            "",
            "2024-01-01",
            "2024-13-01T00:00:00Z",
            "2024-01-01T00:00:00",
            "2024-02-30T00:00:00Z",
            "2024-01-01T00:00:00Z[UTC]",
        ] {
            assert_eq!(parse_timestamp(bad), None, "{bad}");
        }
    }

    #[test]
    fn durations_read_back_as_written() {
        for text in ["0s", "1.500s", "-1.000001s", "315576000000s", "-315576000000s"] {
            assert_eq!(shown(|out| format_duration(parse_duration(text).expect(text), out)), text);
        }
        for bad in ["", "1", "s", "1.s", ".5s", "1.0000000001s", "315576000001s", "315576000000.1s", "1e3s", "--1s"] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn dates_exist_or_are_refused() {
        assert_eq!(parse_date("2024-02-29"), Some(20_240_229));
        assert_eq!(parse_date("2024-02-00"), Some(20_240_200), "google.type.Date allows a missing day");
        for bad in ["2023-02-29", "2024-13-01", "2024-00-01", "24-01-01", "2024-1-1", "2024-01-01-01", "2024-01-32"] {
            assert_eq!(parse_date(bad), None, "{bad}");
        }
    }

    #[test]
    fn decimals_lose_nothing_and_refuse_what_does_not_fit() {
        let read = |text: &str, precision, scale| {
            parse_decimal(text, precision, scale)
                .ok()
                .and_then(|value| unscaled(value.as_ref()))
                .map(|number| shown(|out| format_decimal(number, scale, out)))
        };
        assert_eq!(read("-0.5", 10, 2).as_deref(), Some("-0.50"));
        assert_eq!(read("1.2300", 10, 2).as_deref(), Some("1.23"));
        assert_eq!(read("12e-1", 10, 2).as_deref(), Some("1.20"));
        assert_eq!(read("1e3", 10, 2).as_deref(), Some("1000.00"));
        let nines = "9".repeat(38);
        assert_eq!(read(&nines, 38, 0).as_deref(), Some(nines.as_str()));
        assert_eq!(read(&format!("-{nines}"), 38, 0), Some(format!("-{nines}")));
        for (bad, precision, scale) in [
            ("1.234", 10, 2),
            ("100000000", 10, 2),
            ("1e38", 38, 0),
            ("", 10, 2),
            (".", 10, 2),
            ("1,5", 10, 2),
            ("NaN", 10, 2),
        ] {
            assert_eq!(read(bad, precision, scale), None, "{bad}");
        }
        let order = |text| match parse_decimal(text, 38, 0) {
            Ok(Value::Blob(bytes)) => bytes,
            other => panic!("{other:?}"),
        };
        assert!(order("-2") < order("-1") && order("-1") < order("0") && order("0") < order("1"));
    }

    #[test]
    fn base64_is_read_in_both_alphabets_with_and_without_padding() {
        for text in ["+/8=", "+/8", "-_8=", "-_8"] {
            assert_eq!(decode_base64(text).as_deref(), Some(&[0xfb, 0xff][..]), "{text}");
        }
        assert_eq!(decode_base64("a b"), None);
    }
}
