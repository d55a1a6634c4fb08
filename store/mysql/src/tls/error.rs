//! Why the way to the server could not be protected, with what to do.

use std::io;
use std::path::PathBuf;

use tokio_rustls::rustls::{self, CertificateError};

use crate::{Address, Error};

/// Why the way to the server could not be protected as the address asks. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// It has no TLS, or something in between took the offer away.
    #[error(
        "the server offers no encryption; turn it on there, or set tls=preferred in the address if the network between is private"
    )]
    NotOffered,
    /// Bytes came unencrypted behind the offer: not the server's own, and they would be taken for its answers.
    #[error("something came unencrypted after encryption was agreed on")]
    Injected,
    /// A file that the address names is of no use.
    #[error("{setting}={}: {problem}", .path.display())]
    File {
        /// The setting of the address.
        setting: &'static str,
        /// Its value.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Nothing is there to check a certificate by.
    #[error("this machine knows no certificate authorities; set tls_ca=FILE in the address")]
    NoAuthorities,
    /// Certificates cannot be issued for such a host.
    #[error("{0:?} is no name that a certificate can have; name the host as its certificate does")]
    HostName(String),
    /// Nobody who is trusted has signed the server's certificate.
    #[error(
        "the server's certificate is not signed by {0}; set tls_ca=FILE in the address to the certificate of who did"
    )]
    UnknownIssuer(String),
    /// The server's certificate is too old.
    #[error("the server's certificate has expired; renew it on the server")]
    Expired,
    /// The server's certificate is too new.
    #[error("the server's certificate is not valid yet; compare the clocks of both machines")]
    NotYetValid,
    /// The server's certificate is another host's.
    #[error(
        "the server's certificate is not for {host}{}; connect by a name that it is for, or set tls=required, which does not look at the name",
        names(.presented)
    )]
    WrongHost {
        /// The host of the address.
        host: String,
        /// What the certificate is for.
        presented: Vec<String>,
    },
    /// Anything else that the two ends did not agree on.
    #[error("encryption failed: {0}")]
    Failed(String),
}

fn names(presented: &[String]) -> String {
    if presented.is_empty() { String::new() } else { format!(" but for {}", presented.join(", ")) }
}

impl TlsError {
    pub(super) fn failed(error: impl std::fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }
}

/// What a handshake failed with. A connection that broke meanwhile stays what it is.
pub(super) fn explain(address: &Address, error: io::Error) -> Error {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(problem)) => of_certificate(address, problem).into(),
        Some(other) => TlsError::failed(other).into(),
        None => error.into(),
    }
}

fn of_certificate(address: &Address, problem: &CertificateError) -> TlsError {
    match problem {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => TlsError::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => TlsError::NotYetValid,
        // The other one is an authority that was made anew under its old name.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            TlsError::UnknownIssuer(match &address.tls.ca {
                Some(path) => format!("the authority in {}", path.display()),
                None => "an authority that this machine knows".to_owned(),
            })
        }
        CertificateError::NotValidForName => wrong_host(address, &[]),
        CertificateError::NotValidForNameContext { presented, .. } => wrong_host(address, presented),
        other => TlsError::Failed(format!("the server's certificate: {other}")),
    }
}

fn wrong_host(address: &Address, presented: &[String]) -> TlsError {
    TlsError::WrongHost { host: address.host.clone(), presented: presented.to_vec() }
}
