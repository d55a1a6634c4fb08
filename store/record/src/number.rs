//! Numbers as text, exactly.

/// Why a text is not the number asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NumberError {
    /// Not a number at all.
    Syntax,
    /// It has digits behind the point.
    Fraction,
    /// Too large or too small.
    Range,
}

/// A decimal number taken apart: `digits * 10^exponent`.
pub(crate) struct Parts {
    pub(crate) negative: bool,
    /// Digits without leading zeros; empty for zero.
    pub(crate) digits: smallvec::SmallVec<[u8; 64]>,
    pub(crate) exponent: i32,
}

/// More digits than any number that is stored; beyond it only zeros are of interest.
const MAX_DIGITS: usize = 400;

/// Takes apart what JSON calls a number, with any number of leading zeros and an optional plus sign.
pub(crate) fn parts(text: &str) -> Result<Parts, NumberError> {
    let (negative, rest) = match text.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let (mantissa, exponent) = match rest.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        Some(at) => (&rest[..at], power(&rest[at + 1..])?),
        None => (rest, 0),
    };
    let mut parts = Parts { negative, digits: smallvec::SmallVec::new(), exponent };
    let (mut digits, mut point) = (0_usize, false);
    for byte in mantissa {
        match byte {
            b'.' if !point => point = true,
            b'0'..=b'9' => {
                digits += 1;
                parts.exponent = parts.exponent.saturating_sub(i32::from(point));
                if !(parts.digits.is_empty() && *byte == b'0') {
                    parts.digits.push(byte - b'0');
                }
            }
            _ => return Err(NumberError::Syntax),
        }
        if parts.digits.len() > MAX_DIGITS {
            return Err(NumberError::Range);
        }
    }
    let ends_in_digits =
        mantissa.first().is_some_and(u8::is_ascii_digit) && mantissa.last().is_some_and(u8::is_ascii_digit);
    if digits == 0 || !ends_in_digits {
        return Err(NumberError::Syntax);
    }
    while parts.digits.last() == Some(&0) {
        parts.digits.pop();
        parts.exponent = parts.exponent.saturating_add(1);
    }
    Ok(parts)
}

fn power(text: &[u8]) -> Result<i32, NumberError> {
    let (sign, digits) = match text {
        [b'-', rest @ ..] => (-1, rest),
        [b'+', rest @ ..] => (1, rest),
        rest => (1, rest),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(NumberError::Syntax);
    }
    // Larger ones make no difference: the mantissa is short.
    let value = digits.iter().fold(0_i32, |value, digit| (value * 10 + i32::from(digit - b'0')).min(100_000));
    Ok(sign * value)
}

impl Parts {
    /// The number times `10^scale`, if that is an integer of at most 38 digits.
    pub(crate) fn scaled(&self, scale: u8) -> Result<i128, NumberError> {
        if self.digits.is_empty() {
            return Ok(0);
        }
        let zeros = i64::from(self.exponent) + i64::from(scale);
        if zeros < 0 {
            return Err(NumberError::Fraction);
        }
        let zeros = usize::try_from(zeros).unwrap_or(usize::MAX);
        if self.digits.len().saturating_add(zeros) > 38 {
            return Err(NumberError::Range);
        }
        let digits = self.digits.iter().copied().chain(std::iter::repeat_n(0, zeros));
        let value = digits.fold(0_i128, |value, digit| value * 10 + i128::from(digit));
        Ok(if self.negative { -value } else { value })
    }
}

/// An integer, which may be written `12.0` or `1.2e1`.
pub(crate) fn integer(text: &str) -> Result<i128, NumberError> {
    match plain(text, 0) {
        Some(value) => Ok(i128::from(value)),
        None => parts(text)?.scaled(0),
    }
}

/// A number as most are written, times `10^scale`: an optional minus, digits, and at most `scale` digits behind a point.
/// `None` does not say that it is no number.
#[inline]
pub(crate) fn plain(text: &str, scale: u8) -> Option<i64> {
    /// So many fit in 64 bits.
    const MOST: usize = 18;
    let (negative, digits) = match text.as_bytes() {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let (mut value, mut point) = (0_i64, None);
    if digits.len() > MOST || !digits.first()?.is_ascii_digit() {
        return None;
    }
    for (at, byte) in digits.iter().enumerate() {
        match byte {
            b'0'..=b'9' => value = value * 10 + i64::from(byte - b'0'),
            b'.' if point.is_none() && scale > 0 => point = Some(at),
            _ => return None,
        }
    }
    let behind = match point {
        Some(at) => digits.len() - at - 1,
        None => 0,
    };
    let zeros = usize::from(scale).checked_sub(behind)?;
    if point.is_some() && behind == 0 || digits.len() + zeros > MOST {
        return None;
    }
    let value = (0..zeros).fold(value, |value, _| value * 10);
    Some(if negative { -value } else { value })
}

/// A finite number of 64 bits.
pub(crate) fn double(text: &str) -> Result<f64, NumberError> {
    check_float(text)?;
    let value: f64 = text.parse().map_err(|_| NumberError::Syntax)?;
    if value.is_finite() { Ok(value) } else { Err(NumberError::Range) }
}

/// A finite number of 32 bits.
pub(crate) fn float(text: &str) -> Result<f32, NumberError> {
    check_float(text)?;
    let value: f32 = text.parse().map_err(|_| NumberError::Syntax)?;
    if value.is_finite() { Ok(value) } else { Err(NumberError::Range) }
}

/// Rust also reads `inf`, `.5` and `5.`.
fn check_float(text: &str) -> Result<(), NumberError> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text).as_bytes();
    let starts = digits.first().is_some_and(u8::is_ascii_digit);
    let ends = digits.last().is_some_and(u8::is_ascii_digit);
    let bare_point = digits.windows(2).any(|pair| matches!(pair, [b'.', b'e' | b'E']));
    if starts && ends && !bare_point { Ok(()) } else { Err(NumberError::Syntax) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_exact_however_they_are_written() {
        let cases = [
            ("0", 0),
            ("-0", 0),
            ("007", 7),
            ("9007199254740993", 9_007_199_254_740_993),
            ("18446744073709551615", i128::from(u64::MAX)),
            ("-9223372036854775808", i128::from(i64::MIN)),
            ("1e3", 1000),
            ("1.50e1", 15),
            ("517.0", 517),
            ("100e-2", 1),
            ("0e999999999", 0),
            ("+5", 5),
        ];
        for (text, value) in cases {
            assert_eq!(integer(text), Ok(value), "{text}");
        }
    }

    #[test]
    fn the_short_way_to_read_a_number_agrees_with_the_long_one() {
        let texts = ["", "-", "0", "-0", "7", "-12", "1.5", "1.", ".5", "-0.25", "1.250", "1..2", "1e3", "+5", "00.10"];
        let long = ["999999999999999999", "-999999999999999999", "1000000000000000000", "99999999999999999.9"];
        for (text, scale) in texts.iter().chain(&long).flat_map(|text| (0..4).map(move |scale| (text, scale))) {
            if let Some(value) = plain(text, scale) {
                let other = parts(text).and_then(|parts| parts.scaled(scale));
                assert_eq!(other, Ok(i128::from(value)), "{text} {scale}");
            }
        }
        assert_eq!(plain("-12", 0), Some(-12));
        assert_eq!(plain("12.5", 2), Some(1250));
        assert_eq!(plain("12.505", 2), None);
    }

    #[test]
    fn what_is_no_integer_says_why() {
        for text in ["", "-", "1.", ".5", "1e", "e1", "1 ", "0x1", "1_000", "--1", "1.2.3", "NaN", "１"] {
            assert_eq!(integer(text), Err(NumberError::Syntax), "{text}");
        }
        assert_eq!(integer("1.5"), Err(NumberError::Fraction));
        assert_eq!(integer("1e-1"), Err(NumberError::Fraction));
        assert_eq!(integer("1e999999999999"), Err(NumberError::Range));
        assert_eq!(integer(&"9".repeat(39)), Err(NumberError::Range));
        assert_eq!(integer(&"9".repeat(100_000)), Err(NumberError::Range));
    }

    #[test]
    fn floats_must_be_finite_and_plain() {
        assert_eq!(double("1e308"), Ok(1e308));
        assert_eq!(double("-2.5"), Ok(-2.5));
        assert_eq!(double("1e999"), Err(NumberError::Range));
        assert_eq!(float("1e39"), Err(NumberError::Range));
        for text in ["inf", "NaN", "infinity", "1.", ".5", "1.e5", "", "0x1p3"] {
            assert_eq!(double(text), Err(NumberError::Syntax), "{text}");
        }
    }
}
