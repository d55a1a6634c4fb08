//! Encrypted connections, with certificates of the tests' own making.

#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]

mod support;

use std::fs;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rowkeep_cache::remote::conformance::name;
use support::problem;
use tempfile::TempDir;
use testkit::{Redis, free_port};

/// A server that takes encrypted connections on a port of their own, and the files.
struct Encrypted {
    _server: Redis,
    port: u16,
    directory: TempDir,
}

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate with its key behind it.
fn signed(authority: &Authority, host: &str) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new([host.to_owned()]).unwrap();
    (params.signed_by(&key, authority).unwrap().pem(), key.serialize_pem())
}

impl Encrypted {
    fn start(host: &str, asks_for_certificates: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let authority = authority("rowkeep");
        let (server, key) = signed(&authority, host);
        let (client, client_key) = signed(&authority, "client");
        let files = [
            ("ca.pem", authority.pem()),
            ("stranger.pem", self::authority("somebody else").pem()),
            ("server.pem", server),
            ("server.key", key),
            ("client.pem", client.clone() + &client_key),
            ("client.crt", client),
            ("client.key", client_key),
        ];
        for (file, text) in files {
            fs::write(directory.path().join(file), text).unwrap();
        }
        let path = |file: &str| directory.path().join(file).display().to_string();
        let port = free_port();
        let server = Redis::start_with(&[
            "--tls-port",
            &port.to_string(),
            "--tls-cert-file",
            &path("server.pem"),
            "--tls-key-file",
            &path("server.key"),
            "--tls-ca-cert-file",
            &path("ca.pem"),
            "--tls-auth-clients",
            if asks_for_certificates { "yes" } else { "no" },
        ]);
        Self { _server: server, port, directory }
    }

    /// An address of it. `DIR` in the settings is where the files are.
    fn address(&self, settings: &str) -> String {
        let directory = self.directory.path().display().to_string();
        format!("rediss://127.0.0.1:{}?{}", self.port, settings.replace("DIR", &directory))
    }

    fn takes(&self, settings: &str) {
        let stage = support::stage_in(&support::address(&self.address(settings)), &support::namespace(), ());
        stage.one.begun(11, 5);
        let large = vec![7; 300_000];
        let brought = stage.one.bring(&name("row"), 1, &large);
        assert!(stage.other.entry(&name("row")) == Some(brought));
    }

    fn refuses(&self, settings: &str, part: &str) -> String {
        problem(&self.address(settings), part)
    }
}

#[test]
fn who_the_named_authority_has_signed_is_trusted() {
    let server = Encrypted::start("127.0.0.1", false);
    server.takes("tls_ca=DIR/ca.pem");
    let said = server.refuses("tls_ca=DIR/stranger.pem", "encryption failed");
    assert!(said.contains("tls_ca=FILE"), "{said}");
    server.refuses("", "tls_ca=FILE");
}

#[test]
fn a_certificate_of_another_host_is_refused() {
    let server = Encrypted::start("other.example", false);
    let said = server.refuses("tls_ca=DIR/ca.pem", "encryption failed");
    assert!(said.contains("not valid for name"), "{said}");
}

#[test]
fn a_server_that_asks_for_a_certificate_is_shown_one() {
    let server = Encrypted::start("127.0.0.1", true);
    server.takes("tls_ca=DIR/ca.pem&tls_cert=DIR/client.pem");
    server.takes("tls_ca=DIR/ca.pem&tls_cert=DIR/client.crt&tls_key=DIR/client.key");
    server.refuses("tls_ca=DIR/ca.pem", "CertificateRequired");
}

#[test]
fn a_server_without_encryption_is_refused() {
    let server = Redis::start();
    problem(&format!("rediss://{}", server.address()), "waiting for encryption");
}

#[test]
fn files_that_are_of_no_use_are_named() {
    let server = Encrypted::start("127.0.0.1", false);
    assert!(!Path::new("/nowhere").exists());
    for (settings, part) in [
        ("tls_ca=/nowhere", "tls_ca=/nowhere: "),
        ("tls_ca=DIR/server.key", "it holds no certificate"),
        ("tls_ca=DIR/ca.pem&tls_cert=DIR/server.pem", "it holds no private key"),
        ("tls_ca=DIR/ca.pem&tls_cert=DIR/client.crt&tls_key=DIR/server.key", "tls_key="),
    ] {
        server.refuses(settings, part);
    }
}
