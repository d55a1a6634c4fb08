//! Why a call failed.

use std::io;

use crate::TlsError;

/// Why a call failed. After anything but [`Error::Server`] the connection is of no further use.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server refused or failed; the connection goes on.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The connection broke, or never came to be.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Connecting and logging in took too long.
    #[error("no answer within {0:?}")]
    ConnectTimeout(std::time::Duration),
    /// The way to the server could not be protected as the address asks.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The server wants to be convinced in a way that is not known here, or not done.
    #[error("authentication: {0}")]
    Authentication(String),
    /// The server said something that the protocol does not allow, or that is not understood.
    #[error("protocol: {0}")]
    Protocol(&'static str),
    /// An earlier call was given up half way.
    #[error("the connection was given up in the middle of an answer")]
    Abandoned,
}

/// What a server answers instead of a result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} (error {code}, {state})")]
pub struct ServerError {
    /// The product's own number, such as 1062.
    pub code: u16,
    /// SQLSTATE.
    pub state: String,
    /// For people.
    pub message: String,
}

impl Error {
    /// The server's error number, if it is one.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Server(error) => Some(error.code),
            _ => None,
        }
    }
}

impl ServerError {
    /// Reads an ERR packet, with or without SQLSTATE (before the login there is none).
    pub(crate) fn read(packet: &[u8]) -> Self {
        let code = packet.get(1..3).map_or(0, |code| u16::from_le_bytes([code[0], code[1]]));
        let rest = packet.get(3..).unwrap_or_default();
        let (state, message) = match rest {
            [b'#', rest @ ..] if rest.len() >= 5 => rest.split_at(5),
            rest => (&b"HY000"[..], rest),
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code, state: text(state), message: text(message) }
    }
}
