//! An answer without end: packets as they lie in the receive buffer.

use std::io;
use std::time::Duration;

use tokio::time::timeout;

use crate::packets::{Packets, Place};
use crate::stream::Stream;
use crate::{Error, ServerError};

/// What is read at once: such streams are fast, and few.
const READ: usize = 256 * 1024;
/// The last packet of an answer is shorter than this, when it begins with 0xfe.
const END: usize = 9;

/// What the server sends after a command such as `COM_BINLOG_DUMP`.
///
/// Calls may be given up half way (a dropped future): the next one goes on where it was.
#[derive(Debug)]
pub struct PacketStream {
    packets: Packets<Stream>,
    place: Place,
}

impl PacketStream {
    pub(crate) fn new(mut packets: Packets<Stream>) -> Self {
        packets.read_at_once(READ);
        Self { packets, place: 0..0 }
    }

    /// Goes on to the next packet; `false` at the end. The wait is for one packet.
    ///
    /// # Errors
    /// The server's, a broken connection's, [`Error::Io`] with [`io::ErrorKind::TimedOut`] after `patience` without a packet.
    #[inline]
    pub async fn advance(&mut self, patience: Duration) -> Result<bool, Error> {
        // A timer costs more than most packets do.
        self.place = 0..0;
        self.place = match self.packets.next_received() {
            Some(place) => place,
            None => timeout(patience, self.packets.next())
                .await
                .map_err(|_| Error::Io(io::ErrorKind::TimedOut.into()))??,
        };
        match self.packet() {
            [0xff, ..] => Err(ServerError::read(self.packet()).into()),
            [0xfe, ..] if self.place.len() < END => Ok(false),
            _ => Ok(true),
        }
    }

    /// The packet that [`advance`](Self::advance) went to. Empty before the first.
    #[inline]
    pub fn packet(&self) -> &[u8] {
        self.packets.payload(&self.place)
    }
}
