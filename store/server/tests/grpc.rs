//! The gRPC surface, method by method, with messages made by an independent codec.

mod support;

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use support::grpc::{Client, reason};
use support::{Shop, shop_schema};
use tonic::{Code, Request, Status};

fn start() -> (Shop, Client) {
    let shop = Shop::start();
    let client = Client::new(shop.address, shop_schema());
    (shop, client)
}

#[test]
fn every_method_of_an_entity_answers() {
    let (_shop, client) = start();
    let user = |method: &str| format!("shop.v1.UserService/{method}");
    let call = |method: &str, request: Value| client.call(&user(method), &request);
    let ann = call("CreateUser", json!({"user": {"email": "a@x.org", "name": "Ann", "city": "Oslo"}}));
    assert_eq!(call("GetUser", json!({"id": ann["id"]})), ann);
    assert_eq!(call("GetUserByEmail", json!({"email": "a@x.org"})), ann);
    let batch = json!({"requests": [{"user": {"email": "b@x.org", "name": "Bob"}}, {"user": {"email": "c@x.org", "name": "Cid"}}]});
    let created = call("BatchCreateUsers", batch);
    let ids: Vec<_> = created["users"].as_array().unwrap().iter().map(|user| user["id"].clone()).collect();
    let found = call("BatchGetUsers", json!({"ids": [ids[0], "999"], "allowMissing": true}));
    assert_eq!((found["users"].as_array().unwrap().len(), &found["missingIds"]), (1, &json!(["999"])));
    let changed = call("UpdateUser", json!({"user": {"id": ann["id"], "name": "Anna"}, "updateMask": "name"}));
    assert_eq!((&changed["name"], &changed["city"]), (&json!("Anna"), &json!("Oslo")));
    let batch =
        json!({"requests": [{"user": {"id": ids[0], "city": "Rome"}}, {"user": {"id": ids[1], "city": "Rome"}}]});
    assert_eq!(call("BatchUpdateUsers", batch)["users"].as_array().unwrap().len(), 2);
    let listed = call("ListUsers", json!({"filter": "city = \"Rome\"", "includeTotalSize": true}));
    assert_eq!((listed["users"].as_array().unwrap().len(), &listed["totalSize"]), (2, &json!("2")));
    assert_eq!(call("DeleteUser", json!({"id": ids[0]})), json!({}));
    assert_eq!(call("BatchDeleteUsers", json!({"requests": [{"id": ids[1]}]})), json!({}));
    assert_eq!(client.fails(&user("GetUser"), &json!({"id": ids[1]})).code(), Code::NotFound);
}

#[test]
fn a_counter_is_changed_without_being_read_and_a_soft_delete_is_undone() {
    let (_shop, client) = start();
    let product = json!({"product": {"sku": "ABC-1", "name": "Cup", "price": {"value": "9.50"}, "stock": "3"}});
    let id = client.call("shop.v1.ProductService/CreateProduct", &product)["id"].clone();
    let take = |count: &str| json!({"product": {"id": id}, "updateMask": "", "transforms": [{"field": "stock", "increment": count}]});
    let taken = client.call("shop.v1.ProductService/UpdateProduct", &take("-2"));
    assert_eq!(taken["stock"], "1");
    let failed = client.fails("shop.v1.ProductService/UpdateProduct", &take("-2"));
    assert_eq!(failed.code(), Code::FailedPrecondition, "{failed}");
    let deleted = client.call("shop.v1.ProductService/DeleteProduct", &json!({"id": id}));
    assert!(deleted["deletedAt"].is_string());
    client.call("shop.v1.ProductService/UndeleteProduct", &json!({"id": id}));
}

#[test]
fn composite_keys_are_messages_in_batches() {
    let (_shop, client) = start();
    client.call("shop.v1.UserService/CreateUser", &json!({"user": {"email": "a@x.org", "name": "A"}}));
    client.call("shop.v1.OrderService/CreateOrder", &json!({"order": {"userId": "1"}}));
    let product = json!({"product": {"sku": "ABC-1", "name": "Cup", "price": {"value": "9.50"}}});
    client.call("shop.v1.ProductService/CreateProduct", &product);
    let item = json!({"orderItem": {"orderId": "1", "line": 1, "productId": "1", "quantity": 2}});
    client.call("shop.v1.OrderItemService/CreateOrderItem", &item);
    let keys = json!({"keys": [{"orderId": "1", "line": 1}, {"orderId": "1", "line": 2}], "allowMissing": true});
    let found = client.call("shop.v1.OrderItemService/BatchGetOrderItems", &keys);
    assert_eq!(found["missingKeys"], json!([{"orderId": "1", "line": 2}]));
    assert_eq!(found["orderItems"][0]["quantity"], 2);
    // Lines go with their order.
    client.call("shop.v1.OrderService/DeleteOrder", &json!({"id": "1"}));
    let gone = client.fails("shop.v1.OrderItemService/GetOrderItem", &json!({"orderId": "1", "line": 1}));
    assert_eq!(gone.code(), Code::NotFound);
}

#[test]
fn answers_carry_etag_and_session_and_take_them_back() {
    let (_shop, client) = start();
    let created =
        client.call_full("shop.v1.UserService/CreateUser", &json!({"user": {"email": "a@x.org", "name": "Ann"}}));
    let (user, metadata) = created.unwrap();
    let etag = metadata.get("etag").unwrap().to_str().unwrap();
    let session = metadata.get("rowkeep-session").unwrap().clone();
    let change = |etag: &str| json!({"user": {"id": user["id"], "name": "Anna"}, "etag": etag});
    let stale = client.fails("shop.v1.UserService/UpdateUser", &change("\"AAAAAAAAAAA\""));
    assert_eq!((stale.code(), reason(&stale).as_str()), (Code::Aborted, "ETAG_MISMATCH"));
    client.call("shop.v1.UserService/UpdateUser", &change(etag));

    let read = |name: &'static str, value: &str| {
        let mut request = Request::new(Bytes::from_static(&[8, 1]));
        request.metadata_mut().insert(name, value.parse().unwrap());
        client.raw("/shop.v1.UserService/GetUser", request)
    };
    read("rowkeep-session", session.to_str().unwrap()).unwrap();
    assert_eq!(read("rowkeep-session", "AAAA").unwrap_err().code(), Code::InvalidArgument);
    read("rowkeep-consistency", "max-staleness=500ms").unwrap();
    assert_eq!(read("rowkeep-consistency", "some").unwrap_err().code(), Code::InvalidArgument);
}

#[test]
fn all_wrong_fields_are_told_at_once() {
    let (_shop, client) = start();
    let status = client.fails("shop.v1.UserService/CreateUser", &json!({"user": {"email": "nonsense"}}));
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(reason(&status), "INVALID_FIELDS");
    use prost::Message;
    let details = kit_rpc::google_rpc::Status::decode(status.details()).unwrap().details;
    let bad = details.iter().find(|any| any.type_url.ends_with("BadRequest")).unwrap();
    let bad = kit_rpc::google_rpc::BadRequest::decode(bad.value.as_slice()).unwrap();
    let fields: Vec<_> = bad.field_violations.iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!(fields, ["user.email", "user.name"]);
}

#[test]
fn unknown_methods_and_services_are_unimplemented() {
    let (_shop, client) = start();
    for path in ["/shop.v1.UserService/GetUsr", "/nothing.Here/Get", "/x"] {
        let status = client.raw(path, Request::new(Bytes::new())).unwrap_err();
        assert_eq!(status.code(), Code::Unimplemented, "{path}");
    }
    let status = client.raw("/shop.v1.UserService/GetUsr", Request::new(Bytes::new())).unwrap_err();
    assert!(status.message().contains("did you mean shop.v1.UserService/GetUser?"), "{}", status.message());
}

#[test]
fn a_write_whose_deadline_passes_while_it_waits_leaves_no_trace() {
    let shop = Shop::start_with(|config| config.grpc.default_timeout = Duration::from_nanos(1).into());
    let client = Client::new(shop.address, shop_schema());
    let late = json!({"user": {"email": "late@x.org", "name": "Late"}});
    let status = client.fails("shop.v1.UserService/CreateUser", &late);
    assert_eq!(status.code(), Code::DeadlineExceeded);
    // The write queue is in order, so what was queued is done by now.
    assert_eq!(in_time(&client, "shop.v1.UserService/ListUsers", &json!({})).unwrap(), json!({}));
    let found = in_time(&client, "shop.v1.UserService/GetUserByEmail", &json!({"email": "late@x.org"}));
    assert_eq!(found.unwrap_err().code(), Code::NotFound);
}

/// Reads are ready before the clock is looked at, if their message came with their headers: asks until it does.
fn in_time(client: &Client, method: &str, request: &Value) -> Result<Value, Status> {
    for _ in 0..10_000 {
        match client.call_full(method, request) {
            Err(status) if status.code() == Code::DeadlineExceeded => {}
            other => return other.map(|(answer, _)| answer),
        }
    }
    panic!("the message of {method} never comes with its headers");
}
