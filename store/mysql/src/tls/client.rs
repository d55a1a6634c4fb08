//! From a plain stream to an encrypted one.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::danger::ServerCertVerifier;
use tokio_rustls::rustls::client::{Resumption, WebPkiServerVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::error::explain;
use super::verifier::{AnyName, Anybody};
use super::{Tls, TlsError, TlsMode};
use crate::{Address, Error};

/// Encrypts a stream on which both ends have agreed to.
pub(crate) async fn encrypt(address: &Address, stream: TcpStream) -> Result<TlsStream<TcpStream>, Error> {
    let name = server_name(address)?;
    let config = config(&address.tls).await?;
    let connected = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    connected.map_err(|error| explain(address, error))
}

/// What the certificate has to be for. Where nobody looks, a host may have a name that no certificate could.
fn server_name(address: &Address) -> Result<ServerName<'static>, TlsError> {
    match ServerName::try_from(address.host.clone()) {
        Ok(name) => Ok(name),
        Err(_) if address.tls.mode() == TlsMode::Verify => Err(TlsError::HostName(address.host.clone())),
        Err(_) => Ok(ServerName::IpAddress(Ipv4Addr::UNSPECIFIED.into())),
    }
}

/// The provider is named, so that it does not depend on what else is linked into the program.
async fn config(tls: &Tls) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let verifier = verifier(tls, &provider).await?;
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().map_err(TlsError::failed)?;
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    let mut config = match &tls.certificate {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let (chain, key) = identity(path, tls.key.as_deref()).await?;
            let built = builder.with_client_auth_cert(chain, key);
            built.map_err(|error| file("tls_cert", path, error))?
        }
    };
    // Connections are few and stay open, and each has a configuration of its own.
    config.resumption = Resumption::disabled();
    Ok(config)
}

async fn verifier(tls: &Tls, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    if !tls.checks_chain() {
        return Ok(Arc::new(Anybody(provider.signature_verification_algorithms)));
    }
    let authorities = match &tls.ca {
        Some(path) => Arc::new(authorities(path).await?),
        None => system_authorities(),
    };
    let built = WebPkiServerVerifier::builder_with_provider(authorities, Arc::clone(provider)).build();
    let verifier = built.map_err(|_| TlsError::NoAuthorities)?;
    Ok(if tls.mode() == TlsMode::Verify { verifier } else { Arc::new(AnyName(verifier)) })
}

async fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut authorities = RootCertStore::empty();
    for certificate in certificates("tls_ca", path).await? {
        authorities.add(certificate).map_err(|error| file("tls_ca", path, error))?;
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

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// The client's own certificate and key; one file may hold both.
async fn identity(certificate: &Path, key: Option<&Path>) -> Result<Identity, TlsError> {
    let chain = certificates("tls_cert", certificate).await?;
    let (setting, path) = key.map_or(("tls_cert", certificate), |key| ("tls_key", key));
    let key = PrivateKeyDer::from_pem_slice(&read(setting, path).await?);
    let key = key.map_err(|error| match error {
        pem::Error::NoItemsFound => file(setting, path, "it holds no private key (PEM, without a passphrase)"),
        other => file(setting, path, other),
    })?;
    Ok((chain, key))
}

/// At least one.
async fn certificates(setting: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(setting, path).await?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.map_err(|error| file(setting, path, error))?;
    if found.is_empty() { Err(file(setting, path, "it holds no certificate (PEM)")) } else { Ok(found) }
}

async fn read(setting: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    tokio::fs::read(path).await.map_err(|error| file(setting, path, error))
}

fn file(setting: &'static str, path: &Path, problem: impl std::fmt::Display) -> TlsError {
    TlsError::File { setting, path: path.to_owned(), problem: problem.to_string() }
}
