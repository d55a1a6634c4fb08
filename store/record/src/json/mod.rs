//! Canonical proto3 JSON, from and to wire bytes, without a message tree between them.

use kit_core::{Code, Error};
use rowkeep_schema::{MessageId, Schema};

/// How JSON is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WriteOptions {
    /// Secret fields too.
    pub secrets: bool,
}

/// How JSON is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// Skip unknown fields instead of refusing them.
    pub ignore_unknown: bool,
    /// Collect [`Parsed::paths`].
    pub paths: bool,
}

/// A message read from JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parsed {
    /// Its wire form; fields given with their zero value are on the wire.
    pub wire: Vec<u8>,
    /// If asked for: what the JSON names, as an update mask (proto names): `name`, `ship_to.city`.
    /// Fields that are null, and so not on the wire, are named too.
    pub paths: Vec<String>,
}

/// Translates every message of a schema. Compiled once, shared freely.
#[derive(Debug, Clone)]
pub struct JsonCodec {}

fn missing() -> Error {
    Error::new(Code::Unimplemented, "NOT_BUILT", "not built yet")
}

impl JsonCodec {
    /// Compiles the tables.
    pub fn new(_schema: &Schema) -> Self {
        Self {}
    }

    /// Appends a message in wire form as JSON.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` if the wire form is malformed. `out` is then as it was.
    pub fn to_json(
        &self,
        _message: MessageId,
        _wire: &[u8],
        _out: &mut Vec<u8>,
        _options: WriteOptions,
    ) -> Result<(), Error> {
        Err(missing())
    }

    /// Reads one JSON text as a message.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` with the field's path, line and column, and what was expected.
    pub fn from_json(&self, _message: MessageId, _text: &[u8], _options: ReadOptions) -> Result<Parsed, Error> {
        Err(missing())
    }
}
