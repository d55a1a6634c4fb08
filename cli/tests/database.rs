//! A server over a database server that is in trouble, as its clients see it.

#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]

use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::{DatabaseServer, Product, Rowkeep, http};

testkit::on_both_products! {
    a_write_to_a_database_that_says_nothing_is_answered_in_time_and_truly
    a_user_whom_read_only_does_not_stop_is_warned_of
}

fn serve(url: &str) -> Rowkeep {
    let schema = testkit::workspace_root().join("examples/shop/shop.proto");
    Rowkeep::builder().schema(schema).env("ROWKEEP_DATABASE", url).arg("--set").arg("rest.timeout=1s").start()
}

fn a_write_to_a_database_that_says_nothing_is_answered_in_time_and_truly(product: Product) {
    let database = DatabaseServer::start(product);
    let server = serve(&database.least_url_of("test"));
    let users = format!("{}/v1/users", server.url());
    let create = |name: &str| {
        let user = format!(r#"{{"name": "{name}", "email": "{name}@example.com"}}"#);
        http::json("POST", &users, &user)
    };
    assert_eq!(create("ann").status, 201);
    database.suspend();
    let asked = Instant::now();
    let reply = create("bob");
    let took = asked.elapsed();
    database.resume();
    assert_eq!(reply.status, 504, "{}", reply.text());
    assert!(took < Duration::from_millis(1500), "{took:?}");
    let error: Value = serde_json::from_str(&reply.text()).unwrap();
    let info = &error["error"]["details"][0];
    assert_eq!(
        (&info["reason"], &info["metadata"]["applied"]),
        (&"DEADLINE_EXCEEDED".into(), &"false".into()),
        "{error}"
    );
    testkit::wait_until("the database to be used again", || create("cid").status == 201);
    let listed = http::get(&users).text();
    assert!(!listed.contains("bob"), "{listed}");
}

fn a_user_whom_read_only_does_not_stop_is_warned_of(product: Product) {
    let database = DatabaseServer::start(product);
    let server = serve(&database.user("strong", "test", &["ALL ON *.*"]));
    let log = server.log().text();
    assert!(log.contains("may write where read_only is set") && log.contains("REVOKE"), "{log}");
    drop(server);
    let server = serve(&database.least_url_of("test"));
    assert!(!server.log().text().contains("read_only"));
}
