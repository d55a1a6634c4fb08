//! Users of a real MariaDB and MySQL, and what is known of their rights.

use rowkeep_mysql::Connection;
use testkit::{DatabaseServer, Product};

use super::grants::{Need, check_grants};
use super::server::powers;

testkit::on_both_products! { async
    a_user_whom_read_only_does_not_stop_is_known
    what_a_user_may_is_the_servers_word
}

async fn a_user_whom_read_only_does_not_stop_is_known(product: Product) {
    // Nobody else writes to it.
    let server = DatabaseServer::start(product);
    let power = if product == Product::MariaDb { "READ_ONLY ADMIN" } else { "CONNECTION_ADMIN" };
    let strong = server.user("strong", "test", &["ALL ON test.*", &format!("{power} ON *.*")]);
    server.admin("SET GLOBAL read_only = ON");
    let mut found = Vec::new();
    for url in [strong, server.least_url_of("test")] {
        let mut connection = Connection::open(&url.parse().unwrap()).await.unwrap();
        let written = connection.command("CREATE TABLE written (a INT)").await;
        found.push((written.is_ok(), powers(&mut connection).await));
    }
    server.admin("SET GLOBAL read_only = OFF");
    assert_eq!(found[0], (true, Some((power.to_owned(), "`strong`@`127.0.0.1`".to_owned()))));
    assert_eq!(found[1], (false, None));
}

/// `SHOW GRANTS` tells of none of these.
async fn what_a_user_may_is_the_servers_word(product: Product) {
    let server = DatabaseServer::shared(product);
    let url = server.user("elsewhere", "test", &[]);
    server.admin("CREATE USER elsewhere@'%'; GRANT ALL ON test.* TO elsewhere@'%'");
    let address = url.parse().unwrap();
    let mut connection = Connection::open(&address).await.unwrap();
    check_grants(&mut connection, &address, Need::Migrate).await.unwrap();
}
