//! Dates and times, in the forms of today and those of old.

use rowkeep_mysql::DateTime;

use crate::{
    Error,
    bytes::{Bytes, big_endian},
};

/// A moment, as `TIMESTAMP` has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    /// Seconds since 1970. 0 is MySQL's zero date.
    pub seconds: u32,
    /// 0 to 999,999.
    pub micros: u32,
}

impl Timestamp {
    /// Its parts in UTC; all 0 for the zero date.
    pub fn utc(self) -> DateTime {
        if self.seconds == 0 && self.micros == 0 {
            return DateTime::default();
        }
        let (days, second) = (self.seconds / 86_400, self.seconds % 86_400);
        let (year, month, day) = civil(days);
        DateTime {
            year,
            month,
            day,
            hour: (second / 3600) as u8,
            minute: (second / 60 % 60) as u8,
            second: (second % 60) as u8,
            micros: self.micros,
        }
    }
}

/// Year, month and day of a day since 1970. Years are taken to begin in March, so that leap days are at their end.
fn civil(days: u32) -> (u16, u8, u8) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_era + era * 400 + u32::from(month <= 2);
    (year as u16, month as u8, day as u8)
}

/// Fractional seconds of `digits`, as microseconds.
fn fraction(bytes: &mut Bytes<'_>, digits: u8) -> Result<u32, Error> {
    let value = big_endian(bytes.take(digits.div_ceil(2).into())?) as u32;
    Ok(match digits {
        0 => 0,
        1 | 2 => value * 10_000,
        3 | 4 => value.wrapping_mul(100),
        _ => value,
    })
}

pub(crate) fn date(value: u64) -> DateTime {
    DateTime {
        year: (value >> 9) as u16,
        month: (value >> 5 & 15) as u8,
        day: (value & 31) as u8,
        ..DateTime::default()
    }
}

#[inline]
pub(crate) fn date_time(bytes: &mut Bytes<'_>, digits: u8) -> Result<DateTime, Error> {
    let value = big_endian(&bytes.array::<5>()?) & 0x7f_ffff_ffff;
    let micros = fraction(bytes, digits)?;
    Ok(unpack(value, micros))
}

/// Year and month (as one number), day, hour, minute, second.
fn unpack(value: u64, micros: u32) -> DateTime {
    let (day, second) = (value >> 17, value & 0x1_ffff);
    let month = day >> 5;
    DateTime {
        year: (month / 13) as u16,
        month: (month % 13) as u8,
        day: (day & 31) as u8,
        hour: (second >> 12) as u8,
        minute: (second >> 6 & 63) as u8,
        second: (second & 63) as u8,
        micros,
    }
}

/// A date and a time as JSON has it: whole parts above 24 bits of microseconds.
pub(crate) fn packed_date_time(value: u64) -> DateTime {
    unpack(value >> 24 & 0x7f_ffff_ffff, (value & 0xff_ffff) as u32)
}

/// The same of a time: microseconds.
pub(crate) fn packed_time(value: i64) -> i64 {
    let positive = value.unsigned_abs();
    let (hms, micros) = (positive >> 24, positive & 0xff_ffff);
    let seconds = (hms >> 12 & 0x3ff) * 3600 + (hms >> 6 & 63) * 60 + (hms & 63);
    let micros = (seconds * 1_000_000 + micros) as i64;
    if value < 0 { -micros } else { micros }
}

pub(crate) fn timestamp(bytes: &mut Bytes<'_>, digits: u8) -> Result<Timestamp, Error> {
    let seconds = u32::from_be_bytes(bytes.array()?);
    Ok(Timestamp { seconds, micros: fraction(bytes, digits)? })
}

/// Three bytes around the middle, then a fraction. Below 0 the whole number is the complement, fraction included.
pub(crate) fn time(bytes: &mut Bytes<'_>, digits: u8) -> Result<i64, Error> {
    let size = usize::from(digits.div_ceil(2));
    let value = big_endian(bytes.take(3 + size)?) as i64 - (0x80_0000 << (8 * size));
    let positive = value.unsigned_abs();
    let (hms, part) = (positive >> (8 * size), positive & ((1 << (8 * size)) - 1));
    let seconds = (hms >> 12 & 0x3ff) * 3600 + (hms >> 6 & 63) * 60 + (hms & 63);
    let micros = part
        * match size {
            1 => 10_000,
            2 => 100,
            _ => 1,
        };
    let micros = (seconds * 1_000_000 + micros) as i64;
    Ok(if value < 0 { -micros } else { micros })
}

const OLD: Error = Error::Unsupported(
    "a TIME, DATETIME or TIMESTAMP with fractional seconds in MariaDB's old form, which the log does not describe; \
     with mysql56_temporal_format=ON, ALTER TABLE ... FORCE stores it in the new one",
);

/// The decimal digits are the parts.
pub(crate) fn old_date_time(value: u64) -> Result<DateTime, Error> {
    let (date, time) = (value / 1_000_000, value % 1_000_000);
    let parts = DateTime {
        year: u16::try_from(date / 10_000).map_err(|_| OLD)?,
        month: (date / 100 % 100) as u8,
        day: (date % 100) as u8,
        hour: (time / 10_000) as u8,
        minute: (time / 100 % 100) as u8,
        second: (time % 100) as u8,
        micros: 0,
    };
    let is_one = parts.year <= 9999
        && parts.month <= 12
        && parts.day <= 31
        && parts.hour <= 23
        && parts.minute <= 59
        && parts.second <= 59;
    if is_one { Ok(parts) } else { Err(OLD) }
}

/// The same with a sign in its 24 bits.
pub(crate) fn old_time(value: u64) -> Result<i64, Error> {
    let value = if value >= 0x80_0000 { value as i64 - 0x100_0000 } else { value as i64 };
    let (hours, minutes, seconds) = (value.abs() / 10_000, value.abs() / 100 % 100, value.abs() % 100);
    if hours > 838 || minutes > 59 || seconds > 59 {
        return Err(OLD);
    }
    Ok(((hours * 60 + minutes) * 60 + seconds) * 1_000_000 * value.signum())
}

pub(crate) fn old_timestamp(seconds: u32) -> Timestamp {
    Timestamp { seconds, micros: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_their_dates() {
        for (seconds, expected) in [
            (1, (1970, 1, 1)),
            (951_782_400, (2000, 2, 29)),
            (4_107_542_399, (2100, 2, 28)),
            (4_107_542_400, (2100, 3, 1)),
            (u32::MAX, (2106, 2, 7)),
        ] {
            let parts = Timestamp { seconds, micros: 0 }.utc();
            assert_eq!((parts.year, parts.month, parts.day), expected);
        }
        assert_eq!(Timestamp::default().utc(), DateTime::default());
        assert_eq!(Timestamp { seconds: 0, micros: 1 }.utc().year, 1970);
    }

    #[test]
    fn times_of_old_have_their_parts_in_decimal_digits() {
        assert_eq!(old_time(0x100_0000 - 8_385_959).unwrap(), -((838 * 3600 + 59 * 60 + 59) * 1_000_000));
        assert_eq!(old_time(101).unwrap(), 61_000_000);
        assert!(old_time(99).is_err());
        assert_eq!(old_date_time(20_240_229_235_958).unwrap().second, 58);
        assert!(old_date_time(u64::MAX).is_err() && old_date_time(20_241_329_000_000).is_err());
    }
}
