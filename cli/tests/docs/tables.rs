//! Tables of the pages, against what they are tables of.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn page(name: &str) -> String {
    fs::read_to_string(testkit::workspace_root().join(name)).unwrap()
}

/// The cells of each table row under a heading, without the backticks around code.
fn rows(page: &str, heading: &str) -> Vec<Vec<String>> {
    let level = heading.split(' ').next().unwrap_or_default();
    let section = page.lines().skip_while(|line| *line != heading).skip(1);
    let section = section.take_while(|line| !line.starts_with(&format!("{level} ")));
    let cells = |row: &str| row.split(" | ").map(|cell| cell.trim().trim_matches('`').to_owned()).collect();
    section.filter_map(|line| Some(cells(line.strip_prefix("| `")?.trim_end_matches('|')))).collect()
}

#[test]
fn the_configuration_reference_has_every_key_with_its_default() {
    let output = testkit::command(&["config", "--json"]).env_clear().output().unwrap();
    let values: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
    let pair = |entry: &serde_json::Value| {
        (entry["key"].as_str().unwrap().to_owned(), entry["value"].as_str().unwrap().to_owned())
    };
    let effective: BTreeSet<_> = values.iter().map(pair).collect();
    let documented = rows(&page("docs/operations.md"), "## Configuration reference");
    let documented: BTreeSet<_> = documented.into_iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    let missing: Vec<_> = effective.difference(&documented).collect();
    let wrong: Vec<_> = documented.difference(&effective).collect();
    assert!(missing.is_empty() && wrong.is_empty(), "not in docs/operations.md: {missing:?}\nonly there: {wrong:?}");
}

#[test]
fn every_reason_in_the_tables_of_errors_is_one_that_the_code_gives() {
    let mut source = String::new();
    for directory in ["store", "kit"] {
        read_sources(&testkit::workspace_root().join(directory), &mut source);
    }
    let source = source.split_whitespace().collect::<Vec<_>>().join(" ");
    let api = page("docs/api.md");
    let with_code = rows(&api, "### Reasons");
    // A fault is an `INVALID_ARGUMENT` before it is an error.
    let is_fault = |row: &Vec<String>| source.contains(&format!("Fault::new(\"{}\"", row[0]));
    let with_code = with_code.iter().filter(|row| !is_fault(row));
    let with_code = with_code.map(|row| format!("Code::{}, \"{}\"", camel(&row[1]), row[0]));
    let of_fields = rows(&api, "### Reasons of a field").into_iter().map(|row| format!("\"{}\"", row[0]));
    let documented: Vec<String> = with_code.chain(of_fields).collect();
    assert!(documented.len() > 60, "the tables are not found");
    let unknown: Vec<_> = documented.iter().filter(|reason| !source.contains(reason.as_str())).collect();
    assert!(unknown.is_empty(), "no source gives {unknown:#?}");
}

/// It has no commands to run: Vitess takes minutes to build.
#[test]
fn the_page_on_vitess_names_reasons_that_the_code_gives() {
    let mut source = String::new();
    read_sources(&testkit::workspace_root().join("store"), &mut source);
    let page = page("docs/vitess.md");
    let is_reason = |text: &&str| {
        text.contains('_') && text.chars().all(|character| character.is_ascii_uppercase() || character == '_')
    };
    let reasons: Vec<&str> = page.split('`').filter(is_reason).collect();
    assert!(reasons.len() > 8, "{reasons:?}");
    let unknown: Vec<_> = reasons.iter().filter(|reason| !source.contains(&format!("\"{reason}\""))).collect();
    assert!(unknown.is_empty(), "no source gives {unknown:?}");
}

/// `NOT_FOUND` to `NotFound`.
fn camel(name: &str) -> String {
    let word = |word: &str| format!("{}{}", &word[..1], word[1..].to_lowercase());
    name.split('_').map(word).collect()
}

fn read_sources(directory: &Path, into: &mut String) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("tests") {
            read_sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn readme_names_the_toolchain_that_the_manifest_asks_for() {
    let manifest = page("Cargo.toml");
    let version = manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).unwrap().trim_matches('"');
    assert!(page("README.md").contains(&format!("({version} or newer")), "README.md does not name Rust {version}");
}

#[test]
fn links_between_pages_lead_somewhere() {
    let mut broken = Vec::new();
    let pages = [
        "README.md",
        "docs/schema.md",
        "docs/api.md",
        "docs/query.md",
        "docs/operations.md",
        "docs/load.md",
        "docs/watch.md",
    ];
    for name in pages {
        let here = testkit::workspace_root().join(name);
        let text = without_blocks(&page(name));
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.starts_with("http") && !target.contains(' ')) {
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file = if path.is_empty() { here.clone() } else { here.parent().unwrap().join(path) };
            let is_there = file.exists() && (anchor.is_empty() || anchors(&file).contains(&anchor.to_owned()));
            if !is_there {
                broken.push(format!("{name}: {target}"));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

fn without_blocks(page: &str) -> String {
    let mut is_block = false;
    let mut keep = |line: &&str| {
        is_block ^= line.trim_start().starts_with("```");
        !is_block
    };
    page.lines().filter(|line| keep(line)).collect::<Vec<_>>().join("\n")
}

/// What headings are linked by.
fn anchors(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap();
    let headings = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let anchor = |heading: &str| -> String {
        let kept = heading.to_lowercase();
        let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}
