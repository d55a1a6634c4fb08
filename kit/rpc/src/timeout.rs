//! `grpc-timeout`.

use std::time::Duration;

use kit_core::{Code, Error};

/// Reads `grpc-timeout`: at most eight digits and a unit.
pub(crate) fn parse(value: &[u8]) -> Result<Duration, Error> {
    parse_opt(value).ok_or_else(|| {
        Error::new(
            Code::InvalidArgument,
            "BAD_TIMEOUT",
            "grpc-timeout must be at most 8 digits and a unit (H, M, S, m, u or n)",
        )
    })
}

fn parse_opt(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let count = digits.iter().fold(0_u64, |count, digit| count * 10 + u64::from(digit - b'0'));
    Some(match unit {
        b'H' => Duration::from_secs(count * 3600),
        b'M' => Duration::from_secs(count * 60),
        b'S' => Duration::from_secs(count),
        b'm' => Duration::from_millis(count),
        b'u' => Duration::from_micros(count),
        b'n' => Duration::from_nanos(count),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_unit() {
        for (text, duration) in [
            ("1H", Duration::from_secs(3600)),
            ("2M", Duration::from_secs(120)),
            ("99999999S", Duration::from_secs(99_999_999)),
            ("250m", Duration::from_millis(250)),
            ("0u", Duration::ZERO),
            ("7n", Duration::from_nanos(7)),
        ] {
            assert_eq!(parse(text.as_bytes()).unwrap(), duration, "{text}");
        }
    }

    #[test]
    fn refuses_anything_else_as_invalid() {
        for text in ["", "S", "5", "-1S", "123456789S", "5s", "1.5S", "99999999999999999999H", " 5S", "5 S"] {
            assert_eq!(parse(text.as_bytes()).unwrap_err().code(), Code::InvalidArgument, "{text}");
        }
    }
}
