//! What an operator says of watches and of the log that they follow, and what is counted of them.

use kit_core::config::{ByteSize, HumanDuration};
use kit_telemetry::metrics::Registry;
use rowkeep_engine::{Engine, WatchOptions, WatchStats};
use rowkeep_sql::sqlite::ChangeOptions;
use serde::{Deserialize, Serialize};

/// Limits of watches, and of the embedded store's log of changes.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct WatchConfig {
    /// Watches at the same time.
    pub max_watchers: usize,
    /// How often a watch that has nothing to tell says so.
    pub heartbeat: HumanDuration,
    /// How long a watch that fell behind may take to come up with the others.
    pub patience: HumanDuration,
    /// Changes kept in memory for watches that are a little behind.
    pub kept: ByteSize,
    /// How long the embedded store keeps its log of changes.
    pub retention: HumanDuration,
    /// Size of that log at most; 0: there is none.
    pub log_size: ByteSize,
}

impl Default for WatchConfig {
    fn default() -> Self {
        Self {
            max_watchers: 10_000,
            heartbeat: HumanDuration::secs(10),
            patience: HumanDuration::secs(60),
            kept: ByteSize::mib(8),
            retention: HumanDuration::secs(3600),
            log_size: ByteSize::mib(64),
        }
    }
}

impl WatchConfig {
    pub(crate) fn options(&self) -> WatchOptions {
        WatchOptions {
            max_watchers: self.max_watchers,
            kept_bytes: self.kept.as_usize(),
            heartbeat: *self.heartbeat,
            patience: *self.patience,
        }
    }

    pub(crate) fn log(&self) -> ChangeOptions {
        ChangeOptions { retention: *self.retention, max_bytes: self.log_size.0 }
    }
}

/// Declares the metrics of an engine's watches.
pub(crate) fn declare(registry: &Registry, engine: &Engine) {
    let gauge = |name: &str, help, read: fn(&WatchStats) -> u64| {
        let engine = engine.clone();
        registry.gauge_fn(name, help, &[], move || read(&engine.watch_stats()) as f64);
    };
    gauge("rowkeep_watchers", "Watches under way.", |stats| stats.watchers);
    gauge("rowkeep_watch_followers", "Whether the log of changes is followed for them.", |stats| stats.followers);
    let counter = |name: &str, help, read: fn(&WatchStats) -> u64| {
        let engine = engine.clone();
        registry.counter_fn(name, help, &[], move || read(&engine.watch_stats()));
    };
    counter("rowkeep_watch_events_total", "Rows told to watches, as changed or deleted.", |stats| stats.events);
    counter("rowkeep_watch_fell_behind_total", "Watches that fell behind what is kept for them.", |stats| {
        stats.fell_behind
    });
    counter("rowkeep_watch_too_slow_total", "Watches ended because they were too slow.", |stats| stats.too_slow);
}
