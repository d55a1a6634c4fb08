//! What no client should send: answered with an error that helps, and the next request is served.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use support::grpc::Client;
use support::http::{ask, get, raw};
use support::{Shop, shop_schema};
use tonic::{Code, Request};

const SQL: [&str; 8] = [
    "' OR '1'='1",
    "\"; DROP TABLE users; --",
    "id; DROP TABLE users",
    "id desc, (select sleep(5))",
    "`a``b`",
    "/*!50000 SELECT */",
    "%_\\",
    "\u{0}x",
];

fn serves(shop: &Shop) {
    get(shop.address, "/v1/users?page_size=1").expect(200);
}

#[test]
fn malformed_protobuf_is_the_clients_mistake_in_every_method() {
    let shop = Shop::start();
    let client = Client::new(shop.address, shop_schema());
    let messages: [&[u8]; 7] = [
        b"\xff",
        b"\x0a\xff\xff\xff\xff\x0f",
        b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\x0b\x0b\x0b\x0b",
        b"\x0c",
        b"\x00\x00",
        b"\x0f\x01",
    ];
    for method in &client.schema.methods {
        for message in messages {
            let path = format!("/{}/{}", method.service, method.name);
            let answered = client.raw(&path, Request::new(Bytes::from_static(message)));
            let status = answered.expect_err(&path);
            assert_eq!(status.code(), Code::InvalidArgument, "{path} {message:?}: {status}");
            assert!(!status.message().contains("/src/"), "{status}");
        }
    }
    serves(&shop);
}

#[test]
fn bombs_are_refused_before_they_are_unpacked() {
    let shop = Shop::start();
    let client = Client::new(shop.address, shop_schema());
    let create = |row: Vec<u8>| {
        let mut message = vec![0x0a];
        prost::encoding::encode_varint(row.len() as u64, &mut message);
        message.extend(row);
        client.raw("/shop.v1.OrderService/CreateOrder", Request::new(message.into())).unwrap_err()
    };
    // Larger than a message may be.
    assert_eq!(create(vec![0x0a; 4 << 20]).code(), Code::ResourceExhausted);
    // Many empty sub-messages of a field that is stored as one.
    let refused = create([0x22, 0x00].repeat(120_000));
    assert!(matches!(refused.code(), Code::InvalidArgument | Code::FailedPrecondition), "{refused}");
    let refused =
        client.raw("/shop.v1.UserService/BatchCreateUsers", Request::new(Bytes::from([0x0a, 0x00].repeat(100_000))));
    assert_eq!(refused.unwrap_err().code(), Code::InvalidArgument);
    let refused =
        client.raw("/shop.v1.UserService/BatchGetUsers", Request::new(Bytes::from([0x08, 0x01].repeat(100_000))));
    assert_eq!(refused.unwrap_err().code(), Code::InvalidArgument);
    let deep = "[".repeat(100_000);
    ask(shop.address, "POST", "/v1/users").header("content-type", "application/json").body(deep).send().expect(400);
    serves(&shop);
}

#[test]
fn bad_json_is_refused_with_what_was_expected() {
    let shop = Shop::start();
    let bodies: [(&[u8], &str); 17] = [
        (b"", "JSON"),
        (b"null", ""),
        (b"[]", ""),
        (b"{", ""),
        (b"{}x", ""),
        (b"{\"email\": \"a@x.org\", \"email\": \"b@x.org\", \"name\": \"A\"}", "email"),
        (b"{\"nam\": \"A\"}", "nam"),
        (b"{\"name\": 1}", "name"),
        (b"{\"name\": \"\xff\"}", ""),
        (b"{\"name\": \"\\ud800\"}", ""),
        (b"{\"id\": 1e999}", "id"),
        (b"{\"id\": 9223372036854775808}", "id"),
        (b"{\"id\": 1.5}", "id"),
        (b"{\"id\": true}", "id"),
        (b"{\"createdAt\": \"yesterday\"}", "created"),
        (b"\xef\xbb\xbf{}", ""),
        (b"\xff\xfe{\x00}\x00", ""),
    ];
    for (body, expected) in bodies {
        let shown = String::from_utf8_lossy(body).into_owned();
        let request = ask(shop.address, "POST", "/v1/users").header("content-type", "application/json").body(body);
        let answer = request.send();
        assert_eq!(answer.status, 400, "{shown}: {}", answer.text());
        assert!(answer.text().contains(expected), "{shown}: {}", answer.text());
    }
    serves(&shop);
}

#[test]
fn sql_in_any_place_is_a_value_or_a_refusal() {
    let shop = Shop::start();
    let body = json!({"email": "keep@x.org", "name": "Keep"});
    ask(shop.address, "POST", "/v1/users").json(&body).send().expect(201);
    for text in SQL {
        let encoded: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
        let literal: String = format!("name = \"{quoted}\"").bytes().map(|byte| format!("%{byte:02X}")).collect();
        for target in [
            format!("/v1/users/{encoded}"),
            format!("/v1/users?filter={encoded}"),
            format!("/v1/users?order_by={encoded}"),
            format!("/v1/users?fields={encoded}"),
            format!("/v1/users?page_token={encoded}"),
            format!("/v1/users?{encoded}=1"),
            format!("/v1/users?filter={literal}"),
            format!("/v1/users:getByEmail?email={encoded}"),
        ] {
            let answer = get(shop.address, &target);
            assert!(matches!(answer.status, 200 | 400 | 404), "{target}: {}", answer.text());
            assert!(!answer.text().to_lowercase().contains("sqlite"), "{target}: {}", answer.text());
        }
        let body = json!({"email": "v@x.org", "name": text});
        let created = ask(shop.address, "POST", "/v1/users").json(&body).send();
        if created.status == 201 {
            assert_eq!(created.json()["name"], text);
            ask(shop.address, "DELETE", created.header("location").unwrap()).send().expect(200);
        } else {
            assert_eq!(created.status, 400, "{}", created.text());
        }
    }
    assert_eq!(get(shop.address, "/v1/users/1").expect(200).json()["name"], "Keep");
}

#[test]
fn tokens_and_etags_of_elsewhere_are_refused() {
    let (shop, other) = (Shop::start(), Shop::start());
    for server in [&shop, &other] {
        for name in ["a", "b", "c"] {
            let body = json!({"email": format!("{name}@x.org"), "name": name});
            ask(server.address, "POST", "/v1/users").json(&body).send().expect(201);
        }
    }
    let page = get(other.address, "/v1/users?page_size=1").expect(200).json();
    let foreign = page["nextPageToken"].as_str().unwrap();
    get(other.address, &format!("/v1/users?page_size=1&page_token={foreign}")).expect(200);
    get(shop.address, &format!("/v1/users?page_size=1&page_token={foreign}")).expect(400);
    let own = get(shop.address, "/v1/users?page_size=1").expect(200).json();
    let own = own["nextPageToken"].as_str().unwrap();
    for at in 0..own.len() {
        let mut forged = own.as_bytes().to_vec();
        forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
        let forged = String::from_utf8(forged).unwrap();
        let answer = get(shop.address, &format!("/v1/users?page_size=1&page_token={forged}"));
        // The last character of base64 may carry bits that mean nothing; a strict reader refuses those as well.
        assert_eq!(answer.status, 400, "{at}: {}", answer.text());
    }
    let long = "A".repeat(10_000);
    get(shop.address, &format!("/v1/users?page_token={long}")).expect(400);
    let etag = get(shop.address, "/v1/users/2").header("etag").unwrap().to_owned();
    let request = ask(shop.address, "PATCH", "/v1/users/1").header("if-match", &etag).json(&json!({"name": "x"}));
    request.send().expect(412);
    ask(shop.address, "PATCH", "/v1/users/1").header("if-match", "nonsense").json(&json!({})).send().expect(400);
}

#[test]
fn requests_that_http_does_not_allow_are_closed() {
    let shop = Shop::start();
    let status = |request: &str| raw(shop.address, request.as_bytes(), false).status;
    let length_twice =
        "POST /v1/users HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{}";
    assert_eq!(status(length_twice), 400);
    assert_eq!(status("GET /v1/users HTTP/1.1\r\nconnection: close\r\n\r\n"), 400);
    assert_eq!(
        status(&format!("GET /{} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", "a".repeat(100_000))) / 100,
        4
    );
    assert_eq!(status("GET /v1/../v1/users HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"), 404);
    assert_eq!(status("GET //v1/users HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"), 404);
    assert_eq!(status("BREW /v1/users HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"), 405);
    serves(&shop);
}

#[test]
fn a_body_that_stops_half_way_stores_nothing() {
    let shop = Shop::start();
    let mut stream = TcpStream::connect(shop.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let head = "POST /v1/users HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(b"{\"email\": \"half@x.org\", \"name\": \"Half\"}").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert!(!rest.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&rest));
    get(shop.address, "/v1/users:getByEmail?email=half@x.org").expect(404);
}

#[test]
fn limits_of_batches_are_told() {
    let shop = Shop::start();
    let requests: Vec<_> = (0..501).map(|i| json!({"user": {"email": format!("{i}@x.org"), "name": "N"}})).collect();
    let answer = ask(shop.address, "POST", "/v1/users:batchCreate").json(&json!({"requests": requests})).send();
    assert!(answer.expect(400).text().contains("500"));
    let ids = (0..501).map(|id| format!("ids={id}")).collect::<Vec<_>>().join("&");
    get(shop.address, &format!("/v1/users:batchGet?{ids}")).expect(400);
    get(shop.address, "/v1/users?page_size=-1").expect(400);
    let inner = json!({"requests": [{"user": {"email": "a@x.org", "name": "A"}, "requestId": "x"}]});
    let answer = ask(shop.address, "POST", "/v1/users:batchCreate").json(&inner).send().expect(400);
    assert!(answer.text().contains("requests[0].request_id"), "{}", answer.text());
}
