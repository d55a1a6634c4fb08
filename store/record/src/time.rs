//! Times, durations and dates: text to microseconds and back, in the proleptic Gregorian calendar.

use crate::fault::excerpt;

/// First second of a `google.protobuf.Timestamp`: 0001-01-01T00:00:00Z.
pub(crate) const MIN_SECONDS: i64 = -62_135_596_800;
/// Last second of a `google.protobuf.Timestamp`: 9999-12-31T23:59:59Z.
pub(crate) const MAX_SECONDS: i64 = 253_402_300_799;
/// Most seconds of a `google.protobuf.Duration`, either way: about 10,000 years.
pub(crate) const MAX_DURATION: i64 = 315_576_000_000;

pub(crate) const MICROS: i64 = 1_000_000;

/// A moment in UTC, in the parts that calendars and databases have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Civil {
    /// 1 to 9999 for a `google.protobuf.Timestamp`.
    pub year: i64,
    /// 1 to 12.
    pub month: i64,
    /// 1 to 31.
    pub day: i64,
    /// 0 to 23.
    pub hour: i64,
    /// 0 to 59.
    pub minute: i64,
    /// 0 to 59.
    pub second: i64,
    /// 0 to 999,999.
    pub micros: i64,
}

impl Civil {
    /// From a stored time: microseconds since 1970.
    pub fn from_micros(time: i64) -> Self {
        let (seconds, micros) = (time.div_euclid(MICROS), time.rem_euclid(MICROS));
        let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        let (year, month, day) = civil_from_days(days);
        Self { year, month, day, hour: second / 3_600, minute: second / 60 % 60, second: second % 60, micros }
    }

    /// The stored time. Parts out of range carry over.
    pub fn to_micros(self) -> i64 {
        let seconds = days_from_civil(self.year, self.month, self.day) * 86_400
            + self.hour * 3_600
            + self.minute * 60
            + self.second;
        seconds * MICROS + self.micros
    }
}

/// Days since 1970 of a date that exists.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Year, month and day of days since 1970.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year + i64::from(month <= 2), month, of_year - (153 * shifted + 2) / 5 + 1)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Seconds and nanoseconds of an RFC 3339 time. `relaxed`: a blank for the `T`, as databases print it.
pub(crate) fn parse_timestamp(text: &str, relaxed: bool) -> Result<(i64, i32), String> {
    let wrong = || format!("expected a time like \"2024-05-01T12:00:00Z\", found {}", excerpt(text));
    let bytes = text.as_bytes();
    let digits = |range: std::ops::Range<usize>| -> Option<i64> {
        let digits = bytes.get(range)?;
        digits.iter().all(u8::is_ascii_digit).then(|| digits.iter().fold(0, |v, d| v * 10 + i64::from(d - b'0')))
    };
    let is = |at: usize, byte: u8| bytes.get(at) == Some(&byte);
    let separated = is(4, b'-') && is(7, b'-') && is(13, b':') && is(16, b':');
    if !separated || !(is(10, b'T') || relaxed && is(10, b' ')) {
        return Err(wrong());
    }
    let parts = (digits(0..4), digits(5..7), digits(8..10), digits(11..13), digits(14..16), digits(17..19));
    let (Some(year), Some(month), Some(day), Some(hour), Some(minute), Some(second)) = parts else {
        return Err(wrong());
    };
    if !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) || hour > 23 || minute > 59 || second > 59 {
        return Err(wrong());
    }
    let (nanos, zone) = parse_fraction(&text[19..]).ok_or_else(wrong)?;
    let offset = parse_zone(zone).ok_or_else(wrong)?;
    let seconds = days_from_civil(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second - offset;
    if (MIN_SECONDS..=MAX_SECONDS).contains(&seconds) {
        Ok((seconds, nanos))
    } else {
        Err("a time must lie between the years 1 and 9999".to_owned())
    }
}

/// Nanoseconds of `.123` in front of something else. The text is ASCII up to there.
fn parse_fraction(text: &str) -> Option<(i32, &str)> {
    let Some(rest) = text.strip_prefix('.') else { return Some((0, text)) };
    let count = rest.bytes().take_while(u8::is_ascii_digit).count();
    if !(1..=9).contains(&count) {
        return None;
    }
    let padded = rest.bytes().take(count).chain(std::iter::repeat_n(b'0', 9 - count));
    let nanos = padded.fold(0, |value, digit| value * 10 + i32::from(digit - b'0'));
    Some((nanos, &rest[count..]))
}

/// Seconds east of Greenwich.
fn parse_zone(text: &str) -> Option<i64> {
    match text.as_bytes() {
        b"Z" => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let digit = |byte: &u8| byte.is_ascii_digit().then(|| i64::from(byte - b'0'));
            let (hours, minutes) = (digit(h1)? * 10 + digit(h2)?, digit(m1)? * 10 + digit(m2)?);
            let seconds = (hours < 24 && minutes < 60).then_some(hours * 3_600 + minutes * 60)?;
            Some(if *sign == b'-' { -seconds } else { seconds })
        }
        _ => None,
    }
}

/// Whether seconds and nanoseconds are a `google.protobuf.Timestamp`.
pub(crate) fn check_timestamp(seconds: i64, nanos: i32) -> Result<(), String> {
    if !(MIN_SECONDS..=MAX_SECONDS).contains(&seconds) {
        return Err("a time must lie between the years 1 and 9999".to_owned());
    }
    if !(0..1_000_000_000).contains(&nanos) {
        return Err("the nanoseconds of a time must be 0 to 999999999".to_owned());
    }
    Ok(())
}

/// Whether seconds and nanoseconds are a `google.protobuf.Duration`.
pub(crate) fn check_duration(seconds: i64, nanos: i32) -> Result<(), String> {
    let signs_agree = seconds == 0 || nanos == 0 || (seconds < 0) == (nanos < 0);
    if nanos.unsigned_abs() > 999_999_999 || !signs_agree {
        return Err("the nanoseconds of a duration must be below a second and of the sign of the seconds".to_owned());
    }
    if seconds.unsigned_abs() > MAX_DURATION.unsigned_abs() || seconds.abs() == MAX_DURATION && nanos != 0 {
        return Err("a duration must be at most 315576000000s".to_owned());
    }
    Ok(())
}

/// Appends `2024-05-01T12:00:00.123456Z`, with 0, 3, 6 or 9 digits of a second.
pub(crate) fn write_timestamp(out: &mut Vec<u8>, seconds: i64, nanos: i32) {
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil_from_days(days);
    let mut text = *b"0000-00-00T00:00:00";
    put_digits(&mut text[0..4], year);
    put_digits(&mut text[5..7], month);
    put_digits(&mut text[8..10], day);
    put_digits(&mut text[11..13], second / 3_600);
    put_digits(&mut text[14..16], second / 60 % 60);
    put_digits(&mut text[17..19], second % 60);
    out.extend_from_slice(&text);
    write_fraction(out, nanos);
    out.push(b'Z');
}

fn put_digits(text: &mut [u8], mut value: i64) {
    for digit in text.iter_mut().rev() {
        *digit = b'0' + (value % 10).to_le_bytes()[0];
        value /= 10;
    }
}

fn write_fraction(out: &mut Vec<u8>, nanos: i32) {
    if nanos == 0 {
        return;
    }
    let mut digits = *b".000000000";
    put_digits(&mut digits[1..], i64::from(nanos.unsigned_abs()));
    let length = if nanos % 1_000_000 == 0 {
        4
    } else if nanos % 1_000 == 0 {
        7
    } else {
        10
    };
    out.extend_from_slice(&digits[..length]);
}

/// Seconds and nanoseconds (of one sign) of `1.5s`.
pub(crate) fn parse_duration(text: &str) -> Result<(i64, i32), String> {
    let wrong = || format!("expected a duration like \"1.5s\", found {}", excerpt(text));
    let number = text.strip_suffix('s').ok_or_else(wrong)?;
    let (negative, number) = number.strip_prefix('-').map_or((false, number), |rest| (true, rest));
    let count = number.bytes().take_while(u8::is_ascii_digit).count();
    let (nanos, rest) = parse_fraction(&number[count..]).ok_or_else(wrong)?;
    if count == 0 || !rest.is_empty() {
        return Err(wrong());
    }
    let too_long = || "a duration must be at most 315576000000s".to_owned();
    let seconds: i64 = number[..count].parse().map_err(|_| too_long())?;
    if seconds > MAX_DURATION || seconds == MAX_DURATION && nanos > 0 {
        return Err(too_long());
    }
    Ok(if negative { (-seconds, -nanos) } else { (seconds, nanos) })
}

/// Appends `-1.500s`.
pub(crate) fn write_duration(out: &mut Vec<u8>, seconds: i64, nanos: i32) {
    if seconds < 0 || nanos < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(itoa::Buffer::new().format(seconds.unsigned_abs()).as_bytes());
    write_fraction(out, nanos);
    out.push(b's');
}

/// Whether the parts make a `google.type.Date`: a day, a month of a year, a year, or a day of any year.
pub(crate) fn check_date(year: i64, month: i64, day: i64) -> Result<i64, String> {
    let ranges = (0..=9999).contains(&year) && (0..=12).contains(&month) && day >= 0;
    // Without a year the 29th of February may exist.
    let last = days_in(if year == 0 { 4 } else { year }, month);
    if ranges && (day == 0 || month > 0 && day <= last) {
        Ok(year * 10_000 + month * 100 + day)
    } else {
        Err(format!("{year}-{month}-{day} is not a date"))
    }
}

/// The stored form of `2024-05-01`; parts may be 0.
pub(crate) fn parse_date(text: &str) -> Result<i64, String> {
    let wrong = || format!("expected a date like \"2024-05-01\", found {}", excerpt(text));
    let bytes = text.as_bytes();
    let shape = bytes.len() == 10 && bytes[4] == b'-' && bytes[7] == b'-';
    if !shape || !text.split('-').all(|part| part.bytes().all(|byte| byte.is_ascii_digit())) {
        return Err(wrong());
    }
    let part = |range: std::ops::Range<usize>| text[range].parse::<i64>().map_err(|_| wrong());
    check_date(part(0..4)?, part(5..7)?, part(8..10)?)
}

/// Appends a stored date as `2024-05-01`.
pub(crate) fn write_date(out: &mut Vec<u8>, date: i64) {
    let mut text = *b"0000-00-00";
    put_digits(&mut text[0..4], date / 10_000);
    put_digits(&mut text[5..7], date / 100 % 100);
    put_digits(&mut text[8..10], date % 100);
    out.extend_from_slice(&text);
}

/// Seconds and nanoseconds of a stored time.
pub(crate) fn split_micros(micros: i64) -> (i64, i32) {
    let nanos = micros.rem_euclid(MICROS) * 1_000;
    (micros.div_euclid(MICROS), i32::try_from(nanos).unwrap_or(0))
}

/// Seconds and nanoseconds, of one sign, of a stored duration.
pub(crate) fn split_duration(micros: i64) -> (i64, i32) {
    (micros / MICROS, i32::try_from(micros % MICROS * 1_000).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(seconds: i64, nanos: i32) -> String {
        let mut out = Vec::new();
        write_timestamp(&mut out, seconds, nanos);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn times_are_what_another_calendar_says() {
        for seconds in [0, -1, 951_782_400, 1_732_334_400, 4_107_542_400, -2_208_988_800, MIN_SECONDS, 253_402_207_200]
        {
            let theirs = jiff::Timestamp::from_second(seconds).unwrap().to_string();
            assert_eq!(shown(seconds, 0), theirs);
            assert_eq!(parse_timestamp(&theirs, false), Ok((seconds, 0)));
        }
    }

    #[test]
    fn parts_of_a_moment_come_back_to_it() {
        for seconds in [0, -1, 951_782_400, MIN_SECONDS, MAX_SECONDS] {
            let time = seconds * MICROS + 7;
            let civil = Civil::from_micros(time);
            assert_eq!(civil.to_micros(), time, "{civil:?}");
        }
        let last = Civil { year: 9999, month: 12, day: 31, hour: 23, minute: 59, second: 59, micros: 0 };
        assert_eq!(last.to_micros(), MAX_SECONDS * MICROS);
    }

    #[test]
    fn zones_and_fractions_are_read_and_fractions_come_in_threes() {
        assert_eq!(parse_timestamp("1970-01-01T01:30:00.5+01:30", false), Ok((0, 500_000_000)));
        assert_eq!(parse_timestamp("1969-12-31T23:59:59.000000001-00:00", false), Ok((-1, 1)));
        assert_eq!(parse_timestamp("1970-01-01 00:00:00Z", true), Ok((0, 0)));
        assert_eq!(shown(0, 120_000_000), "1970-01-01T00:00:00.120Z");
        assert_eq!(shown(0, 1_000), "1970-01-01T00:00:00.000001Z");
        assert_eq!(shown(0, 1), "1970-01-01T00:00:00.000000001Z");
    }

    #[test]
    fn times_that_do_not_exist_are_refused() {
        for text in [
            "",
            "2024",
            "2023-02-29T00:00:00Z",
            "2024-13-01T00:00:00Z",
            "2024-01-01T24:00:00Z",
            "2024-01-01T00:00:60Z",
            "2024-01-01T00:00:00",
            "2024-01-01t00:00:00Z",
            "2024-01-01T00:00:00z",
            "2024-01-01 00:00:00Z",
            "2024-01-01T00:00:00.Z",
            "2024-01-01T00:00:00.1234567890Z",
            "2024-01-01T00:00:00+25:00",
            "0000-01-01T00:00:00Z",
            "0001-01-01T00:00:00+01:00",
            "2024-01-01T00:00:00Zé",
            "２024-01-01T00:00:00Z",
        ] {
            assert!(parse_timestamp(text, false).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_come_back() {
        for (text, parts) in [
            ("0s", (0, 0)),
            ("1.500s", (1, 500_000_000)),
            ("-0.001s", (0, -1_000_000)),
            ("-3s", (-3, 0)),
            ("315576000000s", (MAX_DURATION, 0)),
            ("0.000000001s", (0, 1)),
        ] {
            assert_eq!(parse_duration(text), Ok(parts));
            let mut out = Vec::new();
            write_duration(&mut out, parts.0, parts.1);
            assert_eq!(out, text.as_bytes());
        }
        for text in [
            "",
            "s",
            "1",
            "1m",
            ".5s",
            "1.s",
            "+1s",
            "1.0000000001s",
            "315576000000.1s",
            "99999999999999999999s",
            "1 s",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn dates_may_lack_parts_but_must_exist() {
        for text in ["2024-02-29", "2024-02-00", "2024-00-00", "0000-02-29", "0000-00-00"] {
            let mut out = Vec::new();
            write_date(&mut out, parse_date(text).unwrap());
            assert_eq!(out, text.as_bytes());
        }
        for text in ["", "2023-02-29", "2024-00-01", "2024-13-00", "2024-1-1", "20240101", "2024-01-32", "é024-01-1"] {
            assert!(parse_date(text).is_err(), "{text}");
        }
    }

    #[test]
    fn stored_times_before_1970_split_downwards() {
        assert_eq!(split_micros(-1), (-1, 999_999_000));
        assert_eq!(split_duration(-1), (0, -1_000));
    }
}
