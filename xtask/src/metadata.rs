//! What `cargo metadata` says, as far as the checks need it.

use std::path::PathBuf;

use serde_json::Value;

use crate::{Result, shell};

/// A package of the lock file.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) license: Option<String>,
    /// `None` for a member of this workspace.
    pub(crate) source: Option<String>,
    pub(crate) directory: PathBuf,
    pub(crate) dependencies: Vec<Dependency>,
}

/// A line of a manifest's dependency tables.
#[derive(Debug)]
pub(crate) struct Dependency {
    /// Package name.
    pub(crate) package: String,
    /// Name in code, with underscores.
    pub(crate) name_in_code: String,
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Normal,
    Dev,
    Build,
}

/// Every package of the lock file that this platform uses.
pub(crate) fn packages() -> Result<Vec<Package>> {
    let host = host_triple()?;
    let json = shell::output(shell::cargo().args([
        "metadata",
        "--format-version=1",
        "--locked",
        "--filter-platform",
        host.as_str(),
    ]))?;
    let metadata: Value = serde_json::from_str(&json).map_err(|error| format!("cargo metadata: {error}"))?;
    metadata["packages"].as_array().into_iter().flatten().map(package).collect()
}

/// The workspace's own packages.
pub(crate) fn members() -> Result<Vec<Package>> {
    Ok(packages()?.into_iter().filter(|package| package.source.is_none()).collect())
}

fn host_triple() -> Result<String> {
    let version = shell::output(shell::program("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| "rustc -vV names no host".to_owned())
}

fn package(json: &Value) -> Result<Package> {
    let text = |key: &str| json[key].as_str().map(str::to_owned);
    let required = |key: &str| text(key).ok_or_else(|| format!("cargo metadata: a package has no {key}"));
    let mut directory = PathBuf::from(required("manifest_path")?);
    directory.pop();
    Ok(Package {
        name: required("name")?,
        version: required("version")?,
        license: text("license"),
        source: text("source"),
        directory,
        dependencies: json["dependencies"].as_array().into_iter().flatten().map(dependency).collect(),
    })
}

fn dependency(json: &Value) -> Dependency {
    let package = json["name"].as_str().unwrap_or_default().to_owned();
    let name_in_code = json["rename"].as_str().unwrap_or(&package).replace('-', "_");
    let kind = match json["kind"].as_str() {
        Some("dev") => Kind::Dev,
        Some("build") => Kind::Build,
        _ => Kind::Normal,
    };
    Dependency { package, name_in_code, kind }
}
