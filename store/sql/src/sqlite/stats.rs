//! What the store counts, for the server to export.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Upper bounds of the group size histogram; the last bucket has none.
pub const GROUP_BOUNDS: [u64; 8] = [1, 2, 4, 8, 16, 32, 64, 128];

/// A snapshot of the store's counters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Writes that wait for the writer.
    pub queue_depth: u64,
    /// Most writes that may wait.
    pub queue_capacity: u64,
    /// Transactions committed.
    pub commits: u64,
    /// Programs answered by them.
    pub programs: u64,
    /// Commits by how many programs they held: up to each of [`GROUP_BOUNDS`], and above.
    pub group_sizes: [u64; GROUP_BOUNDS.len() + 1],
    /// Pages in the write-ahead log.
    pub wal_pages: u64,
    /// Checkpoints done.
    pub checkpoints: u64,
    /// Size of the data file.
    pub file_bytes: u64,
    /// Size of the write-ahead log file.
    pub wal_bytes: u64,
    /// Connections open for reading.
    pub readers: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    commits: AtomicU64,
    programs: AtomicU64,
    groups: [AtomicU64; GROUP_BOUNDS.len() + 1],
    pub(crate) wal_pages: AtomicU64,
    pub(crate) checkpoints: AtomicU64,
}

impl Counters {
    pub(crate) fn committed(&self, programs: u64) {
        self.commits.fetch_add(1, Relaxed);
        self.programs.fetch_add(programs, Relaxed);
        let bucket = GROUP_BOUNDS.iter().position(|bound| programs <= *bound).unwrap_or(GROUP_BOUNDS.len());
        self.groups[bucket].fetch_add(1, Relaxed);
    }

    pub(crate) fn fill(&self, stats: &mut Stats) {
        stats.commits = self.commits.load(Relaxed);
        stats.programs = self.programs.load(Relaxed);
        for (to, from) in stats.group_sizes.iter_mut().zip(&self.groups) {
            *to = from.load(Relaxed);
        }
        stats.wal_pages = self.wal_pages.load(Relaxed);
        stats.checkpoints = self.checkpoints.load(Relaxed);
    }
}
