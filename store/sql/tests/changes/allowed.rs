//! A log is followed where it may be and where it tells enough; elsewhere there is none.

use rowkeep_engine::Rows as _;
use rowkeep_mysql::{Address, Tls, TlsMode};
use rowkeep_sql::mysql::{Database, Options};
use testkit::{DatabaseServer, Product};

use super::lab::{self, Writer};

testkit::on_both_products! {
    a_user_without_the_right_has_no_log
    a_server_that_logs_too_little_has_no_log
    a_user_who_has_to_come_encrypted_follows_the_log
}

fn is_followed(url: &str) -> bool {
    lab::store_at(vec![url.parse().unwrap()]).changes().is_some()
}

fn a_user_without_the_right_has_no_log(product: Product) {
    let server = DatabaseServer::start(product);
    assert!(!is_followed(&server.least_url_of("test")));
    server.admin("GRANT REPLICATION SLAVE ON *.* TO least@'127.0.0.1'");
    let store = lab::store_at(vec![server.least_url_of("test").parse().unwrap()]);
    let mut mirror = lab::mirror(&store);
    (0..3).for_each(|id| Writer::new(&server).add(id).unwrap());
    assert_eq!(mirror.check(), 3);
}

/// Both connections of a follower, the log's and the one that asks what reads show.
fn a_user_who_has_to_come_encrypted_follows_the_log(product: Product) {
    let files = tempfile::tempdir().unwrap();
    let signed = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let write = |name: &str, text: &str| {
        let path = files.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (cert, key) = (write("cert.pem", &signed.cert.pem()), write("key.pem", &signed.signing_key.serialize_pem()));
    let server = DatabaseServer::start_with(product, &[format!("--ssl-cert={cert}"), format!("--ssl-key={key}")]);
    server.admin("GRANT REPLICATION SLAVE ON *.* TO encrypted@'127.0.0.1'");
    let mut address: Address = server.url().parse().unwrap();
    address.user = "encrypted".to_owned();
    let store = lab::store_at(vec![Address {
        tls: Tls { mode: Some(TlsMode::Required), ..Tls::default() },
        ..address.clone()
    }]);
    let mut mirror = lab::mirror(&store);
    let mut writer = Writer::new(&server);
    (0..3).for_each(|id| writer.add(id).unwrap());
    assert_eq!(mirror.check(), 3);
    let off = Address { tls: Tls { mode: Some(TlsMode::Off), ..Tls::default() }, ..address };
    let refused = Database::open(&Options::new(off)).err().unwrap();
    assert_eq!(refused.reason(), "DATABASE_REFUSED", "{refused}");
}

fn a_server_that_logs_too_little_has_no_log(product: Product) {
    let server = lab::server(product, &[]);
    for (setting, enough, too_little) in
        [("binlog_row_metadata", "FULL", "MINIMAL"), ("binlog_row_image", "FULL", "MINIMAL")]
    {
        server.admin(&format!("SET GLOBAL {setting} = {too_little}"));
        assert!(!is_followed(&server.url()), "{setting}");
        server.admin(&format!("SET GLOBAL {setting} = {enough}"));
    }
    assert!(is_followed(&server.url()));
    let server = DatabaseServer::start_with(product, &["--skip-log-bin"]);
    assert!(!is_followed(&server.url()));
}
