//! `SIGHUP`: a running server reads its schema files again.

use std::fs;

use testkit::{Rowkeep, http, wait_until};

fn schema(fields: &str) -> String {
    format!(
        "syntax = \"proto3\";\npackage notes.v1;\nimport \"rowkeep/v1/options.proto\";\n\n\
         message Note {{\n  option (rowkeep.v1.entity) = {{}};\n  int64 id = 1;\n{fields}}}\n"
    )
}

const TEXT: &str = "  string text = 2;\n";

#[test]
fn a_changed_file_is_served_after_a_hangup() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("notes.proto");
    fs::write(&file, schema(TEXT)).unwrap();
    let server = Rowkeep::start(&file, &[]);
    let notes = format!("{}/v1/notes", server.url());
    assert_eq!(http::json("POST", &notes, r#"{"id": "1", "text": "a"}"#).status, 201);
    assert_eq!(http::json("POST", &notes, r#"{"id": "2", "mood": "good"}"#).status, 400);

    fs::write(&file, schema("  string text = 2;\n  optional string mood = 3;\n")).unwrap();
    server.hang_up();
    wait_until("the new field is served", || {
        let reply = http::json("POST", &notes, r#"{"id": "2", "mood": "good"}"#);
        assert!(matches!(reply.status, 201 | 400), "{}", reply.text());
        reply.status == 201
    });
    assert!(server.log().text().contains("needs migration: notes.v1.Note.mood"), "{}", server.log().text());
    assert!(http::get(&format!("{notes}/1")).text().contains(r#""text":"a""#));
}

#[test]
fn a_mistake_is_logged_with_its_place_and_the_former_schema_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("notes.proto");
    fs::write(&file, schema(TEXT)).unwrap();
    let server = Rowkeep::start(&file, &[]);
    let notes = format!("{}/v1/notes", server.url());

    let said = |words: &str| {
        wait_until(words, || server.log().text().contains(words));
        assert_eq!(http::get(&notes).status, 200);
    };
    fs::write(&file, schema("  strng text = 2;\n")).unwrap();
    server.hang_up();
    said("notes.proto:8:3");
    said("the schema has mistakes; the former one is served");

    // Another meaning of number 2, which clients would misread.
    fs::write(&file, schema("  int32 count = 2;\n")).unwrap();
    server.hang_up();
    said("the former schema is served");
    assert_eq!(http::json("POST", &notes, r#"{"id": "1", "text": "still here"}"#).status, 201);
}
