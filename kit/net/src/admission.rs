//! Which connections are let in, and how many there are.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::NetConfig;

/// Counts of the data plane, for metrics.
#[derive(Debug, Default)]
pub struct NetStats {
    open: AtomicUsize,
    accepted: AtomicU64,
    refused: AtomicU64,
    panics: AtomicU64,
}

impl NetStats {
    /// Connections that are open.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Connections accepted since the start.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Connections closed at once because there were too many.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Requests whose handler panicked.
    pub fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    pub(crate) fn count_panic(&self) {
        self.panics.fetch_add(1, Ordering::Relaxed);
    }
}

/// Lets connections in up to the caps.
pub(crate) struct Admission {
    max: usize,
    max_per_ip: usize,
    count_loopback: bool,
    per_ip: Mutex<HashMap<IpAddr, usize>>,
    pub(crate) stats: Arc<NetStats>,
}

impl Admission {
    pub(crate) fn new(config: &NetConfig) -> Self {
        Self {
            max: config.max_connections,
            max_per_ip: config.max_connections_per_ip,
            count_loopback: config.count_loopback,
            per_ip: Mutex::default(),
            stats: Arc::default(),
        }
    }

    /// A pass for a connection from `ip`, or `None` if a cap is reached.
    pub(crate) fn admit(self: &Arc<Self>, ip: IpAddr, load: &Arc<AtomicUsize>) -> Option<Pass> {
        let ip = ip.to_canonical();
        let counted = self.count_loopback || !ip.is_loopback();
        if self.stats.open() >= self.max || (counted && !self.enter(ip)) {
            self.stats.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        self.stats.accepted.fetch_add(1, Ordering::Relaxed);
        self.stats.open.fetch_add(1, Ordering::Relaxed);
        load.fetch_add(1, Ordering::Relaxed);
        Some(Pass { admission: Arc::clone(self), load: Arc::clone(load), ip: counted.then_some(ip) })
    }

    fn enter(&self, ip: IpAddr) -> bool {
        let mut per_ip = self.per_ip.lock().unwrap_or_else(PoisonError::into_inner);
        let count = per_ip.entry(ip).or_default();
        let free = *count < self.max_per_ip;
        if free {
            *count += 1;
        }
        free
    }

    fn leave(&self, ip: IpAddr) {
        let mut per_ip = self.per_ip.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = per_ip.get_mut(&ip) {
            *count -= 1;
            if *count == 0 {
                per_ip.remove(&ip);
            }
        }
    }
}

/// The right of one connection to be open; given back when dropped.
pub(crate) struct Pass {
    admission: Arc<Admission>,
    load: Arc<AtomicUsize>,
    ip: Option<IpAddr>,
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.load.fetch_sub(1, Ordering::Relaxed);
        self.admission.stats.open.fetch_sub(1, Ordering::Relaxed);
        if let Some(ip) = self.ip {
            self.admission.leave(ip);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn caps_hold_per_address_and_overall_and_passes_are_given_back() {
        let config = NetConfig { max_connections: 3, max_connections_per_ip: 2, ..NetConfig::default() };
        let admission = Arc::new(Admission::new(&config));
        let load = Arc::default();
        let admit = |last| admission.admit(IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)), &load);
        let first = (admit(1), admit(1));
        assert!(first.0.is_some() && first.1.is_some());
        assert!(admit(1).is_none(), "two are the most from one address");
        let other = admit(2);
        assert!(other.is_some());
        assert!(admit(3).is_none(), "three are the most in all");
        drop((first, other));
        assert_eq!((admission.stats.open(), admission.stats.refused(), load.load(Ordering::Relaxed)), (0, 2, 0));
        assert!(admit(1).is_some());
        assert!(admission.per_ip.lock().unwrap().is_empty(), "no entry stays behind");
    }

    #[test]
    fn loopback_counts_only_if_asked_also_when_mapped_to_ipv6() {
        for (count_loopback, second) in [(false, true), (true, false)] {
            let config = NetConfig { max_connections_per_ip: 1, count_loopback, ..NetConfig::default() };
            let admission = Arc::new(Admission::new(&config));
            let load = Arc::default();
            let _first = admission.admit(IpAddr::V4(Ipv4Addr::LOCALHOST), &load);
            let mapped = IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped());
            assert_eq!(admission.admit(mapped, &load).is_some(), second);
        }
    }
}
