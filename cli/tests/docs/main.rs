//! Runs what README.md and docs/*.md show, so that no example in them can rot.
//!
//! Every fenced block has a rule by its language; one that has none fails. The blocks of a page run in order in one
//! scratch directory that holds the repository's `examples`, with `rowkeep` on the PATH.
//!
//! | block | what is checked |
//! |---|---|
//! | `console` | each `$ command` runs in bash and prints the lines below it; `...` stands for anything. `rowkeep serve` starts a server in the background, `^C` ends it |
//! | `proto` | `rowkeep check` takes it; a part of a file is completed first; with `mistake` it must be refused |
//! | `json` | it parses |
//! | `toml` | it loads as configuration |
//! | `ebnf` | it is the grammar the parser documents |
//! | `sql` | nothing: statements for somebody else's program |
//! | with `file=NAME` | it is also written to the scratch directory, for the commands behind it |

#![allow(clippy::unwrap_used, reason = "a test may give up")]

mod blocks;
mod check;
mod pattern;
mod session;
mod tables;

use std::fs;

use blocks::Block;
use session::Session;

/// A page of the documentation, run from its first block to its last.
fn run(page: &str) {
    run_in(Session::new(), page);
}

fn run_in(mut session: Session, page: &str) {
    let text = fs::read_to_string(testkit::workspace_root().join(page)).unwrap();
    for block in blocks::of(page, &text) {
        if let Err(problem) = run_block(&mut session, &block) {
            panic!("{problem}");
        }
    }
}

fn run_block(session: &mut Session, block: &Block) -> Result<(), String> {
    if let Some(name) = &block.save_as {
        session.save(name, &block.text);
    }
    match block.language.as_str() {
        "console" => session.console(block),
        "proto" => check::proto(session, block),
        "json" => check::json(block),
        "toml" => check::toml(session, block),
        "ebnf" => check::grammar(block),
        // Statements for another program; their effect is what the pages go on with.
        "sql" => Ok(()),
        _ if block.save_as.is_some() => Ok(()),
        other => Err(block.problem(0, &format!("no rule covers a block of `{other}`; see cli/tests/docs/main.rs"))),
    }
}

#[test]
fn readme_does_what_it_says() {
    run_in(Session::beside_database(), "README.md");
}

#[test]
fn the_page_on_schemas_does_what_it_says() {
    run("docs/schema.md");
}

#[test]
fn the_page_on_the_api_does_what_it_says() {
    run("docs/api.md");
}

#[test]
fn the_page_on_queries_does_what_it_says() {
    run("docs/query.md");
}

#[test]
fn the_page_on_operations_does_what_it_says() {
    run("docs/operations.md");
}

#[test]
fn the_page_on_loading_does_what_it_says() {
    run("docs/load.md");
}

#[test]
fn the_page_on_watching_does_what_it_says() {
    run("docs/watch.md");
}

#[test]
fn the_page_on_the_cache_does_what_it_says() {
    run_in(Session::with_log(), "docs/coherence.md");
}

#[test]
fn the_page_on_mysql_does_what_it_says() {
    run_in(Session::with_database(), "docs/mysql.md");
}

#[test]
fn the_page_on_imports_does_what_it_says() {
    run_in(Session::with_database(), "docs/import.md");
}

#[test]
fn the_page_on_replicas_does_what_it_says() {
    run_in(Session::with_replicas(), "docs/replicas.md");
}

#[test]
fn no_page_is_left_out() {
    let known = [
        "api.md",
        "coherence.md",
        "import.md",
        "load.md",
        "mysql.md",
        "operations.md",
        "query.md",
        "replicas.md",
        "schema.md",
        "vitess.md",
        "watch.md",
    ];
    let mut found: Vec<_> = fs::read_dir(testkit::workspace_root().join("docs"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".md"))
        .collect();
    found.sort();
    assert_eq!(found, known, "add a test for the page above");
}
