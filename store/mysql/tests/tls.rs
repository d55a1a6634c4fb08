//! Encryption against real servers: every test runs on both products, with certificates of its own making.

#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rowkeep_mysql::{Address, Connection, Error, Param, Raw, Row, TlsError};
use tempfile::TempDir;
use testkit::{DatabaseServer, Product as Tested};

testkit::on_both_products! {
    async
    what_is_offered_is_taken_and_off_is_off
    verify_takes_what_the_named_authority_has_signed_for_the_host
    verify_refuses_an_authority_that_nobody_named
    a_wrong_host_is_refused_by_verify_alone
    a_certificate_that_has_expired_is_refused_where_it_is_looked_at
    a_server_without_encryption_is_refused_unless_it_is_only_preferred
    large_values_come_back
    a_user_who_has_to_come_encrypted_is_let_in
    a_certificate_of_the_clients_own_is_shown
    files_that_are_of_no_use_are_named
}

type Authority = CertifiedIssuer<'static, KeyPair>;

/// Certificates as files.
struct Files(TempDir);

impl Files {
    /// `ca.pem`, and `server.pem` for 127.0.0.1 with `server.key`, `client.pem` with its key in it, and `stranger.pem`, an
    /// authority that has signed nothing.
    fn good() -> &'static Self {
        static FILES: OnceLock<Files> = OnceLock::new();
        FILES.get_or_init(|| Self::new("127.0.0.1", 2100))
    }

    /// The same for another name, and until the beginning of a year.
    fn new(host: &str, until: i32) -> Self {
        // Those that all tests share are never dropped: they are where everything that is built is.
        let files = Self(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap());
        let authority = authority("rowkeep");
        files.write("ca.pem", &authority.pem());
        files.write("stranger.pem", &self::authority("somebody else").pem());
        let (certificate, key) = signed(&authority, host, until);
        files.write("server.pem", &certificate);
        files.write("server.key", &key);
        let (certificate, key) = signed(&authority, "client", until);
        files.write("client.pem", &(certificate + &key));
        files
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A server that shows the certificate.
    fn serve(&self, product: Tested) -> DatabaseServer {
        let option = |name: &str, file: &str| format!("--ssl-{name}={}", self.path(file).display());
        let options = [option("ca", "ca.pem"), option("cert", "server.pem"), option("key", "server.key")];
        DatabaseServer::start_with(product, &options.each_ref().map(String::as_str))
    }

    /// An address of the server. `DIR` in the settings is where the files are.
    fn address(&self, server: &DatabaseServer, settings: &str) -> Address {
        let directory = self.0.path().display().to_string();
        format!("{}?{}", server.url(), settings.replace("DIR", &directory)).parse().unwrap()
    }

    async fn open(&self, server: &DatabaseServer, settings: &str) -> Result<Connection, Error> {
        Connection::open(&self.address(server, settings)).await
    }

    async fn refused(&self, server: &DatabaseServer, settings: &str) -> TlsError {
        match self.open(server, settings).await {
            Err(Error::Tls(error)) => error,
            other => panic!("{settings}: {other:?}"),
        }
    }
}

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate and its key.
fn signed(authority: &Authority, host: &str, until: i32) -> (String, String) {
    let mut params = CertificateParams::new([host.to_owned()]).unwrap();
    params.not_after = date_time_ymd(until, 1, 1);
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, authority).unwrap().pem(), key.serialize_pem())
}

/// One with good certificates for all tests.
fn shared(product: Tested) -> &'static DatabaseServer {
    static MARIADB: OnceLock<DatabaseServer> = OnceLock::new();
    static MYSQL: OnceLock<DatabaseServer> = OnceLock::new();
    let server = match product {
        Tested::MariaDb => &MARIADB,
        Tested::MySql => &MYSQL,
    };
    server.get_or_init(|| Files::good().serve(product))
}

/// The server's word for it.
async fn is_encrypted(mut connection: Connection) -> bool {
    let rows = connection.query("SHOW SESSION STATUS LIKE 'Ssl_cipher'").await.unwrap();
    rows[0][1].as_deref().is_some_and(|cipher| !cipher.is_empty())
}

async fn what_is_offered_is_taken_and_off_is_off(tested: Tested) {
    let (files, server) = (Files::good(), shared(tested));
    for (settings, expected) in [("", true), ("tls=preferred", true), ("tls=required", true), ("tls=off", false)] {
        let connection = files.open(server, settings).await.unwrap();
        assert_eq!(is_encrypted(connection).await, expected, "{settings}");
    }
}

async fn verify_takes_what_the_named_authority_has_signed_for_the_host(tested: Tested) {
    let (files, server) = (Files::good(), shared(tested));
    for settings in ["tls=verify&tls_ca=DIR/ca.pem", "tls_ca=DIR/ca.pem"] {
        let connection = files.open(server, settings).await.unwrap();
        assert!(is_encrypted(connection).await, "{settings}");
    }
}

async fn verify_refuses_an_authority_that_nobody_named(tested: Tested) {
    let (files, server) = (Files::good(), shared(tested));
    for settings in
        ["tls_ca=DIR/stranger.pem", "tls=required&tls_ca=DIR/stranger.pem", "tls=preferred&tls_ca=DIR/stranger.pem"]
    {
        let error = files.refused(server, settings).await;
        assert!(matches!(error, TlsError::UnknownIssuer(_)), "{settings}: {error}");
        assert!(error.to_string().contains("stranger.pem; set tls_ca=FILE"), "{error}");
    }
    // Whether the machine knows authorities or not, it does not know this one.
    let error = files.refused(server, "tls=verify").await;
    assert!(matches!(error, TlsError::UnknownIssuer(_) | TlsError::NoAuthorities), "{error}");
}

async fn a_wrong_host_is_refused_by_verify_alone(tested: Tested) {
    let files = Files::new("db.example", 2100);
    let server = files.serve(tested);
    let error = files.refused(&server, "tls_ca=DIR/ca.pem").await;
    assert!(matches!(error, TlsError::WrongHost { .. }), "{error}");
    let message = error.to_string();
    assert!(message.contains("not for 127.0.0.1 but for ") && message.contains("db.example"), "{message}");
    let connection = files.open(&server, "tls=required&tls_ca=DIR/ca.pem").await.unwrap();
    assert!(is_encrypted(connection).await);
}

async fn a_certificate_that_has_expired_is_refused_where_it_is_looked_at(tested: Tested) {
    let files = Files::new("127.0.0.1", 2020);
    let server = files.serve(tested);
    for settings in ["tls_ca=DIR/ca.pem", "tls=preferred&tls_ca=DIR/ca.pem"] {
        let error = files.refused(&server, settings).await;
        assert!(matches!(error, TlsError::Expired), "{settings}: {error}");
    }
    assert!(is_encrypted(files.open(&server, "tls=required").await.unwrap()).await);
}

async fn a_server_without_encryption_is_refused_unless_it_is_only_preferred(tested: Tested) {
    let option = match tested {
        Tested::MariaDb => "--skip-ssl",
        Tested::MySql => "--tls-version=",
    };
    let (files, server) = (Files::good(), DatabaseServer::start_with(tested, &[option]));
    for settings in ["tls=required", "tls=verify", "tls_ca=DIR/ca.pem"] {
        let error = files.refused(&server, settings).await;
        assert!(matches!(error, TlsError::NotOffered), "{settings}: {error}");
    }
    for settings in ["", "tls=preferred", "tls=off"] {
        assert!(!is_encrypted(files.open(&server, settings).await.unwrap()).await, "{settings}");
    }
}

async fn large_values_come_back(tested: Tested) {
    let mut connection = Files::good().open(shared(tested), "tls_ca=DIR/ca.pem").await.unwrap();
    connection.command("CREATE TABLE large (a LONGBLOB)").await.unwrap();
    let value: Vec<u8> = (0..20_000_000).map(|at| (at % 253) as u8).collect();
    let insert = connection.prepare("INSERT INTO large VALUES (?)").await.unwrap();
    connection.send_execute(insert, &[Param::Bytes(&value)]).unwrap();
    connection.flush().await.unwrap();
    connection.receive(|_| Ok::<(), Error>(())).await.unwrap();
    let select = connection.prepare("SELECT a FROM large").await.unwrap();
    connection.send_execute(select, &[]).unwrap();
    connection.flush().await.unwrap();
    let mut seen = 0;
    let same = |row: &mut Row<'_>| {
        seen += usize::from(row.value()? == Raw::Bytes(&value));
        Ok::<(), Error>(())
    };
    connection.receive(same).await.unwrap();
    assert_eq!(seen, 1);
}

async fn a_user_who_has_to_come_encrypted_is_let_in(tested: Tested) {
    let (files, server) = (Files::good(), shared(tested));
    let open = |settings: &str| {
        let mut address = files.address(server, settings);
        address.user = "encrypted".to_owned();
        async move { Connection::open(&address).await }
    };
    assert!(is_encrypted(open("").await.unwrap()).await);
    assert_eq!(open("tls=off").await.unwrap_err().code(), Some(1045));
}

async fn a_certificate_of_the_clients_own_is_shown(tested: Tested) {
    let (files, server) = (Files::good(), shared(tested));
    let open = |settings: &str| {
        let mut address = files.address(server, settings);
        address.user = "certified".to_owned();
        async move { Connection::open(&address).await }
    };
    open("tls_ca=DIR/ca.pem&tls_cert=DIR/client.pem").await.unwrap();
    open("tls_cert=DIR/client.pem&tls_key=DIR/client.pem").await.unwrap();
    assert_eq!(open("").await.unwrap_err().code(), Some(1045));
}

async fn files_that_are_of_no_use_are_named(tested: Tested) {
    let (files, server) = (Files::good(), shared(tested));
    for (settings, file, problem) in [
        ("tls_ca=DIR/nowhere.pem", "tls_ca=", "No such file"),
        ("tls_ca=DIR/server.key", "server.key", "no certificate"),
        ("tls_cert=DIR/server.pem", "tls_cert=", "no private key"),
        ("tls_cert=DIR/server.pem&tls_key=DIR/ca.pem", "tls_key=", "no private key"),
    ] {
        let error = files.refused(server, settings).await.to_string();
        assert!(error.contains(file) && error.contains(problem), "{settings}: {error}");
    }
}

#[tokio::test]
async fn what_mysql_makes_for_itself_can_be_checked_but_for_the_name() {
    let server = DatabaseServer::start(Tested::MySql);
    let mut connection = Connection::open(&server.url().parse().unwrap()).await.unwrap();
    let directory = connection.query("SELECT @@datadir").await.unwrap()[0][0].clone().unwrap();
    assert!(is_encrypted(connection).await);
    let open = |settings: &str| {
        let address: Address = format!("{}?{settings}&tls_ca={directory}/ca.pem", server.url()).parse().unwrap();
        async move { Connection::open(&address).await }
    };
    assert!(is_encrypted(open("tls=required").await.unwrap()).await);
    assert!(matches!(open("tls=verify").await, Err(Error::Tls(TlsError::WrongHost { .. }))));
}
