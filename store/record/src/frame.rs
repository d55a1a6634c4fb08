//! A row on its way out: wire bytes behind a length prefix, with the version.

use bytes::Bytes;

/// Bytes in front of the message: a zero flag and the length as big-endian `u32`, the framing of gRPC's
/// length-prefixed messages, so that a row is sent without being copied again.
pub const PREFIX: usize = 5;

/// A row as read: one allocation, sent as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    framed: Bytes,
    version: u64,
}

impl Record {
    /// Takes a buffer whose first [`PREFIX`] bytes are reserved and whose rest is the row's wire form.
    ///
    /// # Panics
    /// If the buffer is shorter than the prefix or the row longer than 4 GiB, which no adapter can produce.
    pub fn from_reserved(mut buffer: Vec<u8>, version: u64) -> Self {
        put_prefix(&mut buffer);
        Self { framed: buffer.into(), version }
    }

    /// Takes a row as [`framed`](Self::framed) gave it, without copying it; `None` if the prefix does not fit the bytes.
    pub fn from_framed(framed: Bytes, version: u64) -> Option<Self> {
        let (prefix, wire) = framed.split_first_chunk::<PREFIX>()?;
        let [flag, length @ ..] = *prefix;
        let fits = flag == 0 && usize::try_from(u32::from_be_bytes(length)) == Ok(wire.len());
        fits.then_some(Self { framed, version })
    }

    /// An empty buffer with the prefix reserved.
    pub fn reserve(capacity: usize) -> Vec<u8> {
        let mut buffer = Vec::with_capacity(PREFIX + capacity);
        buffer.resize(PREFIX, 0);
        buffer
    }

    /// The row's wire form.
    pub fn wire(&self) -> &[u8] {
        &self.framed[PREFIX..]
    }

    /// The row's wire form behind its length prefix.
    pub fn framed(&self) -> &Bytes {
        &self.framed
    }

    /// The same row in memory of its own, no more than it needs, for who keeps it: rows that were read together share a
    /// buffer, which lives as long as one of them. Copies that are made of it share that memory and allocate nothing.
    #[must_use]
    pub fn compact(&self) -> Self {
        let framed = Bytes::copy_from_slice(&self.framed);
        // The first copy is what moves the bytes to where they are counted.
        drop(framed.clone());
        Self { framed, version: self.version }
    }

    /// The row's version; where the table keeps none, a number that changes with the content.
    pub fn version(&self) -> u64 {
        self.version
    }
}

/// Writes the prefix of a row that lies behind it.
fn put_prefix(framed: &mut [u8]) {
    #[expect(clippy::expect_used, reason = "databases limit rows far below 4 GiB")]
    let length = u32::try_from(framed.len() - PREFIX).expect("a row is shorter than 4 GiB");
    framed[0] = 0;
    framed[1..PREFIX].copy_from_slice(&length.to_be_bytes());
}

/// Rows that are read together: one buffer for all of them, cut into records at the end. A record that is kept keeps the
/// whole buffer.
#[derive(Debug, Default)]
pub struct RecordBatch {
    buffer: Vec<u8>,
    /// Where each row ends, and its version.
    rows: Vec<(usize, u64)>,
}

impl RecordBatch {
    /// With room for some rows of 200 bytes.
    pub fn with_capacity(rows: usize) -> Self {
        Self { buffer: Vec::with_capacity(rows * (200 + PREFIX)), rows: Vec::with_capacity(rows) }
    }

    /// Where the wire form of the next row goes: behind what is there.
    pub fn begin(&mut self) -> &mut Vec<u8> {
        self.buffer.resize(self.end() + PREFIX, 0);
        &mut self.buffer
    }

    /// Ends the row that was begun.
    ///
    /// # Panics
    /// If none was begun, or it is longer than 4 GiB, which no adapter can produce.
    pub fn finish(&mut self, version: u64) {
        let start = self.end();
        put_prefix(&mut self.buffer[start..]);
        self.rows.push((self.buffer.len(), version));
    }

    /// Rows so far.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Bytes of the wire forms so far.
    pub fn wire_bytes(&self) -> usize {
        self.end() - self.rows.len() * PREFIX
    }

    /// The rows, in order.
    pub fn into_records(mut self) -> Vec<Record> {
        // Of a row that was begun and given up.
        self.buffer.truncate(self.end());
        let buffer = Bytes::from(self.buffer);
        let mut start = 0;
        let record = |(end, version)| {
            let framed = buffer.slice(start..end);
            start = end;
            Record { framed, version }
        };
        self.rows.into_iter().map(record).collect()
    }

    fn end(&self) -> usize {
        self.rows.last().map_or(0, |(end, _)| *end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_framed_row_is_taken_as_it_is_if_its_prefix_fits() {
        let mut buffer = Record::reserve(5);
        buffer.extend_from_slice(b"a row");
        let record = Record::from_reserved(buffer, 7);
        let taken = Record::from_framed(record.framed().clone(), 7).unwrap();
        assert_eq!((&taken, taken.framed().as_ptr()), (&record, record.framed().as_ptr()));
        let whole = record.framed();
        for wrong in [whole.slice(..9), whole.slice(1..), whole.slice(..4), Bytes::new(), Bytes::from_static(&[1; 10])]
        {
            assert_eq!(Record::from_framed(wrong, 7), None);
        }
    }

    #[test]
    fn a_row_that_is_kept_does_not_keep_those_it_was_read_with() {
        let mut batch = RecordBatch::with_capacity(2);
        for version in 1..=2 {
            batch.begin().extend_from_slice(b"a row");
            batch.finish(version);
        }
        let records = batch.into_records();
        let kept = records[1].compact();
        assert_eq!(kept, records[1]);
        assert!(!records[1].framed().is_unique());
        let copy = kept.clone();
        assert_eq!(copy.framed().as_ptr(), kept.framed().as_ptr());
        drop(copy);
        assert!(kept.framed().is_unique());
    }

    #[test]
    fn rows_of_a_batch_are_those_that_were_made_alone() {
        let rows: [&[u8]; 4] = [b"one", b"", b"three", &[7; 1000]];
        let mut batch = RecordBatch::with_capacity(2);
        let mut alone = Vec::new();
        for (version, row) in (1..).zip(rows) {
            batch.begin().extend_from_slice(row);
            batch.finish(version);
            let mut buffer = Record::reserve(row.len());
            buffer.extend_from_slice(row);
            alone.push(Record::from_reserved(buffer, version));
        }
        batch.begin().extend_from_slice(b"given up");
        assert_eq!((batch.len(), batch.wire_bytes()), (4, 1008));
        assert_eq!(batch.into_records(), alone);
        assert!(RecordBatch::default().into_records().is_empty());
    }
}
