//! Ports for servers that have to be told theirs.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// Below those that the system gives to outgoing connections: one of these would take the port before the server has it, or
/// while it is restarted.
const PORTS: Range<u16> = 15_000..32_000;

/// What this process has taken, until it ends.
static TAKEN: Mutex<Vec<File>> = Mutex::new(Vec::new());

/// A port that nobody listens on, and that no other process that asks here gets before this one has ended.
///
/// # Panics
/// If there is none.
pub fn free_port() -> u16 {
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    let directory = std::env::temp_dir().join("rowkeep-ports");
    std::fs::create_dir_all(&directory).expect("a directory for the locks of ports");
    // Processes begin at different places, so that they seldom meet.
    let count = PORTS.len();
    let start = std::process::id() as usize * 97 + taken.len();
    for offset in 0..count {
        let port = PORTS.start + u16::try_from((start + offset) % count).unwrap_or_default();
        let Ok(lock) = File::create(directory.join(port.to_string())) else { continue };
        let is_ours = lock.try_lock().is_ok();
        if is_ours && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            taken.push(lock);
            return port;
        }
    }
    panic!("no port between {} and {} is free", PORTS.start, PORTS.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_given_twice() {
        let mut ports: Vec<u16> = (0..50).map(|_| free_port()).collect();
        assert!(ports.iter().all(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok()));
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 50);
        // As another process finds them.
        let lock = std::env::temp_dir().join("rowkeep-ports").join(ports[0].to_string());
        assert!(File::create(lock).unwrap().try_lock().is_err());
    }
}
