//! The answer to a commit as it is remembered for its repetition.

use rowkeep_record::{Key, PREFIX, Record, Value};

use crate::WriteResult;

const FORMAT: u8 = 1;
const CREATED: u8 = 1;
const HAS_RECORD: u8 = 2;

pub(crate) fn encode(results: &[WriteResult]) -> Vec<u8> {
    let mut out = vec![FORMAT];
    put_length(&mut out, results.len());
    for result in results {
        let record = result.record.as_ref();
        out.push((u8::from(result.created) * CREATED) | (u8::from(record.is_some()) * HAS_RECORD));
        put_length(&mut out, result.key.values().len());
        result.key.values().iter().for_each(|value| put_value(&mut out, value));
        if let Some(record) = record {
            out.extend_from_slice(&record.version().to_be_bytes());
            put_bytes(&mut out, record.wire());
        }
    }
    out
}

pub(crate) fn decode(mut from: &[u8]) -> Option<Vec<WriteResult>> {
    let from = &mut from;
    if take_array::<1>(from)? != [FORMAT] {
        return None;
    }
    let count = take_length(from)?;
    let mut results = Vec::new();
    for _ in 0..count {
        results.push(take_result(from)?);
    }
    from.is_empty().then_some(results)
}

fn take_result(from: &mut &[u8]) -> Option<WriteResult> {
    let [flags] = take_array(from)?;
    let parts = take_length(from)?;
    let key = (0..parts).map(|_| take_value(from)).collect::<Option<Key>>()?;
    let mut record = None;
    if flags & HAS_RECORD != 0 {
        let version = u64::from_be_bytes(take_array(from)?);
        let wire = take_bytes(from)?;
        let mut buffer = Record::reserve(wire.len());
        debug_assert_eq!(buffer.len(), PREFIX);
        buffer.extend_from_slice(wire);
        record = Some(Record::from_reserved(buffer, version));
    }
    Some(WriteResult { record, key, created: flags & CREATED != 0 })
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    out.extend_from_slice(&(length as u64).to_be_bytes());
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_length(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn put_value(out: &mut Vec<u8>, value: &Value) {
    let (tag, bytes): (u8, &[u8]) = match value {
        Value::Null => (0, &[]),
        Value::Int(value) => (1, &value.to_be_bytes()),
        Value::Uint(value) => (2, &value.to_be_bytes()),
        Value::Real(value) => (3, &value.to_be_bytes()),
        Value::Text(text) => (4, text.as_bytes()),
        Value::Blob(bytes) => (5, bytes),
    };
    out.push(tag);
    put_bytes(out, bytes);
}

fn take_array<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (array, rest) = from.split_first_chunk()?;
    *from = rest;
    Some(*array)
}

fn take_length(from: &mut &[u8]) -> Option<usize> {
    usize::try_from(u64::from_be_bytes(take_array(from)?)).ok()
}

fn take_bytes<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = take_length(from)?;
    let (bytes, rest) = from.split_at_checked(length)?;
    *from = rest;
    Some(bytes)
}

fn take_value(from: &mut &[u8]) -> Option<Value> {
    let [tag] = take_array(from)?;
    let bytes = take_bytes(from)?;
    Some(match tag {
        0 => Value::Null,
        1 => Value::Int(i64::from_be_bytes(bytes.try_into().ok()?)),
        2 => Value::Uint(u64::from_be_bytes(bytes.try_into().ok()?)),
        3 => Value::Real(f64::from_be_bytes(bytes.try_into().ok()?)),
        4 => Value::Text(std::str::from_utf8(bytes).ok()?.into()),
        5 => Value::Blob(bytes.into()),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(wire: &[u8], version: u64) -> Record {
        let mut buffer = Record::reserve(wire.len());
        buffer.extend_from_slice(wire);
        Record::from_reserved(buffer, version)
    }

    #[test]
    fn results_come_back_as_they_were() {
        let key: Key =
            [Value::Text("a/b".into()), Value::Uint(u64::MAX), Value::Blob([0, 1].into())].into_iter().collect();
        let results = vec![
            WriteResult { record: Some(record(b"row", 7)), key: Key::one(Value::Int(-1)), created: true },
            WriteResult { record: None, key, created: false },
        ];
        assert_eq!(decode(&encode(&results)), Some(results));
    }

    #[test]
    fn a_cut_or_foreign_memory_is_refused() {
        let bytes =
            encode(&[WriteResult { record: Some(record(b"row", 7)), key: Key::one(Value::Int(1)), created: true }]);
        for end in 0..bytes.len() {
            assert_eq!(decode(&bytes[..end]), None, "cut at {end}");
        }
        assert_eq!(decode(&[9, 9, 9]), None);
    }
}
