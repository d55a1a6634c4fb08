//! Length-prefixed messages: a flag byte, four bytes of length, the message.

use std::ops::{Deref, DerefMut};

use bytes::{BufMut, Bytes, BytesMut};

/// Bytes in front of every message.
pub const FRAME_PREFIX: usize = 5;

/// A message with its prefix, ready to be sent. The message alone is [`Framed::message`], without a copy, so one buffer
/// serves gRPC and everything else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Framed(Bytes);

impl Framed {
    /// Copies a message behind a prefix.
    pub fn copy_of(message: &[u8]) -> Self {
        let mut buffer = FrameBuf::with_capacity(message.len());
        buffer.put_slice(message);
        buffer.finish()
    }

    /// Takes a buffer whose first [`FRAME_PREFIX`] bytes were left free and whose rest is the message.
    ///
    /// # Panics
    /// If the buffer is shorter than the prefix.
    pub fn from_vec(mut buffer: Vec<u8>) -> Self {
        write_prefix(&mut buffer, false);
        Self(buffer.into())
    }

    /// Takes bytes that have their prefix already, such as a row kept in its sent form.
    pub fn from_framed(bytes: Bytes) -> Self {
        debug_assert!(bytes.len() >= FRAME_PREFIX, "a framed message starts with its prefix");
        Self(bytes)
    }

    pub(crate) fn packed(mut buffer: Vec<u8>) -> Self {
        write_prefix(&mut buffer, true);
        Self(buffer.into())
    }

    /// The message alone.
    pub fn message(&self) -> Bytes {
        self.0.slice(FRAME_PREFIX..)
    }

    /// Prefix and message.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    /// Prefix and message.
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }
}

fn write_prefix(buffer: &mut [u8], is_packed: bool) {
    // Replies past 4 GiB cannot be made: messages are bounded far below.
    let length = u32::try_from(buffer.len() - FRAME_PREFIX).unwrap_or(u32::MAX);
    buffer[0] = u8::from(is_packed);
    buffer[1..FRAME_PREFIX].copy_from_slice(&length.to_be_bytes());
}

/// Where a reply is written, behind room for its prefix.
#[derive(Debug)]
pub struct FrameBuf(BytesMut);

impl FrameBuf {
    /// Room for a message of `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        let mut buffer = BytesMut::with_capacity(FRAME_PREFIX + capacity);
        buffer.put_bytes(0, FRAME_PREFIX);
        Self(buffer)
    }

    /// Writes the prefix.
    pub fn finish(mut self) -> Framed {
        write_prefix(&mut self.0, false);
        Framed(self.0.freeze())
    }
}

impl Deref for FrameBuf {
    type Target = BytesMut;

    fn deref(&self) -> &BytesMut {
        &self.0
    }
}

/// The buffer to write the message to; what it holds already must stay.
impl DerefMut for FrameBuf {
    fn deref_mut(&mut self) -> &mut BytesMut {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_stands_behind_its_prefix_without_a_copy() {
        let framed = Framed::copy_of(b"abc");
        assert_eq!(framed.as_bytes().as_ref(), b"\0\0\0\0\x03abc");
        assert_eq!(framed.message().as_ptr(), framed.as_bytes()[FRAME_PREFIX..].as_ptr());
        let mut buffer = vec![9; FRAME_PREFIX];
        buffer.extend_from_slice(b"abc");
        assert_eq!(Framed::from_vec(buffer), framed);
    }
}
