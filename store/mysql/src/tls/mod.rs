//! How the way to the server is protected: what an address asks for.
//!
//! - [`client`]: the encrypted stream.
//! - [`verifier`]: whether a certificate will do.
//! - [`error`]: what is wrong, and what to do.

mod client;
mod error;
mod verifier;

use std::path::PathBuf;
use std::str::FromStr;

pub(crate) use client::encrypt;
pub use error::TlsError;

/// What an address asks of the way to the server. The files are read for each connection, so that renewed certificates
/// need no restart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// What was asked for, if anything was; see [`Tls::mode`].
    pub mode: Option<TlsMode>,
    /// Certificates (PEM) of the authorities that may sign the server's. They are used in every mode that encrypts.
    pub ca: Option<PathBuf>,
    /// The client's own certificate (PEM), with what it takes to check it.
    pub certificate: Option<PathBuf>,
    /// The key (PEM) of the client's certificate, if it is in a file of its own.
    pub key: Option<PathBuf>,
}

/// How much protection there has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsMode {
    /// None, even if the server offers it.
    Off,
    /// Encrypted if the server offers it. Keeps out who listens, not who can pretend to be the server.
    Preferred,
    /// Encrypted, or not at all. Who the server is is not asked.
    Required,
    /// Encrypted, with a certificate that an authority has signed for the host of the address.
    Verify,
}

impl Tls {
    /// What was asked for. Else [`Verify`](TlsMode::Verify) where an authority is named, since a file is named to be
    /// used; else [`Preferred`](TlsMode::Preferred), as the products' own clients have it: it works with every server, and
    /// most servers offer encryption with a certificate that they made for themselves, which nobody can check.
    pub fn mode(&self) -> TlsMode {
        self.mode.unwrap_or(if self.ca.is_some() { TlsMode::Verify } else { TlsMode::Preferred })
    }

    /// Whether the certificate is held against authorities.
    pub(crate) fn checks_chain(&self) -> bool {
        self.ca.is_some() || self.mode() == TlsMode::Verify
    }
}

impl TlsMode {
    const NAMES: [(&'static str, Self); 4] =
        [("off", Self::Off), ("preferred", Self::Preferred), ("required", Self::Required), ("verify", Self::Verify)];
}

impl FromStr for TlsMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::NAMES.iter().find(|(name, _)| *name == text);
        found.map(|(_, mode)| *mode).ok_or_else(|| {
            let names = Self::NAMES.map(|(name, _)| name).join(", ");
            format!("tls={text} is unknown; there is: {names}")
        })
    }
}

/// What protects the connection under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protection {
    /// Nothing.
    Open,
    /// Encryption, towards whoever answered.
    Encrypted,
    /// Encryption, towards a server that an authority knows.
    Verified,
}
