//! The OpenAPI document: valid, deterministic, exact, and with examples that obey their own schemas.

mod common;

use std::path::PathBuf;
use std::process::Command;

use common::{compile, shop, snapshot};
use rowkeep_schema::openapi::{OpenApiOptions, document};
use serde_json::{Value, json};

/// Every type and rule there is.
const ALL: &str = r#"
syntax = "proto3";
package all.v2;
import "google/protobuf/any.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
import "google/type/date.proto";
import "google/type/decimal.proto";
import "rowkeep/v1/options.proto";

// A thing of every kind.
message Thing {
  option (rowkeep.v1.entity) = { primary_key: "code, size" soft_delete: true index: [{ fields: "level, born_on" }] };
  enum Level { LEVEL_UNSPECIFIED = 0; LOW = 1; HIGH = 2; }
  message Part {
    string name = 1;
    Part inner = 2;
    map<int32, Level> levels = 3;
    oneof shape { double circle = 4; Part square = 5; }
    repeated fixed64 numbers = 6;
  }
  string code = 1 [(rowkeep.v1.column) = { pattern: "[A-Z]{2}\\d{3,5}" }];
  uint32 size = 2;
  Level level = 3 [(rowkeep.v1.column).required = true];
  int32 percent = 4 [(rowkeep.v1.column) = { min: "0" max: "100" }];
  sint64 offset = 5 [(rowkeep.v1.column) = { min: "-1200" max: "1234" }];
  uint64 big = 6 [(rowkeep.v1.column).required = true];
  float ratio = 7 [(rowkeep.v1.column) = { min: "0.5" max: "1.5" }];
  optional double any_number = 8;
  bytes digest = 9 [(rowkeep.v1.column) = { min_length: 4 max_length: 32 }];
  bool on = 10;
  google.protobuf.Timestamp at = 11 [(rowkeep.v1.column).min = "2020-01-01T00:00:00Z"];
  google.protobuf.Duration length = 12 [(rowkeep.v1.column).max = "90s"];
  google.type.Date born_on = 13;
  string price = 14 [(rowkeep.v1.column).decimal = { precision: 30 scale: 4 }];
  google.type.Decimal weight = 15 [(rowkeep.v1.column) = { decimal: { precision: 6 scale: 3 } min: "0" }];
  google.protobuf.Struct extra = 16;
  google.protobuf.Value loose = 17;
  google.protobuf.ListValue list = 18;
  google.protobuf.Any any = 19;
  google.protobuf.Int64Value wrapped = 20;
  google.protobuf.StringValue note = 21 [(rowkeep.v1.column).max_length = 10];
  Part part = 22;
  repeated Part parts = 23 [(rowkeep.v1.column) = { min_length: 1 max_length: 5 }];
  map<string, int64> counts = 24;
  oneof choice {
    string left = 25;
    int64 right = 26;
  }
  string password = 27 [(rowkeep.v1.column) = { secret: true min_length: 8 }];
  string color = 28 [(rowkeep.v1.column) = { one_of: "red" one_of: "green" default: "red" }];
  string birthplace = 29 [(rowkeep.v1.column) = { immutable: true max_length: 3 }];
  google.protobuf.Timestamp created_at = 30 [(rowkeep.v1.column).auto = CREATE_TIME];
  repeated string tags = 31;
}

// Has a key that the store makes.
message Event {
  option (rowkeep.v1.entity) = { allow_scan: true };
  string id = 1 [(rowkeep.v1.column).generated = UUIDV7];
  int64 thing = 2;
}
"#;

fn shop_document() -> Value {
    document(&shop(), &OpenApiOptions { title: "Shop".to_owned(), ..OpenApiOptions::default() })
}

fn all_document() -> Value {
    document(&compile(&[("all.proto", ALL)]), &OpenApiOptions::default())
}

fn pretty(document: &Value) -> String {
    serde_json::to_string_pretty(document).expect("a document is JSON") + "\n"
}

#[test]
fn the_document_of_the_shop_is_as_reviewed_and_always_the_same() {
    let text = pretty(&shop_document());
    assert_eq!(text, pretty(&shop_document()));
    snapshot("shop_openapi.json", &text);
}

/// Runs `tests/openapi_validate.py`: the official validator, and every example against its schema.
#[test]
fn an_official_validator_accepts_the_documents_and_their_examples() {
    let python = std::env::var_os("TESTKIT_PYTHON").map_or_else(default_python, PathBuf::from);
    let script: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "openapi_validate.py"].iter().collect();
    for (name, document) in [("shop", shop_document()), ("all", all_document())] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("openapi.json");
        std::fs::write(&path, pretty(&document)).expect("the document is written");
        let output = Command::new(&python).arg(&script).arg(&path).output();
        let output =
            output.unwrap_or_else(|error| panic!("{}: {error}; `cargo xtask setup` makes it", python.display()));
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {text}");
    }
}

/// Where `cargo xtask setup` puts it.
fn default_python() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| [env!("CARGO_MANIFEST_DIR"), "../../target"].iter().collect(), PathBuf::from);
    target.join("py/bin/python")
}

#[test]
fn every_method_is_an_operation_with_an_id_of_its_own() {
    let schema = shop();
    let document = shop_document();
    let paths = document["paths"].as_object().expect("there are paths");
    let operations: Vec<&Value> =
        paths.values().flat_map(|item| item.as_object().expect("a path item").values()).collect();
    assert_eq!(operations.len(), schema.methods.len());
    let mut ids: Vec<_> =
        operations.iter().map(|operation| operation["operationId"].as_str().expect("an id")).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), schema.methods.len());
    assert_eq!(document["paths"]["/v1/orderItems/{order_id}/{line}"]["get"]["operationId"], "getOrderItem");
    assert_eq!(document["paths"]["/v1/users/{id}"]["patch"]["operationId"], "updateUser");
}

#[test]
fn rules_are_in_the_schema_of_a_create() {
    let document = all_document();
    let create = &document["components"]["schemas"]["all.v2.Thing.create"];
    let property = |name: &str| &create["properties"][name];
    assert_eq!(create["additionalProperties"], json!(false));
    let required: Vec<_> =
        create["required"].as_array().expect("some are required").iter().filter_map(Value::as_str).collect();
    for name in ["code", "level", "big", "parts", "ratio", "digest", "password"] {
        assert!(required.contains(&name), "{name} is required: {required:?}");
    }
    for name in ["size", "percent", "color", "on", "left", "createdAt", "part"] {
        assert!(!required.contains(&name), "{name} is not required");
    }
    assert_eq!(property("code")["pattern"], "^(?:[A-Z]{2}\\d{3,5})$");
    assert_eq!(property("percent")["maximum"], 100);
    assert_eq!(property("percent")["type"], json!(["integer", "string", "null"]));
    assert_eq!(property("color")["enum"], json!(["red", "green", null]));
    assert_eq!(property("color")["default"], "red");
    assert_eq!(property("ratio")["minimum"], 0.5);
    assert_eq!(property("createdAt")["readOnly"], json!(true));
    assert_eq!(property("password")["writeOnly"], json!(true));
    assert_eq!(property("parts")["minItems"], 1);
    assert_eq!(property("at")["description"], "At least 2020-01-01T00:00:00Z.");
    assert_eq!(property("birthplace")["maxLength"], 3);
    let rendered = &document["components"]["schemas"]["all.v2.Thing"];
    assert_eq!(rendered["properties"]["offset"], json!({"type": "string", "format": "int64"}));
    assert!(rendered["properties"].get("password").is_none(), "a secret is not rendered");
    let patch = &document["components"]["schemas"]["all.v2.Thing.patch"];
    assert!(patch.get("required").is_none());
    for absent in ["code", "size", "birthplace", "createdAt"] {
        assert!(patch["properties"].get(absent).is_none(), "{absent} cannot be patched");
    }
}

#[test]
fn a_text_of_a_key_cannot_be_empty_unless_it_is_made() {
    let text = r#"
        syntax = "proto3";
        package keys.v1;
        import "rowkeep/v1/options.proto";
        message Given {
          option (rowkeep.v1.entity) = { primary_key: "name, data" plural: "Givens" };
          string name = 1;
          bytes data = 2;
        }
        message Made {
          option (rowkeep.v1.entity) = { plural: "Mades" };
          string id = 1 [(rowkeep.v1.column).generated = UUIDV7];
        }"#;
    let schema = rowkeep_schema::compile_str(&[("keys/v1/keys.proto", text)]).expect("it compiles");
    let document = document(&schema, &OpenApiOptions::default());
    let create = |name: &str| document["components"]["schemas"][format!("keys.v1.{name}.create")].clone();
    assert_eq!(create("Given")["required"], json!(["name", "data"]));
    assert_eq!(create("Given")["properties"]["name"]["minLength"], 1);
    assert_eq!(create("Made").get("required"), None);
}

#[test]
fn the_page_size_is_bounded_and_its_limits_are_those_of_the_options() {
    let options = OpenApiOptions { default_page_size: 7, max_page_size: 70, max_batch: 9, ..OpenApiOptions::default() };
    let document = document(&shop(), &options);
    let parameters = document["paths"]["/v1/users"]["get"]["parameters"].as_array().expect("parameters").clone();
    let page_size = parameters.iter().find(|p| p["name"] == "page_size").expect("page_size");
    assert_eq!(page_size["schema"]["minimum"], 0);
    assert_eq!(page_size["schema"]["default"], 7);
    assert!(page_size["description"].as_str().is_some_and(|text| text.contains("70")));
    assert_eq!(
        document["components"]["schemas"]["shop.v1.BatchCreateUsersRequest"]["properties"]["requests"]["maxItems"],
        9
    );
}

#[test]
fn deletes_and_masks_are_told_as_the_server_does_them() {
    let document = document(&shop(), &OpenApiOptions::default());
    let delete = &document["paths"]["/v1/users/{id}"]["delete"]["responses"];
    assert!(delete.get("204").is_none());
    assert_eq!(delete["200"]["content"]["application/json"]["schema"]["additionalProperties"], false);
    let parameters = document["paths"]["/v1/orders"]["get"]["parameters"].as_array().unwrap();
    let fields = parameters.iter().find(|parameter| parameter["name"] == "fields").unwrap();
    let pattern = regex_lite::Regex::new(fields["schema"]["pattern"].as_str().unwrap()).unwrap();
    for mask in ["", "*", "id,note", "ship_to.postal_code,createdAt", "shipTo.postalCode"] {
        assert!(pattern.is_match(mask), "{mask}");
    }
    for mask in ["nothing", "id.x", "created_at.seconds", "ship_to.planet", "id,"] {
        assert!(!pattern.is_match(mask), "{mask}");
    }
}
