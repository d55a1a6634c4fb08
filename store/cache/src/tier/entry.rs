//! What lies in a cache server: the names of slots, and the bytes of entries.
//!
//! ## An entry
//! `kind` (1 byte), how many points were seen (1 byte), `since` and `expires` (8 bytes each), the version (8 bytes), the points
//! (16 bytes of source, 8 of number), and behind them of a row its [framed](Record::framed) bytes, which are sent as they are, of
//! a pointer the values of the key. Numbers are little-endian. That the bytes are those that were put in is seen to below the port;
//! who puts them in is told apart by the namespace.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use rowkeep_engine::{Point, Position};
use rowkeep_record::{Key, Record, Value};
use rowkeep_schema::{Entity, Schema};

use crate::near::{Fresh, Held, Part, RowKey};
use crate::remote::Name;

/// Changes with every change of what lies in a cache server, and of what a name leads to.
const FORMAT: u32 = 1;

/// What tells the entries of one database, schema and format from all others, in letters, digits and dashes. `store`: what only
/// this database has, and all processes that serve it know.
pub fn namespace(schema: &Schema, store: u64) -> String {
    // Names count entities and indexes in the schema's order, which its fingerprint leaves open.
    let names = schema.entities.iter().flat_map(|Entity { full_name, .. }| full_name.bytes().chain([0]));
    let order = hash(names.chain(schema.fingerprint.to_le_bytes()));
    format!("{FORMAT}-{store:016x}-{order:016x}")
}

/// FNV-1a, 64 bits: the same on every machine and in every version.
fn hash(bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// What a key is found by, and in which of so many shards.
pub(super) fn name(key: &RowKey, shards: usize) -> (usize, Name) {
    let mut bytes = BytesMut::with_capacity(16);
    match key.part {
        Part::Row => bytes.put_u8(0),
        Part::Live => bytes.put_u8(1),
        Part::Index(index) => {
            bytes.put_u8(2);
            bytes.put_u16_le(index);
        }
    }
    put_key(&key.key, &mut bytes);
    let hashed = hash(key.entity.0.to_le_bytes().into_iter().chain(bytes.iter().copied()));
    // The high bits of the hash are the better mixed.
    let shard = (hashed >> 32) as usize % shards;
    (shard, Name { entity: key.entity, bytes: bytes.freeze() })
}

/// What was found in a slot.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    pub(super) held: Held,
    pub(super) fresh: Fresh,
}

impl Found {
    /// Its bytes; `None` if it was seen at more points than are kept.
    pub(super) fn encode(&self) -> Option<Bytes> {
        let Fresh { seen, since, expires } = &self.fresh;
        let points = u8::try_from(seen.points().len()).ok()?;
        let mut bytes = BytesMut::with_capacity(HEADER + POINT * usize::from(points) + self.body_len());
        let (kind, version) = match &self.held {
            Held::Absent => (ABSENT, 0),
            Held::Row(record) => (ROW, record.version()),
            Held::Pointer(_, version) => (POINTER, *version),
        };
        bytes.put_u8(kind);
        bytes.put_u8(points);
        bytes.put_i64_le(*since);
        bytes.put_i64_le(*expires);
        bytes.put_u64_le(version);
        for point in seen.points() {
            bytes.put_u128_le(point.source);
            bytes.put_u64_le(point.number);
        }
        match &self.held {
            Held::Absent => {}
            Held::Row(record) => bytes.put_slice(record.framed()),
            Held::Pointer(key, _) => put_key(key, &mut bytes),
        }
        Some(bytes.freeze())
    }

    fn body_len(&self) -> usize {
        match &self.held {
            Held::Absent => 0,
            Held::Row(record) => record.framed().len(),
            Held::Pointer(key, _) => 16 * key.values().len(),
        }
    }

    /// What these bytes say; `None` if they are not what [`Self::encode`] gives. A row shares their memory.
    pub(super) fn decode(mut bytes: Bytes) -> Option<Self> {
        let (kind, points) = (bytes.try_get_u8().ok()?, bytes.try_get_u8().ok()?);
        let (since, expires) = (bytes.try_get_i64_le().ok()?, bytes.try_get_i64_le().ok()?);
        let version = bytes.try_get_u64_le().ok()?;
        let point = |_| {
            let (source, number) = (bytes.try_get_u128_le().ok()?, bytes.try_get_u64_le().ok()?);
            Some(Point { source, number })
        };
        let seen = (0..points).map(point).collect::<Option<Vec<Point>>>()?;
        let held = match kind {
            ABSENT => bytes.is_empty().then_some(Held::Absent)?,
            ROW => Held::Row(Record::from_framed(bytes, version)?),
            POINTER => Held::Pointer(take_key(bytes)?.into(), version),
            _ => return None,
        };
        Some(Self { held, fresh: Fresh { seen: Position::of(&seen), since, expires } })
    }
}

const ABSENT: u8 = 0;
const ROW: u8 = 1;
const POINTER: u8 = 2;

/// Bytes before the points, and those of one.
const HEADER: usize = 26;
const POINT: usize = 24;

/// Values one behind the other; no two keys have the same bytes.
fn put_key(key: &Key, bytes: &mut BytesMut) {
    let put = |bytes: &mut BytesMut, kind, content: &[u8]| {
        bytes.put_u8(kind);
        // A database takes no key that is longer than 4 GiB.
        bytes.put_u32_le(u32::try_from(content.len()).unwrap_or(u32::MAX));
        bytes.put_slice(content);
    };
    for value in key.values() {
        match value {
            Value::Null => bytes.put_u8(0),
            Value::Int(number) => {
                bytes.put_u8(1);
                bytes.put_i64_le(*number);
            }
            Value::Uint(number) => {
                bytes.put_u8(2);
                bytes.put_u64_le(*number);
            }
            Value::Real(number) => {
                bytes.put_u8(3);
                bytes.put_f64_le(*number);
            }
            Value::Text(text) => put(bytes, 4, text.as_bytes()),
            Value::Blob(blob) => put(bytes, 5, blob),
        }
    }
}

fn take_key(mut bytes: Bytes) -> Option<Key> {
    fn content(bytes: &mut Bytes) -> Option<Bytes> {
        let length = usize::try_from(bytes.try_get_u32_le().ok()?).ok()?;
        (length <= bytes.len()).then(|| bytes.split_to(length))
    }
    let mut values = Vec::new();
    while let Ok(kind) = bytes.try_get_u8() {
        values.push(match kind {
            0 => Value::Null,
            1 => Value::Int(bytes.try_get_i64_le().ok()?),
            2 => Value::Uint(bytes.try_get_u64_le().ok()?),
            3 => Value::Real(bytes.try_get_f64_le().ok()?),
            4 => Value::Text(std::str::from_utf8(&content(&mut bytes)?).ok()?.into()),
            5 => Value::Blob(content(&mut bytes)?.to_vec().into()),
            _ => return None,
        });
    }
    (!values.is_empty()).then(|| values.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use rowkeep_schema::{EntityId, compile_str};

    use super::*;

    fn fresh(points: u64) -> Fresh {
        let points: Vec<Point> =
            (0..points).map(|at| Point { source: u128::MAX - u128::from(at), number: at }).collect();
        Fresh { seen: Position::of(&points), since: -5, expires: i64::MAX }
    }

    fn key() -> Key {
        let text = |text: &str| Value::Text(text.into());
        [Value::Int(-7), Value::Uint(u64::MAX), text("ä"), text(""), Value::Blob([0, 255].into()), Value::Null]
            .into_iter()
            .collect()
    }

    fn record() -> Record {
        let mut buffer = Record::reserve(300);
        buffer.extend_from_slice(&[8; 300]);
        Record::from_reserved(buffer, u64::MAX)
    }

    #[test]
    fn what_is_put_in_is_found() {
        for points in [0, 1, 3, 255] {
            for held in [Held::Absent, Held::Row(record()), Held::Pointer(key().into(), 9)] {
                let found = Found { held, fresh: fresh(points) };
                assert_eq!(Found::decode(found.encode().unwrap()), Some(found));
            }
        }
        assert_eq!(Found { held: Held::Absent, fresh: fresh(256) }.encode(), None);
    }

    #[test]
    fn a_row_is_not_copied() {
        let bytes = Found { held: Held::Row(record()), fresh: fresh(1) }.encode().unwrap();
        let Some(Found { held: Held::Row(row), .. }) = Found::decode(bytes.clone()) else { panic!("a row") };
        assert_eq!(row.framed().as_ptr(), bytes[HEADER + POINT..].as_ptr());
    }

    #[test]
    fn what_is_cut_or_longer_is_nothing() {
        for held in [Held::Absent, Held::Row(record())] {
            let bytes = Found { held, fresh: fresh(2) }.encode().unwrap();
            for length in 0..bytes.len() {
                assert_eq!(Found::decode(bytes.slice(..length)), None, "{length}");
            }
            let longer = [&bytes[..], &[0]].concat();
            assert_eq!(Found::decode(longer.into()), None);
        }
    }

    #[test]
    fn names_of_different_keys_are_different() {
        let text = |text: &str| Value::Text(text.into());
        let keys = [
            Key::one(Value::Int(1)),
            Key::one(Value::Uint(1)),
            Key::one(text("ab")),
            [text("a"), text("b")].into_iter().collect(),
            [text(""), text("ab")].into_iter().collect(),
            Key::one(Value::Blob((*b"ab").into())),
        ];
        let parts = [Part::Row, Part::Live, Part::Index(0), Part::Index(1)];
        let mut names = HashSet::new();
        for key in &keys {
            for part in parts {
                let key = RowKey { entity: EntityId(3), part, key: key.clone() };
                let (shard, named) = name(&key, 5);
                assert!(shard < 5 && names.insert(named), "{key:?}");
            }
        }
    }

    #[test]
    fn a_name_leads_to_the_same_shard_everywhere() {
        let shard = |id| name(&RowKey { entity: EntityId(1), part: Part::Row, key: Key::one(Value::Int(id)) }, 64).0;
        assert_eq!([shard(1), shard(2), shard(3)], [shard(1), shard(2), shard(3)]);
        let mut shards: Vec<usize> = (0..1000).map(shard).collect();
        shards.sort_unstable();
        shards.dedup();
        assert_eq!(shards.len(), 64, "keys are spread");
    }

    #[test]
    fn another_schema_another_order_and_another_database_have_names_of_their_own() {
        let schema = |messages: &str| {
            let head = "syntax = \"proto3\"; package a.v1; import \"rowkeep/v1/options.proto\";";
            compile_str(&[("a/v1/a.proto", &format!("{head}{messages}"))]).unwrap_or_else(|errors| panic!("{errors}"))
        };
        let message = |name: &str, more: &str| {
            format!("message {name} {{ option (rowkeep.v1.entity) = {{}}; int64 id = 1; {more} }}")
        };
        let (one, two) = (message("One", ""), message("Two", ""));
        let schemas = [
            schema(&format!("{one}{two}")),
            schema(&format!("{two}{one}")),
            schema(&format!("{one}{}", message("Two", "int64 more = 2;"))),
        ];
        let mut names: Vec<String> = schemas.iter().map(|schema| namespace(schema, 1)).collect();
        names.push(namespace(&schemas[0], 2));
        assert_eq!(names[0], namespace(&schemas[0], 1));
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), 4, "{names:?}");
    }
}
