//! The messages of a request, one after the other, sliced out of its body.

use std::future::poll_fn;
use std::pin::Pin;

use bytes::{Buf, Bytes, BytesMut};
use http_body::Body;
use kit_core::{BoxError, Code, Error};
use kit_net::Coding;

use crate::encoding::{too_large, unpack};
use crate::frame::FRAME_PREFIX;

/// Reads the messages of a request body. A message that came in one piece is not copied.
pub struct Messages<B> {
    body: B,
    coding: Option<Coding>,
    limit: usize,
    /// What was read and not taken yet.
    rest: Bytes,
}

impl<B> Messages<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    pub(crate) fn new(body: B, coding: Option<Coding>, limit: usize) -> Self {
        Self { body, coding, limit, rest: Bytes::new() }
    }

    /// The next message, or `None` after the last.
    ///
    /// # Errors
    /// When it is too large, malformed, or the client goes away.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if !self.fill(FRAME_PREFIX).await? {
            return if self.rest.is_empty() { Ok(None) } else { Err(truncated()) };
        }
        let flag = self.rest[0];
        let length = u32::from_be_bytes([self.rest[1], self.rest[2], self.rest[3], self.rest[4]]) as usize;
        // Decided on the prefix alone: nothing is reserved for a length that is only claimed.
        if length > self.limit {
            return Err(too_large(self.limit));
        }
        if !self.fill(FRAME_PREFIX + length).await? {
            return Err(truncated());
        }
        self.rest.advance(FRAME_PREFIX);
        self.unpacked(flag, length).map(Some)
    }

    fn unpacked(&mut self, flag: u8, length: usize) -> Result<Bytes, Error> {
        let message = self.rest.split_to(length);
        match (flag, self.coding) {
            (0, _) => Ok(message),
            (1, Some(coding)) => unpack(coding, &message, self.limit).map(Bytes::from),
            (1, None) => Err(Error::new(
                Code::Internal,
                "BAD_FRAME",
                "the message is marked as packed, but grpc-encoding names no coding",
            )),
            _ => Err(Error::new(Code::Internal, "BAD_FRAME", "the message has an unknown flag")),
        }
    }

    /// Reads until `count` bytes are there; `false` if the body ends before.
    async fn fill(&mut self, count: usize) -> Result<bool, Error> {
        while self.rest.len() < count {
            let Some(data) = self.data().await? else { return Ok(false) };
            if self.rest.is_empty() {
                self.rest = data;
            } else {
                self.append(&data, count).await?;
            }
        }
        Ok(true)
    }

    /// Gathers pieces in one buffer until `count` bytes are there or the body ends.
    async fn append(&mut self, data: &[u8], count: usize) -> Result<(), Error> {
        let mut gathered = BytesMut::with_capacity(count.max(self.rest.len() + data.len()));
        gathered.extend_from_slice(&self.rest);
        gathered.extend_from_slice(data);
        while gathered.len() < count {
            let Some(data) = self.data().await? else { break };
            gathered.extend_from_slice(&data);
        }
        self.rest = gathered.freeze();
        Ok(())
    }

    async fn data(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            if self.body.is_end_stream() {
                return Ok(None);
            }
            match poll_fn(|context| Pin::new(&mut self.body).poll_frame(context)).await {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
                Some(Err(error)) => {
                    return Err(
                        Error::new(Code::Cancelled, "CLIENT_GONE", "the request ended early").with_source(error.into())
                    );
                }
            }
        }
    }
}

fn truncated() -> Error {
    Error::new(Code::InvalidArgument, "TRUNCATED", "the request ended within a message")
}
