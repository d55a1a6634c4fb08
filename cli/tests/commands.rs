//! Every command by its exit code, its results on standard output, and its words on standard error.

#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]

mod support;

use std::fs;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use support::{Ran, SHOP, Scratch, command, every_row, get, post, rowkeep};
use testkit::{Redis, Rowkeep, http};

#[test]
fn wrong_usage_ends_with_2_and_says_what_is_right() {
    rowkeep(&["--version"]).expect(0);
    assert!(rowkeep(&["help"]).expect(0).stdout.contains("serve"));
    rowkeep(&[]).fails(2, &["Usage: rowkeep"]);
    rowkeep(&["sreve", SHOP]).fails(2, &["sreve", "serve"]);
    rowkeep(&["serve"]).fails(2, &["SCHEMA.proto"]);
    rowkeep(&["serve", SHOP, "--lisen", "x"]).fails(2, &["--listen"]);
    rowkeep(&["load", "User"]).fails(2, &["FILE"]);
    rowkeep(&["load", "User", "x.csv", "-s", SHOP, "--delimiter", "ab"]).fails(2, &["one character"]);
}

#[test]
fn what_chooses_the_servers_of_tests_is_no_setting() {
    use testkit::database::{mariadb, mysql, vitess};
    let mut config = command(&["config"]);
    for name in [mariadb::ROOT_VARIABLE, mysql::ROOT_VARIABLE, vitess::PROGRAM_VARIABLE, Redis::PROGRAM_VARIABLE] {
        config.env(name, "/nowhere");
    }
    let output = config.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_schema_that_is_not_there_is_named_by_every_command() {
    for name in ["serve", "check", "plan", "apply", "proto", "openapi"] {
        rowkeep(&[name, "nowhere.proto"]).fails(2, &["nowhere.proto"]);
    }
    rowkeep(&["load", "User", "rows.ndjson", "--schema", "nowhere.proto"]).fails(2, &["nowhere.proto"]);
    rowkeep(&["dump", "User", "--schema", "nowhere.proto"]).fails(2, &["nowhere.proto"]);
}

#[test]
fn a_schema_without_an_entity_is_told_how_to_get_one() {
    let scratch = Scratch::default();
    let plain = scratch.write("plain.proto", "syntax = \"proto3\"; message User { int64 id = 1; }");
    for name in ["check", "serve", "plan", "proto", "openapi"] {
        rowkeep(&[name, &plain]).fails(2, &["option (rowkeep.v1.entity) = {}"]);
    }
}

#[test]
fn check_tells_every_mistake_with_its_place() {
    let scratch = Scratch::default();
    let wrong = scratch.write(
        "wrong.proto",
        "syntax = \"proto3\";\npackage w.v1;\nimport \"rowkeep/v1/options.proto\";\nmessage User {\n  \
         option (rowkeep.v1.entity) = { index: [{ fields: \"nmae\" }] };\n  int64 id = 1;\n  \
         string name = 2 [(rowkeep.v1.column) = { min_length: 9 max_length: 3 }];\n  \
         int64 boss = 3 [(rowkeep.v1.column).references = { entity: \"Usr\" }];\n}\n",
    );
    let found = rowkeep(&["check", &wrong]).fails(2, &["wrong.proto:5:", "wrong.proto:7:", "wrong.proto:8:"]);
    assert!(found.stderr.contains("`name`") && found.stderr.contains("`User`"), "no hint in\n{}", found.stderr);
    let as_json = rowkeep(&["check", "--json", &wrong]).expect(2).json();
    let lines: Vec<_> = as_json.as_array().unwrap().iter().map(|mistake| mistake["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, [5, 7, 8], "{as_json:#}");
    // What is wrong with a schema is said in the same way by whoever reads it.
    rowkeep(&["serve", &wrong]).fails(2, &["wrong.proto:5:", "wrong.proto:7:", "wrong.proto:8:"]);

    let good = rowkeep(&["check", SHOP]).expect(0);
    assert!(good.stdout.contains("4 entities") && good.stderr.is_empty(), "{good:?}");
    assert_eq!(rowkeep(&["check", "--json", SHOP]).expect(0).json(), json!([]));
}

#[test]
fn settings_tell_who_set_them() {
    let scratch = Scratch::default();
    let file = scratch.write("rowkeep.toml", "[pages]\nmax_size = 77\ndefault_size = 7\n\n[rest]\ntimeout = \"3s\"\n");
    let ran = |json: &[&str]| {
        let mut command = command(&["config", "--config", &file, "--set", "pages.max_size=99", "--data", "here"]);
        Ran::new(command.args(json).env("ROWKEEP_REST_TIMEOUT", "2s").output().unwrap()).expect(0)
    };
    let shown = ran(&["--json"]).json();
    let setting = |key: &str| shown.as_array().unwrap().iter().find(|entry| entry["key"] == key).unwrap().clone();
    for (key, value, origin) in [
        ("pages.max_size", "99", "flag"),
        ("data", "\"here\"", "flag"),
        ("rest.timeout", "\"2s\"", "ROWKEEP_REST_TIMEOUT"),
        ("pages.default_size", "7", "rowkeep.toml"),
        ("sweep_interval", "\"1m\"", "default"),
    ] {
        let entry = setting(key);
        assert_eq!(entry["value"], value, "{entry}");
        assert!(entry["origin"].as_str().unwrap().contains(origin), "{entry}");
    }
    let text = ran(&[]).stdout;
    assert!(text.lines().any(|line| line.starts_with("pages.max_size = 99 ") && line.ends_with("flag")), "{text}");
}

#[test]
fn settings_nobody_knows_are_refused_with_the_nearest_that_exists() {
    let scratch = Scratch::default();
    let file = scratch.write("rowkeep.toml", "listen = \"127.0.0.1:0\"\n\n[rest]\ntimeuot = \"3s\"\n");
    rowkeep(&["config", "--config", &file]).fails(2, &["rowkeep.toml:4", "`timeuot`", "`timeout`"]);
    let broken = scratch.write("broken.toml", "listen = \n");
    rowkeep(&["config", "--config", &broken]).fails(2, &["broken.toml:1"]);
    rowkeep(&["config", "--config", "nowhere.toml"]).fails(2, &["nowhere.toml"]);
    rowkeep(&["config", "--set", "lisen=1"]).fails(2, &["lisen", "listen"]);
    rowkeep(&["config", "--set", "listen"]).fails(2, &["KEY=VALUE"]);
    rowkeep(&["config", "--set", "rest.timeout=soon"]).fails(2, &["rest.timeout", "soon"]);
    rowkeep(&["serve", SHOP, "--set", "pages.max_size=0"]).fails(2, &["pages.max_size"]);
    let ran = Ran::new(command(&["config"]).env("ROWKEEP_REST_TIMEUOT", "1s").output().unwrap());
    ran.fails(2, &["ROWKEEP_REST_TIMEUOT", "ROWKEEP_REST_TIMEOUT"]);
}

#[test]
fn the_derived_services_are_what_protoc_accepts() {
    let scratch = Scratch::default();
    let out = scratch.arg("out");
    let written = rowkeep(&["proto", SHOP, "--out", &out]).expect(0).stdout;
    let files: Vec<_> = written.lines().map(|path| path.strip_prefix(&format!("{out}/")).unwrap()).collect();
    assert!(files.contains(&"shop/v1/shop_rowkeep.proto") && files.contains(&"rowkeep/v1/store.proto"), "{files:?}");
    let set = scratch.arg("set.bin");
    let protoc = Command::new("protoc").args(["-I", &out, "--descriptor_set_out", &set]).args(&files).output();
    let protoc = protoc.expect("protoc; `cargo xtask setup` installs it");
    assert!(protoc.status.success(), "{}", String::from_utf8_lossy(&protoc.stderr));
    // Printed, it is the same text.
    let printed = rowkeep(&["proto", SHOP]).expect(0).stdout;
    assert_eq!(printed, fs::read_to_string(scratch.path("out/shop/v1/shop_rowkeep.proto")).unwrap());
    assert!(rowkeep(&["proto", "options"]).expect(0).stdout.contains("extend google.protobuf.MessageOptions"));
    assert!(rowkeep(&["proto", "store"]).expect(0).stdout.contains("rpc Commit"));
}

#[test]
fn the_printed_openapi_is_the_one_that_is_served() {
    let server = Rowkeep::start(SHOP, &[]);
    let printed = rowkeep(&["openapi", SHOP, "--server-url", &server.url()]).expect(0).json();
    assert_eq!(printed, get(&server, "/openapi.json"));
    assert_eq!(rowkeep(&["openapi", SHOP, "--title", "My shop"]).expect(0).json()["info"]["title"], "My shop");
}

#[test]
fn a_backup_of_a_running_server_takes_the_place_of_the_data() {
    let server = Rowkeep::start(SHOP, &[]);
    for name in ["a", "b", "c"] {
        post(&server, "/v1/users", &json!({"email": format!("{name}@x.org"), "name": name}));
    }
    let scratch = Scratch::default();
    let data = server.data().to_str().unwrap().to_owned();
    let copy = scratch.arg("copy.sqlite");
    let done = rowkeep(&["backup", &copy, "--data", &data]).expect(0);
    assert!(done.stdout.contains("copy.sqlite"), "{done:?}");
    rowkeep(&["backup", &copy, "--data", &data]).fails(1, &["exists", "overwrite"]);
    rowkeep(&["backup", &scratch.arg("none.sqlite"), "--data", &scratch.arg("none")]).fails(2, &["--data"]);
    let unwritable = scratch.arg("no/such/copy.sqlite");
    rowkeep(&["backup", &unwritable, "--data", &data]).fails(1, &["no/such/copy.sqlite"]);
    let kept = every_row(&server, "/v1/users");
    // Written after the backup, so not in it.
    post(&server, "/v1/users", &json!({"email": "late@x.org", "name": "Late"}));

    fs::create_dir(scratch.path("data")).unwrap();
    fs::copy(&copy, scratch.path("data/rowkeep.sqlite")).unwrap();
    let restored = Rowkeep::builder().schema(SHOP).data(scratch.path("data")).start();
    assert_eq!(every_row(&restored, "/v1/users"), kept);
    // It goes on as the original would.
    let next = post(&restored, "/v1/users", &json!({"email": "d@x.org", "name": "d"}));
    assert_eq!(next["id"], "4");
}

#[test]
fn a_server_says_where_it_is_and_why_it_cannot_be_there() {
    let scratch = Scratch::default();
    let server = Rowkeep::start(SHOP, &[]);
    // It answers before it has said all.
    server.log().wait_for(0, testkit::PATIENCE, |line| line.contains("try: curl").then_some(()));
    let said = server.log().text();
    for words in ["User, Product, Order, OrderItem", "rowkeep.sqlite", "try: curl http://127.0.0.1:"] {
        assert!(said.contains(words), "{words} is missing in\n{said}");
    }
    let taken = server.address().to_string();
    let data = scratch.arg("data");
    let serve = |listen: &str| rowkeep(&["serve", SHOP, "--data", &data, "--listen", listen]);
    serve(&taken).fails(1, &["listen", &taken, "--listen"]);
    serve("nowhere").fails(2, &["listen", "nowhere"]);
    serve("0.0.0.0:0").fails(2, &["127.0.0.1", "--insecure"]);
    assert!(!scratch.path("data").exists(), "a server that does not start makes no data");
    let templates = scratch.arg("no-templates");
    let ran = rowkeep(&["serve", SHOP, "--data", &data, "--listen", "127.0.0.1:0", "--templates", &templates]);
    ran.fails(2, &["no-templates"]);
    assert_eq!(http::get(&format!("{}/v1/users", server.url())).status, 200);
}

#[test]
fn an_entity_nobody_knows_is_refused_with_the_nearest_that_exists() {
    let scratch = Scratch::default();
    let (rows, data) = (scratch.write("rows.ndjson", "{}\n"), scratch.arg("data"));
    rowkeep(&["load", "Usr", &rows, "-s", SHOP, "--data", &data]).fails(2, &["`Usr`", "`User`"]);
    rowkeep(&["dump", "Zebra", "-s", SHOP, "--data", &data]).fails(2, &["`Zebra`", "User, Product"]);
    assert!(!scratch.path("data").exists());
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure_and_a_full_disk_is_one() {
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let ran = Ran::new(command(&["openapi", SHOP]).stdout(full).output().unwrap());
    ran.fails(1, &["standard output"]);
    let mut child = command(&["openapi", SHOP]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()), (Some(0), ""));
}

#[test]
fn results_for_scripts_are_json_alone() {
    let scratch = Scratch::default();
    let data = scratch.arg("data");
    for args in [
        vec!["plan", SHOP, "--data", &data, "--json"],
        vec!["apply", SHOP, "--data", &data, "--json"],
        vec!["config", "--json"],
        vec!["check", SHOP, "--json"],
        vec!["openapi", SHOP],
    ] {
        let shown: Value = rowkeep(&args).expect(0).json();
        assert!(shown.is_object() || shown.is_array(), "{args:?}: {shown}");
    }
}
