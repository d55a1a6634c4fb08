//! Exact decimals: nine digits in four bytes, the odd ones in fewer, the sign in the first bit; negative ones are inverted.

use std::fmt;

use crate::bytes::big_endian;

/// Bytes for the digits that fill no group of nine.
const BYTES: [u8; 10] = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4];
/// Groups of digits before and behind the point, of the longest decimal with both odd ends.
const GROUPS: usize = 10;

/// Bytes of a value.
pub(crate) const fn size(precision: u8, scale: u8) -> u8 {
    let whole = precision.saturating_sub(scale);
    whole / 9 * 4 + BYTES[(whole % 9) as usize] + scale / 9 * 4 + BYTES[(scale % 9) as usize]
}

/// A `DECIMAL`. Shown as the server shows it, all digits of the scale included.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Decimal<'a> {
    bytes: &'a [u8],
    precision: u8,
    scale: u8,
}

impl<'a> Decimal<'a> {
    /// `bytes`: as many as [`size`] says.
    pub(crate) fn new(bytes: &'a [u8], precision: u8, scale: u8) -> Self {
        Self { bytes, precision, scale }
    }

    /// Digits behind the point.
    pub fn scale(&self) -> u8 {
        self.scale
    }

    /// The number without its point, if it has at most 38 digits.
    pub fn unscaled(&self) -> Option<i128> {
        let mut value = 0_i128;
        for (group, digits) in self.groups() {
            value = value.checked_mul(10_i128.pow(digits.into()))?.checked_add(group.into())?;
        }
        Some(if self.is_negative() { -value } else { value })
    }

    fn is_negative(&self) -> bool {
        self.bytes.first().is_some_and(|byte| byte & 0x80 == 0)
    }

    /// Appends it as text.
    pub fn write(&self, text: &mut Vec<u8>) {
        let start = text.len();
        let (mut whole, mut begun) = (i32::from(self.precision) - i32::from(self.scale), false);
        let mut zero = true;
        text.push(b'-');
        for (group, digits) in self.groups() {
            if whole <= 0 && !begun {
                // All before the point was zero.
                text.push(b'0');
                begun = true;
            }
            if whole == 0 {
                text.push(b'.');
            }
            whole -= i32::from(digits);
            zero &= group == 0;
            let mut room = [b'0'; 9];
            let mut rest = group;
            for digit in room[..digits.into()].iter_mut().rev() {
                *digit = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
            let all = &room[..digits.into()];
            let from = if begun { 0 } else { all.iter().position(|digit| *digit != b'0').unwrap_or(all.len()) };
            begun |= from < all.len();
            text.extend_from_slice(&all[from..]);
        }
        if !begun {
            text.push(b'0');
        }
        if zero || !self.is_negative() {
            text.remove(start);
        }
    }

    /// Groups with their numbers of digits, those before the point first.
    fn groups(&self) -> impl Iterator<Item = (u32, u8)> {
        let (whole, scale) = (self.precision.saturating_sub(self.scale), self.scale);
        let odd = |digits: u8| Some(digits).filter(|digits| *digits > 0);
        let lengths = odd(whole % 9)
            .into_iter()
            .chain(std::iter::repeat_n(9, usize::from(whole / 9)))
            .chain(std::iter::repeat_n(9, usize::from(scale / 9)))
            .chain(odd(scale % 9))
            .take(GROUPS);
        let mask = if self.is_negative() { u64::MAX } else { 0 };
        let (bytes, mut at) = (self.bytes, 0);
        lengths.map(move |digits| {
            let size = BYTES[usize::from(digits)];
            let part = bytes.get(at..at + usize::from(size)).unwrap_or_default();
            let mut value = big_endian(part) ^ mask;
            if at == 0 {
                // The sign: set for what is not negative, and inverted with the rest otherwise.
                value ^= 0x80 << (8 * (u32::from(size).saturating_sub(1)));
            }
            at += usize::from(size);
            ((value & ((1_u64 << (8 * u32::from(size))) - 1)) as u32, digits)
        })
    }
}

impl fmt::Display for Decimal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::with_capacity(72);
        self.write(&mut text);
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for Decimal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_shown_with_all_their_digits() {
        // From MySQL's manual: 1234567890.1234 as DECIMAL(14,4), and its negative.
        let positive = [0x81, 0x0d, 0xfb, 0x38, 0xd2, 0x04, 0xd2];
        let negative = positive.map(|byte: u8| !byte);
        let shown = |bytes: &[u8]| Decimal::new(bytes, 14, 4).to_string();
        assert_eq!((shown(&positive), shown(&negative)), ("1234567890.1234".to_owned(), "-1234567890.1234".to_owned()));
        assert_eq!(Decimal::new(&negative, 14, 4).unscaled(), Some(-12_345_678_901_234));
    }

    #[test]
    fn zeroes_have_one_digit_before_the_point_and_no_sign() {
        assert_eq!(Decimal::new(&[0x80, 0, 0], 4, 2).to_string(), "0.00");
        assert_eq!(Decimal::new(&[0x80], 2, 2).to_string(), "0.00");
        assert_eq!(Decimal::new(&[0x80], 2, 0).to_string(), "0");
        assert_eq!(Decimal::new(&[0x7f - 5], 2, 2).to_string(), "-0.05");
        // Digits that are none do not panic.
        for byte in [0, 0x7f, 0xff] {
            assert!(!Decimal::new(&[byte; 30], 65, 30).to_string().is_empty());
            let _ = Decimal::new(&[byte; 30], 65, 30).unscaled();
        }
    }
}
