//! What things are called on the server.
//!
//! | key | |
//! |---|---|
//! | `rowkeep:NAMESPACE/SHARDS{SHARD}` | a shard's horizon |
//! | the same, `:ENTITY:` and the name | a slot |
//! | the same, `#ENTITY:` and the SHA-256 of the name | a slot whose name is longer than [`LONGEST`] |

use std::io::Write;

use rowkeep_cache::remote::Name;
use sha2::{Digest, Sha256};

/// Bytes of a name that is used as it is.
const LONGEST: usize = 64;

/// The keys of one namespace.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    /// By shard.
    horizons: Box<[Box<[u8]>]>,
}

impl Keys {
    /// # Panics
    /// If there are no shards, or the namespace has characters that mean something in a key.
    pub(crate) fn new(namespace: &str, shards: usize) -> Self {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        assert!(namespace.bytes().all(is_plain), "a namespace has letters, digits, '-', '_' and '.'");
        assert!(shards > 0, "there is at least one shard");
        let horizon = |shard| format!("rowkeep:{namespace}/{shards}{{{shard}}}").into_bytes().into_boxed_slice();
        Self { horizons: (0..shards).map(horizon).collect() }
    }

    pub(crate) fn shards(&self) -> usize {
        self.horizons.len()
    }

    pub(crate) fn horizon(&self, shard: usize) -> &[u8] {
        &self.horizons[shard]
    }

    pub(crate) fn slot(&self, shard: usize, name: &Name) -> Vec<u8> {
        let horizon = self.horizon(shard);
        let mut key = Vec::with_capacity(horizon.len() + 8 + name.bytes.len().min(LONGEST));
        key.extend_from_slice(horizon);
        let is_short = name.bytes.len() <= LONGEST;
        let mark = if is_short { ':' } else { '#' };
        write!(key, "{mark}{}:", name.entity.0).expect("writing into memory does not fail");
        if is_short {
            key.extend_from_slice(&name.bytes);
        } else {
            key.extend_from_slice(&Sha256::digest(&name.bytes));
        }
        key
    }

    /// The cluster's hash slot in which the shard lies.
    pub(crate) fn hash_slot(shard: usize) -> u16 {
        // The tag between the braces alone is hashed.
        crc16(shard.to_string().as_bytes()) % 16384
    }
}

/// CRC-16/XMODEM, as the cluster's specification says.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(
            crc ^ (u16::from(*byte) << 8),
            |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 },
        )
    })
}

#[cfg(test)]
mod tests {
    use rowkeep_schema::EntityId;

    use super::*;

    #[test]
    fn keys_can_be_read_by_people() {
        let keys = Keys::new("v1.5f", 64);
        let name = |bytes: &[u8]| Name { entity: EntityId(12), bytes: bytes.to_vec().into() };
        assert_eq!(keys.horizon(7), b"rowkeep:v1.5f/64{7}");
        assert_eq!(keys.slot(7, &name(b"row")), b"rowkeep:v1.5f/64{7}:12:row");
        assert_eq!(keys.slot(0, &name(&[b'n'; 64])).len(), b"rowkeep:v1.5f/64{0}:12:".len() + 64);
        let long = keys.slot(0, &name(&[b'n'; 65]));
        assert!(long.starts_with(b"rowkeep:v1.5f/64{0}#12:"));
        assert_eq!(long.len(), b"rowkeep:v1.5f/64{0}#12:".len() + 32);
    }

    #[test]
    fn hash_slots_are_the_clusters() {
        // From the specification; what `CLUSTER KEYSLOT` says of "7" is tested on a real cluster.
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(crc16(b""), 0);
    }

    #[test]
    #[should_panic(expected = "a namespace has")]
    fn a_namespace_cannot_choose_the_hash_slot() {
        Keys::new("a{b}", 1);
    }
}
