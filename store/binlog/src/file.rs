//! A log file in memory.

use crate::{
    Error, Item, Position,
    decoder::Decoder,
    event::{HEADER, Header},
};

const MAGIC: &[u8] = b"\xfebin";
/// Of a file that MySQL encrypted.
const ENCRYPTED: &[u8] = b"\xfdbin";

/// A log file, read as the stream of a server is.
#[derive(Debug)]
pub struct LogFile<'a> {
    bytes: &'a [u8],
    /// The event that is being read.
    event: &'a [u8],
    at: usize,
    decoder: Decoder,
}

impl<'a> LogFile<'a> {
    /// Begins at the start of a file.
    ///
    /// # Errors
    /// [`Error::Malformed`] if it is no log, [`Error::Encrypted`].
    pub fn new(name: &str, bytes: &'a [u8]) -> Result<Self, Error> {
        if bytes.starts_with(ENCRYPTED) {
            return Err(Error::Encrypted);
        }
        if !bytes.starts_with(MAGIC) {
            return Err(Error::Malformed("a file that does not begin as a binary log does"));
        }
        let position = Position { file: name.to_owned(), offset: MAGIC.len() as u64, gtids: None };
        Ok(Self { bytes, event: &[], at: MAGIC.len(), decoder: Decoder::new(position, false) })
    }

    /// Behind the last transaction that was handed out.
    pub fn position(&self) -> &Position {
        self.decoder.position()
    }

    /// What happened next; `None` at the end of the file. A file that is being written may end inside a transaction.
    ///
    /// # Errors
    /// [`Error`].
    #[expect(clippy::should_implement_trait, reason = "an item borrows what the next one is read into")]
    pub fn next(&mut self) -> Result<Option<Item<'_>>, Error> {
        while !self.decoder.advance(self.event)? {
            let rest = &self.bytes[self.at..];
            if rest.len() < HEADER {
                return Ok(None);
            }
            let size = Header::read(rest)?.size as usize;
            if size < HEADER {
                return Err(Error::Malformed("an event shorter than its header"));
            }
            let Some(event) = rest.get(..size) else { return Ok(None) };
            (self.event, self.at) = (event, self.at + size);
            self.decoder.start();
        }
        self.decoder.item(self.event).map(Some)
    }
}
