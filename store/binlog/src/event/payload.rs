//! What is compressed: whole transactions of MySQL (zstd), single events of MariaDB (zlib).
//!
//! A transaction is inflated as it is read, event by event: its compressed form is one event, its plain form may be a
//! thousand times as large. An event of MariaDB is one of the ordinary size, and inflated whole.

use std::{fmt, ops::Range};

use flate2::{Decompress, FlushDecompress};
use zstd::stream::raw::{Decoder, Operation};

use super::{HEADER, Header};
use crate::{
    Error,
    bytes::{Bytes, big_endian},
};

/// What is inflated at once.
const CHUNK: usize = 128 * 1024;
/// A buffer that one large event has grown is given back.
const KEEP: usize = 4 << 20;
/// No server makes a larger event.
const LARGEST: usize = 1 << 30;

const BAD: Error = Error::Malformed("what is compressed cannot be inflated");

mod field {
    pub(super) const END: u64 = 0;
    pub(super) const SIZE: u64 = 1;
    pub(super) const COMPRESSION: u64 = 2;
}
const ZSTD: u64 = 0;
const NONE: u64 = 255;

/// The head of a TRANSACTION_PAYLOAD.
#[derive(Debug)]
pub(crate) struct Payload {
    /// Where the compressed events lie in the body.
    place: Range<usize>,
    zstd: bool,
}

impl Payload {
    pub(crate) fn read(body: &[u8]) -> Result<Self, Error> {
        let (mut bytes, mut size, mut compression) = (Bytes(body), None, ZSTD);
        loop {
            let field = bytes.packed()?;
            if field == field::END {
                break;
            }
            let mut value = Bytes(bytes.string()?);
            match field {
                field::SIZE => size = Some(value.length()?),
                field::COMPRESSION => compression = value.packed()?,
                _ => {}
            }
        }
        let start = body.len() - bytes.0.len();
        let size = size.unwrap_or(bytes.0.len());
        bytes.take(size)?;
        match compression {
            ZSTD | NONE => Ok(Self { place: start..start + size, zstd: compression == ZSTD }),
            _ => Err(Error::Unsupported("a transaction is compressed in a way that this reader does not know")),
        }
    }
}

/// A compressed transaction on its way to events.
pub(crate) struct Inflater {
    decoder: Option<Decoder<'static>>,
    /// What was not inflated yet, in the body of the payload.
    rest: Range<usize>,
    /// Where the next event begins in the buffer.
    at: usize,
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater").field("rest", &self.rest).finish_non_exhaustive()
    }
}

impl Inflater {
    pub(crate) fn new(payload: Payload) -> Result<Self, Error> {
        let decoder = if payload.zstd { Some(Decoder::new().map_err(|_| BAD)?) } else { None };
        Ok(Self { decoder, rest: payload.place, at: 0 })
    }

    /// Where the next event lies in the buffer, which is inflated into as needed. `None` at the end.
    pub(crate) fn next(&mut self, body: &[u8], buffer: &mut Vec<u8>) -> Result<Option<Range<usize>>, Error> {
        loop {
            let have = buffer.get(self.at..).unwrap_or_default();
            let needed = if have.len() < HEADER { HEADER } else { Header::read(have)?.size as usize };
            if !(HEADER..=LARGEST).contains(&needed) {
                return Err(Error::Malformed("a size of an event that cannot be"));
            }
            if have.len() >= needed && have.len() >= HEADER {
                let start = self.at;
                self.at += needed;
                return Ok(Some(start..self.at));
            }
            let is_empty = have.is_empty();
            if !self.more(body, buffer, needed)? {
                return if is_empty { Ok(None) } else { Err(BAD) };
            }
        }
    }

    /// Inflates further; false at the end.
    fn more(&mut self, body: &[u8], buffer: &mut Vec<u8>, needed: usize) -> Result<bool, Error> {
        buffer.drain(..self.at.min(buffer.len()));
        self.at = 0;
        if buffer.capacity() > KEEP && needed < KEEP {
            buffer.shrink_to(KEEP);
        }
        let input = body.get(self.rest.clone()).ok_or(BAD)?;
        let filled = buffer.len();
        let Some(decoder) = &mut self.decoder else {
            let taken = input.len().min(CHUNK);
            buffer.extend_from_slice(&input[..taken]);
            self.rest.start += taken;
            return Ok(taken > 0);
        };
        buffer.resize(filled + CHUNK, 0);
        let status = decoder.run_on_buffers(input, &mut buffer[filled..]).map_err(|_| BAD)?;
        self.rest.start += status.bytes_read;
        buffer.truncate(filled + status.bytes_written);
        Ok(status.bytes_written > 0 || status.bytes_read > 0)
    }
}

/// Inflates what MariaDB compressed: a byte with kind and width of the length, the length, zlib.
pub(crate) fn inflate(bytes: &[u8], into: &mut Vec<u8>) -> Result<(), Error> {
    let mut bytes = Bytes(bytes);
    let head = bytes.u8()?;
    let length = usize::try_from(big_endian(bytes.take(usize::from(head & 7))?)).unwrap_or(usize::MAX);
    if head & 0xf0 != 0x80 || length > LARGEST {
        return Err(BAD);
    }
    inflate_zlib(Decompress::new(true), bytes.0, length, into)
}

/// The value of a compressed column, `wrapped` in zlib's head and checksum or not.
pub(crate) fn inflate_column(bytes: &[u8], wrapped: bool, length: usize, into: &mut Vec<u8>) -> Result<(), Error> {
    if length > LARGEST {
        return Err(BAD);
    }
    inflate_zlib(Decompress::new(wrapped), bytes, length, into)
}

/// Appends exactly `length` bytes.
fn inflate_zlib(mut zlib: Decompress, mut input: &[u8], length: usize, into: &mut Vec<u8>) -> Result<(), Error> {
    let end = into.len() + length;
    // The length is only believed as far as there are bytes for it.
    while into.len() < end {
        let filled = into.len();
        into.resize(end.min(filled + CHUNK), 0);
        let (read, written) = (zlib.total_in(), zlib.total_out());
        zlib.decompress(input, &mut into[filled..], FlushDecompress::None).map_err(|_| BAD)?;
        let read = usize::try_from(zlib.total_in() - read).unwrap_or(0);
        let written = usize::try_from(zlib.total_out() - written).unwrap_or(0);
        input = input.get(read..).unwrap_or_default();
        into.truncate(filled + written);
        if read == 0 && written == 0 {
            return Err(BAD);
        }
    }
    Ok(())
}
