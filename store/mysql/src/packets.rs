//! Packets on a stream: a length of 3 bytes, a number, the payload. Longer payloads are cut into packets of 2^24 - 1 bytes.

use std::io;
use std::ops::Range;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::Error;

const HEADER: usize = 4;
/// The payload of a packet that is continued by the next one.
const FULL: usize = 0xff_ffff;
/// What is read at once, and kept when nothing larger is needed.
const READ: usize = 32 * 1024;
/// A buffer that one large answer has grown is given back.
const KEEP: usize = 1 << 20;

/// A stream as packets, both ways.
#[derive(Debug)]
pub(crate) struct Packets<S> {
    stream: S,
    input: BytesMut,
    /// Bytes at the start of `input` that were handed out.
    consumed: usize,
    /// Bytes behind the header at `consumed` that are the first parts of a payload in several.
    joined: usize,
    /// What is read at once.
    read: usize,
    output: Vec<u8>,
    /// Number of the next packet of a handshake; commands begin at 0.
    sequence: u8,
    /// Larger payloads are refused: a server that goes mad does not take our memory with it.
    limit: usize,
}

/// Where a payload lies, until the next packet is read.
pub(crate) type Place = Range<usize>;

impl<S> Packets<S> {
    /// Takes the stream out, for [`put`](Self::put) to go on with another in the same exchange.
    pub(crate) fn take(self) -> (S, Packets<()>) {
        let Self { stream, input, consumed, joined, read, output, sequence, limit } = self;
        (stream, Packets { stream: (), input, consumed, joined, read, output, sequence, limit })
    }

    /// Puts another stream in.
    pub(crate) fn put<T>(self, stream: T) -> Packets<T> {
        let Self { input, consumed, joined, read, output, sequence, limit, .. } = self;
        Packets { stream, input, consumed, joined, read, output, sequence, limit }
    }

    /// Something was received that was not handed out yet.
    pub(crate) fn has_more(&self) -> bool {
        self.input.len() > self.consumed
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Packets<S> {
    pub(crate) fn new(stream: S, limit: usize) -> Self {
        let input = BytesMut::with_capacity(READ);
        Self { stream, input, consumed: 0, joined: 0, read: READ, output: Vec::new(), sequence: 0, limit }
    }

    /// The payload of the next packet. A call that is given up half way loses nothing: the next one goes on.
    pub(crate) async fn next(&mut self) -> Result<Place, Error> {
        loop {
            let from = if self.joined == 0 { self.consumed } else { self.consumed + HEADER + self.joined };
            let part = self.one(from).await?;
            // Where the payload lies, now that nothing moves until the next part is read.
            let start = self.consumed + HEADER;
            let end = start + self.joined;
            if end + part.len() - start > self.limit {
                return Err(Error::Protocol("a packet is larger than any answer should be"));
            }
            // The headers between the parts are cut out, so that the payload lies in one piece.
            if self.joined > 0 {
                self.input.copy_within(part.start.., end);
                self.input.truncate(self.input.len() - HEADER);
            }
            if part.len() < FULL {
                self.joined = 0;
                self.consumed = end + part.len();
                return Ok(start..self.consumed);
            }
            self.joined += FULL;
        }
    }

    /// The payload of the next packet, if the whole of it was received already.
    pub(crate) fn next_received(&mut self) -> Option<Place> {
        let header = self.input.get(self.consumed..self.consumed + HEADER)?;
        let length = u32::from_le_bytes([header[0], header[1], header[2], 0]) as usize;
        let start = self.consumed + HEADER;
        if self.joined > 0 || length >= FULL.min(self.limit) || self.input.len() < start + length {
            return None;
        }
        self.sequence = header[3].wrapping_add(1);
        self.consumed = start + length;
        Some(start..self.consumed)
    }

    /// Reads as much as this at once, for answers without end.
    pub(crate) fn read_at_once(&mut self, bytes: usize) {
        self.read = bytes;
    }

    pub(crate) fn payload(&self, place: &Place) -> &[u8] {
        &self.input[place.clone()]
    }

    /// One packet at this place of the input.
    async fn one(&mut self, at: usize) -> Result<Place, Error> {
        let at = self.fill(at, HEADER).await?;
        let header = &self.input[at..at + HEADER];
        let length = u32::from_le_bytes([header[0], header[1], header[2], 0]) as usize;
        self.sequence = header[3].wrapping_add(1);
        let at = self.fill(at, HEADER + length).await?;
        Ok(at + HEADER..at + HEADER + length)
    }

    /// Reads until there are `count` bytes from `at` on; where they lie now.
    async fn fill(&mut self, mut at: usize, count: usize) -> Result<usize, Error> {
        if self.input.len() >= at + count {
            return Ok(at);
        }
        // What was handed out is of no use any more; a packet in several parts is not handed out yet.
        let done = self.consumed.min(at);
        self.input.advance(done);
        self.consumed -= done;
        at -= done;
        if self.input.is_empty() && self.input.capacity() > KEEP {
            self.input = BytesMut::with_capacity(self.read);
        }
        let missing = at + count - self.input.len();
        self.input.reserve(missing.max(self.read));
        while self.input.len() < at + count {
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
        Ok(at)
    }

    /// Queues a command: a packet that begins a new exchange.
    pub(crate) fn command(&mut self, fill: impl FnOnce(&mut Vec<u8>)) {
        self.sequence = 0;
        self.answer(fill);
    }

    /// Queues a packet that answers the last one received.
    pub(crate) fn answer(&mut self, fill: impl FnOnce(&mut Vec<u8>)) {
        let start = self.output.len();
        self.output.extend_from_slice(&[0; HEADER]);
        fill(&mut self.output);
        let length = self.output.len() - start - HEADER;
        if length < FULL {
            self.head(start, length);
        } else {
            self.cut(start);
        }
    }

    fn cut(&mut self, start: usize) {
        let payload = self.output.split_off(start + HEADER);
        self.output.truncate(start);
        let mut parts = payload.chunks(FULL).peekable();
        let ends_full = payload.len().is_multiple_of(FULL);
        while let Some(part) = parts.next() {
            self.part(part);
            if parts.peek().is_none() && ends_full {
                self.part(&[]);
            }
        }
    }

    fn part(&mut self, payload: &[u8]) {
        let start = self.output.len();
        self.output.extend_from_slice(&[0; HEADER]);
        self.output.extend_from_slice(payload);
        self.head(start, payload.len());
    }

    fn head(&mut self, start: usize, length: usize) {
        // At most 2^24 - 1, which three bytes hold.
        let length = u32::try_from(length).unwrap_or_default().to_le_bytes();
        self.output[start..start + HEADER].copy_from_slice(&[length[0], length[1], length[2], self.sequence]);
        self.sequence = self.sequence.wrapping_add(1);
    }

    /// Sends what was queued.
    pub(crate) async fn flush(&mut self) -> Result<(), Error> {
        if self.output.is_empty() {
            return Ok(());
        }
        self.stream.write_all(&self.output).await?;
        self.stream.flush().await?;
        self.output.clear();
        self.output.shrink_to(KEEP);
        Ok(())
    }

    /// Bytes queued and not sent.
    pub(crate) fn queued(&self) -> usize {
        self.output.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn through(payload: Vec<u8>) -> Vec<u8> {
        let (near, far) = tokio::io::duplex(1 << 16);
        let (mut near, mut far) = (Packets::new(near, usize::MAX), Packets::new(far, usize::MAX));
        let expected = payload.len();
        let sending = tokio::spawn(async move {
            near.command(|buffer| buffer.extend_from_slice(&payload));
            near.command(|buffer| buffer.extend_from_slice(b"behind"));
            near.flush().await.unwrap();
        });
        let place = far.next().await.unwrap();
        let received = far.payload(&place).to_vec();
        assert_eq!(received.len(), expected);
        let place = far.next().await.unwrap();
        assert_eq!(far.payload(&place), b"behind");
        sending.await.unwrap();
        received
    }

    #[tokio::test]
    async fn payloads_of_every_size_come_through_in_one_piece() {
        for size in [0, 1, READ, FULL - 1, FULL, FULL + 1, 2 * FULL, 2 * FULL + 7] {
            let payload: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
            assert!(through(payload.clone()).await == payload, "{size} bytes");
        }
    }

    #[tokio::test]
    async fn a_call_that_is_given_up_in_the_middle_of_a_packet_loses_nothing() {
        let (near, far) = tokio::io::duplex(1 << 16);
        let (mut near, mut far) = (Packets::new(near, usize::MAX), Packets::new(far, usize::MAX));
        let payload: Vec<u8> = (0..2 * FULL + 7).map(|at| (at % 251) as u8).collect();
        let expected = payload.clone();
        let sending = tokio::spawn(async move {
            near.command(|buffer| buffer.extend_from_slice(&payload));
            near.command(|buffer| buffer.extend_from_slice(b"behind"));
            near.flush().await.unwrap();
        });
        let mut given_up = 0;
        let place = loop {
            match tokio::time::timeout(std::time::Duration::from_micros(300), far.next()).await {
                Ok(place) => break place.unwrap(),
                Err(_) => given_up += 1,
            }
        };
        assert!(far.payload(&place) == expected, "given up {given_up} times");
        sending.await.unwrap();
        let place = far.next().await.unwrap();
        assert_eq!(far.payload(&place), b"behind");
        assert!(far.next_received().is_none());
    }

    #[tokio::test]
    async fn a_payload_above_the_limit_is_refused() {
        let (near, far) = tokio::io::duplex(1 << 16);
        let (mut near, mut far) = (Packets::new(near, usize::MAX), Packets::new(far, FULL + 10));
        let sending = tokio::spawn(async move {
            near.command(|buffer| buffer.resize(buffer.len() + FULL + 11, 0));
            near.flush().await
        });
        assert!(matches!(far.next().await, Err(Error::Protocol(_))));
        drop(far);
        let _ = sending.await.unwrap();
    }

    #[tokio::test]
    async fn a_stream_that_ends_is_an_error() {
        let (near, far) = tokio::io::duplex(64);
        let mut far = Packets::new(far, usize::MAX);
        drop(near);
        assert!(matches!(far.next().await, Err(Error::Io(_))));
    }
}
