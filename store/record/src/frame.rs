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
        #[expect(clippy::expect_used, reason = "databases limit rows far below 4 GiB")]
        let length = u32::try_from(buffer.len() - PREFIX).expect("a row is shorter than 4 GiB");
        buffer[0] = 0;
        buffer[1..PREFIX].copy_from_slice(&length.to_be_bytes());
        Self { framed: buffer.into(), version }
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

    /// The row's version; where the table keeps none, a number that changes with the content.
    pub fn version(&self) -> u64 {
        self.version
    }
}
