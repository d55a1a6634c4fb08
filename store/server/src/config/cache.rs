//! What is kept in memory so that the database need not be asked.

use std::fmt;
use std::time::Duration;

use kit_core::config::{ByteSize, HumanDuration};
use rowkeep_cache::{CacheOptions, TierOptions};
use rowkeep_redis::Address;
use serde::{Deserialize, Serialize};

use crate::storage::Caching;

/// The caches before the storage.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct CacheConfig {
    /// Where.
    pub kind: CacheKind,
    /// How much of the process's memory; 0 for a cache in Redis alone.
    pub memory: ByteSize,
    /// Nothing is answered from the cache while the storage's log of changes is silent for longer.
    pub max_lag: HumanDuration,
    /// How often an answer from memory, and one from Redis, is held against the database, by a strong read each; 0 for never.
    pub audit: HumanDuration,
    /// Rows on their way into the cache at a time; further ones are read past it.
    pub max_fills: u32,
}

/// `memory`, in this process; the address of a Redis server, as `redis://user:password@host:6379`, behind the memory of this
/// process; or `none`. Shown without the password.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct CacheKind(String);

const NONE: &str = "none";
const MEMORY: &str = "memory";

/// Less has no room for the rows of a page.
const LEAST: ByteSize = ByteSize::mib(1);

impl Default for CacheConfig {
    fn default() -> Self {
        Self {
            kind: NONE.into(),
            memory: ByteSize::mib(64),
            max_lag: HumanDuration::secs(10),
            audit: HumanDuration(Duration::from_millis(100)),
            max_fills: 1024,
        }
    }
}

impl CacheKind {
    /// Where the cache is that is shared, if there is one.
    ///
    /// # Errors
    /// What is wrong with it, in words that do not repeat it.
    pub fn address(&self) -> Result<Option<Address>, String> {
        if !self.0.starts_with("redis") {
            return Ok(None);
        }
        self.0.parse().map(Some)
    }
}

impl From<&str> for CacheKind {
    fn from(kind: &str) -> Self {
        Self(kind.to_owned())
    }
}

impl fmt::Display for CacheKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address() {
            Ok(Some(address)) => address.fmt(f),
            Ok(None) if self.0 == NONE || self.0 == MEMORY => f.write_str(&self.0),
            Ok(None) | Err(_) => f.write_str("(not an address)"),
        }
    }
}

impl fmt::Debug for CacheKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for CacheKind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl CacheConfig {
    /// What to make, if anything.
    pub fn caching(&self) -> Option<Caching> {
        let max_fills = usize::try_from(self.max_fills).unwrap_or(usize::MAX);
        let (memory, max_lag) = (self.memory.0, *self.max_lag);
        let audit = Some(*self.audit).filter(|every| !every.is_zero());
        let near = CacheOptions { memory, max_lag, audit, max_fills, ..CacheOptions::default() };
        // A mistake in it was found before.
        let address = self.kind.address().ok().flatten();
        if address.is_none() && self.kind.0 != MEMORY {
            return None;
        }
        let tier = TierOptions { max_lag, max_fills, audit, ..TierOptions::default() };
        Some(Caching { near: (memory > 0).then_some(near), shared: address.map(|address| (address, tier)) })
    }

    /// What is wrong, and what to write instead. `is_embedded`: the storage is a file of this process.
    pub(super) fn mistake(&self, is_embedded: bool) -> Option<String> {
        let is_shared = match self.kind.address() {
            Err(why) => return Some(format!("cache.kind: {why}")),
            Ok(address) => address.is_some(),
        };
        if is_shared && is_embedded {
            let what = "cache.kind: a cache in Redis is for servers that share a database; the embedded store has one server, \
                        whose own memory is nearer: write `memory`";
            return Some(what.to_owned());
        }
        let what = if !is_shared && self.kind.0 != NONE && self.kind.0 != MEMORY {
            "cache.kind: must be `memory`, the address of a Redis server (redis://host:6379), or `none`"
        } else if self.memory < LEAST && !(is_shared && self.memory.0 == 0) {
            "cache.memory: must be at least 1MiB, or 0 where the cache is in Redis"
        } else if self.max_lag.is_zero() {
            "cache.max_lag: must be longer than 0"
        } else if self.max_fills == 0 {
            "cache.max_fills: must be at least 1"
        } else {
            return None;
        };
        Some(what.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: &str) -> CacheConfig {
        CacheConfig { kind: kind.into(), ..CacheConfig::default() }
    }

    #[test]
    fn there_is_no_cache_unless_it_is_asked_for() {
        assert!(CacheConfig::default().caching().is_none() && CacheConfig::default().mistake(true).is_none());
        let caching = of("memory").caching().unwrap();
        assert_eq!(caching.near.map(|near| near.memory), Some(64 << 20));
        assert!(caching.shared.is_none());
    }

    #[test]
    fn a_cache_in_redis_is_behind_one_in_memory_unless_that_is_left_out() {
        let config = of("redis://cache:6379");
        assert_eq!(config.mistake(false), None);
        let caching = config.caching().unwrap();
        assert!(caching.near.is_some() && caching.shared.is_some());
        let alone = CacheConfig { memory: ByteSize(0), ..config };
        assert_eq!(alone.mistake(false), None);
        let audit = alone.audit;
        let caching = alone.caching().unwrap();
        assert!(caching.near.is_none());
        assert_eq!(caching.shared.and_then(|(_, tier)| tier.audit), Some(*audit), "Redis alone is audited");
        let unaudited = CacheConfig { audit: HumanDuration(Duration::ZERO), ..alone }.caching().unwrap();
        assert_eq!(unaudited.shared.and_then(|(_, tier)| tier.audit), None);
    }

    #[test]
    fn what_cannot_work_is_refused_by_key() {
        assert!(of("redis://cache:6379").mistake(true).is_some_and(|text| text.contains("`memory`")));
        assert!(of("redis://cache:port").mistake(false).is_some_and(|text| text.starts_with("cache.kind")));
        assert!(of("Memory").mistake(true).is_some_and(|text| text.starts_with("cache.kind")));
        let small = CacheConfig { memory: ByteSize(1000), ..of("memory") };
        assert!(small.mistake(true).is_some_and(|text| text.starts_with("cache.memory")));
        let none = CacheConfig { memory: ByteSize(0), ..of("memory") };
        assert!(none.mistake(true).is_some_and(|text| text.starts_with("cache.memory")));
    }

    #[test]
    fn a_password_is_not_shown_in_any_way() {
        let kind = of("redis://user:secret@cache:6379").kind;
        let shown = format!("{kind} {kind:?} {}", serde_json::to_string(&kind).unwrap());
        assert!(shown.contains("cache:6379") && !shown.contains("secret"), "{shown}");
        for wrong in ["redis://:secret@cache:port", "secret"] {
            let (kind, mistake) = (of(wrong).kind, of(wrong).mistake(false).unwrap());
            assert!(!format!("{kind} {kind:?} {mistake}").contains("secret"), "{mistake}");
        }
    }
}
