//! Unused dependencies: every entry of a manifest must be named in the sources it serves.

use std::path::Path;

use crate::{
    Result,
    check::report,
    metadata::{self, Dependency, Kind, Package},
    shell,
};

/// Dependencies that work without being named, with the reason.
const UNNAMED: &[(&str, &str, &str)] = &[
    ("shop-client", "prost-types", "generated code names it"),
    ("shop-client", "tonic", "generated code names it"),
    ("shop-client", "tonic-prost", "generated code names it"),
    ("shop-client", "prost", "generated code names it"),
];

pub(crate) fn check() -> Result<()> {
    let mut findings = Vec::new();
    for member in metadata::members()? {
        let main = sources(&member.directory, &["src"])?;
        let tests = sources(&member.directory, &["tests", "benches", "examples"])?;
        let build = shell::read(member.directory.join("build.rs")).unwrap_or_default();
        for dependency in &member.dependencies {
            let texts: &[&String] = match dependency.kind {
                Kind::Normal => &[&main],
                Kind::Dev => &[&main, &tests],
                Kind::Build => &[&build],
            };
            let used = texts.iter().any(|text| names(text, &dependency.name_in_code));
            if !used && !is_unnamed_by_design(&member, dependency) {
                findings.push(format!("{}: {} is not used", member.name, dependency.package));
            }
        }
    }
    report(&findings)
}

fn is_unnamed_by_design(member: &Package, dependency: &Dependency) -> bool {
    UNNAMED.iter().any(|(from, to, _reason)| *from == member.name && *to == dependency.package)
        || (dependency.package == member.name && dependency.kind == Kind::Dev)
}

fn sources(directory: &Path, parts: &[&str]) -> Result<String> {
    let mut all = String::new();
    for part in parts {
        for file in shell::files(&directory.join(part), "rs") {
            all.push_str(&shell::read(&file)?);
        }
    }
    Ok(all)
}

/// Whether the text holds the name as a whole word.
fn names(text: &str, name: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(name).any(|(start, _)| {
        let before = text[..start].chars().next_back();
        let after = text[start + name.len()..].chars().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn a_name_counts_only_as_a_whole_word() {
        assert!(names("use http::Uri;", "http"));
        assert!(!names("use http_body::Body;", "http"));
        assert!(!names("let my_http = 1;", "http"));
    }
}
