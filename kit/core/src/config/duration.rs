//! A span of time as people write it.

use std::ops::Deref;
use std::str::FromStr;
use std::time::Duration;

use super::{deserialize_from_str, split_unit};

/// A span of time: `5s`, `250ms`, `1h30m` in configuration. A number without a unit is refused: seconds or
/// milliseconds would be a guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HumanDuration(pub Duration);

const UNITS: [(&str, u64); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

impl HumanDuration {
    /// So many seconds.
    pub const fn secs(count: u64) -> Self {
        Self(Duration::from_secs(count))
    }

    /// So many milliseconds.
    pub const fn millis(count: u64) -> Self {
        Self(Duration::from_millis(count))
    }
}

impl Deref for HumanDuration {
    type Target = Duration;

    fn deref(&self) -> &Duration {
        &self.0
    }
}

impl From<Duration> for HumanDuration {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a duration: write numbers with units, such as 5s, 250ms, 1h30m or 7d")]
pub struct ParseDurationError(String);

impl FromStr for HumanDuration {
    type Err = ParseDurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || ParseDurationError(text.to_owned());
        let mut rest = text.trim();
        if rest == "0" {
            return Ok(Self(Duration::ZERO));
        }
        let mut nanos = 0_u64;
        while !rest.is_empty() {
            let (part, tail) = next_part(rest).ok_or_else(refuse)?;
            nanos = nanos.checked_add(part).ok_or_else(refuse)?;
            rest = tail;
        }
        if text.trim().is_empty() { Err(refuse()) } else { Ok(Self(Duration::from_nanos(nanos))) }
    }
}

/// The nanoseconds of the first `number unit`, and what follows it.
fn next_part(text: &str) -> Option<(u64, &str)> {
    let (number, after) = split_unit(text);
    let end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
    let factor = UNITS.iter().find(|(name, _)| *name == &after[..end]).map(|(_, factor)| *factor)?;
    let tail = after[end..].trim_start();
    if let Ok(whole) = number.parse::<u64>() {
        return Some((whole.checked_mul(factor)?, tail));
    }
    let scaled = number.parse::<f64>().ok()? * factor as f64;
    (scaled < u64::MAX as f64).then_some((scaled as u64, tail))
}

impl std::fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut rest = u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX);
        if rest == 0 {
            return f.write_str("0s");
        }
        for (unit, factor) in UNITS {
            if rest >= factor {
                write!(f, "{}{unit}", rest / factor)?;
                rest %= factor;
            }
        }
        Ok(())
    }
}

deserialize_from_str!(HumanDuration, "a duration such as \"5s\"");

impl serde::Serialize for HumanDuration {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_sums_of_numbers_with_units() {
        for (text, millis) in [
            ("0", 0),
            ("5s", 5_000),
            ("250ms", 250),
            ("1h30m", 5_400_000),
            ("1h 30m", 5_400_000),
            ("1.5s", 1_500),
            ("7d", 604_800_000),
        ] {
            assert_eq!(text.parse(), Ok(HumanDuration::millis(millis)), "{text}");
        }
    }

    #[test]
    fn refuses_a_number_without_a_unit_and_anything_else() {
        for text in ["", "5", "s", "5 seconds", "-5s", "5s6", "999999999999d", "1..5s"] {
            let error = text.parse::<HumanDuration>().unwrap_err().to_string();
            assert!(error.contains("1h30m"), "{text}: {error}");
        }
        assert!(serde_json::from_str::<HumanDuration>("5").unwrap_err().to_string().contains("5s"));
    }

    #[test]
    fn prints_what_it_reads() {
        for millis in [0, 1, 250, 5_000, 5_400_000, 90_061_001] {
            let duration = HumanDuration::millis(millis);
            assert_eq!(duration.to_string().parse(), Ok(duration));
        }
        assert_eq!(HumanDuration::secs(5_400).to_string(), "1h30m");
    }
}
