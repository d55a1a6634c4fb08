//! A log is followed where it may be and where it tells enough; elsewhere there is none.

use rowkeep_engine::Rows as _;
use testkit::{DatabaseServer, Product};

use super::lab::{self, Writer};

testkit::on_both_products! {
    a_user_without_the_right_has_no_log
    a_server_that_logs_too_little_has_no_log
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
