//! What is kept under a key, and how it is known to be what was put there.
//!
//! | value | bytes |
//! |---|---|
//! | horizon | `H2`, incarnation (8), history (16), told, rewritten, 16 hexadecimal digits of the SHA-1 of its key and that |
//! | lease | `L`, incarnation (8), generation (8), token (16) |
//! | entry | `E`, incarnation (8), generation (8), CRC-32 (4), the cache's bytes |
//!
//! Numbers are big-endian. Lists have a count (2) in front; runs are a source (16), a first and a last number (8 each), the rewritten
//! are an entity (2) and a count (8). An entry's sum is over the shard's key, the entity, the whole name, and all else that it has: what
//! was put under another name is no entry of this one, even if both have the same key. The horizon's is one that scripts have at
//! hand.

use bytes::{Buf, Bytes};
use rowkeep_cache::remote::{Entry, Horizon, Name};
use rowkeep_engine::{Run, Runs};
use rowkeep_schema::EntityId;
use sha1::{Digest, Sha1};

const HORIZON: &[u8] = b"H2";
const LEASE: u8 = b'L';
const ENTRY: u8 = b'E';
/// Before the sum of an entry.
const STAMP: usize = 1 + 8 + 8;
const LEASE_LENGTH: usize = STAMP + 16;
/// Digits of the horizon's sum.
const SUM: usize = 16;
/// Bytes of a value that is looked at.
pub(crate) const LARGEST: usize = 64 << 20;

/// What a slot holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Held {
    Lease,
    Entry(Entry),
    /// Nothing that was ever put there.
    Garbage,
}

/// Reads a horizon; `None` if it is none.
pub(crate) fn horizon(key: &[u8], text: &[u8]) -> Option<Horizon> {
    let (body, sum) = text.split_at_checked(text.len().checked_sub(SUM)?)?;
    if sum != sum_of(key, body) {
        return None;
    }
    let mut rest = body.strip_prefix(HORIZON)?;
    let horizon = Horizon {
        incarnation: rest.try_get_u64().ok()?,
        history: rest.try_get_u128().ok()?,
        told: read_runs(&mut rest)?,
        rewritten: read_rewritten(&mut rest)?,
    };
    rest.is_empty().then_some(horizon)
}

fn sum_of(key: &[u8], body: &[u8]) -> [u8; SUM] {
    let digest = Sha1::new().chain_update(key).chain_update(body).finalize();
    let digit = |at: usize| {
        let half = if at.is_multiple_of(2) { digest[at / 2] >> 4 } else { digest[at / 2] & 15 };
        b"0123456789abcdef"[usize::from(half)]
    };
    std::array::from_fn(digit)
}

fn read_runs(rest: &mut &[u8]) -> Option<Runs> {
    let count = rest.try_get_u16().ok()?;
    let mut run = || {
        let source = rest.try_get_u128().ok()?;
        Some(Run { source, first: rest.try_get_u64().ok()?, last: rest.try_get_u64().ok()? })
    };
    (0..count).map(|_| run()).collect()
}

fn read_rewritten(rest: &mut &[u8]) -> Option<Vec<(EntityId, u64)>> {
    let count = rest.try_get_u16().ok()?;
    (0..count).map(|_| Some((EntityId(rest.try_get_u16().ok()?), rest.try_get_u64().ok()?))).collect()
}

/// Commits as scripts read them.
///
/// # Panics
/// If they are more than 65,535 runs: a history has few holes.
pub(crate) fn runs(runs: &Runs) -> Vec<u8> {
    let runs = runs.as_slice();
    let count = u16::try_from(runs.len()).expect("a history has few holes");
    let mut text = Vec::with_capacity(2 + runs.len() * 32);
    text.extend_from_slice(&count.to_be_bytes());
    for run in runs {
        text.extend_from_slice(&run.source.to_be_bytes());
        text.extend_from_slice(&run.first.to_be_bytes());
        text.extend_from_slice(&run.last.to_be_bytes());
    }
    text
}

/// A lease.
pub(crate) fn lease(incarnation: u64, generation: u64, token: u128) -> Vec<u8> {
    let mut text = stamped(LEASE, incarnation, generation, LEASE_LENGTH);
    text.extend_from_slice(&token.to_be_bytes());
    text
}

/// An entry under this name, in the shard with this key.
pub(crate) fn entry(key: &[u8], name: &Name, entry: &Entry) -> Vec<u8> {
    let mut text = stamped(ENTRY, entry.incarnation, entry.generation, STAMP + 4 + entry.value.len());
    let sum = entry_sum(key, name, &text, &entry.value);
    text.extend_from_slice(&sum.to_be_bytes());
    text.extend_from_slice(&entry.value);
    text
}

fn stamped(kind: u8, incarnation: u64, generation: u64, capacity: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(capacity);
    text.push(kind);
    text.extend_from_slice(&incarnation.to_be_bytes());
    text.extend_from_slice(&generation.to_be_bytes());
    text
}

fn entry_sum(key: &[u8], name: &Name, stamp: &[u8], value: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    // Only the key and the name have lengths of their own, and the key is the shard's.
    sum.update(key);
    sum.update(&name.entity.0.to_be_bytes());
    sum.update(&name.bytes.len().to_be_bytes());
    sum.update(&name.bytes);
    sum.update(stamp);
    sum.update(value);
    sum.finalize()
}

/// Reads what is under a slot's key. The value is not copied.
pub(crate) fn held(key: &[u8], name: &Name, text: Vec<u8>) -> Held {
    match text.first() {
        Some(&LEASE) if text.len() == LEASE_LENGTH => Held::Lease,
        Some(&ENTRY) if text.len() <= LARGEST => read_entry(key, name, text).map_or(Held::Garbage, Held::Entry),
        _ => Held::Garbage,
    }
}

fn read_entry(key: &[u8], name: &Name, text: Vec<u8>) -> Option<Entry> {
    let (stamp, mut rest) = text.split_at_checked(STAMP)?;
    let mut numbers = &stamp[1..];
    let (incarnation, generation) = (numbers.try_get_u64().ok()?, numbers.try_get_u64().ok()?);
    let sum = rest.try_get_u32().ok()?;
    if sum != entry_sum(key, name, stamp, rest) {
        return None;
    }
    Some(Entry { incarnation, generation, value: Bytes::from(text).slice(STAMP + 4..) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"rowkeep:v1/1{0}";

    fn name(bytes: &'static [u8]) -> Name {
        Name { entity: EntityId(3), bytes: Bytes::from_static(bytes) }
    }

    /// As the scripts write it, on whose side it is tested with a real server.
    fn written(horizon: &Horizon) -> Vec<u8> {
        let mut text = HORIZON.to_vec();
        text.extend_from_slice(&horizon.incarnation.to_be_bytes());
        text.extend_from_slice(&horizon.history.to_be_bytes());
        text.extend_from_slice(&runs(&horizon.told));
        text.extend_from_slice(&u16::try_from(horizon.rewritten.len()).unwrap().to_be_bytes());
        for (entity, count) in &horizon.rewritten {
            text.extend_from_slice(&entity.0.to_be_bytes());
            text.extend_from_slice(&count.to_be_bytes());
        }
        text.extend_from_slice(&sum_of(KEY, &text));
        text
    }

    fn example() -> Horizon {
        Horizon {
            incarnation: u64::MAX - 1,
            history: 7 << 100,
            told: [(1, 1, 9), (1, 12, 12), (u128::MAX, 0, u64::MAX)]
                .into_iter()
                .map(|(source, first, last)| Run { source, first, last })
                .collect(),
            rewritten: vec![(EntityId(1), 2), (EntityId(u16::MAX), 3)],
        }
    }

    #[test]
    fn a_horizon_is_read_as_it_was_written() {
        assert_eq!(horizon(KEY, &written(&example())), Some(example()));
        let empty = Horizon { told: Runs::default(), rewritten: Vec::new(), ..example() };
        assert_eq!(horizon(KEY, &written(&empty)), Some(empty));
    }

    #[test]
    fn a_horizon_with_any_bit_turned_or_byte_missing_is_none() {
        let text = written(&example());
        for at in 0..text.len() {
            assert_eq!(horizon(KEY, &text[..at]), None, "cut at {at}");
            for bit in 0..8 {
                let mut other = text.clone();
                other[at] ^= 1 << bit;
                assert_eq!(horizon(KEY, &other), None, "byte {at}, bit {bit}");
            }
        }
        assert_eq!(horizon(b"rowkeep:v1/1{1}", &text), None, "it is another shard's");
        assert_eq!(horizon(KEY, &[&text[..], b"0"].concat()), None);
    }

    #[test]
    fn an_entry_with_any_bit_turned_or_byte_missing_is_none() {
        let kept = Entry { incarnation: 5, generation: 1, value: Bytes::from_static(b"value of a row") };
        let text = entry(KEY, &name(b"row"), &kept);
        assert_eq!(held(KEY, &name(b"row"), text.clone()), Held::Entry(kept));
        for at in 0..text.len() {
            assert_eq!(held(KEY, &name(b"row"), text[..at].to_vec()), Held::Garbage, "cut at {at}");
            for bit in 0..8 {
                let mut other = text.clone();
                other[at] ^= 1 << bit;
                assert_eq!(held(KEY, &name(b"row"), other), Held::Garbage, "byte {at}, bit {bit}");
            }
        }
        assert_eq!(held(KEY, &name(b"row"), [&text[..], b"\0"].concat()), Held::Garbage);
    }

    #[test]
    fn an_entry_counts_under_its_own_name_only() {
        let kept = Entry { incarnation: 5, generation: 1, value: Bytes::from_static(b"value") };
        let text = entry(KEY, &name(b"row"), &kept);
        assert_eq!(held(KEY, &name(b"rov"), text.clone()), Held::Garbage);
        assert_eq!(held(KEY, &Name { entity: EntityId(4), ..name(b"row") }, text.clone()), Held::Garbage);
        assert_eq!(held(b"rowkeep:v2/1{0}", &name(b"row"), text), Held::Garbage);
    }

    #[test]
    fn a_lease_is_no_entry() {
        let text = lease(5, 1, 77);
        assert_eq!(held(KEY, &name(b"row"), text.clone()), Held::Lease);
        assert_eq!(held(KEY, &name(b"row"), [&text[..], b"\0"].concat()), Held::Garbage);
        assert_eq!(held(KEY, &name(b"row"), Vec::new()), Held::Garbage);
    }
}
