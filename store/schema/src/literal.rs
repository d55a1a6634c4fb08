//! Values written as text in options: defaults, bounds, lists of allowed values.

use std::cmp::Ordering;

use crate::model::{EnumType, Storage};

/// A value of some storage, comparable with others of the same.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Literal {
    /// Whole numbers, times, unscaled decimals, enum numbers.
    Int(i128),
    Real(f64),
    Text(String),
    Bytes(Vec<u8>),
    Json,
}

impl Literal {
    pub(crate) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => Some(a.cmp(b)),
            (Self::Real(a), Self::Real(b)) => a.partial_cmp(b),
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }
}

/// Reads a value of the storage; the error says what is expected instead.
pub(crate) fn parse(storage: Storage, text: &str, enums: &[EnumType]) -> Result<Literal, String> {
    match storage {
        Storage::Bool => match text {
            "true" => Ok(Literal::Int(1)),
            "false" => Ok(Literal::Int(0)),
            _ => Err("write `true` or `false`".to_owned()),
        },
        Storage::Int32 => whole(text, i32::MIN.into(), i32::MAX.into()),
        Storage::Int64 => whole(text, i64::MIN.into(), i64::MAX.into()),
        Storage::Uint32 => whole(text, 0, u32::MAX.into()),
        Storage::Uint64 => whole(text, 0, u64::MAX.into()),
        Storage::Float => real(text, f64::from(f32::MAX)),
        Storage::Double => real(text, f64::MAX),
        Storage::Text => Ok(Literal::Text(text.to_owned())),
        Storage::Blob => base64(text).map(Literal::Bytes).ok_or_else(|| "write the bytes in base64".to_owned()),
        Storage::Enum(id) => enumerated(text, &enums[id.index()]),
        Storage::Timestamp => timestamp(text)
            .map(Literal::Int)
            .ok_or_else(|| "write an RFC 3339 time such as `2024-01-31T12:00:00Z`".to_owned()),
        Storage::Duration => {
            duration(text).map(Literal::Int).ok_or_else(|| "write seconds such as `90s` or `1.5s`".to_owned())
        }
        Storage::Date => date(text).map(Literal::Int).ok_or_else(|| "write a date such as `2024-01-31`".to_owned()),
        Storage::Decimal { precision, scale } => decimal(text, precision, scale),
        Storage::Json => match serde_json::from_str::<serde_json::Value>(text) {
            Ok(_) => Ok(Literal::Json),
            Err(error) => Err(format!("write JSON ({error})")),
        },
    }
}

fn whole(text: &str, min: i128, max: i128) -> Result<Literal, String> {
    let value = text.parse::<i128>().ok().filter(|value| (min..=max).contains(value));
    value.map(Literal::Int).ok_or_else(|| format!("write a whole number from {min} to {max}"))
}

fn real(text: &str, max: f64) -> Result<Literal, String> {
    let value = text.parse::<f64>().ok().filter(|value| value.is_finite() && value.abs() <= max);
    value.map(Literal::Real).ok_or_else(|| "write a finite number such as `0.5`".to_owned())
}

fn enumerated(text: &str, enumeration: &EnumType) -> Result<Literal, String> {
    let number = enumeration.number_of(text).or_else(|| {
        let number = text.parse().ok()?;
        enumeration.name_of(number).map(|_| number)
    });
    number.map(|number| Literal::Int(number.into())).ok_or_else(|| {
        let names: Vec<String> = enumeration.values.iter().take(12).map(|(name, _)| format!("`{name}`")).collect();
        format!("write one of {}", names.join(", "))
    })
}

/// The unscaled number.
fn decimal(text: &str, precision: u8, scale: u8) -> Result<Literal, String> {
    let expected = || format!("write a decimal number of at most {precision} digits, {scale} of them behind the point");
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (before, after) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if before.is_empty() && after.is_empty() || !all_digits(before) || !all_digits(after) {
        return Err(expected());
    }
    let after = after.trim_end_matches('0');
    let scale = usize::from(scale);
    if after.len() > scale || before.trim_start_matches('0').len() + scale > usize::from(precision) {
        return Err(expected());
    }
    let unscaled: i128 = format!("0{before}{after:0<scale$}").parse().map_err(|_| expected())?;
    Ok(Literal::Int(if text.starts_with('-') { -unscaled } else { unscaled }))
}

/// Microseconds since 1970.
fn timestamp(text: &str) -> Option<i128> {
    let (day, rest) = text.split_at_checked(10)?;
    let days = days(parts(day, '-')?)?;
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (clock, rest) = rest.split_at_checked(8)?;
    let [hour, minute, second] = parts(clock, ':')?;
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (micros, rest) = fraction(rest)?;
    let offset = match rest {
        "Z" | "z" => 0,
        _ => zone(rest)?,
    };
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second - offset;
    Some(i128::from(seconds) * 1_000_000 + i128::from(micros))
}

/// `+01:30` in seconds.
fn zone(text: &str) -> Option<i64> {
    let (sign, rest) = text.split_at_checked(1)?;
    let (hours, minutes) = rest.split_once(':')?;
    let seconds = number(hours, 2)? * 3_600 + number(minutes, 2)? * 60;
    match sign {
        "+" => Some(seconds),
        "-" => Some(-seconds),
        _ => None,
    }
}

/// `.25` to microseconds, and what follows.
fn fraction(text: &str) -> Option<(i64, &str)> {
    let Some(rest) = text.strip_prefix('.') else { return Some((0, text)) };
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    if end == 0 || end > 9 {
        return None;
    }
    let micros = format!("{:0<6}", &rest[..end]).get(..6)?.parse().ok()?;
    Some((micros, &rest[end..]))
}

fn parts(text: &str, separator: char) -> Option<[i64; 3]> {
    let mut parts = text.split(separator);
    let first = parts.next()?;
    let values = [number(first, first.len().max(2))?, number(parts.next()?, 2)?, number(parts.next()?, 2)?];
    parts.next().is_none().then_some(values)
}

fn number(text: &str, digits: usize) -> Option<i64> {
    (text.len() == digits && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

/// Days since 1970 of a date of the Gregorian calendar.
fn days([year, month, day]: [i64; 3]) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=9999).contains(&year) || !(1..=length).contains(&day) {
        return None;
    }
    let shifted = if month > 2 { year } else { year - 1 };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(365 * shifted + shifted / 4 - shifted / 100 + shifted / 400 + day_of_year - 719_468)
}

fn date(text: &str) -> Option<i128> {
    let [year, month, day] = parts(text, '-').filter(|_| text.len() == 10)?;
    days([year, month, day])?;
    Some(i128::from(year * 10_000 + month * 100 + day))
}

/// Microseconds of `1.5s`.
fn duration(text: &str) -> Option<i128> {
    let number = text.strip_suffix('s')?;
    let digits = number.strip_prefix('-').unwrap_or(number);
    let end = digits.find('.').unwrap_or(digits.len());
    let seconds: i128 = Some(&digits[..end]).filter(|d| d.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()?;
    let (micros, rest) = fraction(&digits[end..])?;
    if !rest.is_empty() || seconds > 315_576_000_000 {
        return None;
    }
    let value = seconds * 1_000_000 + i128::from(micros);
    Some(if number.starts_with('-') { -value } else { value })
}

/// Standard or URL-safe alphabet, padding optional.
fn base64(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=');
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut held) = (0u32, 0u32);
    for c in text.bytes() {
        let value = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(value)) & 0xff_ffff;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held & 0xff).ok()?);
        }
    }
    (text.len() % 4 != 1).then_some(bytes)
}

/// A life time such as `1h30m`, `45s`, `500ms`, `7d`.
pub(crate) fn time_span(text: &str) -> Option<std::time::Duration> {
    let mut millis = 0u64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let value: u64 = rest[..digits].parse().ok()?;
        let unit_end = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |i| digits + i);
        let unit = match &rest[digits..unit_end] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        millis = millis.checked_add(value.checked_mul(unit)?)?;
        rest = &rest[unit_end..];
    }
    (millis > 0).then(|| std::time::Duration::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn int(storage: Storage, text: &str) -> Option<i128> {
        match parse(storage, text, &[]) {
            Ok(Literal::Int(value)) => Some(value),
            _ => None,
        }
    }

    #[test]
    fn times_are_read_as_rfc_3339() {
        assert_eq!(int(Storage::Timestamp, "1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(int(Storage::Timestamp, "2024-02-29T12:00:00.5+01:00"), Some(1_709_204_400_500_000));
        assert_eq!(int(Storage::Timestamp, "0001-01-01T00:00:00Z"), Some(-62_135_596_800_000_000));
        for bad in ["2023-02-29T00:00:00Z", "2024-01-01", "2024-01-01T24:00:00Z", "2024-01-01T00:00:00", "é"] {
            assert_eq!(int(Storage::Timestamp, bad), None, "{bad}");
        }
        assert_eq!(int(Storage::Duration, "-1.5s"), Some(-1_500_000));
        assert_eq!(int(Storage::Date, "2024-02-29"), Some(20_240_229));
    }

    #[test]
    fn decimals_keep_their_scale() {
        let money = Storage::Decimal { precision: 10, scale: 2 };
        assert_eq!(int(money, "-12.5"), Some(-1_250));
        assert_eq!(int(money, "99999999.99"), Some(9_999_999_999));
        assert_eq!(int(money, "100000000"), None);
        assert_eq!(int(money, "0.001"), None);
        assert_eq!(int(money, "."), None);
        let longest = Storage::Decimal { precision: 38, scale: 0 };
        assert_eq!(int(longest, &"9".repeat(38)), Some(10i128.pow(38) - 1));
    }

    #[test]
    fn whole_numbers_stay_in_range() {
        assert_eq!(int(Storage::Uint32, "4294967295"), Some(4_294_967_295));
        assert_eq!(int(Storage::Uint32, "-1"), None);
        assert_eq!(int(Storage::Int32, "2147483648"), None);
        assert_eq!(int(Storage::Uint64, "18446744073709551615"), Some(u64::MAX.into()));
    }

    #[test]
    fn bytes_are_base64() {
        assert_eq!(parse(Storage::Blob, "aGk=", &[]), Ok(Literal::Bytes(b"hi".to_vec())));
        assert!(parse(Storage::Blob, "a", &[]).is_err());
    }

    #[test]
    fn life_times_add_their_units() {
        assert_eq!(time_span("1h30m"), Some(std::time::Duration::from_secs(5_400)));
        assert_eq!(time_span("0s"), None);
        assert_eq!(time_span("5"), None);
    }
}
