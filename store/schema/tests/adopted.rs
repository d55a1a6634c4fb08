//! What a schema says of tables that somebody else made.

mod common;

use common::{compile, compile_error};
use rowkeep_schema::{MethodKind, Schema};

fn text(body: &str) -> String {
    format!("syntax = \"proto3\";\npackage shop.v1;\nimport \"rowkeep/v1/options.proto\";\n{body}")
}

fn schema(body: &str) -> Schema {
    compile(&[("shop.proto", &text(body))])
}

fn mistakes(body: &str) -> String {
    compile_error(&[("shop.proto", &text(body))])
}

#[test]
fn what_is_read_only_has_no_methods_that_write_and_no_version() {
    let schema =
        schema("message Seen { option (rowkeep.v1.entity) = { read_only: true }; int64 id = 1; string v = 2; }");
    assert!(!schema.entities[0].versioned);
    let of_entity = schema.methods.iter().filter(|method| method.entity.is_some());
    let kinds: Vec<MethodKind> = of_entity.map(|method| method.kind).collect();
    assert_eq!(kinds, [MethodKind::Get, MethodKind::BatchGet, MethodKind::List, MethodKind::Watch]);
}

#[test]
fn what_is_read_only_asks_for_nothing_that_writes() {
    for option in ["version: true", "soft_delete: true", "expire: \"v\"", "require_etag: true"] {
        let body = format!(
            "message Seen {{ option (rowkeep.v1.entity) = {{ read_only: true {option} }}; int64 id = 1; string v = 2; }}"
        );
        assert!(mistakes(&body).contains("is read-only and has"), "{option}");
    }
    let body = "message Seen { option (rowkeep.v1.entity) = { read_only: true }; int64 id = 1;
        int64 of = 2 [(rowkeep.v1.column).references = { entity: \"Seen\" }]; }";
    assert!(mistakes(body).contains("drop `references`"));
}

#[test]
fn what_is_computed_is_no_key_and_never_set() {
    let column = "int64 twice = 2 [(rowkeep.v1.column).generated = COMPUTED];";
    let found = schema(&format!("message Sum {{ option (rowkeep.v1.entity) = {{}}; int64 id = 1; {column} }}"));
    assert!(found.entities[0].columns[1].output_only);
    let body =
        format!("message Sum {{ option (rowkeep.v1.entity) = {{ primary_key: \"twice\" }}; int64 id = 1; {column} }}");
    assert!(mistakes(&body).contains("is computed and cannot be a key"));
}

#[test]
fn names_are_those_that_databases_take_between_quotes() {
    let named = |table: &str, column: &str| {
        format!(
            "message User {{ option (rowkeep.v1.entity) = {{ table: \"{table}\" }}; int64 id = 1 [(rowkeep.v1.column).name = \"{column}\"]; }}"
        )
    };
    let entity = &schema(&named("my größe", "a-b.c")).entities[0];
    assert_eq!((entity.table.as_str(), entity.columns[0].name.as_str()), ("my größe", "a-b.c"));
    let long = "ü".repeat(64);
    schema(&named(&long, "id"));
    for (table, column) in [("blank ", "id"), ("users", "new\\nline"), (&format!("{long}ü"), "id"), ("rowkeep_x", "id")]
    {
        mistakes(&named(table, column));
    }
}

#[test]
fn names_of_indexes_differ_within_a_table() {
    let table = |name: &str, indexes: &str| {
        format!(
            "message {name} {{ option (rowkeep.v1.entity) = {{ {indexes} }}; int64 id = 1; int64 a = 2; int64 b = 3; }}"
        )
    };
    let one = "index: { fields: \"a\" name: \"same\" }";
    schema(&format!("{}{}", table("User", one), table("Group", one)));
    let two = format!("{one} index: {{ fields: \"b\" name: \"SAME\" }}");
    assert!(mistakes(&table("User", &two)).contains("two indexes of `User` have the name `SAME`"));
}
