//! Commits that a server has acknowledged to this process, and so shows to whoever reads.
//!
//! What the [gate](crate::gate) asks MariaDB for costs it a tenth of a millisecond. A process that writes to the server, too, is told
//! as much with each answer to a commit: MariaDB makes commits visible in the order of its log (`commit_ordered`, under one
//! lock, of one group of commits after the other), so that one that was acknowledged shows that all before it in the log are
//! visible. Not so where each thread does it for itself (`binlog_optimize_thread_scheduling = OFF`): a few
//! of seventy thousand were not visible then. XA transactions are not decided in that order, and what is not a transaction's rows is left to the gate.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use rowkeep_binlog::MariaDbGtid;

/// Those that are remembered. A follower looks every few milliseconds.
const KEPT: usize = 64;

/// The last commits that were acknowledged.
#[derive(Debug, Default)]
pub struct Acked(Mutex<VecDeque<(Instant, MariaDbGtid)>>);

impl Acked {
    /// A commit was acknowledged, by the server that its GTID names.
    pub fn note(&self, gtid: MariaDbGtid) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() == KEPT {
            last.pop_front();
        }
        last.push_back((Instant::now(), gtid));
    }

    /// Those that this server acknowledged since then. A server that lost commits in a crash gives their names to others.
    pub(crate) fn by(&self, server: u32, since: Instant) -> Vec<MariaDbGtid> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = last.iter().filter(|(at, gtid)| gtid.server == server && *at >= since);
        own.map(|(_, gtid)| *gtid).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_another_server_acknowledged_says_nothing_of_this_one() {
        let acked = Acked::default();
        let gtid = |server, number| MariaDbGtid { domain: 0, server, number };
        let begun = Instant::now();
        acked.note(gtid(1, 7));
        acked.note(gtid(2, 8));
        assert_eq!((acked.by(1, begun), acked.by(3, begun)), (vec![gtid(1, 7)], vec![]));
        assert!(acked.by(1, begun + Duration::from_secs(9)).is_empty(), "of before the connection to the log");
        (0..100).for_each(|number| acked.note(gtid(2, number)));
        let of_other = acked.by(2, begun);
        assert_eq!((acked.by(1, begun).len(), of_other.len(), of_other.last()), (0, KEPT, Some(&gtid(2, 99))));
    }
}
