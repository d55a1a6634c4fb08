//! Limits.

use std::time::Duration;

/// How long is waited for servers, and how names are divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RedisOptions {
    /// For the answer to a look-up, a lease, an entry or what empties slots.
    pub read_timeout: Duration,
    /// For the answer to being told, or begun with.
    pub tell_timeout: Duration,
    /// For a connection: the network's, the encryption's and the log-in together.
    pub connect_timeout: Duration,
    /// Shards of a cluster, of which each is served by one of its servers. All processes that share must have the same.
    pub cluster_shards: usize,
}

impl Default for RedisOptions {
    fn default() -> Self {
        Self {
            read_timeout: Duration::from_millis(100),
            tell_timeout: Duration::from_secs(1),
            connect_timeout: Duration::from_secs(1),
            cluster_shards: 64,
        }
    }
}
