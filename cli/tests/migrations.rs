//! `plan` and `apply`: what they show, what they refuse, and that a refusal leaves everything as it was.

#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]

mod support;

use std::fs;

use serde_json::{Value, json};
use support::{SHOP, Scratch, contents, every_row, get, post, rowkeep};
use testkit::Rowkeep;

/// A schema of one entity with these fields.
fn notes(fields: &str) -> String {
    format!(
        "syntax = \"proto3\";\npackage notes.v1;\nimport \"rowkeep/v1/options.proto\";\nmessage Note {{\n  \
         option (rowkeep.v1.entity) = {{}};\n  int64 id = 1 [(rowkeep.v1.column).generated = AUTO_INCREMENT];\n  {fields}\n}}\n"
    )
}

const FIRST: &str = "string title = 2; optional string body = 3;";

/// Data of the first schema with two rows in it.
fn two_notes(scratch: &Scratch) -> String {
    let schema = scratch.write("first.proto", notes(FIRST));
    let rows = scratch.write("notes.ndjson", "{\"title\":\"one\",\"body\":\"x\"}\n{\"title\":\"two\"}\n");
    let data = scratch.arg("data");
    rowkeep(&["load", "Note", &rows, "-s", &schema, "--data", &data]).expect(0);
    data
}

fn steps(migration: &Value) -> Vec<&str> {
    migration["steps"].as_array().unwrap().iter().map(|step| step["what"].as_str().unwrap()).collect()
}

#[test]
fn a_plan_makes_nothing_not_even_the_directory() {
    let scratch = Scratch::default();
    let data = scratch.arg("data");
    let plan = rowkeep(&["plan", SHOP, "--data", &data]).expect(0);
    assert!(plan.stdout.contains("create table users") && plan.stdout.contains("CREATE UNIQUE INDEX"), "{plan:?}");
    assert!(!scratch.path("data").exists());
    let planned = rowkeep(&["plan", SHOP, "--data", &data, "--json"]).expect(0).json();
    assert_eq!(steps(&planned).len(), 4);
    let applied = rowkeep(&["apply", SHOP, "--data", &data, "--json"]).expect(0).json();
    assert_eq!(applied, planned);
    assert_eq!(rowkeep(&["plan", SHOP, "--data", &data]).expect(0).stdout, "nothing to change\n");
    assert_eq!(rowkeep(&["apply", SHOP, "--data", &data]).expect(0).stdout, "nothing to change\n");
}

#[test]
fn a_plan_can_be_asked_while_a_server_runs_and_an_apply_cannot() {
    let scratch = Scratch::default();
    let first = scratch.write("first.proto", notes(FIRST));
    let more = scratch.write("more.proto", notes(&format!("{FIRST} int32 stars = 4;")));
    let server = Rowkeep::builder().schema(&first).data(scratch.path("data")).start();
    post(&server, "/v1/notes", &json!({"title": "one"}));
    let data = scratch.arg("data");
    let plan = rowkeep(&["plan", &more, "--data", &data, "--json"]).expect(0).json();
    assert_eq!(steps(&plan), ["add column notes.stars"]);
    rowkeep(&["apply", &more, "--data", &data]).fails(1, &["in use", &server.id().to_string(), "--data"]);
    assert_eq!(get(&server, "/v1/notes/1")["title"], "one");
    drop(server);
    rowkeep(&["apply", &more, "--data", &data]).expect(0);
    assert!(rowkeep(&["dump", "Note", "-s", &more, "--data", &data]).expect(0).stdout.contains("\"one\""));
}

#[test]
fn what_loses_data_is_done_only_by_its_name() {
    let scratch = Scratch::default();
    let data = two_notes(&scratch);
    let lossy = scratch.write("lossy.proto", notes("reserved 3; string title = 2;"));
    let before = contents(&scratch.path("data"));
    let plan = rowkeep(&["plan", &lossy, "--data", &data]).expect(1);
    assert!(plan.stdout.contains("--allow drop-column:notes.body"), "{}", plan.stdout);
    for args in [vec!["apply", &lossy], vec!["serve", &lossy, "--listen", "127.0.0.1:0"]] {
        let args = [args, vec!["--data", &data, "--allow", "drop-table:notes"]].concat();
        rowkeep(&args).fails(1, &["drop column notes.body", "--allow drop-column:notes.body"]);
    }
    assert_eq!(contents(&scratch.path("data")), before);

    rowkeep(&["plan", &lossy, "--data", &data, "--allow", "drop-column:notes.body"]).expect(0);
    rowkeep(&["apply", &lossy, "--data", &data, "--allow", "drop-column:notes.body"]).expect(0);
    let left = rowkeep(&["dump", "Note", "-s", &lossy, "--data", &data]).expect(0).stdout;
    assert_eq!(left.lines().count(), 2);
    assert!(left.contains("\"one\"") && !left.contains("body"), "{left}");
}

#[test]
fn a_field_number_with_another_meaning_is_refused_whatever_is_allowed() {
    let scratch = Scratch::default();
    let data = two_notes(&scratch);
    let before = contents(&scratch.path("data"));
    for (fields, subject) in
        [("int64 title = 2; optional string body = 3;", "title"), ("string title = 2; string name = 3;", "3")]
    {
        let changed = scratch.write("changed.proto", notes(fields));
        let plan = rowkeep(&["plan", &changed, "--data", &data, "--json"]).expect(1).json();
        let refused: Vec<_> =
            plan["changes"].as_array().unwrap().iter().filter(|change| change["verdict"] == "refused").collect();
        assert!(!refused.is_empty() && refused[0].to_string().contains(subject), "{plan:#}");
        let needs = plan["steps"].as_array().unwrap().iter().flat_map(|step| step["needs"].as_array().unwrap());
        let flags: Vec<_> = needs.flat_map(|need| ["--allow", need["flag"].as_str().unwrap()]).collect();
        let args = [vec!["apply", &changed, "--data", &data], flags].concat();
        rowkeep(&args).fails(1, &["field number of its own"]);
    }
    assert_eq!(contents(&scratch.path("data")), before);
}

#[test]
fn a_rename_that_says_so_keeps_the_values_and_one_that_does_not_is_no_rename() {
    let scratch = Scratch::default();
    let data = two_notes(&scratch);
    let said = scratch.write(
        "renamed.proto",
        notes("string heading = 2 [(rowkeep.v1.column).renamed_from = \"title\"]; optional string body = 3;"),
    );
    let plan = rowkeep(&["apply", &said, "--data", &data, "--json"]).expect(0).json();
    assert!(plan["steps"].to_string().contains("heading"), "{plan:#}");
    let rows = rowkeep(&["dump", "Note", "-s", &said, "--data", &data]).expect(0).stdout;
    assert!(rows.contains("\"heading\":\"one\"") && rows.contains("\"heading\":\"two\""), "{rows}");
}

#[test]
fn what_somebody_else_changed_is_told_and_not_overwritten() {
    let scratch = Scratch::default();
    let data = two_notes(&scratch);
    let sqlite = rusqlite::Connection::open(scratch.path("data/rowkeep.sqlite")).unwrap();
    sqlite.execute_batch("ALTER TABLE notes ADD COLUMN colour TEXT; CREATE TABLE theirs (a)").unwrap();
    drop(sqlite);
    let schema = scratch.arg("first.proto");
    let plan = rowkeep(&["plan", &schema, "--data", &data]).expect(0);
    assert!(plan.stdout.contains("drift: notes: ") && plan.stdout.contains("colour"), "{plan:?}");
    let server = Rowkeep::builder().schema(&schema).data(scratch.path("data")).start();
    assert_eq!(every_row(&server, "/v1/notes").len(), 2);
    post(&server, "/v1/notes", &json!({"title": "three"}));
    drop(server);
    let sqlite = rusqlite::Connection::open(scratch.path("data/rowkeep.sqlite")).unwrap();
    let theirs: i64 = sqlite.query_row("SELECT count(colour) FROM notes, theirs", [], |row| row.get(0)).unwrap();
    assert_eq!(theirs, 0);
    drop(sqlite);
    assert!(fs::metadata(scratch.path("data/rowkeep.sqlite")).unwrap().len() > 0);
}
