//! A server comes back on its data, whatever ends it.

use std::path::{Path, PathBuf};

use testkit::database::mariadb::{ROOT_VARIABLE, version};
use testkit::{DatabaseServer, Product, wait_until};

testkit::on_both_products! {
    a_server_that_is_killed_while_it_starts_is_started_again
}

#[test]
fn mariadb_runs_from_the_folder_that_is_named_or_as_it_is_installed() {
    let server = testkit::MariaDb::start();
    let folder = std::env::var_os(ROOT_VARIABLE).map_or_else(|| "/usr".into(), PathBuf::from);
    assert_eq!(Path::new(&server.admin("SELECT @@basedir")), folder);
    if let Ok(version) = version(&folder) {
        let said = server.admin("SELECT VERSION()");
        assert!(said.starts_with(&version), "{said} is not {version}");
    }
}

fn a_server_that_is_killed_while_it_starts_is_started_again(product: Product) {
    let server = DatabaseServer::start(product);
    server.admin("CREATE TABLE test.kept (id INT PRIMARY KEY)");
    let killed = server.id();
    server.kill9();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            wait_until("a new process", || server.id() != killed);
            server.kill9();
        });
        server.restart();
    });
    assert_eq!(server.admin("SELECT COUNT(*) FROM test.kept"), "0");
}
