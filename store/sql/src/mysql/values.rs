//! Stored values as parameters and columns of the protocol; `ddl::mysql` has the types.

use kit_core::Error;
use rowkeep_mysql::{DateTime, Param, Raw};
use rowkeep_record::{Civil, Value, ValueRef, decimal_from_unscaled, decimal_unscaled};
use rowkeep_schema::Storage;

/// A value as a parameter.
pub(super) fn param(value: ValueRef<'_>, storage: Storage) -> Param<'_> {
    match (value, storage) {
        (ValueRef::Null, _) => Param::Null,
        (ValueRef::Int(time), Storage::Timestamp) => Param::DateTime(date_time(time)),
        (ValueRef::Int(date), Storage::Date) => Param::Date(date_of(date)),
        (ValueRef::Int(_) | ValueRef::Blob(_), Storage::Decimal { scale, .. }) => {
            Param::Decimal(decimal_unscaled(value).unwrap_or_default(), scale)
        }
        (ValueRef::Int(number), _) => Param::Int(number),
        (ValueRef::Uint(number), _) => Param::Uint(number),
        (ValueRef::Real(number), _) => Param::Double(number),
        (ValueRef::Text(text), _) => Param::Text(text),
        (ValueRef::Blob(bytes), _) => Param::Bytes(bytes),
    }
}

/// The end of the years that can be stored.
const LAST: DateTime = DateTime { year: 9999, month: 12, day: 31, hour: 23, minute: 59, second: 59, micros: 999_999 };

/// A time outside of the years that can be stored is compared with stored ones, and lies before or behind all of them.
fn date_time(time: i64) -> DateTime {
    let civil = Civil::from_micros(time);
    match civil.year {
        ..1 => DateTime::default(),
        10_000.. => LAST,
        _ => parts(&civil),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "parts of a time between the years 1 and 9999"
)]
fn parts(civil: &Civil) -> DateTime {
    DateTime {
        year: civil.year as u16,
        month: civil.month as u8,
        day: civil.day as u8,
        hour: civil.hour as u8,
        minute: civil.minute as u8,
        second: civil.second as u8,
        micros: civil.micros as u32,
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "parts of a checked date")]
fn date_of(date: i64) -> DateTime {
    DateTime {
        year: (date / 10_000) as u16,
        month: (date / 100 % 100) as u8,
        day: (date % 100) as u8,
        ..DateTime::default()
    }
}

/// Hands a column's value to `take`. What has another form on the wire is converted on the way.
#[inline]
pub(super) fn read<T>(
    raw: Raw<'_>,
    storage: Storage,
    take: impl FnOnce(ValueRef<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    match (raw, storage) {
        (Raw::Null, _) => take(ValueRef::Null),
        (Raw::Bytes(digits), Storage::Decimal { precision, scale }) => {
            let value = decimal(digits, precision, scale).ok_or_else(|| unexpected(raw, storage))?;
            take(value.as_ref())
        }
        (Raw::Bytes(bytes), Storage::Blob) => take(ValueRef::Blob(bytes)),
        (Raw::Bytes(bytes), Storage::Text | Storage::Json) => {
            take(ValueRef::Text(std::str::from_utf8(bytes).map_err(Error::internal)?))
        }
        // `BIT`.
        (Raw::Bytes(bits), Storage::Bool | Storage::Uint64) => take(bit_value(bits, storage)),
        // `0000-00-00`: no moment in time.
        (Raw::DateTime(DateTime { month: 0, .. } | DateTime { day: 0, .. }), Storage::Timestamp) => {
            take(ValueRef::Null)
        }
        (Raw::DateTime(time), Storage::Timestamp) => take(ValueRef::Int(micros(time))),
        (Raw::DateTime(date), Storage::Text) => take(ValueRef::Text(&date_text(date))),
        (Raw::Time(time), Storage::Text) => take(ValueRef::Text(&time_text(time))),
        (Raw::DateTime(date), Storage::Date) => {
            take(ValueRef::Int(i64::from(date.year) * 10_000 + i64::from(date.month) * 100 + i64::from(date.day)))
        }
        (Raw::Float(number), Storage::Float | Storage::Double) => take(ValueRef::Real(number.into())),
        (Raw::Double(number), Storage::Float | Storage::Double) => take(ValueRef::Real(number)),
        (Raw::Int(number), Storage::Bool) => take(ValueRef::Int((number != 0).into())),
        (Raw::Uint(number), Storage::Bool) => take(ValueRef::Int((number != 0).into())),
        (Raw::Int(number), Storage::Uint64) => take(ValueRef::Uint(u64::try_from(number).map_err(Error::internal)?)),
        (Raw::Uint(number), Storage::Uint64) => take(ValueRef::Uint(number)),
        (Raw::Int(number), _) => take(ValueRef::Int(number)),
        (Raw::Uint(number), _) => take(ValueRef::Int(i64::try_from(number).map_err(Error::internal)?)),
        _ => Err(unexpected(raw, storage)),
    }
}

/// The same, as an owned value.
pub(super) fn read_owned(raw: Raw<'_>, storage: Storage) -> Result<Value, Error> {
    read(raw, storage, |value| Ok(value.to_value()))
}

/// A number that a statement answers.
pub(super) fn number(raw: Raw<'_>) -> Result<Option<i64>, Error> {
    match raw {
        Raw::Null => Ok(None),
        Raw::Int(number) => Ok(Some(number)),
        Raw::Uint(number) => i64::try_from(number).map(Some).map_err(Error::internal),
        _ => Err(unexpected(raw, Storage::Int64)),
    }
}

fn micros(time: DateTime) -> i64 {
    let DateTime { year, month, day, hour, minute, second, micros } = time;
    Civil {
        year: year.into(),
        month: month.into(),
        day: day.into(),
        hour: hour.into(),
        minute: minute.into(),
        second: second.into(),
        micros: micros.into(),
    }
    .to_micros()
}

/// Bits, the highest first.
fn bit_value(bits: &[u8], storage: Storage) -> ValueRef<'static> {
    let number = bits.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    match storage {
        Storage::Bool => ValueRef::Int((number != 0).into()),
        _ => ValueRef::Uint(number),
    }
}

/// A `DATE` where a text is wanted, as in a key.
fn date_text(date: DateTime) -> String {
    format!("{:04}-{:02}-{:02}", date.year, date.month, date.day)
}

/// A `TIME`, which is negative or longer than a day at times: `-838:59:59.5`.
fn time_text(time: i64) -> String {
    let (sign, micros) = (if time < 0 { "-" } else { "" }, time.unsigned_abs());
    let seconds = micros / 1_000_000;
    let mut text = format!("{sign}{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    if micros % 1_000_000 > 0 {
        text.push_str(&format!(".{:06}", micros % 1_000_000));
        text.truncate(text.trim_end_matches('0').len());
    }
    text
}

/// The stored form of a decimal that is written out with all digits of its scale.
fn decimal(digits: &[u8], precision: u8, scale: u8) -> Option<Value> {
    let (negative, digits) = match digits {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, digits),
    };
    let mut unscaled: i128 = 0;
    let mut behind: Option<u8> = None;
    for byte in digits {
        match byte {
            b'.' => behind = Some(0),
            b'0'..=b'9' => {
                unscaled = unscaled.checked_mul(10)?.checked_add(i128::from(byte - b'0'))?;
                behind = behind.map(|count| count + 1);
            }
            _ => return None,
        }
    }
    let missing = scale.checked_sub(behind.unwrap_or(0))?;
    unscaled = unscaled.checked_mul(10_i128.pow(missing.into()))?;
    decimal_from_unscaled(if negative { -unscaled } else { unscaled }, precision, scale).ok()
}

fn unexpected(raw: Raw<'_>, storage: Storage) -> Error {
    Error::internal(format!("a column holds {raw:?} where {storage:?} was expected"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_the_server_writes_them() {
        assert_eq!(time_text(0), "00:00:00");
        assert_eq!(time_text(-(838 * 3600 + 59 * 60 + 59) * 1_000_000), "-838:59:59");
        assert_eq!(time_text(90_500_000), "00:01:30.5");
    }

    #[test]
    fn what_has_no_other_form_is_read_as_a_number_or_a_text() {
        let of = |raw, storage| read_owned(raw, storage).unwrap();
        assert_eq!(of(Raw::Bytes(&[1, 0]), Storage::Uint64), Value::Uint(256));
        assert_eq!(of(Raw::Bytes(&[1]), Storage::Bool), Value::Int(1));
        assert_eq!(of(Raw::Int(-3), Storage::Bool), Value::Int(1));
        let day = DateTime { year: 2024, month: 2, day: 1, ..DateTime::default() };
        assert_eq!(of(Raw::DateTime(day), Storage::Text), Value::Text("2024-02-01".into()));
        assert_eq!(of(Raw::DateTime(DateTime::default()), Storage::Timestamp), Value::Null);
    }

    #[test]
    fn times_that_cannot_be_stored_lie_around_those_that_can() {
        let first = date_time(-62_135_596_800_000_000);
        assert_eq!((first.year, first.month, first.day, first.micros), (1, 1, 1, 0));
        assert_eq!(date_time(253_402_300_799_999_999), LAST);
        assert_eq!(date_time(i64::MAX), LAST);
        assert_eq!(date_time(i64::MIN), DateTime::default());
    }

    #[test]
    fn decimals_are_read_exactly() {
        assert_eq!(decimal(b"-12.50", 6, 2), Some(Value::Int(-1250)));
        assert_eq!(decimal(b"7", 6, 2), Some(Value::Int(700)));
        assert_eq!(decimal(b"1.234", 6, 2), None);
        let long = decimal(b"99999999999999999999999999999999999999", 38, 0).unwrap();
        assert_eq!(decimal_unscaled(long.as_ref()), Some(10_i128.pow(38) - 1));
    }
}
