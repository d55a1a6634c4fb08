//! The log: for people on a terminal, JSON lines otherwise, on standard error; its level can change while it runs.

use std::io::IsTerminal;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// What is logged.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// A level, or levels by target: `info`, `info,kit_net=debug`.
    pub level: String,
    /// How lines look.
    pub format: LogFormat,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Auto }
    }
}

/// A level that cannot be read.
#[derive(Debug)]
pub struct LogLevelError(String);

impl std::fmt::Display for LogLevelError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` is no log level: write error, warn, info, debug, trace, or info,target=debug", self.0)
    }
}

impl std::error::Error for LogLevelError {}

/// Changes the level while the process runs.
#[derive(Debug, Clone)]
pub struct LogControl {
    handle: reload::Handle<EnvFilter, Registry>,
}

impl LogControl {
    /// Sets the level.
    ///
    /// # Errors
    /// When the text is no level.
    pub fn set_level(&self, level: &str) -> Result<(), LogLevelError> {
        let filter = parse(level)?;
        self.handle.reload(filter).map_err(|_| LogLevelError(level.to_owned()))
    }

    /// The level now.
    pub fn level(&self) -> String {
        self.handle.with_current(ToString::to_string).unwrap_or_default()
    }
}

fn parse(level: &str) -> Result<EnvFilter, LogLevelError> {
    // `EnvFilter` reads a misspelt level as the name of a target.
    let known = |directive: &str| {
        let level = directive.rsplit('=').next().unwrap_or_default().trim().to_ascii_lowercase();
        ["error", "warn", "info", "debug", "trace", "off"].contains(&level.as_str())
    };
    if !level.split(',').all(known) {
        return Err(LogLevelError(level.to_owned()));
    }
    EnvFilter::try_new(level).map_err(|_| LogLevelError(level.to_owned()))
}

/// The log of this process.
static STARTED: OnceLock<LogControl> = OnceLock::new();

/// Starts the log of the process; a second call gives the control of the first.
///
/// # Errors
/// When the level cannot be read.
pub fn init_logs(config: &LogConfig) -> Result<LogControl, LogLevelError> {
    let filter = parse(&config.level)?;
    Ok(STARTED.get_or_init(|| start(filter, config.format)).clone())
}

fn start(filter: EnvFilter, format: LogFormat) -> LogControl {
    let (filter, handle) = reload::Layer::new(filter);
    let is_human = match format {
        LogFormat::Auto => std::io::stderr().is_terminal(),
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines = if is_human {
        lines.with_ansi(std::io::stderr().is_terminal()).with_target(false).boxed()
    } else {
        lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed()
    };
    // Fails only where something else logs for the process already: then that stays.
    let _ = tracing_subscriber::registry().with(filter).with(lines).try_init();
    LogControl { handle }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_checked_and_the_message_says_what_to_write() {
        for good in ["info", "WARN", "off", "info,kit_net=debug", "kit_net::io=trace"] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for bad in ["", "verbose", "info,kit_net=chatty", "inf"] {
            assert!(parse(bad).unwrap_err().to_string().contains("info,target=debug"), "{bad}");
        }
    }
}
