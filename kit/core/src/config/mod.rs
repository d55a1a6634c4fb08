//! Types of configuration values: sizes, durations, secrets. Each reads what people write and says what it wanted.

mod byte_size;
mod duration;
mod secret;

pub use byte_size::{ByteSize, ParseByteSizeError};
pub use duration::{HumanDuration, ParseDurationError};
pub use secret::Secret;

/// `Deserialize` from a string through `FromStr`, and from an integer where a type has a natural unit.
macro_rules! deserialize_from_str {
    ($type:ty, $expecting:literal $(, $from_integer:expr)?) => {
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl serde::de::Visitor<'_> for Visitor {
                    type Value = $type;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str($expecting)
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(E::custom)
                    }
                    $(
                        fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<$type, E> {
                            Ok($from_integer(number))
                        }
                        fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<$type, E> {
                            let number = u64::try_from(number)
                                .map_err(|_| E::invalid_value(serde::de::Unexpected::Signed(number), &self))?;
                            Ok($from_integer(number))
                        }
                    )?
                }
                deserializer.deserialize_any(Visitor)
            }
        }
    };
}
use deserialize_from_str;

/// Splits `12.5MiB` into its number and its unit.
fn split_unit(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    (&text[..end], text[end..].trim())
}
