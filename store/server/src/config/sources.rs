//! Defaults, file, environment and flags, laid over each other key by key.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use kit_core::{Code, Error, nearest};
use toml::{Table, Value};

use super::ServerConfig;

const ENVIRONMENT_PREFIX: &str = "ROWKEEP_";

/// Variables with the prefix that are not of the server's configuration.
const OTHER_VARIABLES: [&str; 1] = ["ROWKEEP_CONFIG"];

const OTLP_ENDPOINT: &str = "trace.otlp_endpoint";

/// Where a value was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nowhere.
    Default,
    /// In a file.
    File(PathBuf),
    /// In this variable.
    Environment(String),
    /// On the command line.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Environment(name) => f.write_str(name),
            Self::Flag => f.write_str("flag"),
        }
    }
}

/// What was said.
#[derive(Debug, Default)]
pub struct Sources {
    /// A configuration file.
    pub file: Option<PathBuf>,
    /// The process's environment; what does not start with `ROWKEEP_` is ignored.
    pub environment: Vec<(String, String)>,
    /// Flags that were given, as texts by key: `listen`, `http.workers`. Lists have commas.
    pub flags: Vec<(String, String)>,
}

/// A configuration with where each value came from.
#[derive(Debug)]
pub struct Effective {
    /// The checked configuration.
    pub config: ServerConfig,
    /// Every key with its value as TOML and its origin, sorted.
    pub values: Vec<(String, String, Origin)>,
}

impl Sources {
    /// Lays the sources over each other and checks the result.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` with file and line, variable or key, and the nearest key that exists.
    pub fn load(&self) -> Result<Effective, Error> {
        let defaults = Table::try_from(ServerConfig::default()).map_err(Error::internal)?;
        let mut merged = BTreeMap::new();
        flatten("", &defaults, &mut |key, value| {
            merged.insert(key, (value, Origin::Default));
        });
        // The one key whose default is nothing, which TOML cannot say.
        merged.insert(OTLP_ENDPOINT.to_owned(), (Value::String(String::new()), Origin::Default));
        let known: Vec<String> = merged.keys().cloned().collect();
        if let Some(path) = &self.file {
            let table = read_file(path)?;
            flatten("", &table, &mut |key, value| {
                merged.insert(key, (value, Origin::File(path.clone())));
            });
        }
        for (name, text) in &self.environment {
            if let Some((key, value)) = variable(&known, &merged, name, text)? {
                merged.insert(key, (value, Origin::Environment(name.clone())));
            }
        }
        for (key, text) in &self.flags {
            let value = flag(&merged, key, text)?;
            merged.insert(key.clone(), (value, Origin::Flag));
        }
        let mut config = build(&merged)?;
        config.trace.otlp_endpoint.take_if(|endpoint| endpoint.is_empty());
        config.check()?;
        // Whoever reads the configuration need not read the password in it.
        let public = Value::String(config.database.to_string());
        merged.entry("database".to_owned()).and_modify(|(value, _)| *value = public);
        let public = config.replicas.iter().map(|url| Value::String(url.to_string())).collect();
        merged.entry("replicas".to_owned()).and_modify(|(value, _)| *value = Value::Array(public));
        let public = Value::String(config.cache.kind.to_string());
        merged.entry("cache.kind".to_owned()).and_modify(|(value, _)| *value = public);
        let shown = merged.into_iter().map(|(key, (value, origin))| (key, value.to_string(), origin));
        Ok(Effective { config, values: shown.collect() })
    }
}

/// Every value with its dotted key. Arrays are values.
fn flatten(prefix: &str, table: &Table, found: &mut impl FnMut(String, Value)) {
    for (key, value) in table {
        let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            Value::Table(inner) => flatten(&key, inner, found),
            other => found(key, other.clone()),
        }
    }
}

fn unflatten(values: &BTreeMap<String, (Value, Origin)>) -> Table {
    let mut root = Table::new();
    for (key, (value, _)) in values {
        let mut table = &mut root;
        let mut parts = key.split('.').peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                table.insert(part.to_owned(), value.clone());
                break;
            }
            let inner = table.entry(part.to_owned()).or_insert_with(|| Value::Table(Table::new()));
            let Value::Table(inner) = inner else { break };
            table = inner;
        }
    }
    root
}

/// Reads the file against the configuration's own shape, so that a mistake has its line.
fn read_file(path: &Path) -> Result<Table, Error> {
    let text = std::fs::read_to_string(path).map_err(|error| refused(format!("{}: {error}", path.display())))?;
    toml::from_str::<ServerConfig>(&text).map_err(|error| {
        let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        refused(format!("{}:{line}: {}", path.display(), explain(error.message())))
    })?;
    text.parse::<Table>().map_err(|error| refused(format!("{}: {error}", path.display())))
}

/// Serde lists every key that would have been right; the nearest is enough.
fn explain(message: &str) -> String {
    if message.starts_with("invalid socket address") {
        return "must be an address and a port, as in 127.0.0.1:8080".to_owned();
    }
    let mut quoted = message.split('`').skip(1).step_by(2);
    let (Some(wrong), true) = (quoted.next(), message.starts_with("unknown field")) else {
        return message.lines().next().unwrap_or(message).to_owned();
    };
    match nearest(wrong, quoted) {
        Some(close) => format!("unknown key `{wrong}`; did you mean `{close}`?"),
        None => format!("unknown key `{wrong}`"),
    }
}

/// The key and the value of a variable: `ROWKEEP_REST_TIMEOUT` is `rest.timeout`.
fn variable(
    known: &[String],
    merged: &BTreeMap<String, (Value, Origin)>,
    name: &str,
    text: &str,
) -> Result<Option<(String, Value)>, Error> {
    if !name.starts_with(ENVIRONMENT_PREFIX) || OTHER_VARIABLES.contains(&name) {
        return Ok(None);
    }
    let Some(key) = known.iter().find(|key| variable_of(key) == name) else {
        let names: Vec<String> = known.iter().map(|key| variable_of(key)).collect();
        let hint = nearest(name, names.iter().map(String::as_str));
        let hint = hint.map(|close| format!("; did you mean {close}?")).unwrap_or_default();
        return Err(refused(format!("environment: {name} is no setting{hint}")));
    };
    let like = merged.get(key).map(|(value, _)| value);
    let value = parse(text, like).ok_or_else(|| {
        refused(format!("environment: {name} must be {}, not `{text}`", like.map_or("a text", wanted)))
    })?;
    Ok(Some((key.clone(), value)))
}

/// The value of a flag, which must be of a key that exists.
fn flag(merged: &BTreeMap<String, (Value, Origin)>, key: &str, text: &str) -> Result<Value, Error> {
    let Some((like, _)) = merged.get(key) else {
        let hint = nearest(key, merged.keys().map(String::as_str));
        let hint = hint.map(|close| format!("; did you mean `{close}`?")).unwrap_or_default();
        return Err(refused(format!("flag: `{key}` is no setting{hint}")));
    };
    parse(text, Some(like)).ok_or_else(|| refused(format!("{key} (flag): must be {}, not `{text}`", wanted(like))))
}

fn variable_of(key: &str) -> String {
    format!("{ENVIRONMENT_PREFIX}{}", key.replace('.', "_").to_uppercase())
}

/// What a value like this one is, in words.
fn wanted(like: &Value) -> &'static str {
    match like {
        Value::Boolean(_) => "true or false",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number",
        _ => "a text",
    }
}

/// A text as a value of the same type as the default; lists have commas.
fn parse(text: &str, like: Option<&Value>) -> Option<Value> {
    Some(match like {
        Some(Value::Boolean(_)) => Value::Boolean(text.parse().ok()?),
        Some(Value::Integer(_)) => Value::Integer(text.parse().ok()?),
        Some(Value::Float(_)) => Value::Float(text.parse().ok()?),
        Some(Value::Array(_)) => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Value::Array(items.map(|item| Value::String(item.to_owned())).collect())
        }
        _ => Value::String(text.to_owned()),
    })
}

/// The configuration of the merged values. The file's were checked with their lines; a bad one comes from a variable
/// or a flag, and is found by leaving each of those out.
fn build(merged: &BTreeMap<String, (Value, Origin)>) -> Result<ServerConfig, Error> {
    let try_build = |values: &BTreeMap<_, _>| unflatten(values).try_into::<ServerConfig>();
    try_build(merged).map_err(|error| {
        let said = merged.iter().filter(|(_, (_, origin))| matches!(origin, Origin::Environment(_) | Origin::Flag));
        let culprit = said.map(|(key, (value, origin))| (key, value, origin)).find(|(key, ..)| {
            let mut without = merged.clone();
            without.remove(*key);
            try_build(&without).is_ok()
        });
        let why = explain(error.message());
        refused(match culprit {
            Some((key, value, origin)) => format!("{key} ({origin}): {value}: {why}"),
            None => why,
        })
    })
}

fn refused(message: String) -> Error {
    Error::new(Code::InvalidArgument, "INVALID_CONFIG", message)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn with_file(text: &str) -> (tempfile::TempDir, Sources) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rowkeep.toml");
        std::fs::write(&path, text).unwrap();
        (directory, Sources { file: Some(path), ..Sources::default() })
    }

    fn refusal(sources: &Sources) -> String {
        sources.load().unwrap_err().message().to_owned()
    }

    #[test]
    fn flags_go_over_the_environment_over_the_file_over_defaults() {
        let (_directory, mut sources) =
            with_file("data = \"file\"\n[rest]\ntimeout = \"1s\"\n[pages]\nmax_size = 200\n");
        sources.environment = vec![
            ("ROWKEEP_REST_TIMEOUT".into(), "2s".into()),
            ("ROWKEEP_DATA".into(), "environment".into()),
            ("PATH".into(), "/bin".into()),
        ];
        sources.flags = vec![("data".into(), "flag".into())];
        let effective = sources.load().unwrap();
        assert_eq!(effective.config.data, Path::new("flag"));
        assert_eq!(*effective.config.rest.timeout, Duration::from_secs(2));
        assert_eq!(effective.config.pages.max_size, 200);
        let origin = |key: &str| effective.values.iter().find(|(k, ..)| k == key).unwrap().2.clone();
        assert_eq!(origin("data"), Origin::Flag);
        assert_eq!(origin("rest.timeout"), Origin::Environment("ROWKEEP_REST_TIMEOUT".into()));
        assert_eq!(origin("pages.max_size"), Origin::File(sources.file.clone().unwrap()));
        assert_eq!(origin("listen"), Origin::Default);
    }

    #[test]
    fn a_mistake_in_the_file_has_its_line_and_the_nearest_key() {
        let (_directory, sources) = with_file("insecure = false\n\n[rest]\ntimout = \"1s\"\n");
        let message = refusal(&sources);
        assert!(message.ends_with("rowkeep.toml:4: unknown key `timout`; did you mean `timeout`?"), "{message}");
        let (_directory, sources) = with_file("listen = \"nowhere\"\n");
        assert!(refusal(&sources).contains("rowkeep.toml:1: "), "{}", refusal(&sources));
    }

    #[test]
    fn a_mistake_elsewhere_names_its_source() {
        let environment =
            |name: &str, value: &str| Sources { environment: vec![(name.into(), value.into())], ..Sources::default() };
        let message = refusal(&environment("ROWKEEP_LISTN", "127.0.0.1:1"));
        assert_eq!(message, "environment: ROWKEEP_LISTN is no setting; did you mean ROWKEEP_LISTEN?");
        let message = refusal(&environment("ROWKEEP_PAGES_MAX_SIZE", "many"));
        assert_eq!(message, "environment: ROWKEEP_PAGES_MAX_SIZE must be a whole number, not `many`");
        let message = refusal(&environment("ROWKEEP_REST_TIMEOUT", "soon"));
        assert!(message.contains("ROWKEEP_REST_TIMEOUT"), "{message}");
        let flags = Sources { flags: vec![("listen".into(), "x".into())], ..Sources::default() };
        let expected = "listen (flag): \"x\": must be an address and a port, as in 127.0.0.1:8080";
        assert_eq!(refusal(&flags), expected);
    }
}
