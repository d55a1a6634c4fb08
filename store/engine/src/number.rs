//! Whole numbers behind stored values: integers, decimals as their unscaled number, durations in microseconds.

use rowkeep_record::Value;
use rowkeep_schema::Storage;

/// Longest `google.protobuf.Duration`, in microseconds.
const MAX_DURATION: i128 = 315_576_000_000 * 1_000_000;
const SIGN: u128 = 1 << 127;

/// Whether sums and orders of numbers are defined for it.
pub(crate) fn is_number(storage: Storage) -> bool {
    matches!(
        storage,
        Storage::Int32
            | Storage::Int64
            | Storage::Uint32
            | Storage::Uint64
            | Storage::Float
            | Storage::Double
            | Storage::Duration
            | Storage::Decimal { .. }
    )
}

/// The number; 0 for NULL, `None` for what is none.
pub(crate) fn from_value(value: &Value) -> Option<i128> {
    match value {
        Value::Null => Some(0),
        Value::Int(number) => Some((*number).into()),
        Value::Uint(number) => Some((*number).into()),
        Value::Blob(bytes) => {
            let bytes: [u8; 16] = bytes.as_ref().try_into().ok()?;
            Some((u128::from_be_bytes(bytes) ^ SIGN).cast_signed())
        }
        _ => None,
    }
}

/// The stored form; `None` if the number is out of the storage's range.
pub(crate) fn to_value(storage: Storage, number: i128) -> Option<Value> {
    let int = |low: i128, high: i128| {
        (low..=high).contains(&number).then(|| i64::try_from(number).ok().map(Value::Int)).flatten()
    };
    match storage {
        Storage::Int32 => int(i32::MIN.into(), i32::MAX.into()),
        Storage::Int64 => int(i64::MIN.into(), i64::MAX.into()),
        Storage::Uint32 => int(0, u32::MAX.into()),
        Storage::Uint64 => u64::try_from(number).ok().map(Value::Uint),
        Storage::Duration => int(-MAX_DURATION, MAX_DURATION),
        Storage::Decimal { precision, .. } => {
            let limit = 10_i128.checked_pow(precision.into())?;
            if number <= -limit || number >= limit {
                None
            } else if precision <= 18 {
                int(i64::MIN.into(), i64::MAX.into())
            } else {
                Some(Value::Blob((number.cast_unsigned() ^ SIGN).to_be_bytes().into()))
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_from_their_stored_form_at_the_ends_of_their_range() {
        let wide = Storage::Decimal { precision: 38, scale: 2 };
        let cases = [
            (Storage::Int32, i32::MIN.into(), i32::MAX.into()),
            (Storage::Int64, i64::MIN.into(), i64::MAX.into()),
            (Storage::Uint32, 0, u32::MAX.into()),
            (Storage::Uint64, 0, u64::MAX.into()),
            (Storage::Decimal { precision: 10, scale: 2 }, -9_999_999_999, 9_999_999_999),
            (wide, -(10_i128.pow(38) - 1), 10_i128.pow(38) - 1),
            (Storage::Duration, -MAX_DURATION, MAX_DURATION),
        ];
        for (storage, low, high) in cases {
            for number in [low, high, 0.max(low)] {
                let value = to_value(storage, number).unwrap_or_else(|| panic!("{storage:?} {number}"));
                assert_eq!(from_value(&value), Some(number), "{storage:?}");
            }
            assert_eq!(to_value(storage, low - 1), None, "{storage:?}");
            assert_eq!(to_value(storage, high + 1), None, "{storage:?}");
        }
    }

    #[test]
    fn wide_decimals_compare_as_their_bytes_do() {
        let wide = Storage::Decimal { precision: 38, scale: 0 };
        let stored = |number| to_value(wide, number).unwrap();
        let numbers = [-(10_i128.pow(37)), -1, 0, 1, 10_i128.pow(37)];
        for pair in numbers.windows(2) {
            assert!(stored(pair[0]).as_ref().compare(&stored(pair[1]).as_ref()).is_lt(), "{pair:?}");
        }
    }
}
