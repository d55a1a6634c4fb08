//! A server comes back on its data, whatever ends it.

use testkit::{DatabaseServer, Product, wait_until};

testkit::on_both_products! {
    a_server_that_is_killed_while_it_starts_is_started_again
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
