//! A number of bytes as people write it.

use std::str::FromStr;

use super::{deserialize_from_str, split_unit};

/// A number of bytes: `64MiB`, `1.5GB`, `512` in configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

const UNITS: [(&str, u64); 9] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];

impl ByteSize {
    /// So many KiB.
    pub const fn kib(count: u64) -> Self {
        Self(count << 10)
    }

    /// So many MiB.
    pub const fn mib(count: u64) -> Self {
        Self(count << 20)
    }

    /// As an index; sizes past the address space saturate.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// Why a text is not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a size: write a number and a unit, such as 64MiB, 1.5GB or 512 (bytes)")]
pub struct ParseByteSizeError(String);

impl FromStr for ByteSize {
    type Err = ParseByteSizeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || ParseByteSizeError(text.to_owned());
        let (number, unit) = split_unit(text.trim());
        let factor = match unit {
            "" => 1,
            "K" | "k" => 1 << 10,
            "M" => 1 << 20,
            "G" => 1 << 30,
            "T" => 1 << 40,
            unit => {
                UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).map(|(_, f)| *f).ok_or_else(refuse)?
            }
        };
        if let Ok(whole) = number.parse::<u64>() {
            return whole.checked_mul(factor).map(Self).ok_or_else(refuse);
        }
        let scaled = number.parse::<f64>().map_err(|_| refuse())? * factor as f64;
        if scaled.is_finite() && scaled < u64::MAX as f64 { Ok(Self(scaled as u64)) } else { Err(refuse()) }
    }
}

impl std::fmt::Display for ByteSize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let exact = UNITS[..5].iter().rev().find(|(_, factor)| self.0 >= *factor && self.0.is_multiple_of(*factor));
        let (unit, factor) = exact.unwrap_or(&UNITS[0]);
        write!(f, "{}{unit}", self.0 / factor)
    }
}

deserialize_from_str!(ByteSize, "a size such as \"64MiB\"", ByteSize);

impl serde::Serialize for ByteSize {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_binary_and_decimal_units() {
        for (text, bytes) in [
            ("0", 0),
            ("512", 512),
            ("64MiB", 64 << 20),
            ("64 mib", 64 << 20),
            ("16K", 16 << 10),
            ("1.5kB", 1500),
            ("2GB", 2_000_000_000),
        ] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_not_a_size_and_says_what_to_write() {
        for text in ["", "MiB", "-1", "1 parsec", "1.2.3MB", "99999999999TiB", "1e3"] {
            let error = text.parse::<ByteSize>().unwrap_err().to_string();
            assert!(error.contains("64MiB"), "{text}: {error}");
        }
    }

    #[test]
    fn prints_the_largest_unit_that_loses_nothing() {
        for size in [ByteSize(0), ByteSize(1000), ByteSize::kib(16), ByteSize::mib(64), ByteSize(1 << 40)] {
            assert_eq!(size.to_string().parse(), Ok(size));
        }
        assert_eq!(ByteSize::mib(64).to_string(), "64MiB");
        assert_eq!(ByteSize(1000).to_string(), "1000B");
    }

    #[test]
    fn deserializes_from_a_text_or_a_number_of_bytes() {
        assert_eq!(serde_json::from_str::<ByteSize>("\"1KiB\"").unwrap(), ByteSize::kib(1));
        assert_eq!(serde_json::from_str::<ByteSize>("7").unwrap(), ByteSize(7));
        assert!(serde_json::from_str::<ByteSize>("-7").is_err());
        assert!(serde_json::from_str::<ByteSize>("true").unwrap_err().to_string().contains("64MiB"));
    }
}
