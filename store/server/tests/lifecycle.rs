//! Start, restart, drain.

mod support;

use std::time::Duration;

use rowkeep_engine::conformance;
use serde_json::json;
use support::grpc::Client;
use support::http::{ask, get};
use support::{Shop, shop_schema};
use testkit::wait_until;

#[test]
fn rows_and_page_tokens_survive_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let start = || Shop::open(shop_schema(), support::config(directory.path())).unwrap();
    let mut shop = start();
    for name in ["a", "b", "c"] {
        let body = json!({"email": format!("{name}@x.org"), "name": name});
        ask(shop.address, "POST", "/v1/users").json(&body).send().expect(201);
    }
    let page = get(shop.address, "/v1/users?page_size=2").expect(200).json();
    shop.stop();
    let shop = start();
    let token = page["nextPageToken"].as_str().unwrap();
    let rest = get(shop.address, &format!("/v1/users?page_size=2&page_token={token}")).expect(200).json();
    assert_eq!(rest["users"][0]["name"], "c");
}

#[test]
fn a_second_server_on_the_same_data_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let _first = Shop::open(shop_schema(), support::config(directory.path())).unwrap();
    let second = Shop::open(shop_schema(), support::config(directory.path()));
    assert!(second.is_err());
}

#[test]
fn metrics_and_health_are_on_their_own_listener() {
    let shop = Shop::start();
    get(shop.address, "/v1/users").expect(200);
    get(shop.address, "/v1/users/1").expect(404);
    assert_eq!(get(shop.admin, "/readyz").expect(200).text(), "ready\n");
    let metrics = || get(shop.admin, "/metrics").expect(200).text();
    for line in [
        r#"rowkeep_requests_total{surface="rest",service="shop.v1.UserService",method="ListUsers",code="OK"} 1"#,
        r#"rowkeep_requests_total{surface="rest",service="shop.v1.UserService",method="GetUser",code="NOT_FOUND"} 1"#,
        // Not at once: the first sweep of expired rows is a write too.
        "rowkeep_write_queue_depth 0",
    ] {
        wait_until(line, || metrics().contains(line));
    }
    get(shop.address, "/metrics").expect(404);
}

#[test]
fn a_taken_port_is_told_with_its_key() {
    let shop = Shop::start();
    let directory = tempfile::tempdir().unwrap();
    let mut config = support::config(directory.path());
    config.listen = shop.address;
    let error = Shop::open(shop_schema(), config).err().unwrap();
    assert!(error.message().starts_with("listen: cannot listen on "), "{error}");
}

#[test]
fn expired_rows_are_swept_while_it_serves() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = support::config(directory.path());
    config.sweep_interval = Duration::from_millis(10).into();
    let server = Shop::open(conformance::schema(), config).unwrap();
    let client = Client::new(server.address, conformance::schema());
    let call = |service: &str, method: &str, request| {
        client.call(&format!("conformance.v1.{service}Service/{method}{service}"), &request)
    };
    for token in ["held", "free"] {
        call("Session", "Create", json!({ "session": { "token": token } }));
        let id = if token == "held" { "1" } else { "2" };
        call("Basket", "Create", json!({ "basket": { "id": id, "session": token } }));
    }
    call("Visit", "Create", json!({ "visit": { "id": "1", "session": "held" } }));
    for token in ["held", "free"] {
        let ended = json!({ "token": token, "expiresAt": "2001-01-01T00:00:00Z" });
        call("Session", "Update", json!({ "session": ended, "updateMask": "expiresAt" }));
    }
    let has = |id: &str| client.call_full("conformance.v1.BasketService/GetBasket", &json!({ "id": id })).is_ok();
    wait_until("the basket to go with its session", || !has("2"));
    assert!(has("1"), "its session is held fast");
    call("Visit", "Delete", json!({ "id": "1" }));
    wait_until("the other to go too", || !has("1"));
}
