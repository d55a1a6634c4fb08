//! Blocks that are not commands.

use std::fs;

use crate::blocks::Block;
use crate::session::Session;

/// In front of a part of a schema: every import that one may need.
const HEADER: &str = r#"syntax = "proto3";
package docs.v1;
import "buf/validate/validate.proto";
import "google/api/field_behavior.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
import "google/type/date.proto";
import "google/type/decimal.proto";
import "rowkeep/v1/options.proto";
"#;

/// Whole files are checked as they are; messages get the head of a file; fields and options get a message around them.
pub(crate) fn proto(session: &Session, block: &Block) -> Result<(), String> {
    let text = &block.text;
    let has = |word: &str| text.lines().any(|line| line.starts_with(word));
    let whole = if has("syntax") {
        text.clone()
    } else if has("message") || has("enum") {
        format!("{HEADER}{text}")
    } else {
        let option = if text.contains("(rowkeep.v1.entity)") { "" } else { "option (rowkeep.v1.entity) = {};" };
        let id = if text.contains(" id = 1") { "" } else { "int64 id = 1;" };
        format!("{HEADER}message Example {{ {option} {id}\n{text}}}\n")
    };
    let name = block.save_as.clone().unwrap_or_else(|| "block.proto".to_owned());
    session.save(&name, &whole);
    let output = session.rowkeep(&["check", &name]);
    let said = String::from_utf8_lossy(&output.stderr);
    match (output.status.success(), block.is_mistake) {
        (true, false) | (false, true) => Ok(()),
        (false, false) => Err(block.problem(0, &format!("the schema is refused:\n{said}\nof\n{whole}"))),
        (true, true) => Err(block.problem(0, "the schema is marked as a mistake and is accepted")),
    }
}

pub(crate) fn json(block: &Block) -> Result<(), String> {
    let parsed: Result<serde_json::Value, _> = serde_json::from_str(&block.text);
    parsed.map(drop).map_err(|error| block.problem(error.line().saturating_sub(1), &format!("not JSON: {error}")))
}

pub(crate) fn toml(session: &Session, block: &Block) -> Result<(), String> {
    let name = block.save_as.clone().unwrap_or_else(|| "block.toml".to_owned());
    session.save(&name, &block.text);
    let output = session.rowkeep(&["config", "--config", &name]);
    match (output.status.success(), block.is_mistake) {
        (true, false) | (false, true) => Ok(()),
        (false, false) => Err(block.problem(0, &String::from_utf8_lossy(&output.stderr))),
        (true, true) => Err(block.problem(0, "the configuration is marked as a mistake and is accepted")),
    }
}

/// Each rule stands in the documentation of the parser.
pub(crate) fn grammar(block: &Block) -> Result<(), String> {
    const PARSER: &str = "store/record/src/query/syntax.rs";
    let source = fs::read_to_string(testkit::workspace_root().join(PARSER)).unwrap();
    let documented: Vec<&str> = source.lines().filter_map(|line| line.strip_prefix("//! ")).collect();
    match block.text.lines().position(|rule| !documented.contains(&rule)) {
        None => Ok(()),
        Some(line) => Err(block.problem(line, &format!("this rule is not in {PARSER}"))),
    }
}
