//! What is kept in memory so that the database need not be asked.

use std::time::Duration;

use kit_core::config::{ByteSize, HumanDuration};
use rowkeep_cache::CacheOptions;
use serde::{Deserialize, Serialize};

/// The cache before the storage.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct CacheConfig {
    /// Where: `memory`, in this process, or `none`.
    pub kind: String,
    /// How much of the process's memory.
    pub memory: ByteSize,
    /// Nothing is answered from the cache while the storage's log of changes is silent for longer.
    pub max_lag: HumanDuration,
    /// How often an answer from the cache is held against the database, by one strong read; 0 for never.
    pub audit: HumanDuration,
    /// Rows on their way into the cache at a time; further ones are read past it.
    pub max_fills: u32,
}

const NONE: &str = "none";
const MEMORY: &str = "memory";

/// Less has no room for the rows of a page.
const LEAST: ByteSize = ByteSize::mib(1);

impl Default for CacheConfig {
    fn default() -> Self {
        Self {
            kind: NONE.to_owned(),
            memory: ByteSize::mib(64),
            max_lag: HumanDuration::secs(10),
            audit: HumanDuration(Duration::from_millis(100)),
            max_fills: 1024,
        }
    }
}

impl CacheConfig {
    /// What to make, if anything.
    pub fn options(&self) -> Option<CacheOptions> {
        (self.kind == MEMORY).then(|| CacheOptions {
            memory: self.memory.0,
            max_lag: *self.max_lag,
            audit: Some(*self.audit).filter(|every| !every.is_zero()),
            max_fills: usize::try_from(self.max_fills).unwrap_or(usize::MAX),
            ..CacheOptions::default()
        })
    }

    /// What is wrong, and what to write instead.
    pub(super) fn mistake(&self) -> Option<&'static str> {
        let is_redis = self.kind.starts_with("redis:") || self.kind.starts_with("rediss:");
        if is_redis {
            return Some(
                "cache.kind: a cache in Redis is not there yet; write `memory` for one in this process, or `none`",
            );
        }
        if self.kind != NONE && self.kind != MEMORY {
            return Some("cache.kind: must be `memory` or `none`");
        }
        if self.memory < LEAST {
            return Some("cache.memory: must be at least 1MiB");
        }
        if self.max_lag.is_zero() {
            return Some("cache.max_lag: must be longer than 0");
        }
        (self.max_fills == 0).then_some("cache.max_fills: must be at least 1")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: &str) -> CacheConfig {
        CacheConfig { kind: kind.to_owned(), ..CacheConfig::default() }
    }

    #[test]
    fn there_is_no_cache_unless_it_is_asked_for() {
        assert!(CacheConfig::default().options().is_none() && CacheConfig::default().mistake().is_none());
        assert_eq!(of("memory").options().map(|options| options.memory), Some(64 << 20));
    }

    #[test]
    fn what_cannot_work_is_refused_by_key() {
        assert!(of("redis://cache:6379").mistake().is_some_and(|text| text.contains("not there yet")));
        assert!(of("Memory").mistake().is_some_and(|text| text.starts_with("cache.kind")));
        let small = CacheConfig { memory: ByteSize(1000), ..of("memory") };
        assert!(small.mistake().is_some_and(|text| text.starts_with("cache.memory")));
    }
}
