//! `rowkeep import` as a command: what it prints where, and how it fails.

#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]

mod support;

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use rowkeep_sql::mysql::Address;
use support::{Scratch, rowkeep};
use testkit::MariaDb;

/// A server with two tables, and a view that is read by the key of one of them.
fn server() -> MariaDb {
    let server = MariaDb::start();
    let address: Address = server.url().parse().unwrap();
    let mut client = Command::new("mariadb");
    client.args([
        "--no-defaults",
        "--user",
        &address.user,
        "--host",
        &address.host,
        "--port",
        &address.port.to_string(),
    ]);
    client.arg("test").env("MYSQL_PWD", &address.password).stdin(Stdio::piped());
    let mut client = client.spawn().expect("mariadb (package mariadb-client)");
    let script = "CREATE TABLE users (id INT PRIMARY KEY, name VARCHAR(20));
        CREATE TABLE log (at DATETIME, line TEXT);
        CREATE VIEW names AS SELECT id, name FROM users;";
    client.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(client.wait().unwrap().success());
    server
}

#[test]
fn import_prints_a_schema_and_says_apart_from_it_what_is_left_out() {
    let (server, scratch) = (server(), Scratch::default());
    let printed = rowkeep(&["import", &server.url()]).expect(0);
    assert!(printed.stdout.starts_with("syntax = \"proto3\";\n\npackage test.v1;\n"), "{}", printed.stdout);
    assert!(printed.stderr.contains("warning: log is left out: it has no key"), "{}", printed.stderr);
    assert!(!printed.stdout.contains("warning"), "{}", printed.stdout);
    let file = scratch.arg("test.proto");
    let written =
        rowkeep(&["import", &server.url(), "--out", &file, "--package", "my.app.v2", "--key", "log=at"]).expect(0);
    assert!(written.stdout.contains("test.proto: 3 tables"), "{}", written.stdout);
    assert!(fs::read_to_string(&file).unwrap().contains("package my.app.v2;\n"));
    let plan = rowkeep(&["plan", &file, "--database", &server.url()]).expect(0);
    assert_eq!(plan.stdout, "nothing to change\n");
    rowkeep(&["import", &server.url(), "--out", &file]).fails(2, &["test.proto exists"]);
    let some = rowkeep(&["import", &server.url(), "--table", "us?rs"]).expect(0).stdout;
    assert!(some.contains("message User {") && !some.contains("message Name"), "{some}");
}

#[test]
fn import_says_what_is_wrong_and_what_to_write() {
    let server = server();
    let url = server.url();
    rowkeep(&["import"]).fails(2, &["<URL>"]);
    rowkeep(&["import", "nowhere"]).fails(2, &["mysql://user:password@host"]);
    rowkeep(&["import", url.trim_end_matches("/test")]).fails(2, &["names no database"]);
    rowkeep(&["import", &url.replace("app:", "nobody:")]).fails(1, &["check user and password"]);
    rowkeep(&["import", &url, "--package", "no package"]).fails(2, &["`no package`", "shop.v1"]);
    rowkeep(&["import", &url, "--table", "x*"]).fails(1, &["no table"]);
    rowkeep(&["import", &url, "--key", "log"]).fails(2, &["TABLE=COLUMN"]);
    rowkeep(&["import", &url, "--key", "log=when"]).fails(2, &["log has no column when"]);
    rowkeep(&["import", &url, "--key", "users=name"]).fails(2, &["users has a primary key"]);
}
