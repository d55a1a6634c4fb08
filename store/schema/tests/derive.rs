//! What is derived from a schema: stable numbers, options that reflection shows, and text that compilers accept.

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use common::{SHOP, compile, compile_error, recompile, shop, snapshot};
use prost_reflect::{DescriptorPool, DynamicMessage, Value};
use rowkeep_schema::{MethodKind, Schema};

/// Names that are hard to print: no version in the package, a package inside it that is called `google`, an enum from
/// another file as a key, a plural that is the singular, no package at all.
const ODD: [(&str, &str); 3] = [
    (
        "odd.proto",
        r#"
syntax = "proto3";
package acme.odd;
import "rowkeep/v1/options.proto";
import "acme/google.proto";

message Reading {
  option (rowkeep.v1.entity) = { primary_key: "sensor, at, part" soft_delete: true };
  // Where it hangs.
  // Two lines.
  google.Sensor sensor = 1;
  sint64 at = 2;
  string part = 3;
  google.Thing thing = 5;
}
message Sheep {
  option (rowkeep.v1.entity) = { primary_key: "tag" plural: "Sheep" index: [{ fields: "a, b desc" unique: true }] };
  fixed64 tag = 1;
  string a = 2;
  optional bytes b = 3;
}
"#,
    ),
    (
        "acme/google.proto",
        "syntax = \"proto3\";\npackage acme.google;\nmessage Thing { string x = 1; }\nenum Sensor { SENSOR_UNSPECIFIED = 0; INSIDE = 1; }\n",
    ),
    (
        "bare.proto",
        r#"
syntax = "proto3";
import "rowkeep/v1/options.proto";
message Note { option (rowkeep.v1.entity) = {}; int64 id = 1; string text = 2; }
"#,
    ),
];

fn odd() -> Schema {
    compile(&ODD)
}

/// Field numbers by `message.field`, and methods with what they take, answer and are bound to.
fn shape(schema: &Schema) -> BTreeMap<String, String> {
    let mut shape = BTreeMap::new();
    for file in &schema.derived {
        let file = schema.descriptors.get_file_by_name(&file.path).expect("the derived file is in the pool");
        for message in file.messages() {
            for field in message.fields() {
                let kind = format!("{} {:?} {:?}", field.number(), field.kind(), field.cardinality());
                shape.insert(field.full_name().to_owned(), kind);
            }
        }
        for service in file.services() {
            for method in service.methods() {
                let text = format!(
                    "{} {} {:?}",
                    method.input().full_name(),
                    method.output().full_name(),
                    http(&method.options())
                );
                shape.insert(method.full_name().to_owned(), text);
            }
        }
    }
    shape
}

/// Verb and path of the `google.api.http` option.
fn http(options: &DynamicMessage) -> Option<(String, String, String)> {
    let (_, rule) = options.extensions().find(|(extension, _)| extension.full_name() == "google.api.http")?;
    let rule = rule.as_message()?;
    let (verb, path) = rule.fields().find(|(field, _)| field.containing_oneof().is_some())?;
    let body = rule.get_field_by_name("body")?.as_str()?.to_owned();
    Some((verb.name().to_uppercase(), path.as_str()?.to_owned(), body))
}

#[test]
fn the_derived_file_of_the_shop_is_as_reviewed() {
    let schema = shop();
    let [derived] = &schema.derived[..] else { panic!("one package, one file") };
    assert_eq!((derived.path.as_str(), derived.package.as_str()), ("shop/v1/shop_rowkeep.proto", "shop.v1"));
    snapshot(&derived.path, &derived.source);
}

#[test]
fn the_http_option_of_every_method_is_in_its_descriptor_and_equals_the_model() {
    for schema in [shop(), odd()] {
        for method in &schema.methods {
            let service = schema.descriptors.get_service_by_name(&method.service).expect("the service is in the pool");
            let descriptor = service.methods().find(|m| m.name() == method.name).expect("the method is in the service");
            let model =
                (method.http.verb.to_owned(), method.http.path.clone(), method.http.body.clone().unwrap_or_default());
            assert_eq!(http(&descriptor.options()), Some(model), "{}", descriptor.full_name());
            assert_eq!(descriptor.input().full_name(), schema.message(method.input).full_name);
            assert_eq!(descriptor.output().full_name(), schema.message(method.output).full_name);
            assert_eq!(descriptor.is_server_streaming(), method.kind == MethodKind::Watch);
        }
        assert_eq!(schema.methods.last().expect("there is a method").kind, MethodKind::Commit);
    }
}

#[test]
fn names_and_numbers_stay_when_entities_and_columns_are_added() {
    let before = shape(&shop());
    let grown = SHOP
        .replace(
            "// Something to sell.",
            "message Aisle { option (rowkeep.v1.entity) = {}; int64 id = 1; }\n// Something to sell.",
        )
        .replace("  string email = 2", "  string alias = 90 [(rowkeep.v1.column).unique = true];\n  string email = 2")
        .replace("int32 line = 2 ", "bytes seal = 91;\n  int32 line = 2 ");
    assert_ne!(grown, SHOP);
    let after = shape(&compile(&[("shop.proto", &grown)]));
    for (name, number) in &before {
        assert_eq!(after.get(name), Some(number), "{name}");
    }
    assert!(
        after.contains_key("shop.v1.AisleService.GetAisle") && after.contains_key("shop.v1.UserService.GetUserByAlias")
    );
}

#[test]
fn request_numbers_are_those_that_are_promised() {
    let shape = shape(&shop());
    for (field, number) in [
        ("shop.v1.GetUserRequest.id", 1),
        ("shop.v1.GetUserRequest.read_mask", 16),
        ("shop.v1.GetUserByEmailRequest.email", 1),
        ("shop.v1.BatchGetUsersRequest.ids", 1),
        ("shop.v1.BatchGetUsersRequest.allow_missing", 2),
        ("shop.v1.BatchGetUsersResponse.missing_ids", 2),
        ("shop.v1.BatchGetOrderItemsRequest.keys", 1),
        ("shop.v1.BatchGetOrderItemsResponse.missing_keys", 2),
        ("shop.v1.OrderItemKey.line", 2),
        ("shop.v1.ListProductsRequest.show_deleted", 5),
        ("shop.v1.ListUsersRequest.include_total_size", 6),
        ("shop.v1.ListUsersResponse.total_size", 3),
        ("shop.v1.CreateOrderItemRequest.order_item", 1),
        ("shop.v1.UpdateUserRequest.transforms", 7),
        ("shop.v1.DeleteOrderItemRequest.line", 2),
        ("shop.v1.DeleteUserRequest.etag", 16),
        ("shop.v1.DeleteUserRequest.validate_only", 19),
        ("shop.v1.UndeleteProductRequest.request_id", 18),
        ("shop.v1.BatchDeleteProductsResponse.products", 1),
    ] {
        let found = shape.get(field).unwrap_or_else(|| panic!("no {field}"));
        assert!(found.starts_with(&format!("{number} ")), "{field} is {found}");
    }
    for absent in ["shop.v1.ListUsersRequest.show_deleted", "shop.v1.UserService.UndeleteUser", "shop.v1.UserKey.id"] {
        assert!(!shape.contains_key(absent), "{absent}");
    }
}

#[test]
fn odd_names_are_derived_by_the_same_rules() {
    let shape = shape(&odd());
    for (field, number) in [
        ("acme.odd.DeleteReadingRequest.part", 3),
        ("acme.odd.DeleteReadingRequest.request_id", 18),
        ("acme.odd.BatchGetSheepRequest.tags", 1),
        ("acme.odd.BatchGetReadingsResponse.missing_keys", 2),
        ("acme.odd.GetSheepByAAndBRequest.b", 2),
        ("GetNoteRequest.id", 1),
    ] {
        let found = shape.get(field).unwrap_or_else(|| panic!("no {field}"));
        assert!(found.starts_with(&format!("{number} ")), "{field} is {found}");
    }
}

#[test]
fn the_text_compiles_to_the_descriptors_it_was_printed_with() {
    for (schema, files) in [(shop(), &[("shop.proto", SHOP)][..]), (odd(), &ODD[..])] {
        let texts = schema.derived.iter().map(|file| (file.path.as_str(), file.source.as_str()));
        let files: Vec<_> = files.iter().copied().chain(texts).collect();
        let compiled = recompile(&files);
        for file in &schema.derived {
            let (derived, compiled_back) =
                (without_places(&schema.descriptors, &file.path), without_places(&compiled, &file.path));
            for (ours, theirs) in derived.lines().zip(compiled_back.lines()) {
                assert_eq!(ours, theirs, "{}", file.path);
            }
            assert_eq!(derived.len(), compiled_back.len());
            assert!(derived.contains("[google.api.http]"), "options are compared");
            assert_eq!(comments(&schema.descriptors, &file.path), comments(&compiled, &file.path));
        }
    }
}

/// The file's descriptor as a message, extensions of options included, without `source_code_info`.
fn without_places(pool: &DescriptorPool, path: &str) -> String {
    let file = pool.get_file_by_name(path).expect("the file is in the pool");
    let descriptor =
        pool.get_message_by_name("google.protobuf.FileDescriptorProto").expect("descriptor.proto is in the pool");
    let mut message =
        DynamicMessage::decode(descriptor, file.encode_to_vec().as_slice()).expect("the descriptor decodes");
    message.clear_field_by_name("source_code_info");
    serde_json::to_string_pretty(&message).expect("descriptors have a JSON form")
}

fn comments(pool: &DescriptorPool, path: &str) -> BTreeMap<Vec<i32>, String> {
    let file = pool.get_file_by_name(path).expect("the file is in the pool");
    let info = file.file_descriptor_proto().source_code_info.as_ref().expect("comments are kept");
    let commented =
        info.location.iter().filter_map(|location| Some((location.path.clone(), location.leading_comments.clone()?)));
    commented.collect()
}

#[test]
fn protoc_accepts_the_files_that_a_client_gets() {
    for (name, schema) in [("shop", shop()), ("odd", odd())] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let files = schema.client_files();
        for (path, text) in &files {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().expect("it is in the directory")).expect("the directory is made");
            std::fs::write(path, text).expect("the file is written");
        }
        protoc(dir.path(), files.iter().map(|(path, _)| *path), name);
    }
}

fn protoc<'a>(dir: &Path, files: impl Iterator<Item = &'a str>, name: &str) {
    let output = Command::new("protoc")
        .arg("-I")
        .arg(dir)
        .args(["--include_imports", "--descriptor_set_out"])
        .arg(dir.join("out.bin"))
        .args(files)
        .output()
        .expect("protoc runs; it is in Debian's package protobuf-compiler");
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {messages}");
    assert!(messages.is_empty(), "protoc warns: {messages}");
}

#[test]
fn a_clients_files_are_complete_and_bring_no_copy_of_the_compilers_own() {
    let schema = shop();
    let names: Vec<&str> = schema.client_files().into_iter().map(|(path, _)| path).collect();
    for needed in [
        "shop.proto",
        "shop/v1/shop_rowkeep.proto",
        "rowkeep/v1/options.proto",
        "rowkeep/v1/store.proto",
        "google/api/annotations.proto",
        "google/api/http.proto",
        "google/type/decimal.proto",
    ] {
        assert!(names.contains(&needed), "{needed} is missing of {names:?}");
    }
    assert!(!names.iter().any(|name| name.starts_with("google/protobuf/")), "{names:?}");
}

#[test]
fn a_derived_name_that_is_taken_is_reported() {
    let text = r#"
syntax = "proto3";
package shop.v1;
import "rowkeep/v1/options.proto";
message User { option (rowkeep.v1.entity) = {}; int64 id = 1; }
message GetUserRequest { string x = 1; }
"#;
    let message = compile_error(&[("shop.proto", text)]);
    assert!(message.contains("GetUserRequest"), "{message}");
}

#[test]
fn a_comment_of_a_key_is_the_comment_of_the_request_field() {
    let schema = odd();
    let field = schema.message(schema.message_by_name("acme.odd.GetReadingRequest").expect("it is derived"));
    assert_eq!(field.fields[0].comment.trim(), "Where it hangs.\nTwo lines.");
    let options = schema.descriptors.get_extension_by_name("google.api.http").expect("annotations are linked");
    assert!(matches!(options.default_value(), Value::Message(_)));
}
