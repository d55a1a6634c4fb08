//! From flags, environment and file to a checked configuration.

use std::path::Path;

use rowkeep_server::config::{Effective, Sources};
use rowkeep_server::{ServerConfig, StorageOptions};
use rowkeep_sql::Allow;

use crate::args::{Serve, SettingArgs};
use crate::failure::Failure;

/// Lays everything over each other.
pub(crate) fn load(settings: &SettingArgs, more: Vec<(String, String)>) -> Result<Effective, Failure> {
    let mut flags = Vec::new();
    for assignment in &settings.set {
        let (key, value) = assignment
            .split_once('=')
            .ok_or_else(|| Failure::Input(format!("--set {assignment}: write KEY=VALUE, as in rest.timeout=2s")))?;
        flags.push((key.trim().to_owned(), value.to_owned()));
    }
    flags.extend(more);
    if let Some(data) = &settings.data {
        flags.push(("data".to_owned(), text(data)?));
    }
    if let Some(database) = &settings.database {
        flags.push(("database".to_owned(), database.clone()));
    }
    if !settings.replica.is_empty() {
        flags.push(("replicas".to_owned(), settings.replica.join(",")));
    }
    if !settings.allow.is_empty() {
        flags.push(("allow".to_owned(), settings.allow.join(",")));
    }
    let sources = Sources { file: settings.config.clone(), environment: environment(), flags };
    Ok(sources.load()?)
}

/// The configuration of a command that has no flags of its own.
pub(crate) fn config(settings: &SettingArgs) -> Result<ServerConfig, Failure> {
    load(settings, Vec::new()).map(|effective| effective.config)
}

/// The steps that were consented to.
pub(crate) fn allow(config: &ServerConfig) -> Allow {
    config.allow.iter().map(String::as_str).collect()
}

/// How data is opened for work on all of it: without a cache.
pub(crate) fn storage<'a>(config: &'a ServerConfig, allow: &'a Allow) -> StorageOptions<'a> {
    StorageOptions { allow, pages: &config.pages, watch: &config.watch, caching: None }
}

/// The flags of `serve`.
pub(crate) fn of_serve(serve: &Serve) -> Result<Vec<(String, String)>, Failure> {
    let mut flags = Vec::new();
    let mut add = |key: &str, value: Option<String>| flags.extend(value.map(|value| (key.to_owned(), value)));
    add("listen", serve.listen.clone());
    add("admin_listen", serve.admin_listen.clone());
    add("insecure", serve.insecure.then(|| "true".to_owned()));
    add("cache.kind", serve.cache.clone());
    add("templates", serve.templates.as_deref().map(text).transpose()?);
    Ok(flags)
}

fn environment() -> Vec<(String, String)> {
    // A name or value that is not UTF-8 is none of ours.
    let readable = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(readable).collect()
}

fn text(path: &Path) -> Result<String, Failure> {
    let utf8 = path.to_str().map(str::to_owned);
    utf8.ok_or_else(|| Failure::Input(format!("{}: the path must be UTF-8", path.display())))
}
