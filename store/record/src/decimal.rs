//! Exact decimals: text to the stored form and back.

use crate::number::{self, NumberError};
use crate::{Value, ValueRef};

/// Most digits that are stored as a number; more are stored as bytes.
const MAX_INT_DIGITS: u8 = 18;

/// A decimal of a column with this precision and scale.
pub(crate) fn parse(text: &str, precision: u8, scale: u8) -> Result<Value, String> {
    if let Some(unscaled) = number::plain(text, scale) {
        return from_unscaled(unscaled.into(), precision, scale);
    }
    let unscaled = number::parts(text).and_then(|parts| parts.scaled(scale)).map_err(|error| match error {
        NumberError::Syntax => format!("expected a decimal number, found {}", crate::fault::excerpt(text)),
        NumberError::Fraction => format!("at most {scale} digits behind the point are stored"),
        NumberError::Range => too_large(precision, scale),
    })?;
    from_unscaled(unscaled, precision, scale)
}

/// The stored form of an unscaled number.
///
/// # Errors
/// If it has more digits than the precision.
pub fn from_unscaled(unscaled: i128, precision: u8, scale: u8) -> Result<Value, String> {
    if unscaled.unsigned_abs() >= 10_u128.pow(u32::from(precision)) {
        return Err(too_large(precision, scale));
    }
    Ok(match i64::try_from(unscaled) {
        Ok(value) if precision <= MAX_INT_DIGITS => Value::Int(value),
        _ => Value::Blob((unscaled.cast_unsigned() ^ (1 << 127)).to_be_bytes().into()),
    })
}

/// The unscaled number of a stored value.
pub fn unscaled(value: ValueRef<'_>) -> Option<i128> {
    match value {
        ValueRef::Int(value) => Some(i128::from(value)),
        ValueRef::Blob(bytes) => {
            let bits = u128::from_be_bytes(bytes.try_into().ok()?);
            Some((bits ^ (1 << 127)).cast_signed())
        }
        _ => None,
    }
}

/// Appends a decimal with all the digits of its scale: `12.50`.
pub(crate) fn write(out: &mut Vec<u8>, unscaled: i128, scale: u8) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(unscaled.unsigned_abs()).as_bytes();
    let scale = usize::from(scale);
    if unscaled < 0 {
        out.push(b'-');
    }
    let whole = digits.len().saturating_sub(scale);
    out.extend_from_slice(if whole == 0 { b"0" } else { &digits[..whole] });
    if scale > 0 {
        out.push(b'.');
        out.extend(std::iter::repeat_n(b'0', scale.saturating_sub(digits.len())));
        out.extend_from_slice(&digits[whole..]);
    }
}

fn too_large(precision: u8, scale: u8) -> String {
    let whole = precision.saturating_sub(scale);
    format!("at most {whole} digits in front of the point are stored")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &Value, scale: u8) -> String {
        let mut out = Vec::new();
        write(&mut out, unscaled(value.as_ref()).unwrap(), scale);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn decimals_come_back_with_the_digits_of_their_scale() {
        for (given, shown) in
            [("0", "0.00"), ("-0.01", "-0.01"), ("12.5", "12.50"), ("1e2", "100.00"), ("12.500", "12.50")]
        {
            assert_eq!(text(&parse(given, 10, 2).unwrap(), 2), shown);
            assert_eq!(text(&parse(given, 38, 2).unwrap(), 2), shown);
        }
        assert_eq!(text(&parse("7", 5, 0).unwrap(), 0), "7");
        assert_eq!(text(&parse("0.05", 2, 2).unwrap(), 2), "0.05");
    }

    #[test]
    fn what_does_not_fit_is_refused_not_rounded() {
        assert!(parse("1.005", 10, 2).unwrap_err().contains("2 digits behind"));
        assert!(parse("100000000", 10, 2).unwrap_err().contains("8 digits in front"));
        assert!(parse("1e400", 10, 2).unwrap_err().contains("8 digits in front"));
        assert!(parse("ten", 10, 2).unwrap_err().contains("\"ten\""));
        assert!(parse("", 10, 2).is_err());
        let most = "9".repeat(38);
        assert_eq!(text(&parse(&most, 38, 0).unwrap(), 0), most);
    }

    #[test]
    fn bytes_of_long_decimals_compare_as_numbers() {
        let numbers = ["-99999999999999999999", "-1", "0", "1", "2", "99999999999999999999"];
        let stored: Vec<_> = numbers.iter().map(|text| parse(text, 38, 0).unwrap()).collect();
        assert!(stored.windows(2).all(|pair| pair[0].as_ref().compare(&pair[1].as_ref()).is_lt()));
    }
}
