//! MySQL's JSON: its binary form, its text, and changes in parts.
//!
//! The text is the server's own, byte by byte: what `SELECT` answers. Decimals, dates and binary data inside JSON, which
//! JSON itself does not have, are written as the server writes them.

mod patch;
mod read;
mod write;

pub use patch::JsonPatch;

use crate::Error;
use read::Node;

/// Why a value or a patch cannot be read or applied.
pub type JsonError = Error;

/// A value in its binary form. Empty where a table was changed without strict mode: that is JSON's `null`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Json<'a>(&'a [u8]);

impl<'a> Json<'a> {
    /// `bytes`: as they lie in a row.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The binary form.
    pub fn bytes(&self) -> &'a [u8] {
        self.0
    }

    /// Appends its text, as the server writes it.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn write(&self, text: &mut Vec<u8>) -> Result<(), JsonError> {
        write::write(&self.parse()?, text);
        Ok(())
    }

    /// Its text.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn text(&self) -> Result<String, JsonError> {
        let mut text = Vec::with_capacity(self.0.len() * 2);
        self.write(&mut text)?;
        String::from_utf8(text).map_err(|_| Error::Malformed("JSON that is not UTF-8"))
    }

    fn parse(&self) -> Result<Node<'a>, JsonError> {
        read::parse(self.0)
    }
}
