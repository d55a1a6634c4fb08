//! Ids the engine makes: snowflakes (41 bits of milliseconds, 10 of the instance, 12 of a sequence) and UUIDs version 7.
//!
//! Both are in order of time within one instance, whatever its clock does: the time part never runs backwards. When
//! more than 4,096 ids are asked for within a millisecond, the next millisecond is used early.

use std::sync::atomic::AtomicU64;

use crate::clock::advance;

/// 2024-01-01T00:00:00Z: snowflakes last until 2093.
pub const SNOWFLAKE_EPOCH_MILLIS: u64 = 1_704_067_200_000;

const SEQUENCE_BITS: u32 = 12;
const INSTANCE_BITS: u32 = 10;
/// Highest instance number.
pub const MAX_INSTANCE: u16 = (1 << INSTANCE_BITS) - 1;

/// Makes ids.
#[derive(Debug)]
pub(crate) struct Ids {
    instance: u64,
    /// Milliseconds and sequence of the last snowflake.
    snowflake: AtomicU64,
    /// Milliseconds and counter of the last UUID.
    uuid: AtomicU64,
}

impl Ids {
    /// Ids of an instance, none of them from before `floor_millis`.
    pub(crate) fn new(instance: u16, floor_millis: u64) -> Self {
        let snowflake_floor = floor_millis.saturating_sub(SNOWFLAKE_EPOCH_MILLIS) << SEQUENCE_BITS;
        Self {
            instance: u64::from(instance & MAX_INSTANCE),
            snowflake: AtomicU64::new(snowflake_floor),
            uuid: AtomicU64::new(floor_millis << SEQUENCE_BITS),
        }
    }

    /// The next snowflake; always positive.
    pub(crate) fn snowflake(&self, now_micros: i64) -> i64 {
        let millis = millis(now_micros).saturating_sub(SNOWFLAKE_EPOCH_MILLIS);
        let ticks = advance(&self.snowflake, millis << SEQUENCE_BITS);
        let sequence = ticks & ((1 << SEQUENCE_BITS) - 1);
        let time = (ticks >> SEQUENCE_BITS) & ((1 << 41) - 1);
        (time << (INSTANCE_BITS + SEQUENCE_BITS) | self.instance << SEQUENCE_BITS | sequence).cast_signed()
    }

    /// The next UUID version 7 (RFC 9562, method 1: the 12 bits behind the time count).
    pub(crate) fn uuid_v7(&self, now_micros: i64) -> [u8; 16] {
        let ticks = advance(&self.uuid, millis(now_micros) << SEQUENCE_BITS);
        let (time, counter) = (ticks >> SEQUENCE_BITS, ticks & 0xfff);
        let high = time << 16 | 0x7000 | counter;
        let low = rand::random::<u64>() & (u64::MAX >> 2) | 1 << 63;
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&high.to_be_bytes());
        bytes[8..].copy_from_slice(&low.to_be_bytes());
        bytes
    }
}

fn millis(micros: i64) -> u64 {
    u64::try_from(micros / 1000).unwrap_or(0)
}

/// A UUID in its 36 characters.
pub(crate) fn uuid_text(bytes: &[u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.extend([byte >> 4, byte & 15].map(|digit| char::from_digit(digit.into(), 16).unwrap_or('0')));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_000_000_000_000;

    #[test]
    fn snowflakes_increase_also_within_a_millisecond_and_when_the_clock_is_set_back() {
        let ids = Ids::new(5, 0);
        let mut last = 0;
        for step in 0..10_000 {
            let id = ids.snowflake(NOW - step);
            assert!(id > last, "{id} after {last}");
            assert_eq!(id >> 12 & 0x3ff, 5);
            last = id;
        }
    }

    #[test]
    fn uuids_are_version_7_and_in_order_of_their_making() {
        let ids = Ids::new(0, 0);
        let mut last = String::new();
        for _ in 0..5000 {
            let text = uuid_text(&ids.uuid_v7(NOW));
            assert_eq!(text.len(), 36);
            assert_eq!(text.as_bytes()[14], b'7');
            assert!(matches!(text.as_bytes()[19], b'8' | b'9' | b'a' | b'b'), "{text}");
            assert!(text > last, "{text} after {last}");
            last = text;
        }
        assert_eq!(u64::from_str_radix(&last.replace('-', "")[..12], 16).unwrap() / 1000, NOW as u64 / 1_000_000);
    }

    #[test]
    fn ids_start_above_the_floor_of_an_earlier_run() {
        let floor = NOW as u64 / 1000 + 60_000;
        let earlier = Ids::new(0, 0).snowflake(floor as i64 * 1000);
        assert!(Ids::new(0, floor).snowflake(NOW) > earlier);
    }
}
