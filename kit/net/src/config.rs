//! The limits of the data plane.

use std::time::Duration;

use kit_core::config::{ByteSize, HumanDuration};
use serde::{Deserialize, Serialize};

/// Limits of connections, with defaults that are safe on an open network.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetConfig {
    /// Data-plane threads; 0 is one per core.
    pub workers: usize,
    /// Open connections in all; one more is closed at once.
    pub max_connections: usize,
    /// Open connections from one address. Loopback is not counted: a proxy on this machine speaks for everybody.
    pub max_connections_per_ip: usize,
    /// Whether loopback addresses count as well.
    pub count_loopback: bool,
    /// From the first byte of a request (or from accepting the connection) to the end of its header.
    pub header_read_timeout: HumanDuration,
    /// How long a connection without a request is kept.
    pub idle_timeout: HumanDuration,
    /// How long a client may leave a response untaken.
    pub write_timeout: HumanDuration,
    /// After which age a connection is closed when it is idle, so that clients spread anew. A quarter of it is added
    /// at random.
    pub max_connection_age: HumanDuration,
    /// How long a retired connection may still finish its requests; also the bound of a drain.
    pub drain_timeout: HumanDuration,
    /// During a drain, how long an HTTP/1.1 connection must be quiet before it is closed; until then a request on it
    /// is still answered, with `Connection: close`.
    pub drain_quiet: HumanDuration,
    /// Size of a request's header.
    pub max_header_size: ByteSize,
    /// Number of a request's header fields.
    pub max_headers: usize,
    /// HTTP/2: requests at the same time on one connection.
    pub max_concurrent_streams: u32,
    /// HTTP/2: streams reset by the client before they were accepted (rapid reset).
    pub max_pending_accept_reset_streams: usize,
    /// HTTP/2: streams that the server had to reset because of the client's mistakes (MadeYouReset).
    pub max_local_error_reset_streams: usize,
    /// HTTP/2: how often a ping is sent; 0 is never.
    pub keepalive_interval: HumanDuration,
    /// HTTP/2: how long the answer to a ping may take.
    pub keepalive_timeout: HumanDuration,
    /// HTTP/2: bytes a client may send ahead on one stream.
    pub stream_window: ByteSize,
    /// HTTP/2: bytes a client may send ahead on one connection.
    pub connection_window: ByteSize,
    /// HTTP/2: response bytes buffered per stream.
    pub max_send_buffer: ByteSize,
}

impl Default for NetConfig {
    fn default() -> Self {
        Self {
            workers: 0,
            max_connections: 10_000,
            max_connections_per_ip: 100,
            count_loopback: false,
            header_read_timeout: HumanDuration::secs(10),
            idle_timeout: HumanDuration::secs(60),
            write_timeout: HumanDuration::secs(30),
            max_connection_age: HumanDuration::secs(30 * 60),
            drain_timeout: HumanDuration::secs(25),
            drain_quiet: HumanDuration::millis(500),
            max_header_size: ByteSize::kib(16),
            max_headers: 100,
            max_concurrent_streams: 200,
            max_pending_accept_reset_streams: 20,
            max_local_error_reset_streams: 1024,
            keepalive_interval: HumanDuration::secs(20),
            keepalive_timeout: HumanDuration::secs(10),
            stream_window: ByteSize::mib(1),
            connection_window: ByteSize::mib(4),
            max_send_buffer: ByteSize::kib(400),
        }
    }
}

impl NetConfig {
    /// Data-plane threads.
    pub fn worker_count(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            count => count,
        }
    }

    /// Checks that the limits leave something to serve.
    ///
    /// # Errors
    /// A sentence that names the value.
    pub fn check(&self) -> Result<(), String> {
        let counts = [
            ("max_connections", self.max_connections as u64, 1),
            ("max_connections_per_ip", self.max_connections_per_ip as u64, 1),
            ("max_headers", self.max_headers as u64, 1),
            ("max_concurrent_streams", self.max_concurrent_streams.into(), 1),
            ("max_header_size", self.max_header_size.0, 1 << 10),
            ("stream_window", self.stream_window.0, 1 << 10),
            ("connection_window", self.connection_window.0, 1 << 16),
            ("max_send_buffer", self.max_send_buffer.0, 1 << 10),
        ];
        match counts.iter().find(|(_, value, least)| value < least) {
            Some((name, value, least)) => Err(format!("{name}: {value} is too small, the least is {least}")),
            None => Ok(()),
        }
    }

    /// How often connections are looked at: often enough for the shortest limit, at most once a second.
    pub(crate) fn sweep_interval(&self) -> Duration {
        let limits = [self.header_read_timeout, self.idle_timeout, self.write_timeout, self.drain_quiet];
        let shortest = limits.iter().map(|limit| limit.0).min().unwrap_or_default();
        (shortest / 4).clamp(Duration::from_millis(5), Duration::from_secs(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_would_serve_nothing_are_refused_by_name() {
        assert_eq!(NetConfig::default().check(), Ok(()));
        let config = NetConfig { max_concurrent_streams: 0, ..NetConfig::default() };
        assert!(config.check().unwrap_err().contains("max_concurrent_streams"));
    }

    #[test]
    fn the_sweep_is_finer_than_every_limit_and_never_busy() {
        let mut config = NetConfig::default();
        assert!(config.sweep_interval() <= *config.drain_quiet / 4);
        config.header_read_timeout = HumanDuration::millis(1);
        assert_eq!(config.sweep_interval(), Duration::from_millis(5));
    }
}
