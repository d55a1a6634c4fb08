//! Encrypted streams. The server's certificate must be signed by an authority that is trusted, and be for the server's host.

use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::address::{Host, Tls};

/// Encrypts a stream. The files are read for each connection, so that renewed certificates need no restart.
pub(crate) async fn encrypt(tls: &Tls, host: &Host, stream: TcpStream) -> Result<TlsStream<TcpStream>, String> {
    let name = ServerName::try_from(host.name.clone());
    let name = name.map_err(|_| format!("{:?} is no name that a certificate can have", host.name))?;
    let connector = TlsConnector::from(Arc::new(config(tls).await?));
    connector.connect(name, stream).await.map_err(|error| explain(&error))
}

fn explain(error: &io::Error) -> String {
    format!("encryption failed: {error}; tls_ca=FILE in the address names who signed the server's certificate")
}

/// The provider is named, so that it does not depend on what else is linked into the program.
async fn config(tls: &Tls) -> Result<ClientConfig, String> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
    let authorities = match &tls.ca {
        Some(path) => Arc::new(authorities(path).await?),
        None => system_authorities(),
    };
    if authorities.is_empty() {
        return Err("this machine knows no certificate authorities; set tls_ca=FILE in the address".to_owned());
    }
    let builder = builder.with_root_certificates(authorities);
    let mut config = match &tls.certificate {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let chain = certificates("tls_cert", path).await?;
            let (setting, path) = tls.key.as_deref().map_or(("tls_cert", path.as_path()), |path| ("tls_key", path));
            let key = PrivateKeyDer::from_pem_slice(&read(setting, path).await?);
            let key = key.map_err(|_| problem(setting, path, "it holds no private key (PEM, without a passphrase)"))?;
            builder.with_client_auth_cert(chain, key).map_err(|error| problem(setting, path, error))?
        }
    };
    // Connections are few and stay open, and each has a configuration of its own.
    config.resumption = Resumption::disabled();
    Ok(config)
}

async fn authorities(path: &Path) -> Result<RootCertStore, String> {
    let mut authorities = RootCertStore::empty();
    for certificate in certificates("tls_ca", path).await? {
        authorities.add(certificate).map_err(|error| problem("tls_ca", path, error))?;
    }
    Ok(authorities)
}

/// Those of the machine. There are many and they rarely change: they are read once.
fn system_authorities() -> Arc<RootCertStore> {
    static AUTHORITIES: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let load = || {
        let mut authorities = RootCertStore::empty();
        authorities.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(authorities)
    };
    Arc::clone(AUTHORITIES.get_or_init(load))
}

/// At least one.
async fn certificates(setting: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = read(setting, path).await?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(problem(setting, path, "it holds no certificate (PEM)")),
        Err(error) => Err(problem(setting, path, error)),
    }
}

async fn read(setting: &str, path: &Path) -> Result<Vec<u8>, String> {
    tokio::fs::read(path).await.map_err(|error| problem(setting, path, error))
}

fn problem(setting: &str, path: &Path, problem: impl std::fmt::Display) -> String {
    format!("{setting}={}: {problem}", path.display())
}
