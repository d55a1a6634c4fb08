//! schemathesis holds a server against its own OpenAPI document, with all its checks and one of ours.

#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]

mod support;

use std::process::Command;

use serde_json::json;
use support::{SHOP, post};
use testkit::{Rowkeep, http, python, workspace_root};

/// One row of each kind, with the keys that the document's examples name.
fn shop_with_rows() -> Rowkeep {
    let server = Rowkeep::start(SHOP, &[]);
    post(&server, "/v1/users", &json!({"email": "first@example.com", "name": "First"}));
    post(&server, "/v1/products", &json!({"sku": "FIRST-1", "name": "First", "price": {"value": "9.90"}}));
    post(&server, "/v1/orders", &json!({"userId": "1"}));
    post(&server, "/v1/orderItems", &json!({"orderId": "1", "line": 1, "productId": "1", "quantity": 1}));
    server
}

/// So many cases for each operation, always the same ones for a seed.
fn run(cases: u32, seed: u32) {
    let server = shop_with_rows();
    let session = http::get(&format!("{}/v1/users", server.url()));
    let scratch = tempfile::tempdir().unwrap();
    let directory = workspace_root().join("cli/tests/schemathesis");
    let mut schemathesis = Command::new(python().with_file_name("st"));
    schemathesis
        .arg("--config-file")
        .arg(directory.join("schemathesis.toml"))
        .args(["run", &format!("{}/openapi.json", server.url()), "--checks", "all", "--no-color"])
        // They answer for as long as anybody listens.
        .args(["--exclude-path-regex", ":watch$"])
        .args(["--max-examples", &cases.to_string(), "--seed", &seed.to_string()])
        .env("SCHEMATHESIS_HOOKS", "hooks")
        .env("ROWKEEP_SESSION", session.header("rowkeep-session").unwrap())
        .env("PYTHONPATH", &directory)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(scratch.path());
    let output = schemathesis.output().expect("schemathesis; `cargo xtask setup` installs it");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("40 selected / 44 total"), "{said}");
    // Whatever was sent, the server goes on and has nothing to be ashamed of in its log.
    support::get(&server, "/v1/users?page_size=1");
    let log = server.log().text();
    assert!(!log.contains("panicked") && !log.contains("\"ERROR\""), "{log}");
}

#[test]
fn every_operation_is_as_the_document_says() {
    run(20, 1);
}

#[test]
#[ignore = "long"]
fn every_operation_is_as_the_document_says_for_many_requests() {
    for seed in 2..6 {
        run(200, seed);
    }
}
