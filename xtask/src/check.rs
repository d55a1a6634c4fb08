//! The static checks: `cargo xtask check`. Each is a step with a name; all run, then the failed ones are listed.

mod arrows;
mod dependencies;
mod licences;
mod tidy;

use std::time::Instant;

use crate::{Result, shell};

/// A check and what it holds.
struct Step {
    name: &'static str,
    promise: &'static str,
    run: fn() -> Result<()>,
}

/// In order of cost: what fails fast comes first.
const STEPS: &[Step] = &[
    Step { name: "fmt", promise: "code is formatted", run: fmt },
    Step { name: "arrows", promise: "crates depend downwards only", run: arrows::check },
    Step {
        name: "tidy",
        promise: "modules are documented, files stay short, nothing is left half done",
        run: tidy::check,
    },
    Step { name: "dependencies", promise: "every dependency is used", run: dependencies::check },
    Step { name: "licences", promise: "licences and sources are allowed by deny.toml", run: licences::check },
    Step { name: "advisories", promise: "no dependency has a known vulnerability", run: licences::advisories },
    Step { name: "clippy", promise: "no warnings", run: clippy },
    Step { name: "docs", promise: "documentation builds and its links resolve", run: docs },
];

/// Runs the steps named, or all.
pub(crate) fn run(names: &[&str]) -> Result<()> {
    if names == ["--list"] {
        for step in STEPS {
            println!("{:<14}{}", step.name, step.promise);
        }
        return Ok(());
    }
    if let Some(unknown) = names.iter().find(|name| STEPS.iter().all(|step| step.name != **name)) {
        return Err(format!("no check is called {unknown}; `cargo xtask check --list` lists them"));
    }
    let chosen = STEPS.iter().filter(|step| names.is_empty() || names.contains(&step.name));
    let failed: Vec<&str> = chosen.filter(|step| !passes(step)).map(|step| step.name).collect();
    if failed.is_empty() { Ok(()) } else { Err(format!("failed checks: {}", failed.join(", "))) }
}

fn passes(step: &Step) -> bool {
    println!("== check {}: {}", step.name, step.promise);
    let started = Instant::now();
    let outcome = (step.run)();
    let seconds = started.elapsed().as_secs_f32();
    match outcome {
        Ok(()) => println!("   ok ({seconds:.1} s)"),
        Err(ref error) => println!("{error}\n   FAILED ({seconds:.1} s)"),
    }
    outcome.is_ok()
}

fn fmt() -> Result<()> {
    shell::run(shell::cargo().args(["fmt", "--all", "--check"]))
}

fn clippy() -> Result<()> {
    shell::run(shell::cargo().args([
        "clippy",
        "--quiet",
        "--locked",
        "--workspace",
        "--all-targets",
        "--",
        "-Dwarnings",
    ]))
}

fn docs() -> Result<()> {
    let mut cargo = shell::cargo();
    cargo
        .args(["doc", "--quiet", "--locked", "--workspace", "--no-deps", "--document-private-items"])
        // These pages are for those who work on it: what is public may link to what is not.
        .env("RUSTDOCFLAGS", "-Dwarnings -Arustdoc::private_intra_doc_links");
    shell::run(&mut cargo)
}

/// An error of one line per finding.
fn report(findings: &[String]) -> Result<()> {
    if findings.is_empty() { Ok(()) } else { Err(findings.join("\n")) }
}
