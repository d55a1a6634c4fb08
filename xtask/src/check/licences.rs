//! Licences, sources and advisories of dependencies, by the rules of `deny.toml`.
//!
//! Licences and sources are checked here from `cargo metadata`, so that they are checked everywhere, offline too. Advisories
//! need cargo-deny and a copy of its database; where either is missing the step says so.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use crate::{
    Result,
    check::report,
    metadata::{self, Package},
    shell,
};

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

pub(crate) fn check() -> Result<()> {
    let allowed = allowed_licences()?;
    let packages = metadata::packages()?;
    let findings: Vec<_> = packages.iter().filter_map(|package| finding(package, &allowed)).collect();
    report(&findings)
}

fn allowed_licences() -> Result<Vec<String>> {
    let text = shell::read(shell::root().join("deny.toml"))?;
    let config: toml::Table = text.parse().map_err(|error| format!("deny.toml: {error}"))?;
    let allow = config.get("licenses").and_then(|licenses| licenses.get("allow")?.as_array());
    let allow = allow.ok_or("deny.toml: licenses.allow is missing")?;
    Ok(allow.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect())
}

fn finding(package: &Package, allowed: &[String]) -> Option<String> {
    let name = format!("{} {}", package.name, package.version);
    if let Some(source) = package.source.as_ref().filter(|source| *source != CRATES_IO) {
        return Some(format!("{name} comes from {source}"));
    }
    let Some(license) = &package.license else { return Some(format!("{name} names no licence")) };
    (!satisfies(license, allowed)).then(|| format!("{name}: {license} is not allowed by deny.toml"))
}

/// Whether an SPDX expression can be met by the allowed licences alone. `/` is the old way to write OR.
fn satisfies(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut parser = Expression { words: &words, allowed };
    parser.alternatives() && parser.words.is_empty()
}

/// A recursive-descent evaluator: OR binds weaker than AND, WITH belongs to the licence before it.
struct Expression<'a> {
    words: &'a [&'a str],
    allowed: &'a [String],
}

impl Expression<'_> {
    fn take(&mut self, word: &str) -> bool {
        let found = self.words.first() == Some(&word);
        if found {
            self.words = &self.words[1..];
        }
        found
    }

    fn alternatives(&mut self) -> bool {
        let mut met = self.requirements();
        while self.take("OR") {
            met |= self.requirements();
        }
        met
    }

    fn requirements(&mut self) -> bool {
        let mut met = self.licence();
        while self.take("AND") {
            met &= self.licence();
        }
        met
    }

    fn licence(&mut self) -> bool {
        if self.take("(") {
            let met = self.alternatives();
            return self.take(")") && met;
        }
        let Some((name, rest)) = self.words.split_first() else { return false };
        self.words = rest;
        let mut name = (*name).to_owned();
        if self.take("WITH")
            && let Some((exception, rest)) = self.words.split_first()
        {
            name = format!("{name} WITH {exception}");
            self.words = rest;
        }
        self.allowed.contains(&name)
    }
}

pub(crate) fn advisories() -> Result<()> {
    if !shell::succeeds(shell::cargo().args(["deny", "--version"]).stdout(Stdio::null())) {
        println!("   not run: cargo-deny is not installed (`cargo install --locked cargo-deny`)");
        return Ok(());
    }
    let offline = if online() { &[][..] } else { &["--offline"][..] };
    if !offline.is_empty() && advisory_database().is_none() {
        println!("   not run: the advisory database can neither be fetched nor is a copy of it here");
        return Ok(());
    }
    shell::run(shell::cargo().arg("deny").args(offline).args(["check", "advisories", "bans"]))
}

/// Whether the advisory database can be fetched.
fn online() -> bool {
    let mut git = shell::program("git");
    git.args(["ls-remote", "--exit-code", "https://github.com/rustsec/advisory-db", "HEAD"]);
    shell::succeeds(git.env("GIT_TERMINAL_PROMPT", "0").env("GIT_HTTP_LOW_SPEED_LIMIT", "1"))
}

fn advisory_database() -> Option<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")))?;
    let databases = home.join("advisory-dbs");
    std::fs::read_dir(&databases).ok()?.next().map(|_| databases)
}

#[cfg(test)]
mod tests {
    use super::satisfies;

    #[test]
    fn an_expression_is_met_by_allowed_licences_alone() {
        let allowed = ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned);
        for good in
            ["MIT", "MIT OR GPL-3.0", "GPL-3.0/MIT", "(GPL-3.0 OR MIT) AND ISC", "Apache-2.0 WITH LLVM-exception"]
        {
            assert!(satisfies(good, &allowed), "{good}");
        }
        for bad in ["", "GPL-3.0", "MIT AND GPL-3.0", "GPL-3.0 OR MIT AND GPL-2.0", "Apache-2.0", "MIT)"] {
            assert!(!satisfies(bad, &allowed), "{bad}");
        }
    }
}
